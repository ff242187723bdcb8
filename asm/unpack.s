/*
 * core_unpack: fills the core's block: image, zeroed variables, page tables.
 *
 * Mode    16-bit real mode in the ROM's segment (%ds = %cs), interrupts off; works in flat 32-bit mode in between
 * In      %edi = physical address of the block, page aligned, core_block_size bytes below 4 GiB
 * Out     ZF clear: done; ZF set: A20 can't be switched on
 * Keeps   all registers but %ax, %cx, %dx; data segments get 4 GiB limits ("big real mode", as SeaBIOS enters an init vector)
 * Stack   under 600 bytes; the descriptors live there, since the ROM may be read-only
 */
        .section .init, "awx"
        .code16

        .set    FLAT_CODE32, 0x08
        .set    FLAT_DATA, 0x10
        .set    ROM_CODE16, 0x18
        .set    STACK_DATA16, 0x20
        .set    GDT_SIZE, 0x28
        .set    CALLERS_GDTR, GDT_SIZE
        .set    OUR_GDTR, GDT_SIZE + 8
        .set    UNPACK_FRAME, GDT_SIZE + 16

core_unpack:
        a20_enable
        jne     1f
        ret
1:      pushal
        pushw   %ds
        pushw   %es
        pushw   %fs
        pushw   %gs
        movw    %sp, %bp
        subw    $UNPACK_FRAME, %sp
        andw    $~7, %sp
        movw    %sp, %bx
        movzwl  %sp, %esp

        xorl    %edx, %edx
        movw    %cs, %dx
        shll    $4, %edx                /* linear address of the ROM */
        xorl    %ecx, %ecx
        movw    %ss, %cx
        shll    $4, %ecx                /* linear address of the stack segment */

        movl    $0, %ss:(%bx)
        movl    $0, %ss:4(%bx)
        movl    $0x0000ffff, %ss:FLAT_CODE32(%bx)
        movl    $0x00cf9b00, %ss:FLAT_CODE32+4(%bx)
        movl    $0x0000ffff, %ss:FLAT_DATA(%bx)
        movl    $0x00cf9300, %ss:FLAT_DATA+4(%bx)
        movw    $0xffff, %ss:ROM_CODE16(%bx)
        movl    %edx, %ss:ROM_CODE16+2(%bx)
        movw    $0x009b, %ss:ROM_CODE16+5(%bx)
        movb    $0, %ss:ROM_CODE16+7(%bx)
        movw    $0xffff, %ss:STACK_DATA16(%bx)
        movl    %ecx, %ss:STACK_DATA16+2(%bx)
        movw    $0x0093, %ss:STACK_DATA16+5(%bx)
        movb    $0, %ss:STACK_DATA16+7(%bx)
        movw    $GDT_SIZE - 1, %ss:OUR_GDTR(%bx)
        movzwl  %bx, %eax
        addl    %ecx, %eax
        movl    %eax, %ss:OUR_GDTR+2(%bx)
        sgdtl   %ss:CALLERS_GDTR(%bx)
        lgdtl   %ss:OUR_GDTR(%bx)

        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        pushl   $FLAT_CODE32
        leal    core_unpack_flat(%edx), %eax
        pushl   %eax
        lretl

        .code32
core_unpack_flat:
        movw    $FLAT_DATA, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        addl    %ecx, %esp
        pushal
        leal    rom_payload(%edx), %esi
        pushl   %edi
        call    upkr_unpack
        popl    %edi
        call    branches_to_relative
        call    block_finish
        popal
        subl    %ecx, %esp
        movw    $STACK_DATA16, %ax
        movw    %ax, %ss
        pushl   $ROM_CODE16
        pushl   $core_unpack_leave
        lretl

        .code16
core_unpack_leave:
        movl    %cr0, %eax
        andb    $~1, %al
        movl    %eax, %cr0
        shrl    $4, %edx
        pushw   %dx
        pushw   $core_unpack_real
        lretw
core_unpack_real:
        shrl    $4, %ecx
        movw    %cx, %ss
        lgdtl   %ss:CALLERS_GDTR(%bx)
        movw    %bp, %sp
        popw    %gs
        popw    %fs
        popw    %es
        popw    %ds
        popal
        testw   %sp, %sp                /* ZF clear */
        ret

