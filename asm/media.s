/*
 * What the loaders of other media (nbp.s, boot_sector.s) use of the ROM. They load it whole, at any paragraph below
 * 640 KiB, and work in this order: media_prepare and media_probe as far as they need to know beforehand, then rom_one_way
 * = 1, then rom_bev. There the ROM is writable, and it never saw its init vector called.
 */
        .section .init, "awx"
        .code16

/*
 * media_prepare: finds memory for the core and unpacks the core there, as rom_bev would; rom_bev then uses that.
 * Mode    16-bit real mode; far call
 * Out     CF clear: done. CF set: there is none, or the settings switch the ROM off; the screen says so
 * Keeps   all registers and other flags
 * Stack   under 700 bytes
 */
media_prepare:
        pushfw
        pushal
        pushw   %ds
        pushw   %cs
        popw    %ds
        movw    $rom_text_switched_off, %si
        cmpb    $0, rom_setting_enabled
        je      .Lprepare_say
        call    bev_block
        movw    $rom_text_no_memory, %si
        jz      .Lprepare_say
        movl    %edi, rom_block
        clc
        jmp     .Lprepare_done
.Lprepare_say:
        call    rom_print
        stc
.Lprepare_done:
        popw    %ds
        popal
        jc      1f
        popfw
        clc
        lretw
1:      popfw
        stc
        lretw

/*
 * media_probe: asks the core whether this machine has a card that works. When not, the screen says why.
 * Mode    16-bit real mode; far call, after media_prepare
 * In      %bx = segment of memory for a passing resident block: resident_kib KiB
 * Out     %ax = 1: there is a card; 0: there is none
 * Keeps   %bx, segment registers but %fs and %gs, and flags; clobbers all other registers
 * Stack   under 100 bytes
 */
media_probe:
        pushfw
        cli
        cld
        movw    ${FUNCTION_PROBE}, %ax
        xorw    %cx, %cx
        movl    %cs:rom_block, %edi
        call    resident_run
        popfw
        lretw
