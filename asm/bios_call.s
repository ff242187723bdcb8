/*
 * bios_call: calls a BIOS interrupt from the core.
 *
 * Mode    64-bit; System V calling convention, no arguments
 * In      the exchange area's `bios` registers and vector, written by the caller
 * Out     the same registers as the BIOS left them
 * Note    the BIOS runs on the resident stack, in real mode, with the caller's GDTR and IDTR. Vector 0 calls nothing and
 *         opens a window for hardware interrupts; vector {VECTOR_PRINT} writes the text at resident_text to the screen, so
 *         that a line costs one pair of mode changes.
 */
        .section .resident, "awx"
        .code64
        .globl  bios_call_resident
bios_call_resident:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        leaq    1f(%rip), %rax
        pushq   %rax
        movq    %rsp, resume_rsp(%rip)
        movw    $bios_call_real, %bx
        jmp     to_real
1:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

        .code16
bios_call_real:
        movw    exchange_bios + {BIOS_VECTOR}, %bx
        testw   %bx, %bx
        jz      bios_window
        cmpw    ${VECTOR_PRINT}, %bx
        je      bios_print
        shlw    $2, %bx
        xorw    %ax, %ax
        movw    %ax, %es
        pushw   $0x0202                 /* what INT leaves for IRET: flags (IF on), %cs, %ip */
        pushw   %cs
        pushw   $bios_returned
        pushl   %es:(%bx)               /* the vector, entered by the far return below */
        movl    exchange_bios + {BIOS_EAX}, %eax
        movl    exchange_bios + {BIOS_EBX}, %ebx
        movl    exchange_bios + {BIOS_ECX}, %ecx
        movl    exchange_bios + {BIOS_EDX}, %edx
        movl    exchange_bios + {BIOS_ESI}, %esi
        movl    exchange_bios + {BIOS_EDI}, %edi
        movl    exchange_bios + {BIOS_EBP}, %ebp
        movw    exchange_bios + {BIOS_ES}, %es
        movw    exchange_bios + {BIOS_DS}, %ds
        lretw
bios_returned:
        pushfw
        cli
        cld
        movl    %eax, %cs:exchange_bios + {BIOS_EAX}
        movl    %ebx, %cs:exchange_bios + {BIOS_EBX}
        movl    %ecx, %cs:exchange_bios + {BIOS_ECX}
        movl    %edx, %cs:exchange_bios + {BIOS_EDX}
        movl    %esi, %cs:exchange_bios + {BIOS_ESI}
        movl    %edi, %cs:exchange_bios + {BIOS_EDI}
        movl    %ebp, %cs:exchange_bios + {BIOS_EBP}
        movw    %es, %cs:exchange_bios + {BIOS_ES}
        movw    %ds, %cs:exchange_bios + {BIOS_DS}
        popw    %cs:exchange_bios + {BIOS_FLAGS}
        movw    %cs, %ax
        movw    %ax, %ds
        jmp     to_long
bios_print:
        movw    $resident_text, %si
1:      lodsb   %cs:(%si), %al
        testb   %al, %al
        jz      bios_window
        pushw   %si
        movb    $0x0e, %ah              /* teletype output, page 0, light grey where the mode is graphical */
        movw    $0x0007, %bx
        int     $0x10
        popw    %si
        cld
        jmp     1b
bios_window:
        sti
        nop                             /* STI takes effect behind the next instruction */
        nop
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        jmp     to_long