/*
 * branches_to_relative: gives the branches in the core's code their displacements back, which romtool made absolute and
 * big-endian so that they pack better (tools/romtool/src/branches.rs: the same bytes count as branches there).
 * Mode    flat 32-bit
 * In      %edi = the block
 * Clobbers %eax, %ecx, %esi
 */
        .code32
branches_to_relative:
        movl    %edi, %esi
        leal    core_code_size - 5(%edi), %ecx /* the longest branch has six bytes */
1:      cmpl    %ecx, %esi
        jae     4f
        lodsb
        cmpb    $0x0f, %al
        jne     2f
        movb    (%esi), %al
        andb    $0xf0, %al
        cmpb    $0x80, %al              /* jcc */
        jne     1b
        incl    %esi
        jmp     3f
2:      andb    $0xfe, %al
        cmpb    $0xe8, %al              /* call, jmp */
        jne     1b
3:      lodsl
        bswapl  %eax
        subl    %esi, %eax
        leal    4(%eax,%edi), %eax
        movl    %eax, -4(%esi)
        jmp     1b
4:      ret

/*
 * block_finish: zeroes the core's variables and builds the page tables: 0-4 GiB one to one with 2 MiB pages, and the
 * block at CORE with 4 KiB pages. One kind of page everywhere rather than 1 GiB pages where the CPU has them.
 * Mode    flat 32-bit
 * In      %edi = the block
 * Clobbers %eax, %ecx, %edx, %edi, %ebp
 */
        .code32
        .set    TABLE, 0x1000
        .set    PRESENT_WRITABLE, 0x03
        .set    LARGE_PAGE, 0x83
block_finish:
        movl    %edi, %ebp
        addl    $core_image_size, %edi
        xorl    %eax, %eax
        movl    $(core_page_tables + 9 * TABLE), %ecx
        subl    $core_image_size, %ecx
        rep stosb

        leal    core_page_tables + PRESENT_WRITABLE(%ebp), %edx
        leal    core_page_tables(%ebp), %edi            /* [0] PML4 */
        leal    1 * TABLE(%edx), %eax
        movl    %eax, (%edi)
        leal    6 * TABLE(%edx), %eax
        movl    %eax, 511 * 8(%edi)

        leal    2 * TABLE(%edx), %eax                   /* [1] directory pointers of 0-4 GiB, [2-5] its directories */
        leal    1 * TABLE(%edi), %edi
        movl    $4, %ecx
1:      movl    %eax, (%edi)
        addl    $8, %edi
        addl    $TABLE, %eax
        loop    1b
        leal    core_page_tables + 2 * TABLE(%ebp), %edi
        movl    $LARGE_PAGE, %eax
        movl    $4 * 512, %ecx
1:      movl    %eax, (%edi)
        addl    $8, %edi
        addl    $0x200000, %eax
        loop    1b

        leal    7 * TABLE(%edx), %eax                   /* [6] directory pointers of the top 512 GiB: entry 510 is CORE */
        movl    %eax, 510 * 8(%edi)
        leal    TABLE(%edi), %edi
        leal    8 * TABLE(%edx), %eax                   /* [7] directory, [8] page table of the block */
        movl    %eax, (%edi)
        leal    TABLE(%edi), %edi
        leal    PRESENT_WRITABLE(%ebp), %eax
        movl    $core_block_size, %ecx
        shrl    $12, %ecx
1:      movl    %eax, (%edi)
        addl    $8, %edi
        addl    $TABLE, %eax
        loop    1b
        ret

