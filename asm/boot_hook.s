/*
 * Getting started on a BIOS that knows no boot entries: the network boot hangs on INT 19h (first of all) or on INT 18h (when
 * nothing else booted). Source: BIOS Boot Specification 1.01, which tells why a PnP ROM must not do so.
 */
        .section .init, "awx"
        .code16

        .set    HOOK_INT19, 0
        .set    HOOK_INT18, 1

/*
 * boot_hook: hooks the interrupt that the settings name, unless the BIOS makes a boot entry of our PnP header.
 * Mode    16-bit real mode in the ROM's segment (%ds = %cs), during init
 * Clobbers %eax, %bx, %cx, %si, %es
 * Note    changes the ROM: the checksum must be made right afterwards
 */
boot_hook:
        cmpw    $0, rom_pnp_pointer
        je      1f
        call    pnp_bios_find
        jnz     3f
1:      movw    $0x19 * 4, %bx
        movw    $rom_int19, %cx
        cmpb    $HOOK_INT19, rom_setting_hook
        je      2f
        movw    $0x18 * 4, %bx
        movw    $rom_int18, %cx
        cmpb    $HOOK_INT18, rom_setting_hook
        jne     3f
2:      xorw    %ax, %ax
        movw    %ax, %es
        movl    %es:(%bx), %eax
        movl    %eax, rom_old_boot
        cmpl    %eax, rom_old_boot
        jne     3f                      /* the ROM is write-protected: nowhere to keep the vector */
        movw    %cx, %es:(%bx)
        movw    %cs, %es:2(%bx)
3:      ret

/*
 * pnp_bios_find: looks for the installation structure of a PnP BIOS (PnP BIOS 1.0a: 16-byte boundaries of F0000-FFFFF).
 * Out     ZF clear: there is one
 * Clobbers %ax, %si, %es
 */
pnp_bios_find:
        movw    $0xf000, %ax
1:      movw    %ax, %es
        cmpl    $0x506e5024, %es:0      /* "$PnP" */
        jne     3f
        pushw   %ax
        pushw   %cx
        movzbw  %es:5, %cx              /* length; all bytes sum to 0 */
        xorw    %si, %si
        xorb    %al, %al
2:      addb    %es:(%si), %al
        incw    %si
        loop    2b
        testb   %al, %al
        popw    %cx
        popw    %ax
        jnz     3f
        testw   %ax, %ax                /* ZF clear: a segment from F000h on */
        ret
3:      incw    %ax
        jnz     1b
        ret

        .section .rom, "awx"
/*
 * rom_int19, rom_int18: the network boot, entered like those interrupts: no stack to rely on, nothing to return to. When it
 * fails, what was there before goes on.
 */
rom_int18:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movl    %cs:rom_old_boot, %eax
        movl    %eax, 0x18 * 4          /* once: the BIOS calls INT 18h behind each device that failed */
rom_int19:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ss
        movl    $0x7c00, %esp
        sti
        pushw   %cs
        call    rom_bev
        ljmpw   *%cs:rom_old_boot
