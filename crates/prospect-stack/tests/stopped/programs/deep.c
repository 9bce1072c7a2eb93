/* Frames of several kinds, with registers that callees preserve in use. */
#include "start.h"
volatile int sink;
FAR int leafy(int n) {
    volatile char buffer[40];
    for (unsigned i = 0; i < sizeof buffer; i++) buffer[i] = n;
    stop();
    return buffer[n & 7] + sink;
}
FAR int sized(int n) {
    volatile char array[n + 16];
    array[n] = 1;
    return leafy(n + array[n]) + array[n / 2];
}
FAR int deep(int n, int a, int b, int c, int d) {
    int r = n > 0 ? deep(n - 1, b, c + sink, d, a) : sized(7);
    return r + sink + a * b + c * d;
}
int main(void) { return deep(3, sink, 2, 3, sink) + sink; }
