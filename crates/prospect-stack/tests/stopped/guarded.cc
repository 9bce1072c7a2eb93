/* Frames with a personality routine, down to one that stores through a null pointer. Without a library: it starts in
   `main`, whose return address is 0. */
#define FAR __attribute__((noinline))
volatile int sink;
struct Guard { int n; ~Guard() { sink = sink + n; } };
FAR void bottom(int *at, int n) { *(volatile int *)at = n; if (n < 0) throw n; }
FAR int leafy(int n, int *at) {
    volatile char buffer[40];
    for (unsigned i = 0; i < sizeof buffer; i++) buffer[i] = n;
    Guard guard{n};
    bottom(at, n);
    return buffer[n & 7] + sink;
}
FAR double sized(double n, int *at) {
    volatile char array[(int)n + 16];
    array[1] = 1;
    Guard guard{array[1]};
    return leafy(array[1], at) + n * n;
}
FAR int deep(int n, int *at) {
    Guard guard{n};
    int r = n > 0 ? deep(n - 1, at) : (int)sized(n, at);
    return r + sink;
}
int main() { return deep(3, 0) + sink; }
