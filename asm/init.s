/*
 * rom_init: the ROM's init vector (PnP BIOS 1.0a, "Option ROM initialization").
 *
 * Mode    16-bit real mode; far call from the BIOS during POST, the ROM is writable
 * In      nothing that a VMBus card needs
 * Out     %ax = 0x0020: an IPL device is attached; 0 when the ROM is switched off
 * Keeps   all other registers and flags
 * Stack   under 700 bytes of the BIOS's
 *
 * With PMM: takes a permanent block above 1 MiB, unpacks the core into it, makes a boot entry for each card
 * (asm/boot_entries.s), and shrinks the ROM to what BEV needs.
 * Without: leaves the ROM whole; BEV does the same later with memory that it hides itself. Switched off: takes the BEV out of
 * the PnP header, so that the BIOS makes no boot entry, and shrinks the ROM.
 */
        .section .init, "awx"
        .code16
rom_init:
        pushfw
        pushal
        pushw   %ds
        pushw   %es
        cld
        pushw   %cs
        popw    %ds
        cmpb    $0, rom_setting_enabled
        je      .Linit_switched_off
        cmpb    $0, rom_setting_without_pmm
        jne     .Linit_whole
        call    pmm_find
        jz      .Linit_whole
        call    pmm_allocate
        jz      .Linit_whole
        movl    %eax, %edi
        cli
        call    core_unpack
        jz      .Linit_whole
        movl    %edi, rom_block
        pushl   %edi
        call    boot_entries
        popl    %edi
        call    boot_hook
        call    rom_shrink
        jmp     .Linit_done
.Linit_whole:
        call    boot_hook
        call    rom_balance
.Linit_done:
        popw    %es
        popw    %ds
        popal
        popfw
        xorw    %ax, %ax
        cmpb    $0, %cs:rom_setting_enabled
        je      1f
        movw    $0x0020, %ax
1:      lretw

.Linit_switched_off:
        xorw    %ax, %ax
        xchgw   %ax, pnp_bev
        addb    %ah, %al
        addb    %al, pnp_checksum
        call    rom_shrink
        jmp     .Linit_done

/*
 * pmm_find: looks for the POST Memory Manager's structure (PMM 1.01: 16-byte boundaries of E0000-FFFFF).
 * Out     ZF clear: %es:%si points to it
 * Clobbers %ax, %cx, %si, %es
 */
pmm_find:
        movw    $0xe000, %cx
.Lpmm_next:
        movw    %cx, %es
        cmpl    $0x4d4d5024, %es:0      /* "$PMM" */
        jne     .Lpmm_skip
        cmpb    $0x10, %es:5            /* length of the structure; bounds the checksum */
        jne     .Lpmm_skip
        xorw    %si, %si
        xorw    %ax, %ax
.Lpmm_sum:
        addb    %es:(%si), %al
        incw    %si
        cmpw    $0x10, %si
        jb      .Lpmm_sum
        testb   %al, %al
        jnz     .Lpmm_skip
        xorw    %si, %si
        incw    %ax                     /* ZF clear */
        ret
.Lpmm_skip:
        incw    %cx
        jnz     .Lpmm_next              /* past F000:FFF0 */
        ret

/*
 * pmm_allocate: asks for the core's block, permanent and extended (PMM 1.01, function 0).
 * In      %es:%si from pmm_find
 * Out     ZF clear: %eax = its physical address, page aligned
 * Clobbers %edx
 * Note    some managers ignore alignment flags: we ask for a page more and align ourselves
 */
pmm_allocate:
        pushw   $0x000a                 /* flags: 3 permanent, 1:0 = 2 extended memory */
        pushl   $0xffffffff             /* handle: anonymous */
        pushl   $pmm_paragraphs
        pushw   $0                      /* function: allocate */
        lcallw  *%es:7(%si)
        addw    $12, %sp
        shll    $16, %edx
        movw    %ax, %dx
        cmpl    $0xffffffff, %edx       /* function not supported */
        je      .Lpmm_none
        movl    %edx, %eax
        addl    $4095, %eax
        andl    $~4095, %eax
        ret                             /* ZF from the address: 0 is "no memory" */
.Lpmm_none:
        cmpb    %al, %al
        ret

/* rom_shrink: keeps rom_kept_end bytes of the ROM, which includes the boot entries of further cards, and makes its checksum right. Clobbers %ax, %cx, %si. */
rom_shrink:
        movb    $rom_kept_blocks, %al
        movb    %al, rom_blocks
        movb    %al, pcir_blocks

/* rom_balance: makes the checksum of the ROM right. Clobbers %ax, %cx, %si. */
rom_balance:
        movb    $0, rom_checksum
        xorw    %ax, %ax
        xorw    %si, %si
        movzbw  rom_blocks, %cx
        shlw    $9, %cx                 /* romtool lets no ROM grow to 64 KiB */
1:      addb    (%si), %al
        incw    %si
        loop    1b
        negb    %al
        movb    %al, rom_checksum
        ret
