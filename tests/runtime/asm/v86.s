/*
 * A call from V86 mode, under a monitor such as EMM386's at its smallest: 32-bit protected mode without paging, IOPL 0, all
 * I/O ports allowed. It emulates CLI, STI, PUSHF, POPF, INT and IRET; any other privileged instruction, and any exception,
 * ends the call. Hardware interrupts stay off; what the program sees of IF is virtual_if.
 */
        .section .real, "awx"

        .set    CODE32, 0x28
        .set    TASK, 0x30
        .set    EFLAGS_IF, 1 << 9
        .set    EFLAGS_VM, 1 << 17
        .set    EFLAGS_TAKEN, 0x44dd5   /* by POPF: AC, NT, OF, DF, TF, SF, ZF, AF, PF, CF */
        .set    GENERAL_PROTECTION, 13

        /* What v86_trap has on its stack. */
        .set    FRAME_EDI, 0
        .set    FRAME_ESI, 4
        .set    FRAME_EBP, 8
        .set    FRAME_EBX, 16
        .set    FRAME_EDX, 20
        .set    FRAME_ECX, 24
        .set    FRAME_EAX, 28
        .set    FRAME_VECTOR, 32
        .set    FRAME_EIP, 40
        .set    FRAME_CS, 44
        .set    FRAME_EFLAGS, 48
        .set    FRAME_ESP, 52
        .set    FRAME_SS, 56
        .set    FRAME_ES, 60
        .set    FRAME_DS, 64
        .set    FRAME_FS, 68
        .set    FRAME_GS, 72

        .balign 4
virtual_if:                             /* EFLAGS_IF or 0 */
        .long   0
v86_idtr:
        .word   EXCEPTIONS * 8 - 1
        .long   v86_idt

/* v86_enter: goes on from thunk_real, with segments 0 and interrupts off. */
        .code16
v86_enter:
        lgdtl   our_gdtr
        lidtl   v86_idtr
        movl    %cr0, %eax
        orl     $CR0_PE, %eax
        movl    %eax, %cr0
        ljmpl   $CODE32, $1f

        .code32
1:      movl    $DATA_FLAT, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $v86_stack_top, %esp
        cld
        call    v86_tables
        movzwl  nbp_thunk + {IN_SS}, %edi
        shll    $4, %edi
        movzwl  nbp_thunk + {IN_ESP}, %ebx
        movzwl  nbp_thunk + {IN_ARGUMENTS}, %ecx
1:      decl    %ecx                    /* the last argument first */
        js      2f
        movw    nbp_thunk + {IN_ARGUMENT}(, %ecx, 2), %ax
        call    v86_push
        jmp     1b
2:      movl    nbp_thunk + {IN_EFLAGS}, %edx
        cmpb    $0, nbp_thunk + {IN_INTERRUPT}
        je      3f
        movl    %edx, %eax
        call    v86_push
        andl    $~EFLAGS_IF, %edx       /* INT enters with interrupts off */
3:      movl    %edx, %eax
        andl    $EFLAGS_IF, %eax
        movl    %eax, virtual_if
        xorl    %eax, %eax
        call    v86_push
        movl    $v86_back, %eax
        call    v86_push
        movl    nbp_thunk + {IN_ESP}, %eax
        movw    %bx, %ax
        pushl   nbp_thunk + {IN_GS}
        pushl   nbp_thunk + {IN_FS}
        pushl   nbp_thunk + {IN_DS}
        pushl   nbp_thunk + {IN_ES}
        pushl   nbp_thunk + {IN_SS}
        pushl   %eax
        andl    $EFLAGS_TAKEN, %edx
        orl     $EFLAGS_VM, %edx
        pushl   %edx
        movzwl  nbp_thunk + {IN_TARGET} + 2, %eax
        pushl   %eax
        movzwl  nbp_thunk + {IN_TARGET}, %eax
        pushl   %eax
        movl    nbp_thunk + {IN_EAX}, %eax
        movl    nbp_thunk + {IN_EBX}, %ebx
        movl    nbp_thunk + {IN_ECX}, %ecx
        movl    nbp_thunk + {IN_EDX}, %edx
        movl    nbp_thunk + {IN_ESI}, %esi
        movl    nbp_thunk + {IN_EDI}, %edi
        movl    nbp_thunk + {IN_EBP}, %ebp
        iretl

/* v86_back: where the call returns to. HLT is privileged, so the monitor takes over. */
v86_back:
        hlt

