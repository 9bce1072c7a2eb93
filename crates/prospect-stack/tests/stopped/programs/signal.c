/* A leaf whose registers all have known values faults in its middle; the handler is stopped. `FLAGS` are those
   of the handler, besides what the architecture needs. */
#include "start.h"
#define SA_SIGINFO 4ul
#define SA_RESTORER 0x04000000ul
#define SA_ONSTACK 0x08000000ul
#define SIGSEGV 11
#define CALL(number, a, b, c, d) system_call(number, (long)(a), (long)(b), (long)(c), (long)(d))
volatile int sink;
void interrupted(void);
void __restore_rt(void);
void __restore(void);

/* `interrupted` puts 0x100 + n into register n, and then stores to where nothing is. It leaves alone what its callers'
   frames may be found by. On x86, a handler returns to code of the program, which has no call frame information
   here: debuggers know it by its name. */
#if defined __x86_64__
static long system_call(long number, long a, long b, long c, long d) {
    register long r10 asm("r10") = d;
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}
enum { RT_SIGACTION = 13, SIGALTSTACK = 131 };
asm("nop\n .type __restore_rt, @function\n __restore_rt: mov $15, %rax\n syscall\n .size __restore_rt, . - __restore_rt");
asm(FUNCTION("interrupted") "mov $0x100, %eax\n mov $0x101, %edx\n mov $0x102, %ecx\n mov $0x103, %ebx\n"
    "mov $0x104, %esi\n mov $0x105, %edi\n"
    ".irp n, 8, 9, 10, 11, 12, 13, 14, 15\n mov $(0x100 + \\n), %r\\n\n .endr\n"
    "mov %eax, 0\n ret\n" END("interrupted"));
#elif defined __i386__
static long system_call(long number, long a, long b, long c, long d) {
    long result;
    asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return result;
}
enum { RT_SIGACTION = 174, SIGALTSTACK = 186 };
asm(FUNCTION("interrupted") "mov $0x100, %eax\n mov $0x101, %ecx\n mov $0x102, %edx\n mov $0x103, %ebx\n"
    "mov $0x106, %esi\n mov $0x107, %edi\n mov %eax, 0\n ret\n" END("interrupted"));
asm("nop\n .type __restore_rt, @function\n __restore_rt: mov $173, %eax\n int $0x80\n .size __restore_rt, . - __restore_rt\n"
    "nop\n .type __restore, @function\n __restore: pop %eax\n mov $119, %eax\n int $0x80\n .size __restore, . - __restore");
#elif defined __aarch64__
static long system_call(long number, long a, long b, long c, long d) {
    register long x8 asm("x8") = number, x0 asm("x0") = a, x1 asm("x1") = b, x2 asm("x2") = c, x3 asm("x3") = d;
    asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
enum { RT_SIGACTION = 134, SIGALTSTACK = 132 };
asm(FUNCTION("interrupted") ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, "
    "24, 25, 26, 27, 28\n mov x\\n, #(0x100 + \\n)\n .endr\n mov x0, #0\n str x1, [x0]\n ret\n" END("interrupted"));
#elif defined __arm__
static long system_call(long number, long a, long b, long c, long d) {
    register long r7 asm("r7") = number, r0 asm("r0") = a, r1 asm("r1") = b, r2 asm("r2") = c, r3 asm("r3") = d;
    asm volatile("svc #0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2), "r"(r3) : "memory");
    return r0;
}
enum { RT_SIGACTION = 174, SIGALTSTACK = 186 };
asm(FUNCTION("interrupted") ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12\n movw r\\n, #(0x100 + \\n)\n .endr\n"
    "mov r0, #0\n str r1, [r0]\n bx lr\n" END("interrupted"));
#elif defined __powerpc__
static long system_call(long number, long a, long b, long c, long d) {
    register long r0 asm("r0") = number, r3 asm("r3") = a, r4 asm("r4") = b, r5 asm("r5") = c, r6 asm("r6") = d;
    asm volatile("sc" : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6) : : "r7", "r8", "r9", "r10", "r11", "r12",
                 "cr0", "ctr", "memory");
    return r3;
}
enum { RT_SIGACTION = 173, SIGALTSTACK = 185 };
asm(FUNCTION("interrupted") "li 0, 0x1ff\n mtctr 0\n li 0, 0x1fe\n .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, "
    "17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30\n li \\n, 0x100 + \\n\n .endr\n stw 3, 0(0)\n blr\n"
    END("interrupted"));
#elif defined __riscv
static long system_call(long number, long a, long b, long c, long d) {
    register long a7 asm("a7") = number, a0 asm("a0") = a, a1 asm("a1") = b, a2 asm("a2") = c, a3 asm("a3") = d;
    asm volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3) : "memory");
    return a0;
}
enum { RT_SIGACTION = 134, SIGALTSTACK = 132 };
asm(FUNCTION("interrupted") ".irp n, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, "
    "25, 26, 27, 28, 29, 30, 31\n li x\\n, 0x100 + \\n\n .endr\n sd t0, 0(zero)\n ret\n" END("interrupted"));
#elif defined __s390x__
static long system_call(long number, long a, long b, long c, long d) {
    register long r1 asm("1") = number, r2 asm("2") = a, r3 asm("3") = b, r4 asm("4") = c, r5 asm("5") = d;
    asm volatile("svc 0" : "+d"(r2) : "d"(r1), "d"(r3), "d"(r4), "d"(r5) : "memory");
    return r2;
}
enum { RT_SIGACTION = 174, SIGALTSTACK = 186 };
asm(FUNCTION("interrupted") ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13\n lghi %r\\n, 0x100 + \\n\n .endr\n"
    "stg %r0, 0\n br %r14\n" END("interrupted"));
#endif

struct action {
    void (*handler)(int);
    unsigned long flags;
#ifndef __riscv
    void (*restorer)(void);
#endif
    unsigned char mask[16];
};
struct alternate {
    void *start;
    int flags;
    unsigned long bytes;
};
char alternate[1 << 15] __attribute__((aligned(64)));

FAR void inner(int n) {
    volatile char room[56];
    room[n & 31] = n;
    stop();
    sink = room[n & 31];
}
FAR void handler(int number) {
    inner(number);
    sink = number;
}
FAR int outer(int n) {
    volatile char room[40];
    room[n] = n;
    interrupted();
    return room[n] + sink;
}
int main(void) {
    struct action action = {.handler = handler, .flags = FLAGS};
#ifdef __x86_64__
    action.flags |= SA_RESTORER;
    action.restorer = __restore_rt;
#elif defined __i386__
    action.flags |= SA_RESTORER;
    action.restorer = action.flags & SA_SIGINFO ? __restore_rt : __restore;
#endif
    struct alternate stack = {alternate, 0, sizeof alternate};
    CALL(SIGALTSTACK, &stack, 0, 0, 0);
    CALL(RT_SIGACTION, SIGSEGV, &action, 0, 8);
    return outer(9) + sink;
}
