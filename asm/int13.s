/*
 * int13_hook: INT 13h for the drives that the core serves, or knows to be lost; everything else goes to the vector that was there
 * before.
 * Mode    16-bit real mode
 * In      %dl = drive, %ah = function, and so on (Phoenix, Enhanced Disk Drive Specification 3.0)
 * Out     as the function says; CF set and %ah = status when it failed
 * Keeps   all other registers, the other flags of the caller, GDTR, IDTR, A20, segment limits
 * Stack   4 bytes of the caller's, beside what INT takes
 * Note    a V86 caller can't be let in: long mode is out of reach from there. It gets "not ready" and is not passed on:
 *         whoever had these drives before has lost VMBus. A call while the core works comes from an interrupt handler, or from
 *         the BIOS that the core has called; it gets the same, and may try again
 */
        .section .resident, "awx"
        .code16

        .set    INT13_CONTROLLER_FAILED, 0x20
        .set    INT13_NOT_READY, 0xaa

        .globl  int13_hook
int13_hook:
        testb   %dl, %dl
        jns     2f                      /* a floppy drive: never ours, and what an empty place in the list looks like */
        pushw   %bx
        movw    ${MAX_DRIVES}, %bx
1:      cmpb    %dl, %cs:exchange_drives - 1(%bx)
        je      int13_ours
        decw    %bx
        jnz     1b
        popw    %bx
2:      ljmpw   *%cs:exchange_old_int13

int13_ours:
        popw    %bx
        cli                             /* who chains to us by a far call may have interrupts on */
        lock btsw $0, %cs:api_busy
        jc      int13_not_ready
        movl    %ebp, %cs:caller_ebp
        movl    %eax, %cs:caller_eax
        smsww   %ax
        testb   $1, %al
        jnz     int13_protected
        movw    ${FUNCTION_DISK}, %cs:exchange_function
        movw    $int13_served, %cs:core_return
        jmp     caller_enter
int13_served:
        cmpw    ${RESULT_RESET}, exchange_result
        je      warm_reset
        cmpw    ${RESULT_FAILED}, exchange_result
        jne     1f
        movb    $INT13_CONTROLLER_FAILED, caller_eax + 1
        movb    $1, caller_flags
1:      movw    $1f, core_return
        jmp     caller_leave
1:      btw     $0, %cs:caller_flags
        jmp     iret_with_carry

int13_protected:
        movl    %cs:caller_eax, %eax
        movw    $0, %cs:api_busy
int13_not_ready:
        movb    $INT13_NOT_READY, %ah
        stc
        jmp     iret_with_carry

        .if     WITH_DISKS

/*
 * start_disk: enters the boot sector that the core has put to 0000:7C00, as a BIOS does (BIOS Boot Specification 1.01,
 * section 6.5).
 * Out     %dl = 80h, the first fixed disk; IF on
 */
start_disk:
        xorl    %eax, %eax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x7c00, %esp
        movl    $0x80, %edx
        sti
        ljmpw   $0, $0x7c00
        .endif
