static volatile int sink;
static inline __attribute__((always_inline)) int innermost(int x) {
    sink = x * 3;
    return sink + x;
}
static inline __attribute__((always_inline)) int middle(int x) {
    int sum = 0;
    for (int i = 0; i < x; i++) {
        int twice = innermost(i) * 2;
        sum += twice;
    }
    return sum;
}
__attribute__((noinline, cold)) static int rare(int x) { return middle(x) - 1; }
__attribute__((noinline)) int often(int x) {
    if (x > 1000) return rare(x);
    return middle(x) + middle(x + 1);
}
int main(int argc, char **argv) {
    (void)argv;
    return often(argc);
}
