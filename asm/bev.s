/*
 * rom_bev: the bootstrap entry vector (BIOS Boot Specification 1.01, "BEV"). It starts in asm/rom_header.s.
 *
 * Mode    16-bit real mode; far call from the BIOS, the ROM is read-only. Or from another medium's loader (asm/media.s)
 * Out     returns when the network did not boot the machine: the BIOS goes on with its next boot entry. With rom_one_way
 *         set it only returns when there was no boot attempt at all
 * Keeps   all registers
 * Stack   under 700 bytes of the BIOS's
 *
 * Copies the resident block to the top of base memory, lowers the memory size in the BDA, and calls it.
 */
        .section .rom, "awx"
        .code16

        .set    BDA_SEGMENT, 0x40
        .set    BDA_BASE_MEMORY, 0x13   /* word 0040:0013, in KiB */

rom_bev_card:                           /* from rom_bev: flags and registers are saved; %cx = the card from 1 on, 0 for any */
        cli
        cld
        pushw   %ds
        pushw   %es
        movw    $BDA_SEGMENT, %ax
        movw    %ax, %es
        pushw   %cs
        popw    %ds

        movw    $rom_text_switched_off, %si
        cmpb    $0, rom_setting_enabled
        je      .Lbev_say
        movl    rom_block, %edi
        testl   %edi, %edi
        jnz     1f
        pushw   %cx
        call    bev_block               /* no PMM: the ROM is still whole */
        popw    %cx
        movw    $rom_text_no_memory, %si
        jz      .Lbev_say
1:
        movw    %es:BDA_BASE_MEMORY, %bx
        subw    $resident_kib, %bx
        movw    %bx, %es:BDA_BASE_MEMORY
        shlw    $6, %bx                 /* KiB to paragraphs */
        movw    ${FUNCTION_BOOT}, %ax
        call    resident_run
        testb   %al, %al
        jnz     .Lbev_done
        shrw    $6, %bx
        cmpw    %bx, %es:BDA_BASE_MEMORY
        jne     .Lbev_done              /* somebody took memory below us: ours must stay */
        addw    $resident_kib, %bx
        movw    %bx, %es:BDA_BASE_MEMORY
.Lbev_done:
        popw    %es
        popw    %ds
        popal
        popfw
        lretw
.Lbev_say:
        call    rom_print
        jmp     .Lbev_done

/*
 * resident_run: puts a fresh resident block into base memory and runs the core behind it.
 * Mode    16-bit real mode in the ROM's segment, interrupts off, DF clear
 * In      %ax = what the core is to do (entry::resident::Function), %cx = the card to use, 0 for any;
 *         %bx = segment for the block, %edi = the core's block
 * Out     %al = 0 when the resident block can go; for the probe, %ax as the core says
 * Keeps   %bx, %ds, %es; clobbers all other registers
 */
resident_run:
        pushw   %ds
        pushw   %es
        pushw   %cs
        popw    %ds
        movw    %bx, %es
        movl    %edi, %edx
        movw    %ax, %bp
        pushw   %cx
        xorw    %di, %di
        xorw    %ax, %ax
        movw    $resident_end, %cx
        rep stosb
        xorw    %di, %di
        movw    $rom_resident_image, %si
        movw    $resident_image_end, %cx
        rep movsb
        movw    $rom_settings, %si
        movw    $exchange_settings, %di
        movw    ${SETTINGS_SIZE}, %cx
        rep movsb
        popw    %es:exchange_card
        cmpw    $0, rom_one_way
        jne     1f                      /* no option ROM, but a copy that another medium's loader will lose */
        movw    %cs, %es:exchange_rom
1:
        movw    rom_one_way, %ax
        movw    %ax, %es:one_way
        movw    %bp, %ax
        pushw   %cs
        pushw   $2f
        pushw   %bx
        pushw   $resident_boot
        lretw
2:      popw    %es
        popw    %ds
        ret

/* rom_print: writes the ASCIIZ text at %cs:%si to the screen. Clobbers %ax, %bx, %si. */
1:      movw    $0x0007, %bx
        movb    $0x0e, %ah              /* INT 10h, teletype output */
        int     $0x10
rom_print:
        lodsb   %cs:(%si), %al
        testb   %al, %al
        jnz     1b
        ret

rom_text_no_memory:
        .asciz  "hvpxe: PXE-E00: damaged ROM, or no 2 MiB below 4 GiB\r\n"
rom_text_switched_off:
        .asciz  "hvpxe is switched off by its settings.\r\n"
