/*
 * boot_entries: one boot entry for each network card, so that the boot order chooses the card.
 *
 * Mode    16-bit real mode in the ROM's segment (%ds = %cs), during init, interrupts off
 * In      %es:%si from pmm_find, %edi = the core's block, unpacked
 * Clobbers all but %edi, %ds, %sp
 * Stack   under 100 bytes
 * Note    changes the ROM: its checksum must be made right afterwards. The core runs for some milliseconds to count the
 *         offers, in memory that PMM lends; a machine without a hypervisor is left alone.
 */
        .section .init, "awx"
        .code16

        .set    MAX_CARDS, 8            /* what Hyper-V lets a machine have; and the headers of asm/rom_header.s */
        .set    HYPERVISOR_PRESENT, 1 << 31
        .set    PMM_ALLOCATE, 0
        .set    PMM_DEALLOCATE, 2
        .set    PMM_CONVENTIONAL, 1     /* below 1 MiB, for the time of POST */

boot_entries:
        movl    $1, %eax
        cpuid
        testl   $HYPERVISOR_PRESENT, %ecx
        jz      .Lentries_done

        pushw   $PMM_CONVENTIONAL
        pushl   $0xffffffff             /* no handle */
        pushl   $resident_paragraphs
        pushw   $PMM_ALLOCATE
        lcallw  *%es:7(%si)
        addw    $12, %sp
        shll    $16, %edx
        movw    %ax, %dx
        testl   %edx, %edx
        jz      .Lentries_done
        cmpl    $0xa0000, %edx          /* "function not supported" is all ones */
        jae     .Lentries_done

        pushw   %si
        pushw   %es
        pushl   %edi
        pushl   %edx                    /* the argument of the release below */
        movl    %edx, %ebx
        shrl    $4, %ebx
        movw    ${FUNCTION_COUNT}, %ax
        xorw    %cx, %cx
        call    resident_run
        popl    %edx
        popl    %edi
        popw    %es
        popw    %si
        pushw   %ax
        pushl   %edx
        pushw   $PMM_DEALLOCATE
        lcallw  *%es:7(%si)
        addw    $6, %sp
        popw    %cx
        cmpw    $1, %cx
        jbe     .Lentries_done
        cmpw    $MAX_CARDS, %cx
        jbe     1f
        movw    $MAX_CARDS, %cx

        /* The first header gets the name of the first card, and each but the last a pointer to the next. */
1:      movw    $rom_product_1, pnp + PNP_PRODUCT
        movw    $rom_bev_1, pnp_bev
        movw    $pnp, %si
        movw    $pnp_more, %bx
2:      decw    %cx
        jz      3f
        movw    %bx, PNP_NEXT(%si)
        call    pnp_balance
        movw    %bx, %si
        addw    $PNP_LENGTH, %bx
        jmp     2b
3:      call    pnp_balance
.Lentries_done:
        ret

/* pnp_balance: makes the checksum of the PnP header at %ds:%si right. Clobbers %ax, %di. */
pnp_balance:
        movb    $0, PNP_CHECKSUM(%si)
        xorw    %ax, %ax
        movw    $PNP_LENGTH, %di
1:      decw    %di
        addb    (%si), %al
        incw    %si
        testw   %di, %di
        jnz     1b
        subw    $PNP_LENGTH, %si
        negb    %al
        movb    %al, PNP_CHECKSUM(%si)
        ret
