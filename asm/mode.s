/*
 * Mode changes between the caller's real mode and the core's long mode.
 *
 * One far jump each way: CR0.PE and CR0.PG are set by one write with EFER.LME on, which every CPU with long mode takes.
 * All that is changed is saved on the way in and put back on the way out: CR0, CR3, CR4, EFER, GDTR, IDTR, A20.
 */
        .section .resident, "awx"

        .set    MSR_EFER, 0xc0000080
        .set    EFER_LME, 1 << 8
        .set    CR0_PE, 1 << 0
        .set    CR0_PG, 1 << 31
        .set    CR4_PAE, 1 << 5

/*
 * core_call: runs the core.
 * Mode    16-bit real mode, interrupts off, %ds = %ss = the resident segment; reached by a jump
 * In      exchange_function; core_return = where to go on in this segment
 * Out     at core_return: exchange_result; all general registers and %es, %fs, %gs clobbered
 */
        .code16
core_call:
        a20_enable
        je      core_no_a20
        movw    %cx, saved_a20
to_long:
        movw    %sp, saved_sp
        movl    %cr3, %eax
        movl    %eax, saved_cr3
        movl    %cr4, %eax
        movl    %eax, saved_cr4
        sgdtl   saved_gdtr
        sidtl   saved_idtr
        orl     $CR4_PAE, %eax
        movl    %eax, %cr4
        movl    page_tables, %eax
        movl    %eax, %cr3
        movl    $MSR_EFER, %ecx
        rdmsr
        movl    %eax, saved_efer
        orl     $EFER_LME, %eax
        wrmsr
        lgdtl   resident_gdtr
        movl    %cr0, %eax
        movl    %eax, saved_cr0
        orl     $CR0_PE | CR0_PG, %eax
        movl    %eax, %cr0
        ljmpl   *long_target

/* core_no_a20: the core can't be reached; the caller gets a failure. */
core_no_a20:
        movw    ${RESULT_FAILED}, exchange_result
        jmp     *core_return

        .code64
long_start:
        movl    $DATA_FLAT, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        lidt    core_idtr
        movq    resume_rsp(%rip), %rax
        testq   %rax, %rax
        jz      1f
        movq    %rax, %rsp              /* the BIOS is done: back into bios_call */
        movq    $0, resume_rsp(%rip)
        ret
1:      movq    $core_stack_top, %rsp
        leaq    resident_exchange(%rip), %rdi
        movq    $core_entry, %rax
        call    *%rax
        .globl  core_done
core_done:
        movw    $core_finished, %bx

/*
 * to_real: back to real mode.
 * Mode    64-bit
 * In      %bx = where to go on in the resident segment
 * Out     there: %ds = %ss = the resident segment, %sp as at the last to_long; other registers clobbered but %bx
 */
to_real:
        ljmpl   *real_target(%rip)

        .balign 4
real_target:
        .long   real_start
        .word   CODE16

        .code16
real_start:
        movw    $DATA_FLAT, %ax
        movw    $DATA16, %dx
        movw    %dx, %ss
        movb    %ss:caller_limits, %cl
        .irp    segment, ds, es, fs, gs
        movw    %ax, %si
        shrb    %cl
        cmovcw  %dx, %si                /* 64 KiB, as found */
        movw    %si, %\segment
        .endr
        movl    %cr0, %eax
        andl    $~CR0_PG, %eax
        movl    %eax, %cr0
        movl    $MSR_EFER, %ecx
        rdmsr
        movl    %ss:saved_efer, %eax
        wrmsr
        movl    %ss:saved_cr3, %eax
        movl    %eax, %cr3
        movl    %ss:saved_cr4, %eax
        movl    %eax, %cr4
        movl    %ss:saved_cr0, %eax
        movl    %eax, %cr0
        .byte   0xea                    /* ljmpw: a far jump, the only way all CPUs take here */
        .word   real_reload
real_segment:
        .word   0                       /* the block's, filled in by resident_boot */
real_reload:
        movw    %cs, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    saved_sp, %sp
        lgdtl   saved_gdtr
        lidtl   saved_idtr
        jmp     *%bx

core_finished:
        cmpw    $0, saved_a20
        je      1f
        inb     $0x92, %al
        andb    $~0x03, %al
        outb    %al, $0x92
1:      jmp     *core_return
