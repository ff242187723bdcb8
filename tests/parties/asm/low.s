/*
 * The party's part below 1 MiB: the ways into it, and the mode changes.
 *
 * All of this runs in a segment of its own. Offsets in it are what the linker knows; low_init adds the segment's base to what
 * must be linear.
 */
        .section .low, "awx"

/* What the harness may patch in the finished file: ../runtime/src/options.rs. */
        .ascii  "BOOTOPTS"
        .globl  low_options
low_options:
        .skip   {OPTIONS_LEN}

        .balign 8
low_gdt:
        .quad   0
        .quad   0x00209b0000000000
        .quad   0x00cf93000000ffff
low_code16:
        .quad   0x00009b000000ffff
        .quad   0x000093000000ffff
low_gdt_end:
        .balign 4
        .globl  low_block
low_block:                              /* physical address of the block above 1 MiB */
        .long   0
low_rom:                                /* segment of the ROM, during init */
        .word   0
low_gdtr:
        .word   low_gdt_end - low_gdt - 1
        .long   low_gdt
        .balign 4
low_long_target:
        .long   long_start
        .word   CODE64
        .balign 4
low_real_target:
        .long   real_start
        .word   CODE16
        .balign 4
saved_gdtr:
        .skip   6
        .balign 4
saved_cr0:
        .long   0
saved_cr3:
        .long   0
saved_cr4:
        .long   0
saved_efer:
        .long   0
saved_stack:                            /* %esp, %ss */
        .long   0
        .word   0
        .balign 4
answer:
        .long   0
chain:                                  /* where to go on when the call is somebody else's */
        .long   0
/* What was in the vectors of the functions: src/rom/entry.rs. */
        .globl  low_old_vectors
low_old_vectors:
        .skip   4 * {FUNCTIONS}

/*
 * low_init: prepares this segment and the block, and runs the party's first function.
 * Mode    16-bit real mode; far return
 * In      low_block, low_rom
 * Clobbers all but %sp, %ss, %ds
 */
        .code16
        .globl  low_init
low_init:
        pushw   %ds
        pushw   %cs
        popw    %ds
        cli
        movw    %cs, %ax
        movw    %ax, real_segment
        movzwl  %ax, %eax
        shll    $4, %eax
        addl    %eax, low_gdtr + 2
        addl    %eax, low_long_target
        movw    %ax, low_code16 + 2
        shrl    $16, %eax
        movb    %al, low_code16 + 4

        /* To the block, with a flat data segment. */
        movzwl  low_rom, %esi
        shll    $4, %esi
        addl    $rom_core, %esi
        movl    low_block, %edi
        sgdtl   saved_gdtr
        lgdtl   low_gdtr
        movl    %cr0, %eax
        orb     $CR0_PE, %al
        movl    %eax, %cr0
        movw    $DATA_FLAT, %bx
        movw    %bx, %ds
        movw    %bx, %es
        movl    $core_image_size, %ecx
        .byte   0x67, 0xf3, 0xa4        /* rep movsb with 32-bit addresses, which the assembler has no word for */
        movl    $core_bss_size, %ecx
        xorb    %al, %al
        .byte   0x67, 0xf3, 0xaa        /* rep stosb, likewise */
        call    page_tables
        movl    %cr0, %eax
        andb    $~CR0_PE, %al
        movl    %eax, %cr0
        pushw   %cs
        popw    %ds
        lgdtl   saved_gdtr
        pushfw                          /* as an interrupt would */
        pushw   %cs
        pushw   $1f
        jmp     init_entry
1:      popw    %ds
        lretw

/* page_tables: 0-4 GiB one to one, and the block at CORE. %ds flat; %cs has low_block. Clobbers %eax, %ecx, %edi. */
page_tables:
        movl    %cs:low_block, %edi
        addl    $CORE_TABLES, %edi
        leal    0x8000(%edi), %ecx
        xorl    %eax, %eax
