/*
 * bev_block: finds memory for the core on a BIOS without PMM, and unpacks the core there. Part of the ROM that only stays
 * when init found no PMM.
 *
 * Mode    16-bit real mode in the ROM's segment (%ds = %cs), interrupts off
 * Out     ZF clear: %edi = the block, at the end of the highest RAM region that has room below 4 GiB; the resident
 *         block's INT 15h filter hides it. ZF set: no memory
 * Clobbers %eax, %ebx, %ecx, %edx
 * Stack   under 700 bytes
 */
        .section .init, "awx"
        .code16

        .set    SMAP, 0x534d4150
        .set    E820_ENTRY, 20
        .set    E820_RAM, 1

bev_block:
        pushw   %es
        pushl   %ebp
        pushw   %si
        subw    $E820_ENTRY, %sp
        movw    %sp, %si
        xorl    %ebp, %ebp              /* end of the best region so far */
        xorl    %ebx, %ebx
.Lblock_next:
        pushw   %ss
        popw    %es
        movw    %si, %di
        movl    $SMAP, %edx
        movl    $E820_ENTRY, %ecx
        movl    $0xe820, %eax
        pushl   %ebp
        pushw   %si
        int     $0x15                   /* system address map */
        popw    %si
        popl    %ebp
        jc      .Lblock_end
        cmpl    $SMAP, %eax
        jne     .Lblock_end
        cmpl    $E820_RAM, %ss:16(%si)
        jne     .Lblock_more
        cmpl    $0, %ss:4(%si)          /* starts above 4 GiB */
        jne     .Lblock_more
        cmpl    $0, %ss:12(%si)
        jne     .Lblock_more
        movl    %ss:8(%si), %eax
        cmpl    $core_block_size + 0x200000, %eax
        jb      .Lblock_more            /* leave the machine 2 MiB at least */
        addl    %ss:(%si), %eax
        jc      .Lblock_more
        cmpl    %ebp, %eax
        jbe     .Lblock_more
        movl    %eax, %ebp
.Lblock_more:
        testl   %ebx, %ebx
        jnz     .Lblock_next
.Lblock_end:
        addw    $E820_ENTRY, %sp
        movl    %ebp, %edi
        popw    %si
        popl    %ebp
        popw    %es
        testl   %edi, %edi
        jz      1f
        subl    $core_block_size, %edi
        andl    $~4095, %edi
        cli
        call    core_unpack             /* ZF as it says */
1:      ret
