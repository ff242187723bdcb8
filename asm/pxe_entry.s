/*
 * The entries of the PXE API, the start of the boot program, and its return.
 */
        .section .resident, "awx"
        .code16

        .set    BDA_RESET_FLAG, 0x72    /* word 0040:0072; 1234h: no memory test */

/*
 * resident_boot: first entry, from resident_run.
 * Mode    16-bit real mode, interrupts off; jumped to with a far return address on the BIOS's stack
 * In      %ax = what the core is to do, %edx = physical address of the core's block; the resident block is freshly copied
 * Out     by far return: %ax = the core's verdict, %bx = the block's segment; other registers clobbered. After a boot
 *         with one_way set there is no return: INT 18h
 */
resident_boot:
        movw    %cs, %cx
        movw    %cx, %ds
        movw    %ax, exchange_function
        movw    %cx, %ax
        leal    core_page_tables(%edx), %ecx
        movl    %ecx, page_tables
        xorl    %ecx, %ecx
        movw    %ax, %cx
        movw    %ax, real_segment
        shll    $4, %ecx                /* the block's linear address */
        addl    %ecx, resident_gdt_base
        addl    %ecx, long_target
        orl     %ecx, resident_code16 + 2
        orl     %ecx, resident_data16 + 2
        movl    %edx, exchange_core_block
        movw    %ss, bios_ss
        movl    %esp, bios_esp
        call    bios_stack_sum
        movl    %ecx, bios_sum
        movw    %ax, %ss
        movl    $resident_stack_top, %esp
        movw    $1, api_busy
        movw    $1f, core_return
        jmp     core_call
1:      cmpw    ${RESULT_START_NBP}, exchange_result
        je      start_nbp

/* boot_over: what the core says: a disk, a reset, or back to resident_run, or on to the BIOS's next boot entry. */
boot_over:
        movw    $0, api_busy
        cmpw    ${RESULT_RESET}, exchange_result
        je      warm_reset
        .if     WITH_DISKS
        cmpw    ${RESULT_START_DISK}, exchange_result
        je      start_disk
        .endif
        movw    exchange_ax, %ax        /* 0: nothing of ours is needed any more */
        movw    %cs, %bx
        movw    one_way, %cx
        orw     left_by_int19, %cx
        jnz     boot_next
        call    bios_stack_sum
        cmpl    %ecx, bios_sum
        jne     boot_next               /* the boot program used the BIOS's stack */
        movw    bios_ss, %ss
        movl    bios_esp, %esp
        lretw

/*
 * bios_stack_sum: a sum over what the BIOS needs to find on its stack again: 192 bytes hold the frames of SeaBIOS (policy).
 * Out     %ecx
 * Clobbers %dx, %si, %es
 */
bios_stack_sum:
        pushw   %ax
        movw    bios_ss, %es
        movw    bios_esp, %si
        xorl    %ecx, %ecx
        movw    $192, %dx
1:      roll    $5, %ecx
        movb    %es:(%si), %al
        xorb    %al, %cl
        incw    %si
        decw    %dx
        jnz     1b
        popw    %ax
        ret

/*
 * boot_next: gives base memory back and asks the BIOS for the next boot entry (BIOS Boot Specification 1.01, INT 18h).
 * The loader that started us lies where boot programs go, so it may be gone.
 * In      %al = 0 when the resident block can go, %bx = its segment
 */
boot_next:
        xorw    %cx, %cx
        movw    %cx, %es
        testb   %al, %al
        jnz     1f
        shrw    $6, %bx
        cmpw    %bx, %es:BDA_SEGMENT * 16 + BDA_BASE_MEMORY
        jne     1f                      /* somebody took memory below us: ours must stay */
        addw    $resident_kib, %bx
        movw    %bx, %es:BDA_SEGMENT * 16 + BDA_BASE_MEMORY
1:      movw    %ds, %cx
        movw    %cx, %ss
        movl    $resident_stack_top, %esp
        sti
        cmpw    $0, left_by_int19
        jne     2f
        int     $0x18
2:      int     $0x19                   /* comes back from a BIOS without a next entry */

/* warm_reset: starts the machine anew, without a memory test. */
warm_reset:
        xorw    %cx, %cx
        movw    %cx, %es
        movw    $0x1234, %es:BDA_SEGMENT * 16 + BDA_RESET_FLAG
        ljmpw   $0xffff, $0

