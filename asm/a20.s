/*
 * a20_enable: makes address line 20 usable, as every physical address above 1 MiB needs it.
 *
 * Mode    16-bit real mode, interrupts off; a macro, since it runs in the ROM's segment and in the resident one
 * Out     ZF clear: A20 is on; ZF set: it can't be switched on
 *         %cx: 0 when it was on already, else 1
 * Keeps   all but %ax, %cx, %dx and flags
 * Source  port 92h bit 1 ("fast A20"), which every machine with Hyper-V's VMBus has; its bit 0 would reset the machine
 */
        .macro a20_enable
        xorw    %cx, %cx
        a20_test
        jne     .La20_done_\@
        incw    %cx
        inb     $0x92, %al
        cmpb    $0xff, %al              /* nothing there: leaves ZF set */
        je      .La20_done_\@
        orb     $0x02, %al
        andb    $0xfe, %al
        outb    %al, $0x92
        a20_test
.La20_done_\@:
        .endm

/* a20_test: ZF clear when A20 is on, that is when 0000:0500 and FFFF:0510 are different words. Clobbers %ax, %dx. */
        .macro a20_test
        pushw   %ds
        pushw   %es
        xorw    %ax, %ax
        movw    %ax, %ds
        decw    %ax
        movw    %ax, %es
        movw    %ds:0x500, %ax
        cmpw    %ax, %es:0x510
        jne     .La20_tested_\@
        notw    %ds:0x500               /* equal by chance, or the same word? Only low memory is written */
        movw    %ds:0x500, %dx
        cmpw    %dx, %es:0x510
        movw    %ax, %ds:0x500
.La20_tested_\@:
        popw    %es
        popw    %ds
        .endm
