/*
 * The option ROM's header, PnP expansion header, PCI data structure and strings.
 * Sources: PnP BIOS 1.0a, "Option ROM Header" and "Expansion Header for Plug and Play"; PCI Firmware 3.0, "PCI Data
 * Structure"; BIOS Boot Specification 1.01 (BEV).
 *
 * romtool fills in what is known only after packing: sizes and checksums.
 */
        .section .rom.header, "awx"
        .code16
rom_start:
        .byte 0x55, 0xaa
rom_blocks:                             /* size in units of 512 bytes; lowered by init */
        .byte 0
        jmp rom_init                    /* offset 3: init vector */
        .org rom_start + 0x06
rom_checksum:                           /* makes all bytes of the ROM sum to 0 */
        .byte 0
        .org rom_start + 0x16
        .word rom_undi_id - rom_start
        .word pcir - rom_start
rom_pnp_pointer:
        .word pnp - rom_start

        .balign 4
pcir:
        .ascii "PCIR"
        .word 0xffff                    /* vendor and device: none, VMBus is not PCI */
        .word 0xffff
        .word 0
        .word pcir_end - pcir
        .byte 0                         /* revision: PCI 2.x, the image runs where it is */
        .byte 0x00, 0x00, 0x02          /* class: network controller, Ethernet */
pcir_blocks:
        .word 0                         /* image length in units of 512 bytes */
        .word 1                         /* revision level of the code */
        .byte 0                         /* code type: x86, PC-AT */
        .byte 0x80                      /* the last image */
        .word 0
pcir_end:

/* UNDI ROM ID (PXE 2.1, "UNDI ROM ID Structure"). No PCI card matches our PCI identity, so only who wants us takes us. */
        .globl  rom_undi_id
rom_undi_id:
        .ascii "UNDI"
        .byte rom_undi_id_end - rom_undi_id
        .byte 0                         /* checksum */
        .byte 0                         /* revision of the structure */
        .byte 0, 1, 2                   /* UNDI 2.1.0 */
        .word rom_undi_loader - rom_start
        .word resident_stack_size       /* of these three, data holds everything, as one segment */
        .word resident_end
        .word 16
        .ascii "PCIR"
rom_undi_id_end:

/*
 * The PnP expansion header, for the first card that will do; with it what a boot entry needs to be of one card. Init makes
 * one for each card of it, if there are several (asm/boot_entries.s). So a BIOS that makes its boot entries before it
 * calls init, or of the file, shows this one alone, and boots by the first card that will do.
 */
        .balign 16
pnp:
        .ascii "$PnP"
        .byte 1                         /* revision */
        .byte 2                         /* length in units of 16 bytes */
pnp_next:
        .word 0                         /* no further header */
        .byte 0
pnp_checksum:
        .byte 0                         /* makes all bytes of the header sum to 0 */
        .long 0                         /* device identifier: none */
        .word rom_manufacturer - rom_start
pnp_product:
        .word rom_product - rom_start
        .byte 0x02, 0x00, 0x00          /* device type: network controller, Ethernet */
        .byte 0xe4                      /* writes itself during init; may be shadowed and cached; initial program load */
        .word 0                         /* BCV */
        .word 0                         /* disconnect vector */
pnp_bev:
        .word rom_bev - rom_start       /* BEV; init takes it out when the ROM is switched off */
        .word 0
        .word 0                         /* no static resource information */
        .set    PNP_LENGTH, . - pnp

rom_bev:                                /* goes on in asm/bev.s, wherever it is copied to */
        pushfw
        pushal
        movw    $0, %cx
        .set    card_number, . - 2
        pushw   $rom_bev_card
        ret

rom_product:
        .ascii "hvpxe "
        rom_version
        .ascii " (Hyper-V network"
product_end:
        .asciz ")"
        .ascii "card "                  /* with several cards, ", card 1)" */
card_digit:
        .asciz "0)"
        .balign 16
        .globl  entry_length, more_cards
        .set    entry_length, . - pnp
        .set    more_cards, 7           /* 8 cards are what Hyper-V lets a machine have */

/* What romtool finds and patches; all fields but the version are offsets in the ROM. */
        .balign 4
rom_table:
        .asciz "hvpxe"
        .word 2                         /* version of this table */
        .word rom_checksum - rom_start
        .word pcir_blocks - rom_start
        .word pnp - rom_start
        .word rom_settings - rom_start
        .word rom_packed_size - rom_start

/* Settings (tools/romtool/src/settings.rs); all of them are copied to the exchange area. */
        .balign 4
rom_settings:
        .byte 3                         /* version of the settings */
        .byte {SETTINGS_SIZE}
rom_setting_enabled:                    /* 0: no boot entry, and no boot */
        .byte 1
        .byte 0                         /* quiet: only what needs the user is on the screen */
        .byte 0                         /* serial-log: 1 to 4: the log goes to COM1 to COM4, too */
rom_setting_without_pmm:                /* leave PMM alone, as on a BIOS without it */
        .byte 0
rom_setting_pnp:                        /* 0: romtool takes the pointer to the PnP header out */
        .byte 1
rom_setting_hook:                       /* on a BIOS without boot entries: 0 INT 19h, 1 INT 18h, 2 none */
        .byte 0
        .byte 0                         /* key-wait: seconds before a boot */
        .byte 10                        /* link-wait: seconds for the link */
        .word 0                         /* vlan: tag of all frames, 0 for none */
        .word 60                        /* dhcp-wait: seconds to look for a DHCP server */
        .byte 0                         /* disks: 1 makes BIOS drives of synthetic disks */
        .byte 0                         /* vmbus-owner: 0 take, 1 decline, 2 attach */
        .org rom_settings + {SETTINGS_SIZE}, 0

rom_packed_size:                        /* bytes of payload behind rom_payload */
        .long 0

rom_manufacturer:
        .asciz "hvpxe project"

/* Written while the ROM is writable: during init, or where another medium has loaded it (asm/media.s). */
        .balign 4
rom_block:                              /* physical address of the core's block; 0: not taken */
        .long 0
rom_one_way:                            /* 1: what starts the ROM may be overwritten by the boot program */
        .word 0
rom_old_boot:                           /* the interrupt vector that rom_int19 or rom_int18 took the place of */
        .long 0
