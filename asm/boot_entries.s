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
        popw    %cx                     /* as many entries as cards */
        decw    %cx
        jle     .Lentries_done
        cmpw    $more_cards, %cx
        jbe     1f
        movw    $more_cards, %cx

        /* The first entry gets a card, each further one is a copy of the one before, a card on, behind what stays. */
1:      pushw   %ds
        popw    %es
        movw    $pnp, %si
        movw    $rom_cards, %di
        movw    $0x202c, product_end    /* ", " */
        jmp     3f
2:      pushw   %cx
        movw    %di, pnp_next - pnp(%si)
        call    pnp_balance
        movw    %di, %bx
        subw    %si, %bx
        movw    $entry_length, %cx
        pushw   %di
        rep movsb
        popw    %si
        addw    %bx, pnp_product - pnp(%si)
        addw    %bx, pnp_bev - pnp(%si)
        popw    %cx
3:      incb    card_number - pnp(%si)
        incb    card_digit - pnp(%si)
        decw    %cx
        jns     2b
        movw    $0, pnp_next - pnp(%si)
        call    pnp_balance
.Lentries_done:
        ret

/* pnp_balance: makes the checksum of the PnP header at %ds:%si right. Clobbers %ax, %bx. */
pnp_balance:
        xorw    %ax, %ax
        movw    $PNP_LENGTH, %bx
1:      decw    %bx
        addb    (%bx,%si), %al
        testw   %bx, %bx
        jnz     1b
        subb    %al, pnp_checksum - pnp(%si)
        ret
