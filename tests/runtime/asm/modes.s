/*
 * Between real mode and 64-bit mode: bits, selectors, and the steps themselves. For the runtime and for the option ROM of
 * tests/parties; the ROM under test has its own (asm/mode.s), so that they can't agree on a mistake.
 */
        .set    MSR_EFER, 0xc0000080
        .set    EFER_LME, 1 << 8
        .set    CR0_PE, 1 << 0
        .set    CR0_PG, 1 << 31
        .set    CR4_PAE, 1 << 5
        .set    CODE64, 0x08
        .set    DATA_FLAT, 0x10
        .set    CODE16, 0x18
        .set    DATA16, 0x20

/*
 * enter_long: from real mode to 64-bit mode, at `target`.
 * In      %eax = CR4 as found; %ebx = page tables; interrupts off
 * Out     EFER and CR0 as found are in `efer` and `cr0`, where these are given; %eax, %ecx, %edx clobbered
 */
        .macro  enter_long gdtr, target, efer, cr0
        orl     $CR4_PAE, %eax
        movl    %eax, %cr4
        movl    %ebx, %cr3
        movl    $MSR_EFER, %ecx
        rdmsr
        .ifnb   \efer
        movl    %eax, \efer
        .endif
        orl     $EFER_LME, %eax
        wrmsr
        lgdtl   \gdtr
        movl    %cr0, %eax
        .ifnb   \cr0
        movl    %eax, \cr0
        .endif
        orl     $CR0_PE | CR0_PG, %eax
        movl    %eax, %cr0
        ljmpl   *\target
        .endm

/*
 * leave_long: from 16-bit code under long mode to real mode, all but the far jump.
 * In      CR3, CR4 and CR0 to have; EFER to have, else without LME what it is
 * Out     %eax, %ecx, %edx clobbered
 */
        .macro  leave_long cr3, cr4, cr0, efer
        movl    %cr0, %eax
        andl    $~CR0_PG, %eax
        movl    %eax, %cr0
        movl    $MSR_EFER, %ecx
        rdmsr
        .ifnb   \efer
        movl    \efer, %eax
        .else
        andl    $~EFER_LME, %eax
        .endif
        wrmsr
        movl    \cr3, %eax
        movl    %eax, %cr3
        movl    \cr4, %eax
        movl    %eax, %cr4
        movl    \cr0, %eax
        movl    %eax, %cr0
        .endm
