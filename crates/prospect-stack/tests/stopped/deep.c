/* Frames of several kinds, down to one that stores through a null pointer. Without a library: it starts in
   `main`, whose return address is 0. */
#define FAR __attribute__((noinline))
volatile int sink;
/* Of RISC-V's leaf functions with a frame pointer, the frame record has no return address. */
__attribute__((optimize("omit-frame-pointer")))
FAR void bottom(int *at, int n) { *(volatile int *)at = n; }
FAR int leafy(int n, int *at) {
    volatile char buffer[40];
    for (unsigned i = 0; i < sizeof buffer; i++) buffer[i] = n;
    bottom(at, n);
    return buffer[n & 7] + sink;
}
FAR int sized(int n, int *at) {
    volatile char array[n + 16];
    array[n] = 1;
    return leafy(n + array[n], at) + array[n / 2];
}
FAR int deep(int n, int *at) {
    int r = n > 0 ? deep(n - 1, at) : sized(7, at);
    return r + sink;
}
int main(void) { return deep(3, 0) + sink; }