1:      movl    %eax, (%edi)
        addl    $4, %edi
        cmpl    %ecx, %edi
        jb      1b
        subl    $0x8000, %edi
        leal    0x1003(%edi), %eax
        movl    %eax, (%edi)
        leal    0x6003(%edi), %eax
        movl    %eax, 511 * 8(%edi)
        leal    0x7003(%edi), %eax
        movl    %eax, 0x6000 + 510 * 8(%edi)
        movl    %cs:low_block, %eax
        orb     $0x83, %al              /* present, writable, 2 MiB */
        movl    %eax, 0x7000(%edi)
        leal    0x2003(%edi), %eax
        xorl    %ecx, %ecx
1:      movl    %eax, 0x1000(%edi, %ecx, 8)
        addl    $0x1000, %eax
        incl    %ecx
        cmpl    $4, %ecx
        jb      1b
        movl    $0x83, %eax
        xorl    %ecx, %ecx
1:      movl    %eax, 0x2000(%edi, %ecx, 8)
        addl    $0x200000, %eax
        incl    %ecx
        cmpl    $2048, %ecx
        jb      1b
        ret

/*
 * The ways in: as interrupt handlers. Each saves the registers where src/rom/entry.rs finds them, in `Frame`, and runs the
 * function of its number.
 */
        .macro  entry name, function
        .globl  \name
\name:
        pushal
        movl    $\function, %edi
        jmp     run
        .endm
        entry   init_entry, {INIT}
        entry   int13_entry, {DISK}
        entry   timer_entry, {TIMER}
        entry   sint_entry, {INTERRUPT}
        entry   question_entry, {QUESTION}

run:    pushw   %ds
        pushw   %es
        pushw   %fs
        pushw   %gs
        cld
        pushw   %cs
        popw    %ds
        movl    low_old_vectors(, %edi, 4), %eax
        movl    %eax, chain
        movl    %esp, saved_stack
        movw    %ss, saved_stack + 4
        movzwl  %sp, %eax
        xorl    %esi, %esi
        movw    %ss, %si
        shll    $4, %esi
        addl    %eax, %esi              /* %esi: linear address of the frame */
        movl    low_block, %ebp

        movl    %cr3, %eax
        movl    %eax, saved_cr3
        movl    %cr4, %eax
        movl    %eax, saved_cr4
        sgdtl   saved_gdtr
        leal    CORE_TABLES(%ebp), %ebx
        enter_long low_gdtr, low_long_target, saved_efer, saved_cr0

        .code64
long_start:
        movl    $DATA_FLAT, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movq    $party_stack_top, %rsp
        leaq    low_options(%rip), %rdx
        movl    %ebp, %ecx
        movq    $party_main, %rax
        call    *%rax                   /* function, frame, options, block */
        movl    %eax, answer(%rip)
        ljmpl   *low_real_target(%rip)

        .code16
real_start:
        movw    $DATA_FLAT, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    $DATA16, %ax            /* a stack pointer of 16 bits */
        movw    %ax, %ss
        leave_long %cs:saved_cr3, %cs:saved_cr4, %cs:saved_cr0, %cs:saved_efer
        .byte   0xea                    /* ljmpw to this segment */
        .word   1f
real_segment:
        .word   0
1:      lgdtl   %cs:saved_gdtr
        lssl    %cs:saved_stack, %esp   /* all of it: the BIOS goes on with 32 bits */
        popw    %gs
        popw    %fs
        popw    %es
        popw    %ds
        cmpl    $0, %cs:answer
        jne     1f
        popal
        iretw
1:      popal
        ljmpw   *%cs:chain

        .balign 16
        .globl  low_record
low_record:                             /* a $VMBS record */
        .skip   {RECORD_LEN}
        .globl  low_end
low_end:
        .set    low_paragraphs, 1 + (low_end - low_options + 8 + 15) / 16

        .section .bss.party_stack, "aw", @nobits
        .balign 16
        .skip   64 * 1024
party_stack_top:
