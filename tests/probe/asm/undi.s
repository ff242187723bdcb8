/*
 * A boot sector that starts the network boot program behind it on the disk as a PXE ROM's UNDI loader leaves it: for machines
 * without a network. It finds the first UNDI ROM ID (PXE 2.1), reserves base memory, calls the loader and START_UNDI, and
 * enters the program with the registers and the stack that PXE promises.
 *
 * Says `PRESS A KEY` and waits for one before it enters the program. Says `NO UNDI`, `UNDI FAILED` or `READ FAILED` when it
 * does not get there.
 */
        .section .probe, "awx"
        .code16

        .set    HOME, 0x7000            /* segment that it moves to, out of the program's way */
        .set    BDA_BASE_MEMORY, 0x413
        .set    PIECE_SECTORS, 32       /* 16 KiB at once */
        .set    PIECES, 8
        .set    PROGRAM, 0x7c00

        .globl  undi_start
undi_start:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    $HOME, %ax
        movw    %ax, %es
        movw    %ax, %ss
        movl    $undi_start, %esp
        movw    $undi_start, %si
        movw    %si, %di
        movw    $256, %cx
        rep movsw
        ljmpw   $HOME, $1f
1:      sti
        movw    %ax, %ds
        movb    %dl, drive

        movw    $0xc800, %bx            /* option ROMs start at multiples of 2 KiB */
2:      movw    %bx, %es
        cmpw    $0xaa55, %es:0
        jne     3f
        movw    %es:0x16, %si
        cmpl    $0x49444e55, %es:(%si)  /* "UNDI" */
        je      4f
3:      addw    $0x80, %bx
        cmpw    $0xf000, %bx
        jb      2b
        movw    $no_undi, %si
        jmp     say

4:      movw    %es:0x0a(%si), %ax      /* loader */
        movw    %ax, loader
        movw    %bx, loader + 2
        movw    %es:0x0e(%si), %ax      /* bytes for its data, into which all of it goes */
        addw    $1023, %ax
        shrw    $10, %ax
        xorw    %cx, %cx
        movw    %cx, %es
        subw    %ax, %es:BDA_BASE_MEMORY
        movw    %es:BDA_BASE_MEMORY, %ax
        shlw    $6, %ax
        movw    %ax, block + 0x0c       /* UNDI_DS */
        movw    %ax, block + 0x0e       /* UNDI_CS */
        pushw   %ds
        pushw   $block
        lcallw  *loader
        addw    $4, %sp
        testw   %ax, %ax
        jnz     failed
        les     block + 0x14, %si       /* PXENV+ */
        movl    %es:0x0a(%si), %eax     /* its entry */
        movl    %eax, loader
        pushw   %ds
        popw    %es
        movw    $start_undi, %di
        xorw    %bx, %bx                /* START_UNDI */
        lcallw  *loader
        testw   %ax, %ax
        jnz     failed

        movw    $PIECES, %cx
5:      pushw   %cx
        movw    $packet, %si
        movb    $0x42, %ah              /* extended read */
        movb    drive, %dl
        int     $0x13
        popw    %cx
        movw    $read_failed, %si
        jc      say
        addw    $PIECE_SECTORS, packet + 8
        addw    $PIECE_SECTORS * 32, packet + 6
        loop    5b

        movw    $ready, %si
        call    print
        xorw    %ax, %ax
        int     $0x16                   /* wait for a key */
        les     block + 0x14, %bx
        pushl   block + 0x10            /* !PXE */
        pushw   %cs
        pushw   $halt
        ljmpw   $0, $PROGRAM

failed:
        movw    $undi_failed, %si
say:
        call    print
halt:
        hlt
        jmp     halt

print:
        movw    $0x0007, %bx
1:      lodsb
        testb   %al, %al
        jz      2f
        movb    $0x0e, %ah
        int     $0x10
        jmp     1b
2:      ret

ready:
        .asciz  "PRESS A KEY"
no_undi:
        .asciz  "NO UNDI"
undi_failed:
        .asciz  "UNDI FAILED"
read_failed:
        .asciz  "READ FAILED"
        .balign 4
drive:
        .long   0
loader:
        .long   0
packet:                                 /* disk address packet: size, sectors, buffer, first sector */
        .word   16, PIECE_SECTORS, 0, PROGRAM >> 4
        .quad   1
block:                                  /* of the UNDI loader */
        .skip   0x18
start_undi:
        .skip   12
        .org    undi_start + 510
        .word   0xaa55
