/* Landing pads, entered as an unwinder enters them: all preserved registers and the stack pointer are those of the
   frame that the pad belongs to. The tables are the compiler's; what a C++ library would do with them is done here
   for the one frame that there is. */
#include "start.h"
typedef unsigned char byte;
volatile int sink;
FAR int landing(int n, int a, int b);

/* The program's only table for exceptions (its LSDA): where it is. */
#ifdef __arm__
extern "C" const unsigned __exidx_start[], __exidx_end[];
static const unsigned *from_prel31(const unsigned *at) {
    return (const unsigned *)((const byte *)at + ((int)(*at << 1) >> 1));
}
/* Behind the personality routine and the instructions that `ARM EHABI`, section 10.2, packs into words. */
static const byte *table() {
    const unsigned *entry = __exidx_start;
    while (from_prel31(entry) != (const unsigned *)landing) entry += 2;
    const unsigned *words = from_prel31(entry + 1) + 1;
    return (const byte *)(words + 1 + (*words >> 24));
}
#else
asm(".section .gcc_except_table, \"a\"\n exceptions:\n .text\n");
extern "C" const byte exceptions[];
static const byte *table() { return exceptions; }
#endif

static unsigned number(const byte *&at, bool is_word) {
    unsigned value = 0;
    if (is_word) {
        __builtin_memcpy(&value, at, 4);
        at += 4;
        return value;
    }
    for (int shift = 0;; shift += 7) {
        value |= (*at & 0x7f) << shift;
        if (!(*at++ & 0x80)) return value;
    }
}

/* The code of a function. */
static const byte *code(const void *function) {
#if defined __powerpc64__ && _CALL_ELF != 2
    return *(const byte *const *)function;
#else
    return (const byte *)function;
#endif
}

/* The landing pad of the table's call number `index`, among those that have one. */
FAR static const void *pad(int index) {
    const byte *at = table();
    const byte *start = code((const void *)landing);
    bool is_split = *at++ != 0xff;
    (void)is_split; /* the pads' start is given only where they lie elsewhere; see the flags of this program */
    if (*at++ != 0xff) number(at, false);
    bool is_word = *at++ == 3;
    unsigned bytes = number(at, false);
    for (const byte *end = at + bytes; at < end;) {
        number(at, is_word);
        number(at, is_word);
        unsigned landing_pad = number(at, is_word);
        number(at, false);
        if (landing_pad && index-- == 0) return start + landing_pad;
    }
    return 0;
}

/* Does not return: goes to the landing pad that it is given. It is called with it in a register. */
#ifdef __i386__
extern "C" __attribute__((regparm(1))) void throws(const void *pad);
#else
extern "C" void throws(const void *pad);
#endif
#if defined __x86_64__
asm(FUNCTION("throws") "pop %rdx\n mov $1, %edx\n jmp *%rdi\n" END("throws"));
#elif defined __i386__
asm(FUNCTION("throws") "pop %edx\n mov $1, %edx\n jmp *%eax\n" END("throws"));
#elif defined __aarch64__
asm(FUNCTION("throws") "mov x1, #1\n br x0\n" END("throws"));
#elif defined __arm__
asm(FUNCTION("throws") "mov r1, #1\n bx r0\n" END("throws"));
#elif defined __powerpc__
asm(FUNCTION("throws") "mtctr 3\n li 4, 1\n bctr\n" END("throws"));
#elif defined __riscv
asm(FUNCTION("throws") "li a1, 1\n jr a0\n" END("throws"));
#elif defined __s390x__
asm(FUNCTION("throws") "lgr %r1, %r2\n lghi %r7, 1\n br %r1\n" END("throws"));
#endif

/* The names that the compiler calls. */
extern "C" {
int __gxx_personality_v0() { return 0; }
void *__cxa_begin_catch(void *exception) noexcept { return exception; }
void __cxa_end_catch() {}
void __cxa_end_cleanup() {}
void _Unwind_Resume(void *) { __builtin_trap(); }
}

struct Guard {
    int n;
    FAR ~Guard() {
        stop();
        sink = n;
    }
};
FAR int landing(int n, int a, int b) {
    volatile char array[n + 16];
    array[n] = a;
    try {
        Guard guard{n};
        throws(pad(0));
        sink = n;
    } catch (...) {
        stop();
        sink = a * b;
    }
    return array[n] + a + b;
}
extern "C" int main() { return landing(7, sink, sink) + sink; }
