/*
 * rom_bev: the bootstrap entry vector (BIOS Boot Specification 1.01, "BEV").
 *
 * Mode    16-bit real mode; far call from the BIOS, the ROM is read-only
 * Out     returns when the network did not boot the machine: the BIOS goes on with its next boot entry
 * Keeps   all registers but %ax
 * Stack   under 700 bytes of the BIOS's
 *
 * Copies the resident block to the top of base memory, lowers the memory size in the BDA, and calls it.
 */
        .section .rom, "awx"
        .code16

        .set    BDA_SEGMENT, 0x40
        .set    BDA_BASE_MEMORY, 0x13   /* word 0040:0013, in KiB */

rom_bev:
        pushfw
        cli
        cld
        pushal
        pushw   %ds
        pushw   %es
        movw    $BDA_SEGMENT, %ax
        movw    %ax, %es
        pushw   %cs
        popw    %ds

        movl    rom_block, %edi
        testl   %edi, %edi
        jnz     1f
        call    bev_block               /* no PMM: the ROM is still whole */
        jz      .Lbev_no_memory
1:
        movw    %es:BDA_BASE_MEMORY, %bx
        subw    $resident_kib, %bx
        movw    %bx, %es:BDA_BASE_MEMORY
        shlw    $6, %bx                 /* KiB to paragraphs */
        pushw   %es
        movw    %bx, %es
        movl    %edi, %edx
        xorw    %di, %di
        xorw    %ax, %ax
        movw    $resident_end, %cx
        rep stosb
        xorw    %di, %di
        movw    $rom_resident_image, %si
        movw    $resident_image_end, %cx
        rep movsb
        pushw   %cs
        pushw   $.Lbev_returned
        pushw   %bx
        pushw   $resident_boot
        lretw                           /* in: %edx = the core's block */
.Lbev_returned:                         /* %al: 0 remove the resident block, else keep it; %bx its segment */
        popw    %es
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

.Lbev_no_memory:
        pushw   %cs
        popw    %ds
        movw    $.Lbev_no_memory_text, %si
1:      lodsb
        testb   %al, %al
        jz      .Lbev_done
        movw    $0x0007, %bx
        movb    $0x0e, %ah              /* INT 10h, teletype output */
        int     $0x10
        jmp     1b
.Lbev_no_memory_text:
        .asciz  "hvpxe: PXE-E00: no 2 MiB of free memory below 4 GiB\r\n"