/*
 * start_nbp: enters the boot program at 0000:7C00 (PXE 2.1, "NBP execution environment").
 * Out     %es:%bx -> PXENV+, %edx its physical address, %ax = 0; far return address and far pointer to !PXE on the stack; IF on
 */
start_nbp:
        movw    %cs, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $resident_nbp_stack_top, %esp
        movw    $1, nbp_running
        pushw   %ax
        pushw   $resident_bang_pxe
        pushw   %ax
        pushw   $nbp_returned
        movw    $0, api_busy
        xorl    %edx, %edx
        movw    %ax, %dx
        shll    $4, %edx
        addl    $resident_pxenv, %edx
        movl    $resident_pxenv, %ebx
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        xorl    %esi, %esi
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        sti
        ljmpw   $0, $0x7c00

/* nbp_returned: the boot program came back, %ax is its verdict. Its stack may be anything. */
nbp_returned:
        cli
        cld
        movw    %cs, %cx
        movw    %cx, %ds
        movw    %cx, %ss
        movl    $resident_stack_top, %esp
        movw    $1, api_busy
        movb    $0, caller_limits       /* the BIOS may want 4 GiB */
        movw    $0, nbp_running
        movw    %ax, exchange_ax
        movw    ${FUNCTION_NBP_RETURNED}, exchange_function
        movw    $boot_over, core_return
        jmp     core_call

/*
 * rm_entry: PXENV+ RMEntry (PXE 2.1, "PXENV+ Structure").
 * Mode    16-bit real mode; far call
 * In      %bx = opcode, %es:%di -> parameter block; nothing from the stack
 * Out     %ax = 0 or 1
 * Keeps   all other registers, flags, GDTR, IDTR, A20; FPU and SSE state is never touched
 * Stack   2 bytes of the caller's
 */
        .globl  rm_entry
rm_entry:
        pushfw
        cli
        lock btsw $0, %cs:api_busy
        jc      rm_busy
        movw    %bx, %cs:exchange_opcode
        movw    %di, %cs:exchange_block
        movw    %es, %cs:exchange_block + 2
        movl    %ebp, %cs:caller_ebp
        jmp     api_entered

/*
 * sp_entry: !PXE EntryPointSP (PXE 2.1, "!PXE Structure").
 * Mode    16-bit real mode; far call
 * In      0(%sp) return ip:cs   4(%sp) opcode   6(%sp) offset and 8(%sp) segment of the parameter block
 * Out, Keeps, Stack   as rm_entry; the caller drops its arguments
 */
        .globl  sp_entry
sp_entry:
        pushfw
        cli
        lock btsw $0, %cs:api_busy
        jc      sp_busy
        movl    %ebp, %cs:caller_ebp
        movw    %sp, %bp
        pushw   6(%bp)
        popw    %cs:exchange_opcode
        pushl   8(%bp)
        popl    %cs:exchange_block

api_entered:
        movl    %eax, %cs:caller_eax
        smsww   %ax
        testb   $1, %al                 /* V86 mode: long mode is out of reach */
        jnz     v86_call
        movw    ${FUNCTION_API}, %cs:exchange_function
        movw    ${API_FAILURE}, %cs:exchange_ax
        movw    $api_served, %cs:core_return
        jmp     caller_enter
api_served:
        cmpw    ${RESULT_START_NBP}, exchange_result
        je      start_nbp               /* RESTART_TFTP does not return */
        cmpw    ${RESULT_FAILED}, exchange_result
        jne     2f
        lesw    exchange_block, %di     /* the core could not tell the status */
        movw    %es, %ax
        orw     %di, %ax
        jz      2f
        cmpw    $0xffff, %di
        je      2f
        movw    ${API_FAILURE}, %es:(%di)
2:      movw    exchange_ax, %ax
        movw    %ax, caller_eax
        movw    $1f, core_return
        jmp     caller_leave
1:      popfw
        lretw

/* rm_busy, sp_busy: somebody calls from an interrupt handler while the core works. Answered without the core. */
rm_busy:
        movw    ${API_FAILURE}, %es:(%di)
        jmp     api_failed
sp_busy:
        pushw   %bp
        pushw   %bx
        pushw   %ds
        movw    %sp, %bp
        lds    6 + 8(%bp), %bx
        movw    ${API_FAILURE}, (%bx)
        popw    %ds
        popw    %bx
        popw    %bp
api_failed:
        movw    ${API_FAILURE}, %ax
        popfw
        lretw
