/* What every program here begins with: `_start`, marked as the outermost frame as the C library's is (its return
   address is undefined; frame pointer, back chain or link register is 0), and `stop`, where the programs are
   stopped. No library. */
#define FAR __attribute__((noinline))
#ifdef __cplusplus
extern "C" {
#endif
void stop(void);
int main(void);
#ifdef __cplusplus
}
#endif

#ifdef __GCC_HAVE_DWARF2_CFI_ASM
#define CFI(text) text "\n"
#else
#define CFI(text)
#endif
#if defined __powerpc64__ && _CALL_ELF != 2
/* A function is called through its descriptor: its code, the table of contents, nothing. */
#define FUNCTION(name)                                                                                                 \
    ".globl " name "\n.type " name ", @function\n.section .opd, \"aw\"\n.balign 8\n" name                              \
    ": .quad .L" name ", .TOC.@tocbase, 0\n.text\n.balign 4\n.L" name ":\n" CFI(".cfi_startproc")
#define END(name) CFI(".cfi_endproc") ".size " name ", . - .L" name "\n"
#else
#define FUNCTION(name)                                                                                                 \
    ".text\n.balign 4\n.globl " name "\n.type " name ", %function\n" name ":\n" CFI(".cfi_startproc")
#define END(name) CFI(".cfi_endproc") ".size " name ", . - " name "\n"
#endif

/* `_start` leaves 256 bytes for what its callee saves in its frame. */
#if defined __x86_64__
asm(FUNCTION("_start") CFI(".cfi_undefined rip") "xor %ebp, %ebp\n and $-64, %rsp\n sub $256, %rsp\n call main\n hlt\n"
    END("_start"));
#define RETURN "ret"
#elif defined __i386__
asm(FUNCTION("_start") CFI(".cfi_undefined eip") "xor %ebp, %ebp\n and $-64, %esp\n sub $256, %esp\n call main\n hlt\n"
    END("_start"));
#define RETURN "ret"
#elif defined __aarch64__
asm(FUNCTION("_start") CFI(".cfi_undefined x30") "mov x29, #0\n mov x30, #0\n sub sp, sp, #256\n bl main\n brk #1\n"
    END("_start"));
#define RETURN "ret"
#elif defined __arm__
asm(".syntax unified\n" CFI(".cfi_sections .debug_frame") FUNCTION("_start") ".fnstart\n.cantunwind\n" CFI(
    ".cfi_undefined lr") "mov fp, #0\n mov lr, #0\n sub sp, sp, #256\n bl main\n udf #1\n.fnend\n" END("_start"));
#define RETURN "bx lr"
#elif defined __powerpc64__
asm(FUNCTION("_start") CFI(".cfi_undefined 65")
#if _CALL_ELF == 2
        "addis 2, 12, .TOC. - _start@ha\n addi 2, 2, .TOC. - _start@l\n"
#endif
        "li 0, 0\n mtlr 0\n stdu 0, -256(1)\n bl main\n nop\n trap\n" END("_start"));
#define RETURN "blr"
#elif defined __powerpc__
asm(FUNCTION("_start") CFI(".cfi_undefined 65") "li 0, 0\n mtlr 0\n stwu 0, -256(1)\n bl main\n trap\n"
    END("_start"));
#define RETURN "blr"
#elif defined __riscv
asm(FUNCTION("_start") CFI(".cfi_undefined ra") "li s0, 0\n li ra, 0\n addi sp, sp, -256\n call main\n ebreak\n"
    END("_start"));
#define RETURN "ret"
#elif defined __s390x__
asm(FUNCTION("_start") CFI(".cfi_undefined %r14") "lghi %r11, 0\n lghi %r14, 0\n aghi %r15, -256\n"
    "stg %r11, 0(%r15)\n brasl %r14, main\n j .+2\n" END("_start"));
#define RETURN "br %r14"
#endif
#ifdef __arm__
/* Without an entry of its own, it would be part of what lies before it. */
asm(FUNCTION("stop") ".fnstart\n" RETURN "\n.fnend\n" END("stop"));
#else
asm(FUNCTION("stop") RETURN "\n" END("stop"));
#endif
