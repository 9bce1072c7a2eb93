/* Frames with destructors to be run, and so with a personality routine. */
#include "start.h"
volatile int sink;
struct Guard {
    int n;
    ~Guard() { sink = sink + n; }
};
FAR void bottom(int n) {
    stop();
    if (n < 0) throw n;
}
FAR int leafy(int n) {
    volatile char buffer[40];
    for (unsigned i = 0; i < sizeof buffer; i++) buffer[i] = n;
    Guard guard{n};
    bottom(n);
    return buffer[n & 7] + sink;
}
FAR double sized(double n) {
    volatile char array[(int)n + 16];
    array[1] = 1;
    Guard guard{array[1]};
    return leafy(array[1]) + n * n;
}
FAR int deep(int n) {
    Guard guard{n};
    int r = n > 0 ? deep(n - 1) : (int)sized(n);
    return r + sink;
}
extern "C" int main() { return deep(3) + sink; }
