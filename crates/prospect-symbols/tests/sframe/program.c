/* Frames of several kinds, without a library. */
#define FAR __attribute__((noinline))
volatile int sink;
FAR int leaf(int n) { return n + sink; }
FAR int leafy(int n) { volatile char b[400]; for (unsigned i = 0; i < sizeof b; i++) b[i] = n; return leaf(b[n & 7]) + b[1]; }
FAR int sized(int n) { volatile char a[n + 16]; a[n] = 1; return leafy(n + a[n]) + a[n / 2]; }
FAR int deep(int n, int a, int b, int c) { int r = n > 0 ? deep(n - 1, b, c, a) : sized(7); return r + sink + a * leaf(b) + c; }
FAR int large(int n) { switch (n) {
#define C(x) case x: sink += leaf(sink * x + deep(x, n, x, n)); break;
#define D(x) C(x) C(x+1) C(x+2) C(x+3) C(x+4) C(x+5) C(x+6) C(x+7)
D(100) D(200) D(300) } return sink; }
int main(void) { return deep(3, 1, 2, 3) + large(sink); }
