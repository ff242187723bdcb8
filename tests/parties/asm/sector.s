/*
 * The boot sector of the parties' disk (src/disk.rs): reads blocks by the functions of the PC/AT and by those of EDD, checks
 * them, writes one and reads it again, and says on the screen how that went.
 *
 * What is written is the content of block 1 with every byte inverted. Where a thief waits for calls (src/options.rs,
 * STRIKE_VECTOR), it is called before each access, and the reads are repeated until it has done all its thefts.
 */
        .section .sector, "awx"
        .code16
        .globl  sector_start

        .set    BUFFER, 0x8000
        .set    READ, 0x42
        .set    WRITE, 0x43

sector_start:
        jmp     1f
        .org    sector_start + 0x5a     /* BIOSes write into the BIOS parameter block */
1:      ljmpw   $0, $2f
2:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        cld
        movb    %dl, drive
        movw    $text_booted, %si
        call    print

        movw    $0x0202, %ax            /* two blocks from cylinder 0, head 0, sector 2 */
        movw    $0x0002, %cx
        xorb    %dh, %dh
        movw    $BUFFER, %bx
        int     $0x13
        sti                             /* iPXE's disk service returns with interrupts off */
        jc      failed
        movl    $1, %eax
        movw    $BUFFER, %di
        call    check
        movl    $2, %eax
        movw    $BUFFER + 512, %di
        call    check

again:  movl    $1, %ebp
1:      movl    %ebp, packet_block
        movb    $READ, %ah
        call    access
        movl    %ebp, %eax
        movw    $BUFFER, %di
        call    check
        incl    %ebp
        cmpl    ${CHECKED}, %ebp
        jbe     1b
        call    strike
        testw   %ax, %ax
        jnz     again

        movl    $1, packet_block
        movb    $READ, %ah
        call    access
        call    invert
        movl    ${WRITTEN}, packet_block
        movb    $WRITE, %ah
        call    access
        movw    $BUFFER, %di
        movw    $256, %cx
        xorw    %ax, %ax
        rep stosw
        movb    $READ, %ah
        call    access
        call    invert
        movl    $1, %eax
        movw    $BUFFER, %di
        call    check
        movw    $text_works, %si
        jmp     end

/* access: one block by EDD. In: %ah function, packet_block. Clobbers %ax, %dx, %si. */
access: pushw   %ax
        call    strike
        popw    %ax
        movb    drive, %dl
        movb    $0, %al
        movw    $packet, %si
        int     $0x13
        sti
        jc      failed
        ret

/* strike: lets the thief do its work, if there is one. Out: %ax how much of it is left. */
strike: xorw    %ax, %ax
        cmpl    $0, 4 * {STRIKE}
        je      1f
        int     ${STRIKE}
1:      ret

/* check: whether the block at %di is number %eax. */
check:  cmpl    %eax, (%di)
        jne     failed
        notl    %eax
        cmpl    %eax, 508(%di)
        jne     failed
        ret

/* invert: every byte at BUFFER. Clobbers %cx, %di. */
invert: movw    $BUFFER, %di
        movw    $256, %cx
1:      notw    (%di)
        addw    $2, %di
        loop    1b
        ret

failed: movw    $text_failed, %si
end:    call    print
1:      hlt
        jmp     1b

print:  lodsb
        testb   %al, %al
        jz      1f
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        jmp     print
1:      ret

        .balign 4
packet: .byte   16, 0
        .word   1                       /* block */
        .word   BUFFER, 0
packet_block:
        .quad   0
drive:  .byte   0
text_booted:
        .asciz  "DISK BOOTED\r\n"
text_works:
        .asciz  "DISK WORKS\r\n"
text_failed:
        .asciz  "DISK FAILED\r\n"
        .org    sector_start + 446      /* no partition is in the table: iPXE guesses the geometry from those */
        .org    sector_start + 510
        .byte   0x55, 0xaa
