/*
 * From 64-bit mode to real mode for one call, and back. The caller prescribes every register, the stack, the flags, the
 * descriptor tables and the segment limits, and gets back what all of them were on return.
 */
        .section .real, "awx"

        .balign 8
our_gdt:
        .quad   0
        .quad   0x00209b0000000000
        .quad   0x00cf93000000ffff
        .quad   0x00009b000000ffff
        .quad   0x000093000000ffff
        .quad   0x00cf9b000000ffff      /* CODE32 of asm/v86.s */
        .quad   0                       /* TASK, likewise */
our_gdt_end:
our_gdtr:
        .word   our_gdt_end - our_gdt - 1
        .long   our_gdt
        .balign 4
long_target:
        .long   long_start
        .word   CODE64
        .balign 4
real_target:
        .long   real_start
        .word   CODE16
        .balign 8
resume_rsp:                             /* the 64-bit stack of thunk_call; 0 before the first call */
        .quad   0
found_cr0:
        .long   0
found_cr3:
        .long   0
found_cr4:
        .long   0
after_long:                             /* where real mode goes on when nbp_main returns */
        .word   0
limit_hit:                              /* set by limit_exceeded */
        .byte   0

        .balign 8
        .globl  nbp_thunk
nbp_thunk:
        .skip   {THUNK_SIZE}

        .balign 16
        .skip   2048
real_stack_top:

/* to_long: real mode, segments 0, interrupts off; goes on in thunk_call, or in nbp_main the first time. */
        .code16
to_long:
        movl    found_cr4, %eax
        movl    $page_tables, %ebx
        enter_long our_gdtr, long_target

        .code64
long_start:
        movl    $DATA_FLAT, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        lidt    long_idtr
        cmpb    $0, watchdog_bitten
        jne     watchdog_over
        movq    resume_rsp, %rax
        testq   %rax, %rax
        jz      1f
        movq    %rax, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret
1:      call    fill_idt
        movl    $long_stack_top, %esp
        call    nbp_main
        movl    %eax, nbp_thunk + {OUT_EAX}
        movw    after_long, %ax
        movw    %ax, real_next
        ljmpl   *real_target

/* thunk_call: 64-bit, System V; nbp_thunk has the orders and gets the results. */
        .globl  thunk_call
thunk_call:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, resume_rsp
        movw    $thunk_real, real_next
        ljmpl   *real_target

        .code16
real_next:
        .word   0
/* real_start: 16-bit protected mode; leaves paging, long mode and protected mode as they were found at the start. */
real_start:
        movw    $DATA16, %ax
        movw    %ax, %ss
        movw    %ax, %ds
        cmpb    $0, nbp_thunk + {IN_BIG}
        je      1f
        movw    $DATA_FLAT, %ax
1:      movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        leave_long found_cr3, found_cr4, found_cr0
        ljmpw   $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $real_stack_top, %esp
        lgdtl   nbp_thunk + {IN_GDTR}
        lidtl   nbp_thunk + {IN_IDTR}
        jmp     *real_next

thunk_real:
        cmpb    $0, nbp_thunk + {IN_V86}
        jne     v86_enter
        movw    nbp_thunk + {IN_SS}, %ss
        movl    nbp_thunk + {IN_ESP}, %esp
        movw    nbp_thunk + {IN_ARGUMENTS}, %bx
1:      decw    %bx                     /* the last argument first */
        js      2f
        movw    %bx, %si
        addw    %si, %si
        pushw   nbp_thunk + {IN_ARGUMENT}(%si)
        jmp     1b
2:      cmpb    $0, nbp_thunk + {IN_INTERRUPT}
        je      1f
        pushw   nbp_thunk + {IN_EFLAGS}
1:      pushw   $0
        pushw   $thunk_back
        movl    nbp_thunk + {IN_EBX}, %ebx
        movl    nbp_thunk + {IN_ECX}, %ecx
        movl    nbp_thunk + {IN_EDX}, %edx
        movl    nbp_thunk + {IN_ESI}, %esi
        movl    nbp_thunk + {IN_EDI}, %edi
        movl    nbp_thunk + {IN_EBP}, %ebp
        movw    nbp_thunk + {IN_ES}, %es
        movw    nbp_thunk + {IN_FS}, %fs
        movw    nbp_thunk + {IN_GS}, %gs
        movl    nbp_thunk + {IN_EAX}, %eax
        cmpb    $0, nbp_thunk + {IN_INTERRUPT}
        jne     1f                      /* INT enters with interrupts off */
        pushl   nbp_thunk + {IN_EFLAGS}
        movw    nbp_thunk + {IN_DS}, %ds
        popfl
        ljmpw   *%cs:nbp_thunk + {IN_TARGET}
