/*
 * Segment limits of the caller. Real mode neither shows nor changes them, but a mode change does, and programs in "big real
 * mode" (4 GiB) or with handlers for accesses past 64 KiB count on theirs. So they are tried out at every call, and mode.s
 * puts back what was found: 64 KiB or 4 GiB.
 */
        .section .resident, "awx"
        .code16

        .set    GENERAL_PROTECTION, 13

        .macro  try_limit prefix
        xorb    %dh, %dh
        .byte   \prefix, 0x67, 0x8a, 0x06      /* movb %seg:(%esi), %al */
        shrb    %dh
        rclb    %dl
        .endm

/*
 * find_limits: fills caller_limits.
 * Mode    16-bit real mode, interrupts off; the limits of %ds, %es, %fs and %gs are the caller's
 * Out     %ds = the resident segment
 * Clobbers %eax, %ebx, %edx, %esi, %es, %fs, %gs
 * Note    with an interrupt table elsewhere nothing is tried, and the limits become 4 GiB
 */
find_limits:
        pushfl                          /* an exception clears AC */
        sidtl   saved_idtr
        movl    saved_idtr + 2, %eax
        xorb    %dl, %dl
        testl   %eax, %eax
        jnz     1f
        movw    %ax, %ds                /* the limits stay; 10000h from here is RAM */
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movl    4 * GENERAL_PROTECTION, %ebx
        movw    $limit_exceeded, 4 * GENERAL_PROTECTION
        movw    %cs, 4 * GENERAL_PROTECTION + 2
        movl    $0x10000, %esi
        try_limit 0x65
        try_limit 0x64
        try_limit 0x26
        try_limit 0x3e
        movl    %ebx, 4 * GENERAL_PROTECTION
1:      movw    %cs, %ax
        movw    %ax, %ds
        movb    %dl, caller_limits
        popfl
        ret

limit_exceeded:
        movb    $1, %dh
        pushw   %bp
        movw    %sp, %bp
        addw    $4, 2(%bp)              /* behind the instruction */
        popw    %bp
        iretw
