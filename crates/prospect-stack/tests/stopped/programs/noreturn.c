/* A call as the very last instruction of a function: the return address lies in the next one. */
#include "start.h"
volatile int sink;
__attribute__((noinline, noreturn)) void never(int n) {
    sink = n;
    stop();
    for (;;) sink++;
}
FAR void fails(int n) {
    volatile char room[72];
    room[n] = n;
    never(n + room[n]);
}
FAR int after(int n) { return n + sink; }
int main(void) {
    fails(after(3));
    return sink;
}
