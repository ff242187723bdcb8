/*
 * Entry of the boot program, and its end.
 *
 * All of this runs in segment 0: offsets are linear addresses.
 */
        .section .real.header, "awx"
        .code16
        .globl  nbp_start
nbp_start:
        jmp     1f
        .balign 4
/* What the harness may patch in the finished file: src/options.rs. */
        .ascii  "BOOTOPTS"
        .globl  nbp_options
nbp_options:
        .skip   {OPTIONS_LEN}
1:      movl    %eax, %cs:nbp_entry + {ENTRY_EAX}
        pushfl
        popl    %cs:nbp_entry + {ENTRY_EFLAGS}
        cli
        cld
        movl    %ebx, %cs:nbp_entry + {ENTRY_EBX}
        movl    %edx, %cs:nbp_entry + {ENTRY_EDX}
        movl    %esp, %cs:nbp_entry + {ENTRY_ESP}
        movw    %ss, %cs:nbp_entry + {ENTRY_SS}
        movw    %es, %cs:nbp_entry + {ENTRY_ES}
        movw    %ds, %cs:nbp_entry + {ENTRY_DS}
        movl    %cr0, %eax
        movl    %eax, %cs:nbp_entry + {ENTRY_CR0}
        movw    %sp, %bp
        movl    (%bp), %eax             /* far return address */
        movl    %eax, %cs:nbp_entry + {ENTRY_RETURN}
        movl    4(%bp), %eax            /* far pointer to !PXE */
        movl    %eax, %cs:nbp_entry + {ENTRY_BANG_PXE}
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $real_stack_top, %esp
        inb     $0x21, %al
        movb    %al, nbp_entry + {ENTRY_PIC}
        inb     $0xa1, %al
        movb    %al, nbp_entry + {ENTRY_PIC} + 1
        call    build_page_tables
        movl    %cr3, %eax
        movl    %eax, found_cr3
        movl    %cr4, %eax
        movl    %eax, found_cr4
        movl    %cr0, %eax
        movl    %eax, found_cr0
        sgdtl   nbp_thunk + {IN_GDTR}
        sidtl   nbp_thunk + {IN_IDTR}
        movw    $nbp_over, after_long
        jmp     to_long

/* nbp_over: nbp_main has returned; %ax is the verdict for the stack. */
nbp_over:
        movw    nbp_thunk + {OUT_EAX}, %ax
        movw    nbp_entry + {ENTRY_SS}, %ss
        movl    nbp_entry + {ENTRY_ESP}, %esp
        sti
        lretw

/* build_page_tables: one PML4, one PDPT and four page directories for 0-4 GiB, in pages of 2 MiB; clears .bss as well. */
build_page_tables:
        pushw   %es
        movl    $bss_start, %edi
        movl    $bss_end, %ecx
        subl    %edi, %ecx
        shrl    $4, %ecx                /* paragraphs; .bss is a multiple of one and starts on one */
        movl    %edi, %eax
        shrl    $4, %eax
1:      movw    %ax, %es
        movl    $0, %es:0
        movl    $0, %es:4
        movl    $0, %es:8
        movl    $0, %es:12
        incw    %ax
        decl    %ecx
        jnz     1b
        movl    $page_tables, %eax
        shrl    $4, %eax
        movw    %ax, %es
        movl    $page_tables + 0x1003, %es:0
        movl    $page_tables + 0x2003, %eax
        movw    $0x1000, %di
        movw    $4, %cx
1:      movl    %eax, %es:(%di)
        addl    $0x1000, %eax
        addw    $8, %di
        loop    1b
        movl    $0x83, %eax             /* present, writable, 2 MiB */
        movw    $0x2000, %di
        movw    $2048, %cx
1:      movl    %eax, %es:(%di)
        addl    $0x200000, %eax
        addw    $8, %di
        loop    1b
        popw    %es
        ret

        .balign 8
        .globl  nbp_entry
nbp_entry:
        .skip   {ENTRY_SIZE}

        .section .bss
        .balign 4096
page_tables:
        .skip   6 * 4096
        .balign 16
        .skip   32 * 1024
long_stack_top:
