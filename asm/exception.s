/*
 * Exceptions in long mode. One stub per vector pushes the vector (and a zero where the CPU pushes no error code), then
 * Rust logs the frame and the machine goes on without the core. NMIs return at once.
 */
        .section .text.exception, "ax"
        .code64
        .balign 16
        .globl  exception_stubs
exception_stubs:                        /* 16 bytes each */
        .irp    vector, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        .balign 16
        .if     \vector == 2
        iretq
        .else
        .if     (\vector != 8) && (\vector < 10 || \vector > 14) && (\vector != 17) && (\vector != 21)
        pushq   $0
        .endif
        pushq   $\vector
        jmp     exception_common
        .endif
        .endr

/* The frame for Rust: rax rbx rcx rdx rsi rdi rbp r8-r15, vector, error code, rip, cs, rflags, rsp, ss. */
exception_common:
        pushq   %r15
        pushq   %r14
        pushq   %r13
        pushq   %r12
        pushq   %r11
        pushq   %r10
        pushq   %r9
        pushq   %r8
        pushq   %rbp
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %rcx
        pushq   %rbx
        pushq   %rax
        movq    %rsp, %rdi              /* 22 quadwords below the CPU's alignment: aligned for the call */
        call    core_exception
        jmp     *%rax                   /* core_done in the resident block */

        .section .data.idt, "aw"
        .globl  core_idtr
        .balign 8
core_idtr:
        .word   32 * 16 - 1
        .quad   core_idt

        .section .bss.stack, "aw", @nobits
        .balign 16
core_stack:
        .skip   {CORE_STACK_SIZE}
core_stack_top:
        .globl  core_idt
core_idt:
        .skip   32 * 16
        .section .page_tables, "aw", @nobits
        .skip   9 * 4096
