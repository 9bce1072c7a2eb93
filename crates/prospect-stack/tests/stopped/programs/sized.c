/* Frames whose size is known at run time alone, and one on a realigned stack. */
#include "start.h"
volatile int sink;
FAR int sized(int n) {
    volatile char array[n + 16];
    array[n] = 1;
    stop();
    return array[n / 2];
}
FAR int allocated(int n, int a, int b) {
    volatile char *room = __builtin_alloca(n + 32);
    room[n] = 2;
    return sized(n + room[n]) + room[n] + a * b;
}
FAR int aligned(int n, int a) {
    _Alignas(64) volatile char wide[64];
    wide[n & 63] = a;
    return allocated(n, a, sink) + wide[n & 31];
}
FAR int aligned_and_sized(int n, int a) {
    _Alignas(64) volatile char wide[64];
    volatile char array[n + 16];
    wide[n & 63] = array[n] = a;
    return aligned(n, wide[n & 63]) + array[n];
}
int main(void) { return aligned_and_sized(7, sink) + sink; }
