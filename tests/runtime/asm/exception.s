/* Exceptions in 64-bit mode: a fault of the program itself, or of the stack's code that it runs into. Reported, then the end. */
        .section .real, "awx"
        .code64

        .set    EXCEPTIONS, 32
        .set    STUB_SIZE, 16
        .set    NON_MASKABLE, 2

/* One stub per vector: pushes the vector, and before it a zero where the CPU pushes no error code. */
        .macro  exception_entries push, common
        .balign STUB_SIZE
        .set    vector, 0
        .rept   EXCEPTIONS
        .balign STUB_SIZE
        .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21)
        .else
        \push   $0
        .endif
        \push   $vector
        jmp     \common
        .set    vector, vector + 1
        .endr
        .endm

        .balign STUB_SIZE
exception_stubs:
        exception_entries pushq, exception_common

exception_common:
        cmpb    $NON_MASKABLE, (%rsp)
        je      watchdog_in_long
        movq    (%rsp), %rdi            /* vector */
        movq    16(%rsp), %rsi          /* rip */
        andq    $~15, %rsp
        call    nbp_exception
1:      cli
        hlt
        jmp     1b

/* fill_idt: writes the gates; offsets are below 64 KiB. */
fill_idt:
        movl    $exception_stubs, %eax
        movl    $long_idt, %edi
        movl    $EXCEPTIONS, %ecx
1:      movw    %ax, (%rdi)
        movw    $0x08, 2(%rdi)
        movw    $0x8e00, 4(%rdi)
        addl    $STUB_SIZE, %eax
        addl    $16, %edi
        decl    %ecx
        jnz     1b
        ret

        .balign 8
long_idtr:
        .word   EXCEPTIONS * 16 - 1
        .quad   long_idt

        .section .bss
        .balign 16
long_idt:
        .skip   32 * 16
