/*
 * From a real-mode caller into the core and back: what the PXE API and INT 13h have in common. Nothing of the caller's stack
 * is used in between, and all that the caller can see is put back, but for what the core means to change.
 */
        .section .resident, "awx"
        .code16

/*
 * caller_enter: saves the caller and runs the core on our own stack.
 * Mode    16-bit real mode, interrupts off; reached by a jump
 * In      api_busy taken; caller_eax and caller_ebp saved; exchange_function; core_return = where to go on in this segment
 * Out     there, as core_call says
 */
caller_enter:
        cld
        movl    %ebx, %cs:caller_ebx
        movl    %ecx, %cs:caller_ecx
        movl    %edx, %cs:caller_edx
        movl    %esi, %cs:caller_esi
        movl    %edi, %cs:caller_edi
        movl    %esp, %cs:caller_esp
        movw    %ds, %cs:caller_ds
        movw    %cs, %ax
        movw    %ax, %ds
        movw    %ss, caller_ss
        movw    %es, caller_es
        movw    %fs, caller_fs
        movw    %gs, caller_gs
        movw    %ax, %ss
        movl    $resident_stack_top, %esp
        call    find_limits
        jmp     core_call

/*
 * caller_leave: gives the caller its stack and registers back, and lets the next one in.
 * Mode    16-bit real mode, interrupts off, %ds = the resident segment; reached by a jump
 * In      the caller's registers, with what it gets in them; core_return = where to go on
 * Out     there: all registers are the caller's; flags clobbered
 */
caller_leave:
        movw    caller_gs, %gs
        movw    caller_fs, %fs
        movw    caller_es, %es
        movw    caller_ss, %ss
        movl    caller_esp, %esp
        movl    caller_ebp, %ebp
        movl    caller_edi, %edi
        movl    caller_esi, %esi
        movl    caller_edx, %edx
        movl    caller_ecx, %ecx
        movl    caller_ebx, %ebx
        movl    caller_eax, %eax
        movw    caller_ds, %ds
        movw    $0, %cs:api_busy
        jmp     *%cs:core_return
