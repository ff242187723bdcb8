/*
 * The resident block: what stays in base memory while the PXE API is there. One segment for code, data and stacks.
 *
 * Filled at BEV: the image is copied from the ROM, the rest starts as zero. Rust knows the exchange area as
 * `entry::resident::Exchange`; its field offsets come in as constants.
 */
        .section .resident.header, "awx"
        .code16
resident_start:
        jmp     rm_entry                /* one loader calls the UNDI code segment at offset 0, whatever PXENV+ says */

        .balign 32
        .globl  resident_pxenv
resident_pxenv:                         /* PXENV+, written when the API comes up */
        .skip   44
        .balign 32
        .globl  resident_bang_pxe
resident_bang_pxe:                      /* !PXE, likewise */
        .skip   88

        .balign 8
        .globl  resident_exchange
resident_exchange:
        .skip   {EXCHANGE_SIZE}

        .set    exchange_function, resident_exchange + {FUNCTION}
        .set    exchange_result, resident_exchange + {RESULT}
        .set    exchange_opcode, resident_exchange + {OPCODE}
        .set    exchange_block, resident_exchange + {BLOCK}
        .set    exchange_ax, resident_exchange + {AX}
        .set    exchange_bios, resident_exchange + {BIOS}
        .set    exchange_old_int13, resident_exchange + {OLD_INT13}
        .set    exchange_old_int15, resident_exchange + {OLD_INT15}
        .set    exchange_old_int1a, resident_exchange + {OLD_INT1A}
        .set    exchange_old_int18, resident_exchange + {OLD_INT18}
        .set    exchange_old_int19, resident_exchange + {OLD_INT19}
        .set    exchange_card, resident_exchange + {CARD}
        .set    exchange_rom, resident_exchange + {ROM}
        .set    exchange_core_block, resident_exchange + {CORE_BLOCK}
        .set    exchange_hidden, resident_exchange + {HIDDEN}
        .set    exchange_drives, resident_exchange + {DRIVES}
        .set    exchange_settings, resident_exchange + {SETTINGS}

/* Who called the API or INT 13h: entry::resident::Caller. */
        .set    caller_eax, resident_exchange + {CALLER_EAX}
        .set    caller_ebx, resident_exchange + {CALLER_EBX}
        .set    caller_ecx, resident_exchange + {CALLER_ECX}
        .set    caller_edx, resident_exchange + {CALLER_EDX}
        .set    caller_esi, resident_exchange + {CALLER_ESI}
        .set    caller_edi, resident_exchange + {CALLER_EDI}
        .set    caller_ebp, resident_exchange + {CALLER_EBP}
        .set    caller_esp, resident_exchange + {CALLER_ESP}
        .set    caller_ss, resident_exchange + {CALLER_SS}
        .set    caller_ds, resident_exchange + {CALLER_DS}
        .set    caller_es, resident_exchange + {CALLER_ES}
        .set    caller_fs, resident_exchange + {CALLER_FS}
        .set    caller_gs, resident_exchange + {CALLER_GS}
        .set    caller_flags, resident_exchange + {CALLER_FLAGS}

        .set    WITH_DISKS, {WITH_DISKS} /* the build has the disk service */

/* Descriptors; the bases of the 16-bit ones are the block's, filled in by resident_boot. */
        .balign 8
resident_gdt:
        .quad   0
        .set    CODE64, 0x08
        .quad   0x00209b0000000000
        .set    DATA_FLAT, 0x10
        .quad   0x00cf93000000ffff
        .set    CODE16, 0x18
resident_code16:
        .quad   0x00009b000000ffff
        .set    DATA16, 0x20
resident_data16:
        .quad   0x000093000000ffff
resident_gdt_end:
resident_gdtr:
        .word   resident_gdt_end - resident_gdt - 1
resident_gdt_base:
        .long   resident_gdt            /* plus the block's linear address */

        .balign 4
long_target:                            /* far pointer to long_start */
        .long   long_start              /* plus the block's linear address */
        .word   CODE64
resume_rsp:                             /* the core's stack while it waits for the BIOS; 0 otherwise */
        .quad   0
page_tables:                            /* physical address of the core's PML4 */
        .long   0

/* What real mode looked like at the last switch to long mode. */
saved_cr0:
        .long   0
saved_cr3:
        .long   0
saved_cr4:
        .long   0
saved_efer:
        .long   0
saved_gdtr:
        .skip   6
saved_idtr:
        .skip   6
saved_a20:                              /* 1: it was off */
        .word   0
saved_sp:
        .word   0
caller_limits:                          /* bits 0-3: %ds, %es, %fs, %gs had 64 KiB, else 4 GiB (asm/limits.s) */
        .word   0

/* Who called the BEV. */
bios_esp:
        .long   0
bios_ss:
        .word   0
one_way:                                /* 1: there is no way back to it after a boot attempt */
        .word   0

api_busy:                               /* bit 0: the core is working for somebody */
        .word   0
bios_sum:                               /* of its stack (bios_stack_sum), to see whether it is still there */
        .long   0
nbp_running:                            /* 1: a boot program has the machine; INT 18h and INT 19h end it */
        .word   0
left_by_int19:                          /* 1: the boot program wants the boot sequence from its start */
        .word   0
core_return:                            /* where real mode goes on when the core is done */
        .word   0

        .section .resident.bss, "aw", @nobits
        .balign 16
        .globl  resident_cached
resident_cached:                        /* the three packets of GET_CACHED_INFO */
        .skip   3 * 1260
        .globl  resident_answers
resident_answers:                       /* what callers in V86 mode are answered (asm/v86.s) */
        .skip   {ANSWERS_SIZE}
        .balign 16
        .globl  resident_frame
resident_frame:                         /* one received frame */
        .skip   1514
        .balign 16
        .globl  resident_record
resident_record:                        /* the anchor and the $VMBS record of our connection (docs/vmbs.md) */
        .skip   {RECORD_SIZE}
        .globl  resident_text
resident_text:                          /* a piece of text for the screen, ASCIIZ */
        .skip   {TEXT_SIZE}
resident_stack:                         /* ours, in real mode: BIOS calls of the core */
        .skip   1792
resident_stack_top:
        .set    resident_stack_size, resident_stack_top - resident_stack
        .globl  resident_nbp_stack, resident_nbp_stack_top
resident_nbp_stack:                     /* the boot program's; PXE 2.1 wants 1.5 KiB free */
        .skip   1568
resident_nbp_stack_top:
