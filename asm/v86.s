/*
 * Callers in V86 mode (EMM386, Windows 9x, DOS extenders). The mode can't be changed there, so the core can't be asked;
 * but what a call would answer now is in resident_answers, where the core left it (src/pxe/answers.rs). All other calls
 * fail with PXENV_STATUS_NOT_AVAILABLE_IN_PMODE.
 */
        .section .resident, "awx"
        .code16

/*
 * v86_call: answers a call.
 * Mode    V86, interrupts off; jumped to from api_entered
 * In      exchange_opcode, exchange_block; caller_eax, caller_ebp; flags and far return address on the stack
 * Out, Keeps   as rm_entry
 * Stack   20 bytes of the caller's
 */
v86_call:
        movl    %cs:caller_eax, %eax
        movl    %cs:caller_ebp, %ebp
        pushaw
        pushw   %ds
        pushw   %es
        movw    %cs, %ax
        movw    %ax, %ds
        cld
        lesw    exchange_block, %di
        movw    %es, %ax
        orw     %di, %ax
        jz      v86_status              /* null: %ax alone can tell */
        cmpw    $0xffff, %di
        je      v86_status              /* nor is there room for a status */
        movw    $resident_answers, %si
1:      lodsw                           /* opcode, length of the block, the block with its status */
        xchgw   %ax, %dx
        lodsw
        xchgw   %ax, %cx
        jcxz    v86_unknown
        cmpw    exchange_opcode, %dx
        je      2f
        addw    %cx, %si
        jmp     1b
2:      cmpw    ${GET_CACHED_INFO}, %dx
        je      v86_cached_info
        movw    %di, %ax
        addw    %cx, %ax
        decw    %ax
        cmpw    %di, %ax
        jb      v86_invalid             /* the block would run past its segment */
        movw    (%si), %bx
        rep movsb
v86_over:                               /* %bx = the status, which the block has */
        xorw    %ax, %ax
        cmpw    $1, %bx
        sbbw    $-1, %ax                /* 0 for 0, else 1 */
v86_return:
        movw    %ax, exchange_ax
        popw    %es
        popw    %ds
        popaw
        movw    %cs:exchange_ax, %ax
        movw    $0, %cs:api_busy
        popfw
        lretw
v86_status:
        movw    ${API_FAILURE}, %ax
        jmp     v86_return

v86_invalid:
        movw    ${STATUS_INVALID_PARAMETER}, %bx
        jmp     v86_store
v86_unsupported:
        movw    ${STATUS_UNSUPPORTED}, %bx
        jmp     v86_store
v86_unknown:
        movw    ${STATUS_NOT_IN_PMODE}, %bx
v86_store:
        movw    %bx, %es:(%di)
        jmp     v86_over

/*
 * v86_cached_info: GET_CACHED_INFO with the block at %es:%di; what src/pxe/preboot.rs does for callers in real mode.
 * Block   00 status  02 type  04 buffer size  06 far pointer to the buffer  0A buffer limit: not touched
 */
        .set    PACKET_LEN, 1260
v86_cached_info:
        cmpw    $-10, %di
        ja      v86_invalid
        movw    %es:2(%di), %ax
        decw    %ax
        cmpw    $3, %ax
        jae     v86_unsupported
        movw    $PACKET_LEN, %cx
        mulw    %cx
        addw    $resident_cached, %ax
        movw    %ax, %si
        movw    %es:4(%di), %ax
        testw   %ax, %ax
        jz      2f                      /* no room: the caller gets a pointer */
        cmpl    $0, %es:6(%di)
        je      2f
        cmpw    %cx, %ax
        jae     1f
        movw    %ax, %cx
1:      movw    %es:6(%di), %ax
        addw    %cx, %ax
        decw    %ax
        cmpw    %es:6(%di), %ax
        jb      v86_invalid
        movw    %cx, %dx
        pushw   %es
        pushw   %di
        lesw    %es:6(%di), %di
        rep movsb
        popw    %di
        popw    %es
        movw    %dx, %cx
        jmp     3f
2:      movw    %si, %es:6(%di)
        movw    %ds, %es:8(%di)
3:      movw    %cx, %es:4(%di)
        xorw    %bx, %bx
        jmp     v86_store
