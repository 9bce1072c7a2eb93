/* A leaf that saves nothing, called by a function whose frame is large. */
#include "start.h"
volatile int sink;
FAR int leaf(int a, int b, int c) { return (a * b ^ c) + (b * c ^ a) + sink; }
FAR int large(int n) {
    volatile int array[60];
    for (unsigned i = 0; i < 60; i++) array[i] = n;
    int r = leaf(array[n], n, array[n + 1]);
    return r + array[n + r % 2 * 0];
}
int main(void) { return large(5) + sink; }