/* v86_push: a word, %ax, on the program's stack: segment base %edi, %bx = SP. Clobbers %esi. */
v86_push:
        subw    $2, %bx
        movzwl  %bx, %esi
        movw    %ax, (%edi, %esi)
        ret

/* v86_pop: the reverse. */
v86_pop:
        movzwl  %bx, %esi
        movw    (%edi, %esi), %ax
        addw    $2, %bx
        ret

/* v86_tables: interrupt gates for the exceptions, the task state and its descriptor. */
v86_tables:
        movl    $v86_stubs, %eax
        movl    $v86_idt, %edi
        movl    $EXCEPTIONS, %ecx
1:      movw    %ax, (%edi)             /* stubs are below 64 KiB */
        movw    $CODE32, 2(%edi)
        movl    $0x8e00, 4(%edi)
        addl    $STUB_SIZE, %eax
        addl    $8, %edi
        decl    %ecx
        jnz     1b
        movl    $v86_stack_top, v86_task + 4
        movw    $DATA_FLAT, v86_task + 8
        movw    $v86_io_map - v86_task, v86_task + 0x66
        movb    $0xff, v86_io_map_end
        movl    $v86_task, %eax
        movw    $v86_io_map_end - v86_task, our_gdt + TASK
        movw    %ax, our_gdt + TASK + 2
        shrl    $16, %eax
        movb    %al, our_gdt + TASK + 4
        movw    $0x0089, our_gdt + TASK + 5    /* present, 32-bit, not busy */
        movb    %ah, our_gdt + TASK + 7
        movw    $TASK, %ax
        ltr     %ax
        ret

        .balign STUB_SIZE
v86_stubs:
        exception_entries pushl, v86_trap

v86_trap:
        pushal
        movl    %esp, %ebp
        movl    $DATA_FLAT, %eax
        movl    %eax, %ds
        movl    %eax, %es
        cld
        testl   $EFLAGS_VM, FRAME_EFLAGS(%ebp)
        jz      v86_trapped
        cmpl    $GENERAL_PROTECTION, FRAME_VECTOR(%ebp)
        jne     v86_trapped
        movzwl  FRAME_SS(%ebp), %edi
        shll    $4, %edi
        movl    FRAME_ESP(%ebp), %ebx
        movzwl  FRAME_CS(%ebp), %edx
        shll    $4, %edx
        movzwl  FRAME_EIP(%ebp), %esi
        addl    %edx, %esi
        cmpl    $v86_back, %esi
        je      v86_over
        xorl    %ecx, %ecx              /* %ecx = 1: 32-bit operands */
1:      lodsb
        cmpb    $0x66, %al
        jne     2f
        movb    $1, %cl
        jmp     1b
2:      subl    %edx, %esi
        movw    %si, %dx                /* IP behind the instruction, as long as it has one byte */
        cmpb    $0xfa, %al
        je      emulate_cli
        cmpb    $0xfb, %al
        je      emulate_sti
        cmpb    $0x9c, %al
        je      emulate_pushf
        cmpb    $0x9d, %al
        je      emulate_popf
        cmpb    $0xcf, %al
        je      emulate_iret
        cmpb    $0xcd, %al
        je      emulate_int

/* v86_trapped: the call ends where it is. */
v86_trapped:
        movl    FRAME_VECTOR(%ebp), %eax
        cmpb    $NON_MASKABLE, %al
        sete    watchdog_bitten
        orl     $0x100, %eax
        movw    %ax, nbp_thunk + {OUT_TRAP}
        movzwl  FRAME_EIP(%ebp), %esi
        movw    %si, nbp_thunk + {OUT_TRAP_AT}
        movzwl  FRAME_CS(%ebp), %eax
        movw    %ax, nbp_thunk + {OUT_TRAP_AT} + 2
        shll    $4, %eax
        movl    (%eax, %esi), %eax
        movl    %eax, nbp_thunk + {OUT_TRAP_CODE}
        jmp     v86_leave

/* hand_out: a register of the trap's frame becomes one of the results. Clobbers %eax. */
        .macro  hand_out from, to, size=l, by=%eax
        mov\size    \from(%ebp), \by
        mov\size    \by, nbp_thunk + \to
        .endm

/* v86_over: the call has returned. */
v86_over:
        movw    $0, nbp_thunk + {OUT_TRAP}
