/*
 * rom_undi_loader: the UNDI loader (PXE 2.1, "UNDI Loader"): the API without a boot, for BIOSes and loaders that bring their
 * own base code or none.
 *
 * Mode    16-bit real mode; far call, after POST or late in it
 * In      4(%sp) offset and 6(%sp) segment of the parameter block:
 *           02-0B registers of the BIOS, not needed; 0C segment for the resident block, which the caller has reserved
 *           (UNDI_DS); 0E segment for code (UNDI_CS), not used
 * Out     %ax = 0, block: 00 status, 10 -> !PXE, 14 -> PXENV+; or %ax = 1 and a status
 * Keeps   all other registers and flags; the caller drops its arguments
 * Stack   under 700 bytes
 */
        .section .rom, "awx"
        .code16

        .set    LOADER_STATUS, 0x00
        .set    LOADER_UNDI_DS, 0x0c
        .set    LOADER_PXE, 0x10
        .set    LOADER_PXENV, 0x14
        .set    LOADER_FRAME, 2 + 32 + 4        /* flags, registers, two segments */

rom_undi_loader:
        pushfw
        pushal
        pushw   %ds
        pushw   %es
        cli
        cld
        pushw   %cs
        popw    %ds
        movl    rom_block, %edi
        testl   %edi, %edi
        jnz     1f
        call    bev_block
        movw    ${STATUS_NO_BASE_MEMORY}, %ax
        jz      .Lloader_fail
1:      movw    %sp, %bp
        les     LOADER_FRAME + 4(%bp), %si
        movw    %es:LOADER_UNDI_DS(%si), %bx
        movw    ${FUNCTION_LOAD}, %ax
        xorw    %cx, %cx
        call    resident_run
        testw   %ax, %ax
        jnz     .Lloader_fail
        movw    %sp, %bp
        les     LOADER_FRAME + 4(%bp), %si
        movw    $0, %es:LOADER_STATUS(%si)
        movw    $resident_bang_pxe, %es:LOADER_PXE(%si)
        movw    %bx, %es:LOADER_PXE + 2(%si)
        movw    $resident_pxenv, %es:LOADER_PXENV(%si)
        movw    %bx, %es:LOADER_PXENV + 2(%si)
        popw    %es
        popw    %ds
        popal
        popfw
        movw    $0, %ax
        lretw
.Lloader_fail:
        movw    %sp, %bp
        les     LOADER_FRAME + 4(%bp), %si
        movw    %ax, %es:LOADER_STATUS(%si)
        popw    %es
        popw    %ds
        popal
        popfw
        movw    ${API_FAILURE}, %ax
        lretw
