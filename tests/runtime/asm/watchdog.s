/*
 * The watchdog: runs a function of the program, and ends it where a non-maskable interrupt comes meanwhile. Such an interrupt
 * is taken with interrupts off, too; wherever the CPU is then, it gets here: by the interrupt table in real mode (a stack
 * in protected mode passes interrupts on to it), by exception.s in 64-bit mode, by v86.s from under the monitor.
 */
        .section .real, "awx"

watchdog_rsp:                           /* the 64-bit stack of watchdog_call; 0 when there is nothing to end */
        .quad   0
watchdog_bitten:                        /* the next that enters 64-bit mode is not for thunk_call */
        .byte   0

/* watchdog_bites: INT 02h. Leaves whatever is under way, for good. */
        .code16
        .globl  watchdog_bites
watchdog_bites:
        cmpl    $0, %cs:watchdog_rsp
        jne     1f
        iretw
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $real_stack_top, %esp
        movb    $1, watchdog_bitten
        pushw   $0x2
        pushw   %ax
        pushw   $1f
        iretw                           /* lets the next such interrupt in, and clears the flags */
1:      jmp     to_long

/*
 * watchdog_call: 64-bit, System V.
 * In      %rdi = function, %rsi = its argument
 * Out     %eax = 0: it returned; 1: it was bitten, and nothing on its stack will ever run again
 */
        .code64
        .globl  watchdog_call
watchdog_call:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, watchdog_rsp
        subq    $8, %rsp                /* a multiple of 16, as the convention wants it */
        movq    %rdi, %rax
        movq    %rsi, %rdi
        call    *%rax
        movq    $0, watchdog_rsp
        addq    $8, %rsp
        xorl    %eax, %eax
1:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

/* watchdog_in_long: from exception.s, with vector and error code on the stack. */
watchdog_in_long:
        cmpq    $0, watchdog_rsp
        jne     watchdog_over
        addq    $16, %rsp
        iretq

/* watchdog_over: 64-bit mode, anywhere. */
watchdog_over:
        cld
        movb    $0, watchdog_bitten
        movq    watchdog_rsp, %rsp
        movq    $0, watchdog_rsp
        movl    $1, %eax
        jmp     1b
