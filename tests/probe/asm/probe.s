/*
 * A boot sector and network boot program in one: asks the BIOS about memory and PXE, writes the answers to the table (src/lib.rs,
 * `layout`), says `PROBE n` on the screen, and waits for a key.
 *
 * Keys    0-9 far return with AX = the number (to the PXE stack that started us); n INT 18h, the next boot device; b INT 19h, the
 *         boot order from its start; u unload the PXE stack in SYSLINUX's order and say `UNLOADED`
 * Stack   the one that it was started on
 */
        .section .probe, "awx"
        .code16
        .globl  probe_start
probe_start:
        jmp     1f
        .org    probe_start + 0x5a      /* BIOSes write into the BIOS parameter block */
1:      ljmpw   $0, $2f
2:      sti
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    ${TABLE}, %di
        movw    ${TABLE_SIZE}, %cx
        rep stosb

        movw    $0x5650, %ax            /* PXE installation check */
        int     $0x1a
        pushfw
        popw    {TABLE} + {PXE}
        movw    %ax, {TABLE} + {PXE} + 2
        movw    %bx, {TABLE} + {PXE} + 4
        movw    %es, {TABLE} + {PXE} + 6

        int     $0x12                   /* base memory */
        movw    %ax, {TABLE} + {INT12}

        movw    $0xe801, %ax            /* memory above 1 MiB and above 16 MiB */
        xorw    %cx, %cx
        xorw    %dx, %dx
        int     $0x15
        pushfw
        popw    {TABLE} + {E801}
        movw    %ax, {TABLE} + {E801} + 2
        movw    %bx, {TABLE} + {E801} + 4
        movw    %cx, {TABLE} + {E801} + 6
        movw    %dx, {TABLE} + {E801} + 8

        movb    $0x88, %ah              /* memory above 1 MiB */
        int     $0x15
        pushfw
        popw    {TABLE} + {AH88}
        movw    %ax, {TABLE} + {AH88} + 2

        movw    ${TABLE} + {SHORT}, %di
        movl    $20, %ecx
        call    read_map
        movw    ${TABLE} + {LONG}, %di
        movl    $24, %ecx
        call    read_map

        incb    {NUMBER}
        movb    {NUMBER}, %al
        addb    $'0', %al
        movb    %al, digit
        movw    $text_probe, %si
say:    call    print

wait:   xorw    %ax, %ax
        int     $0x16
        cmpb    $'n', %al
        jne     1f
        int     $0x18
1:      cmpb    $'b', %al
        jne     1f
        int     $0x19
1:      cmpb    $'u', %al
        je      unload
        subb    $'0', %al
        cmpb    $9, %al
        ja      wait
        cbtw
        lretw

/* read_map: calls E820h to its end, with a buffer of %ecx bytes; each answer to the next record at %es:%di. */
read_map:
        pushw   $0
        popw    %es
        xorl    %ebx, %ebx
        movw    ${MOST_E820_CALLS}, %bp
1:      movl    $0x534d4150, %edx       /* "SMAP" */
        movl    $0xe820, %eax
        addw    $16, %di
        pushl   %ecx
        int     $0x15
        pushfw
        popw    -4(%di)
        movl    %eax, -16(%di)
        movl    %ebx, -12(%di)
        movl    %ecx, -8(%di)
        popl    %ecx
        addw    ${E820_BYTES} - 16, %di
        testl   %ebx, %ebx
        jz      2f
        decw    %bp
        jnz     1b
2:      ret

/* unload: SYSLINUX's order, by the !PXE that INT 1Ah leads to; AX and status of each call to the table. */
unload:
        les     {TABLE} + {PXE} + 4, %bx
        les     %es:0x28(%bx), %bx      /* PXENV+ PXEPtr */
        movl    %es:0x10(%bx), %eax     /* !PXE EntryPointSP */
        movl    %eax, entry
        movw    $order, %si
        movw    ${TABLE} + {UNLOADED}, %di
        movw    $4, %bp
1:      lodsb
        cbtw
        movl    $0, block
        movl    $0, block + 4
        movl    $0, block + 8
        pushw   $0
        pushw   $block
        pushw   %ax
        lcallw  *entry
        addw    $6, %sp
        movw    %ax, (%di)
        movw    block, %ax
        movw    %ax, 2(%di)
        addw    $4, %di
        decw    %bp
        jnz     1b
        movw    $text_unloaded, %si
        jmp     say

print:  lodsb
        testb   %al, %al
        jz      1f
        movw    $7, %bx
        movb    $0x0e, %ah
        int     $0x10
        jmp     print
1:      ret

order:  .byte   {UDP_CLOSE}, {UNDI_SHUTDOWN}, {UNLOAD_STACK}, {STOP_UNDI}
text_probe:
        .ascii  "\r\nPROBE "
digit:  .asciz  "0\r\n"
text_unloaded:
        .asciz  "UNLOADED\r\n"
        .balign 4
entry:  .long   0
block:  .skip   12
        .org    probe_start + 510
        .byte   0x55, 0xaa
