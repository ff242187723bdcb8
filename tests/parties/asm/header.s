/*
 * The ROM's header, and its init vector.
 * Sources: PnP BIOS 1.0a, "Option ROM Header" and "Expansion Header for Plug and Play"; PMM 1.01; BIOS Boot Specification
 * 1.01: a ROM with a boot connection vector (BCV) brings a disk.
 */
        .section .rom.header, "awx"
        .code16
        .globl  rom_start
rom_start:
        .byte   0x55, 0xaa
rom_blocks:                             /* size in units of 512 bytes: the harness fills it in */
        .byte   0
        jmp     rom_init
        .org    rom_start + 0x06
rom_checksum:                           /* the harness fills it in, too */
        .byte   0
        .org    rom_start + 0x1a
        .word   pnp
        .balign 16
pnp:
        .ascii  "$PnP"
        .byte   1, 2                    /* revision; length in units of 16 bytes */
        .word   0
        .byte   0
        .byte   0x100 - (0x24 + 'P' + 'n' + 'P' + 1 + 2 + 1 + 0x04 + rom_bcv - rom_start) & 0xff
        .long   0
        .word   0, 0                    /* neither manufacturer nor product */
        .byte   1, 0, 0                 /* a mass storage controller */
        .byte   0x04                    /* may be read only after its init */
        .word   rom_bcv - rom_start
        .word   0, 0, 0, 0

/* rom_bcv: the drive was hooked during init. 16-bit, far call from the BIOS. Below 100h, so that the checksum above is right. */
rom_bcv:
        lretw

        .section .rom, "awx"
/*
 * rom_init: takes memory from the BIOS, and runs the party in it for the first time.
 * Mode    16-bit real mode; far call from the BIOS during POST, the ROM is writable
 * Out     %ax = 0
 * Keeps   all other registers and flags
 */
rom_init:
        pushfw
        pushal
        pushw   %ds
        pushw   %es
        cld
        pushw   %cs
        popw    %ds
        call    pmm_find
        jne     1f
        movl    $0x3ffff, %ecx          /* almost 4 MiB: 2 MiB on a boundary of 2 MiB are in it */
        movw    $0x000a, %dx            /* permanent, extended memory */
        call    pmm_allocate
        jz      1f
        addl    $0x1fffff, %eax
        andl    $~0x1fffff, %eax
        movl    %eax, %ebx
        movl    $low_paragraphs, %ecx
        movw    $0x0009, %dx            /* permanent, conventional memory */
        call    pmm_allocate
        jz      1f
        shrl    $4, %eax
        movw    %ax, %es
        movw    $rom_low, %si
        xorw    %di, %di
        movw    $low_size, %cx
        rep movsb
        movl    %ebx, %es:low_block
        movw    %cs, %es:low_rom
        pushw   %cs
        pushw   $2f
        pushw   %es
        pushw   $low_init
        lretw
2:      call    shrink
1:      popw    %es
        popw    %ds
        popal
        popfw
        xorw    %ax, %ax
        lretw

/* pmm_find: looks for the POST Memory Manager. Out: ZF set: %es:0 is its structure. Clobbers %al, %bx, %cx, %si. */
pmm_find:
        movw    $0xe000, %bx
1:      movw    %bx, %es
        cmpl    $0x4d4d5024, %es:0      /* "$PMM" */
        jne     3f
        xorw    %si, %si
        movw    $16, %cx
        xorb    %al, %al
2:      addb    %es:(%si), %al
        incw    %si
        loop    2b
        testb   %al, %al
        jz      4f
3:      incw    %bx
        jnz     1b
        incw    %bx                     /* past FFFFh: clears ZF */
4:      ret

/*
 * pmm_allocate: asks for memory (PMM 1.01, function 0).
 * In      %es from pmm_find; %ecx paragraphs; %dx flags
 * Out     ZF clear: %eax = its physical address
 * Clobbers %dx
 */
pmm_allocate:
        pushw   %dx
        pushl   $0xffffffff             /* handle: anonymous */
        pushl   %ecx
        pushw   $0                      /* function: allocate */
        lcallw  *%es:7
        addw    $12, %sp
        shll    $16, %edx
        movzwl  %ax, %eax
        orl     %edx, %eax
        ret

/* shrink: keeps 512 bytes of the ROM and makes their checksum right. Clobbers %ax, %cx, %si. */
shrink:
        movb    $1, rom_blocks
        movb    $0, rom_checksum
        xorw    %ax, %ax
        xorw    %si, %si
        movw    $512, %cx
1:      addb    (%si), %al
        incw    %si
        loop    1b
        negb    %al
        movb    %al, rom_checksum
        ret