/*
 * upkr_unpack: unpacks one stream of the upkr format, default configuration (crate upkr, "Config::default").
 *
 * A stream is a sequence of bits, each coded by range ANS with an adaptive 8-bit probability. Per operation: one bit
 * tells a match from a literal. A literal has 8 bits, most significant first, in a tree of 255 contexts. A match has a
 * bit "new offset" (unless it follows a match, where that is implied), then the offset + 1 when new, then the length. Numbers are
 * coded from their least significant bit, each preceded by a continuation bit. Offset 0 ends the stream.
 *
 * Mode    flat 32-bit
 * In      %esi = packed bytes, %edi = where to unpack
 * Clobbers all registers but %esp
 */
        .set    CONTEXT_NEW_OFFSET, 256
        .set    CONTEXT_OFFSET, 257
        .set    CONTEXT_LENGTH, 256 + 65
        .set    CONTEXTS, 256 + 1 + 64 + 64
        .set    CONTEXTS_ROUNDED, 388
upkr_unpack:
        subl    $CONTEXTS_ROUNDED, %esp
        movl    %esp, %ebp              /* %ebp = contexts */
        pushl   %edi
        movl    %ebp, %edi
        movb    $0x80, %al              /* probability 1/2 */
        movl    $CONTEXTS, %ecx
        rep stosb
        popl    %edi
        xorl    %eax, %eax              /* %eax = coder state */
        pushl   %eax                    /* (%esp) = last offset */
.Lupkr_after_literal:
        movl    %ebp, %ebx
        call    upkr_bit
        jc      .Lupkr_match
.Lupkr_literal:
        movl    $1, %edx
1:      leal    (%ebp,%edx), %ebx
        call    upkr_bit
        adcl    %edx, %edx
        testb   %dh, %dh                /* eight bits in: the leading 1 has left the low byte */
        jz      1b
        movb    %dl, (%edi)
        incl    %edi
        jmp     .Lupkr_after_literal
.Lupkr_match:
        leal    CONTEXT_NEW_OFFSET(%ebp), %ebx
        call    upkr_bit
        jnc     .Lupkr_length
.Lupkr_offset:
        leal    CONTEXT_OFFSET(%ebp), %ebx
        call    upkr_number
        decl    %ecx
        jz      .Lupkr_end
        movl    %ecx, (%esp)
.Lupkr_length:
        leal    CONTEXT_LENGTH(%ebp), %ebx
        call    upkr_number
        pushl   %esi
        movl    %edi, %esi
        subl    4(%esp), %esi
        rep movsb
        popl    %esi
        movl    %ebp, %ebx
        call    upkr_bit
        jc      .Lupkr_offset           /* a match after a match always has a new offset */
        jmp     .Lupkr_literal
.Lupkr_end:
        addl    $CONTEXTS_ROUNDED + 4, %esp
        ret

/* upkr_number: decodes a number >= 1 from the contexts at %ebx on, into %ecx. Clobbers %ebx, %edx. */
upkr_number:
        xorl    %ecx, %ecx
        movl    $1, %edx                /* the bit's weight */
1:      call    upkr_bit
        incl    %ebx                    /* keeps CF */
        jnc     2f
        call    upkr_bit
        incl    %ebx
        jnc     3f
        orl     %edx, %ecx
3:      addl    %edx, %edx
        jmp     1b
2:      orl     %edx, %ecx
        ret

/* upkr_bit: decodes one bit with the context at %ebx into CF and adapts the context. Keeps all but %eax and flags. */
upkr_bit:
        pushl   %ecx
        pushl   %edx
1:      cmpl    $0x1000, %eax
        jae     2f
        shll    $8, %eax
        movb    (%esi), %al
        incl    %esi
        jmp     1b
2:      movzbl  (%ebx), %edx            /* probability of a one, in 1/256 */
        movzbl  %al, %ecx
        shrl    $8, %eax
        cmpl    %edx, %ecx
        jae     3f
        imull   %edx, %eax              /* one: state = p * high + low */
        addl    %ecx, %eax
        movl    $256 + 8, %ecx
        subl    %edx, %ecx
        shrl    $4, %ecx
        addb    %cl, (%ebx)
        stc
        jmp     4f
3:      subl    %edx, %ecx              /* zero: state = (256 - p) * high + low - p */
        pushl   %edx
        negl    %edx
        addl    $256, %edx
        imull   %edx, %eax
        popl    %edx
        addl    %ecx, %eax
        addl    $8, %edx
        shrl    $4, %edx
        subb    %dl, (%ebx)
        clc
4:      popl    %edx
        popl    %ecx
        ret