1:      movw    nbp_thunk + {IN_DS}, %ds
        ljmpw   *%cs:nbp_thunk + {IN_TARGET}

thunk_back:
        movl    %eax, %cs:nbp_thunk + {OUT_EAX}
        movl    %ebx, %cs:nbp_thunk + {OUT_EBX}
        movl    %ecx, %cs:nbp_thunk + {OUT_ECX}
        movl    %edx, %cs:nbp_thunk + {OUT_EDX}
        movl    %esi, %cs:nbp_thunk + {OUT_ESI}
        movl    %edi, %cs:nbp_thunk + {OUT_EDI}
        movl    %ebp, %cs:nbp_thunk + {OUT_EBP}
        movl    %esp, %cs:nbp_thunk + {OUT_ESP}
        movw    %ds, %cs:nbp_thunk + {OUT_DS}
        movw    %es, %cs:nbp_thunk + {OUT_ES}
        movw    %fs, %cs:nbp_thunk + {OUT_FS}
        movw    %gs, %cs:nbp_thunk + {OUT_GS}
        movw    %ss, %cs:nbp_thunk + {OUT_SS}
        pushfl
        popl    %cs:nbp_thunk + {OUT_EFLAGS}
        cli
        cld
thunk_judge:
        sgdtl   %cs:nbp_thunk + {OUT_GDTR}
        sidtl   %cs:nbp_thunk + {OUT_IDTR}
        xorw    %ax, %ax
        movw    %ax, %ss
        movl    $real_stack_top, %esp
        pushl   $0x2                    /* NT, AC and the like must not stay */
        popfl
        cmpb    $0, %cs:nbp_thunk + {IN_PROBE}
        je      1f
        call    probe_limits
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movl    %cr0, %eax
        movl    %eax, nbp_thunk + {OUT_CR0}
        movl    %cr4, %eax
        movl    %eax, nbp_thunk + {OUT_CR4}
        movl    $MSR_EFER, %ecx
        rdmsr
        movl    %eax, nbp_thunk + {OUT_EFER}
        jmp     to_long

/*
 * probe_limits: reads at offset 10000h of %ds, %es, %fs and %gs, and notes bit by bit where that was past the limit.
 * INT 0Dh, general protection in real mode, is ours meanwhile.
 */
        .macro  probe prefix, bit
        movb    $0, %cs:limit_hit
        .byte   \prefix, 0x67, 0x8a, 0x06      /* movb %seg:(%esi), %al */
        cmpb    $0, %cs:limit_hit
        je      1f
        orb     $\bit, %cs:nbp_thunk + {OUT_LIMITED}
1:
        .endm
probe_limits:
        movb    $0, %cs:nbp_thunk + {OUT_LIMITED}
        movw    %ds, %bx
        movw    %es, %cx
        pushw   %bx
        xorw    %ax, %ax                /* %ss is 0 and has 64 KiB */
        movl    %ss:4 * 0x0d, %edi
        movl    $limit_exceeded, %ss:4 * 0x0d
        movl    $0x10000, %esi
        probe   0x3e, 1
        probe   0x26, 2
        probe   0x64, 4
        probe   0x65, 8
        movl    %edi, %ss:4 * 0x0d
        popw    %bx
        ret
limit_exceeded:
        movb    $1, %cs:limit_hit
        pushw   %bp
        movw    %sp, %bp
        addw    $4, 2(%bp)              /* behind the instruction */
        popw    %bp
        iretw

/* print_text: writes the ASCIIZ text at print_buffer to the screen. A far call's target. */
        .globl  print_text
print_text:
        pushw   %ds
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    $print_buffer, %si
1:      lodsb
        testb   %al, %al
        jz      2f
        pushw   %si
        movb    $0x0e, %ah
        movw    $0x0007, %bx
        int     $0x10
        popw    %si
        cld
        jmp     1b
2:      popw    %ds
        lretw

/* window: lets pending interrupts through. A far call's target. */
        .globl  window
window:
        sti
        nop
        nop
        cli
        lretw

/* chain_1a, chain_15: somebody else's interrupt hook, as a check puts it above the stack's. */
        .globl  chain_1a, chain_15, chain_1a_next, chain_15_next
chain_1a:
        ljmpw   *%cs:chain_1a_next
chain_15:
        ljmpw   *%cs:chain_15_next
chain_1a_next:
        .long   0
chain_15_next:
        .long   0

        .globl  print_buffer
print_buffer:
        .skip   {PRINT_SIZE}
