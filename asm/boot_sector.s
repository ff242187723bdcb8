/*
 * The boot sector of the floppy image, the hard-disk image and the ISO's system area: loads the ROM from the sectors
 * that follow and starts it. romtool completes it (tools/romtool/src/boot_sector.rs): BIOS parameter block, partition
 * table, the position of the ROM.
 *
 * Mode    16-bit real mode, at 0000:7C00 by whatever segment
 * In      %dl = BIOS drive
 * Out     none: INT 18h when nothing was booted
 * Memory  the ROM at SECTOR_IMAGE * 16, where no 64 KiB boundary is crossed (a floppy's DMA can't); stack below 7C00
 */
        .section .boot_sector, "awx"
        .code16

        .set    SECTOR_IMAGE, 0x1000    /* segment; policy: above the boot sector, and base memory everywhere */
        .set    SECTOR_TRIES, 3         /* policy; a floppy motor may need the second */

        .set    BPB_SECTORS_PER_TRACK, sector_start + 0x18
        .set    BPB_HEADS, sector_start + 0x1a

sector_start:
        jmp     sector_code
        nop
        .org    sector_start + 0x5c     /* BIOS parameter block, which some BIOSes write to */
sector_lba:                             /* first sector of the ROM; counts up */
        .long   0
sector_left:                            /* its length in sectors; counts down */
        .word   0

sector_code:
        ljmpw   $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $sector_start, %sp
        cld
        sti
        movb    %dl, sector_drive
        movw    $SECTOR_IMAGE, %ax
        movw    %ax, %es
        testb   $0x80, %dl              /* a floppy's geometry is in the BPB, and it has no extensions */
        jz      .Lsector_next

        pushw   %es
        movb    $0x08, %ah              /* INT 13h, drive parameters: %dh = last head, %cl = sectors in bits 5:0 */
        int     $0x13
        popw    %es
        jc      1f
        andw    $0x3f, %cx
        jz      1f
        movw    %cx, BPB_SECTORS_PER_TRACK
        movzbw  %dh, %ax
        incw    %ax
        movw    %ax, BPB_HEADS
1:      movb    $0x41, %ah              /* are there extensions? */
        movw    $0x55aa, %bx
        movb    sector_drive, %dl
        int     $0x13
        jc      .Lsector_next
        cmpw    $0xaa55, %bx
        jne     .Lsector_next
        andb    $1, %cl                 /* packet functions */
        movb    %cl, sector_extensions

/* Each round reads to the end of a track at most. %es moves along. */
.Lsector_next:
        movb    $SECTOR_TRIES, sector_tries
.Lsector_again:
        movl    sector_lba, %eax
        xorl    %edx, %edx
        movzwl  BPB_SECTORS_PER_TRACK, %ebx
        divl    %ebx                    /* %eax = track, %dx = sector in it */
        subw    %dx, %bx
        cmpw    sector_left, %bx
        jbe     1f
        movw    sector_left, %bx
1:      movw    %bx, %di                /* %di = sectors to read */
        cmpb    $0, sector_extensions
        jne     .Lsector_packet

        movw    %dx, %cx
        incw    %cx                     /* sectors count from 1 */
        xorl    %edx, %edx
        movzwl  BPB_HEADS, %ebx
        divl    %ebx                    /* %ax = cylinder, %dl = head */
        movb    %dl, %dh
        movb    %al, %ch
        shlb    $6, %ah
        orb     %ah, %cl
        movw    %di, %ax
        movb    $0x02, %ah              /* read; in %al sectors to %es:%bx */
        xorw    %bx, %bx
        movb    sector_drive, %dl
        int     $0x13
        jmp     .Lsector_read

.Lsector_packet:
        pushl   $0                      /* disk address packet: first sector, 64 bits */
        pushl   sector_lba
        pushw   %es                     /* where to */
        pushw   $0
        pushw   %di                     /* sectors */
        pushw   $16                     /* length of the packet */
        movw    %sp, %si
        movb    $0x42, %ah              /* extended read */
        movb    sector_drive, %dl
        int     $0x13
        leaw    16(%si), %sp            /* keeps CF */

.Lsector_read:
        jnc     1f
        decb    sector_tries
        jz      .Lsector_unreadable
        xorw    %ax, %ax                /* reset */
        movb    sector_drive, %dl
        int     $0x13
        jmp     .Lsector_again
1:      movzwl  %di, %eax
        addl    %eax, sector_lba
        shlw    $5, %ax                 /* sectors to paragraphs */
        movw    %es, %bx
        addw    %ax, %bx
        movw    %bx, %es
        subw    %di, sector_left
        jnz     .Lsector_next

        testb   $0x80, sector_drive
        jnz     1f
        movw    $0x4b00, %ax            /* it may be a CD that poses as a floppy: end that (El Torito 1.0, INT 13h) */
        movb    sector_drive, %dl
        movw    $sector_packet, %si
        int     $0x13
1:      movw    $SECTOR_IMAGE, %ax
        movw    %ax, %es
        movw    $1, %es:rom_one_way
        lcallw  $SECTOR_IMAGE, $rom_bev
        jmp     .Lsector_leave

.Lsector_unreadable:
        movw    $sector_text, %si
1:      lodsb
        testb   %al, %al
        jz      .Lsector_leave
        movw    $0x0007, %bx
        movb    $0x0e, %ah
        int     $0x10
        jmp     1b
.Lsector_leave:
        int     $0x18
2:      hlt
        jmp     2b

sector_text:
        .asciz  "hvpxe: the boot disk can't be read\r\n"
sector_extensions:
        .byte   0
        .org    sector_start + 0x1b8    /* disk signature and partition table */
        .org    sector_start + 0x1fe
        .byte   0x55, 0xaa

/* Variables behind the sector; not part of the image. */
        .set    sector_drive, sector_start + 0x200
        .set    sector_tries, sector_start + 0x201
        .set    sector_packet, sector_start + 0x202     /* what INT 13h AH=4Bh tells about the emulation, 19 bytes */