v86_leave:
        hand_out FRAME_EAX, {OUT_EAX}
        hand_out FRAME_EBX, {OUT_EBX}
        hand_out FRAME_ECX, {OUT_ECX}
        hand_out FRAME_EDX, {OUT_EDX}
        hand_out FRAME_ESI, {OUT_ESI}
        hand_out FRAME_EDI, {OUT_EDI}
        hand_out FRAME_EBP, {OUT_EBP}
        hand_out FRAME_ESP, {OUT_ESP}
        hand_out FRAME_DS, {OUT_DS}, w, %ax
        hand_out FRAME_ES, {OUT_ES}, w, %ax
        hand_out FRAME_FS, {OUT_FS}, w, %ax
        hand_out FRAME_GS, {OUT_GS}, w, %ax
        hand_out FRAME_SS, {OUT_SS}, w, %ax
        movl    FRAME_EFLAGS(%ebp), %eax
        andl    $~(EFLAGS_VM | EFLAGS_IF), %eax
        orl     virtual_if, %eax
        movl    %eax, nbp_thunk + {OUT_EFLAGS}
        ljmpl   $CODE16, $v86_to_real

emulate_cli:
        movl    $0, virtual_if
        jmp     emulated
emulate_sti:
        movl    $EFLAGS_IF, virtual_if
        jmp     emulated
emulate_pushf:
        movl    FRAME_EFLAGS(%ebp), %eax
        andl    $~(EFLAGS_VM | EFLAGS_IF), %eax
        orl     virtual_if, %eax
        jecxz   1f
        roll    $16, %eax               /* the upper half first */
        call    v86_push
        roll    $16, %eax
1:      call    v86_push
        jmp     emulated
emulate_popf:
        call    v86_pop_flags
        jmp     emulated
emulate_iret:
        call    v86_pop_word
        movw    %ax, %dx
        call    v86_pop_word
        movw    %ax, FRAME_CS(%ebp)
        call    v86_pop_flags
        jmp     emulated
emulate_int:
        movzwl  FRAME_CS(%ebp), %esi
        shll    $4, %esi
        movzwl  %dx, %eax
        movzbl  (%esi, %eax), %ecx      /* the vector */
        movl    FRAME_EFLAGS(%ebp), %eax
        andl    $~EFLAGS_IF, %eax
        orl     virtual_if, %eax
        call    v86_push
        movw    FRAME_CS(%ebp), %ax
        call    v86_push
        incl    %edx
        movl    %edx, %eax
        call    v86_push
        movl    $0, virtual_if
        movw    (, %ecx, 4), %dx
        movzwl  2(, %ecx, 4), %eax
        movl    %eax, FRAME_CS(%ebp)

/* emulated: %dx = IP, %bx = SP of the program from here on. */
emulated:
        movzwl  %dx, %edx
        movl    %edx, FRAME_EIP(%ebp)
        movw    %bx, FRAME_ESP(%ebp)
        popal
        addl    $8, %esp
        iretl

/* v86_pop_word: what a POP of %ecx's size has in its lower half. */
v86_pop_word:
        call    v86_pop
        jecxz   1f
        addw    $2, %bx
1:      ret

/* v86_pop_flags: POPF of %ecx's size. */
v86_pop_flags:
        movl    FRAME_EFLAGS(%ebp), %eax
        call    v86_pop
        jecxz   1f
        pushl   %eax
        call    v86_pop
        shll    $16, %eax
        movw    (%esp), %ax
        addl    $4, %esp
1:      movl    %eax, %esi
        andl    $EFLAGS_IF, %esi
        movl    %esi, virtual_if
        andl    $EFLAGS_TAKEN, %eax
        orl     $EFLAGS_VM, %eax
        movl    %eax, FRAME_EFLAGS(%ebp)
        ret

/* v86_to_real: 16-bit protected mode, %ebp = the trap's frame; goes on in thunk_judge as after a call in real mode. */
        .code16
v86_to_real:
        movw    $DATA16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    found_cr0, %eax
        movl    %eax, %cr0
        ljmpw   $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movl    $real_stack_top, %esp
        lgdtl   nbp_thunk + {IN_GDTR}
        lidtl   nbp_thunk + {IN_IDTR}
        jmp     thunk_judge

        .section .bss
        .balign 8
v86_idt:
        .skip   32 * 8
v86_task:                               /* 32-bit task state segment */
        .skip   104
v86_io_map:                             /* a clear bit allows a port */
        .skip   8192
v86_io_map_end:
        .skip   8
        .balign 16
        .skip   1024
v86_stack_top:
