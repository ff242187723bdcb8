/*
 * core_unpack: fills the core's block: image, zeroed variables, page tables.
 *
 * Mode    16-bit real mode in the ROM's segment (%ds = %cs), interrupts off; works in flat 32-bit mode in between
 * In      %edi = physical address of the block, page aligned, core_block_size bytes below 4 GiB
 * Out     ZF clear: done; ZF set: A20 can't be switched on, or the packed core is damaged
 * Keeps   all registers but %ax, %cx, %dx; data segments get 4 GiB limits ("big real mode", as SeaBIOS enters an init vector)
 * Stack   under 200 bytes; the descriptors live there, since the ROM may be read-only
 */
        .section .init.spent, "awx"
        .code16

        .set    FLAT_DATA, 0x08
        .set    ROM_CODE32, 0x10
        .set    ROM_CODE16, 0x18
        .set    STACK_DATA16, 0x20
        .set    GDT_SIZE, 0x28

core_unpack:
        a20_enable
        jne     1f
        ret
1:      pushal
        pushw   %ds
        pushw   %es
        pushw   %fs
        pushw   %gs
        movzwl  %sp, %esp
        xorl    %edx, %edx
        movw    %cs, %dx
        shll    $4, %edx                /* linear address of the ROM */
        xorl    %ecx, %ecx
        movw    %ss, %cx
        shll    $4, %ecx                /* linear address of the stack segment */
        subw    $8, %sp
        movw    %sp, %bp
        sgdtl   (%bp)

        /* The descriptors from the last to the first: upper half, lower half of the base, limit. */
        movl    %ecx, %eax
        shrl    $16, %eax
        movb    $0x93, %ah
        pushl   %eax                    /* STACK_DATA16 */
        pushw   %cx
        pushw   $0xffff
        movl    %edx, %eax
        shrl    $16, %eax
        movb    $0x9b, %ah
        pushl   %eax                    /* ROM_CODE16 */
        pushw   %dx
        pushw   $0xffff
        btsl    $22, %eax               /* a 32-bit segment */
        pushl   %eax                    /* ROM_CODE32 */
        pushw   %dx
        pushw   $0xffff
        pushl   $0x00cf9300             /* FLAT_DATA */
        pushl   $0x0000ffff
        movzwl  %sp, %eax
        leal    -8(%eax,%ecx), %eax     /* the table's linear address; in the place of its null descriptor stands its GDTR */
        pushw   %ax
        pushl   %eax
        pushw   $GDT_SIZE - 1
        lgdtl   -GDT_SIZE(%bp)

        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpw   $ROM_CODE32, $core_unpack_flat

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
        call    unpack
        popl    %edi
        call    block_finish
        popal
        sete    %bl                     /* the sum is right */
        subl    %ecx, %esp
        movw    $STACK_DATA16, %ax
        movw    %ax, %ss
        ljmpl   $ROM_CODE16, $core_unpack_leave

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
        lgdtl   (%bp)
        leaw    8(%bp), %sp
        testb   %bl, %bl
        popw    %gs
        popw    %fs
        popw    %es
        popw    %ds
        popal
        ret

/*
 * block_finish: zeroes the core's variables and builds the page tables: 0-4 GiB one to one with 2 MiB pages, and the
 * block at CORE with 4 KiB pages. One kind of page everywhere rather than 1 GiB pages where the CPU has them. Last of all it
 * adds up the image.
 * Mode    32-bit, data segments flat
 * In      %edi = the block
 * Out     ZF set: the words of the image add up to 0, as romtool had them do
 * Clobbers %eax, %ebx, %ecx, %edx, %esi, %edi, %ebp
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

        movl    %ebp, %esi
        movl    $core_image_size, %ecx
        shrl    $2, %ecx
        xorl    %ebx, %ebx
1:      lodsl
        addl    %eax, %ebx
        loop    1b
        ret
