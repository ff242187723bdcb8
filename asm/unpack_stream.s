/*
 * unpack: unpacks the core. The packed stream is described in tools/romtool/src/packer; this is the same model, bit for bit:
 * change one with the other. romtool checks that the tables at the end are equal.
 *
 * Mode    32-bit, %cs = the ROM, data segments flat
 * In      %esi = packed stream, %edx = the ROM, %edi = the block: the image goes to its beginning, the working memory lies behind the image
 * Clobbers all registers but %esp
 * Stack   under 100 bytes
 */
        .section .init.spent, "awx"
        .code32

        .set    CONTEXTS, 6
        .set    SLOTS, 0x78001
        .set    MULTIPLIER, 0x2f0b4c47
        .set    STRIDE, 5               /* slots from one node to the next */
        .set    FIRST_WEIGHT, 0x14000
        .set    RATE, 5
        .set    RATE_SHIFT, 13
        .set    SMALL_ERROR_BITS, 10
        .set    MAX_COUNT, 7
        .set    LOGISTIC_BITS, 6
        .set    HALF, 64 << LOGISTIC_BITS
        .set    WEIGHT_BITS, 31 - 6 - LOGISTIC_BITS
        .set    FIRST_LOGISTIC, -1199
        .set    ZERO_RUN, 32
        .set    ZEROS_SHIFT, 5

/* Offsets in the working memory, which starts as zero. What is known of instructions: */
        .set    BYTES, 0                /* the last four bytes, newest first */
        .set    OPCODES, 4              /* the last four opcodes, likewise */
        .set    MODRMS, 8               /* and their ModRM bytes */
        .set    PHASE, 12               /* what the next byte is */
        .set    PREFIXES, 13
        .set    SIB, 14
        .set    IMMEDIATE, 15           /* phase to come */
        .set    DISPLACEMENT, 16        /* phase to come */
/* The coder: */
        .set    RANGE, 20
        .set    VALUE, 24
        .set    PACKED, 28              /* where to read on */
/* The model: */
        .set    ZEROS_SEEN, 32
        .set    NODE, 36                /* the bits of this byte so far, behind a 1 */
        .set    GOAL, 40                /* what makes of a slot's word how far it is from all or nothing */
        .set    ROM, 44                 /* its linear address; not read through %cs, whose base QEMU's TCG leaves out here */
        .set    SLOT_COUNT, 48
        .set    NODE_OFFSET, 52         /* of its slot from the first node's */
        .set    ERROR, 56               /* of the guess, times the rate */
        .set    FOUND, 60
        .set    INPUTS, FOUND + 4 * CONTEXTS
        .set    TREES, INPUTS + 4 * CONTEXTS            /* of each context: address of its slot of node 0, check byte */
        .set    SHARES, TREES + 8 * CONTEXTS            /* by count: how far a slot moves */
        .set    STRETCH, SHARES + 4 * (MAX_COUNT + 1)                /* words, by a slot's word */
        .set    SQUASH, STRETCH + 2 * 0x10000              /* words, by logistic probability + HALF */
        .set    SLOT, 3                 /* check byte; probability less a half, in 1/4096, above a count of four bits */
        .set    SLOT_TABLE, SQUASH + 4 * HALF
        .set    WEIGHTS, (SLOT_TABLE + SLOT * (SLOTS + 0xff * STRIDE + 1) + 3) & ~3
        .set    PHASES, 0x2b
        .set    OPCODE_WEIGHTS, WEIGHTS + 4 * CONTEXTS * 8 * PHASES
        .set    WEIGHTS_END, OPCODE_WEIGHTS + 4 * CONTEXTS * 256
        .globl  unpack_memory
        .set    unpack_memory, WEIGHTS_END

/* What the next byte is; operands count down, each to where the lower three bits are 0. */
        .set    PHASE_START, 0
        .set    PHASE_PREFIXED, 1
        .set    PHASE_TWO_BYTE, 2
        .set    PHASE_MODRM, 3
        .set    PHASE_SIB, 4
        .set    PHASE_DISPLACEMENT_8, 0x09
        .set    PHASE_DISPLACEMENT_32, 0x14
        .set    PHASE_IMMEDIATE_8, 0x19
        .set    PHASE_IMMEDIATE_32, 0x24
        .set    PHASE_BRANCH_ENDS, 0x21 /* the last byte of these 32 bits */
        .set    PHASE_IMMEDIATE_64, 0x28
        .set    PHASE_IMMEDIATE_16, 0x2a

/* Classes of opcodes. */
        .set    MODRM, 1
        .set    IMM8, 2
        .set    IMM32, 4
        .set    PREFIX, 6

        .set    TWO_BYTE, 0xc0          /* tells opcodes behind 0F from others */
        .set    OPERAND_SIZE, 0x20
        .set    REX_W, 0x08

unpack:
        pushl   %edi
        leal    core_image_size(%edi), %edi
        movl    %edi, %ebp              /* %ebp = end of the image, working memory */
        xorl    %eax, %eax
        movl    $WEIGHTS / 4, %ecx
        rep stosl
        movl    $FIRST_WEIGHT, %eax
        movl    $(WEIGHTS_END - WEIGHTS) / 4, %ecx
        rep stosl

        lodsl
        bswapl  %eax
        movl    %eax, VALUE(%ebp)
        orl     $-1, RANGE(%ebp)
        movl    %esi, PACKED(%ebp)
        movl    %edx, ROM(%ebp)

        movl    $SLOTS, SLOT_COUNT(%ebp)
        movl    $MAX_COUNT + 1, %ecx
1:      leal    2(%ecx,%ecx,2), %ebx
        xorl    %edx, %edx
        movl    $0x20000, %eax
        divl    %ebx
        movl    %eax, SHARES - 4(%ebp,%ecx,4)
        loop    1b

        /* The logistic function, by Euler's method: %ebx = p, %ecx = x, %esi entries of STRETCH are known. */
        xorl    %esi, %esi
        leal    2(%esi), %ebx
        movl    $FIRST_LOGISTIC, %ecx
1:      movl    %ebx, %eax
        shrl    $16, %eax
        movw    %ax, SQUASH + 2 * HALF(%ebp,%ecx,2)
2:      cmpl    %eax, %esi
        ja      3f
        movw    %cx, STRETCH(%ebp,%esi,2)
        incl    %esi
        jmp     2b
3:      movl    %ebx, %eax
        negl    %eax
        mull    %ebx
        addl    $(1 << LOGISTIC_BITS) - 1, %edx
        shrl    $LOGISTIC_BITS, %edx
        addl    %edx, %ebx
        incl    %ecx
        cmpl    $HALF, %ecx
        jl      1b

        movl    (%esp), %edi
.Lunpack_byte:
        call    unpack_symbol
        stosb
        cmpb    $PHASE_BRANCH_ENDS, PHASE(%ebp)
        jne     4f
        movb    OPCODES(%ebp), %cl
        movb    %cl, %ch
        andb    $0xfe, %cl
        cmpb    $0xe8, %cl              /* call, jmp */
        je      3f
        andb    $0xf0, %ch
        cmpb    $0x80 ^ TWO_BYTE, %ch   /* jcc */
        jne     4f
3:      movl    -4(%edi), %edx          /* get back the displacement, which is an absolute target, and big-endian */
        bswapl  %edx
        subl    %edi, %edx
        addl    (%esp), %edx
        movl    %edx, -4(%edi)
4:      pushl   %eax
        call    unpack_step
        popl    %eax
        incl    ZEROS_SEEN(%ebp)
        testb   %al, %al
        jz      1f
        andl    $0, ZEROS_SEEN(%ebp)
1:      cmpb    $ZERO_RUN, ZEROS_SEEN(%ebp)
        jne     2f
        andl    $0, ZEROS_SEEN(%ebp)
        call    unpack_symbol
        shll    $ZEROS_SHIFT, %eax
        movl    %ebp, %ecx
        subl    %edi, %ecx
        cmpl    %ecx, %eax
        cmovbl  %eax, %ecx              /* not past the image, even if the stream is damaged */
        xorl    %eax, %eax
        rep stosb
2:      cmpl    %ebp, %edi
        jb      .Lunpack_byte

        popl    %edi
        ret

/*
 * unpack_symbol: decodes a byte.
 * Out     %eax = it
 * Keeps   %edi, %ebp; clobbers all other registers
 */
unpack_symbol:
        pushl   %edi
        movl    $unpack_contexts, %ebx
        addl    ROM(%ebp), %ebx
        xorl    %ecx, %ecx
1:      movl    %ecx, %edx
2:      movzbl  (%ebx), %eax
        incl    %ebx
        movzbl  -1(%ebp,%eax), %eax
        leal    1(%eax,%edx), %edx
        imull   $MULTIPLIER, %edx
        cmpb    $0, (%ebx)
        jne     2b
        incl    %ebx
        movl    %edx, %eax
        mull    SLOT_COUNT(%ebp)
        leal    (%edx,%edx,SLOT - 1), %edx
        leal    SLOT_TABLE(%ebp,%edx), %edx
        movl    %edx, TREES(%ebp,%ecx,8)
        movb    %al, TREES + 4(%ebp,%ecx,8)
        incl    %ecx
        cmpl    $CONTEXTS, %ecx
        jb      1b
        movzbl  PHASE(%ebp), %eax
        imull   $8 * 4 * CONTEXTS, %eax
        leal    WEIGHTS(%ebp,%eax), %esi
        movzbl  OPCODES(%ebp), %eax
        imull   $4 * CONTEXTS, %eax
        leal    OPCODE_WEIGHTS(%ebp,%eax), %edi
        xorl    %eax, %eax
        incl    %eax
        movl    %eax, NODE(%ebp)

.Lunpack_bit:
        imull   $SLOT * STRIDE, NODE(%ebp), %eax
        movl    %eax, NODE_OFFSET(%ebp)
        xorl    %ebx, %ebx              /* %ebx = sum of the weighted inputs */
        movl    $CONTEXTS, %ecx
4:      movl    TREES - 8(%ebp,%ecx,8), %edx
        addl    NODE_OFFSET(%ebp), %edx
        movb    TREES - 4(%ebp,%ecx,8), %al
        cmpb    %al, (%edx)
        je      6f
        addl    $SLOT, %edx
        cmpb    %al, (%edx)
        je      6f
        pushl   %eax
        movb    1 - SLOT(%edx), %al     /* neither is ours: take the one with the lower count */
        movb    1(%edx), %ah
        andl    $0x0f0f, %eax
        cmpb    %al, %ah
        popl    %eax
        jb      5f
        subl    $SLOT, %edx
5:      movb    %al, (%edx)
        movw    $0, 1(%edx)
        movl    %edx, FOUND - 4(%ebp,%ecx,4)
        andl    $0, INPUTS - 4(%ebp,%ecx,4)     /* it knows nothing yet */
        jmp     7f
6:      movl    %edx, FOUND - 4(%ebp,%ecx,4)
        movswl  1(%edx), %eax
        movswl  STRETCH + 0x10000(%ebp,%eax,2), %eax
        movl    %eax, INPUTS - 4(%ebp,%ecx,4)
        movl    -4(%esi,%ecx,4), %edx
        addl    -4(%edi,%ecx,4), %edx
        imull   %edx, %eax
        addl    %eax, %ebx
7:      loop    4b

        sarl    $WEIGHT_BITS, %ebx
        movzwl  SQUASH + 2 * HALF(%ebp,%ebx,2), %ebx
        orb     $1, %bl                 /* %ebx = probability of a set bit */
        movl    RANGE(%ebp), %eax
        movl    %eax, %ecx
        mull    %ebx
        shrdl   $16, %edx, %eax         /* %eax = its part of the range */
        subl    %eax, %ecx              /* %ecx = the rest */
        cmpl    %eax, VALUE(%ebp)
        sbbl    %edx, %edx              /* %edx = -bit */
        jb      7f
        subl    %eax, VALUE(%ebp)
        movl    %ecx, %eax
7:      movl    %eax, RANGE(%ebp)
8:      cmpb    $0, RANGE + 3(%ebp)
        jne     9f
        shll    $8, RANGE(%ebp)
        shll    $8, VALUE(%ebp)
        movl    PACKED(%ebp), %eax
        movb    (%eax), %al
        movb    %al, VALUE(%ebp)
        incl    PACKED(%ebp)
        jmp     8b
9:      shll    NODE(%ebp)
        subl    %edx, NODE(%ebp)

        shll    $16, %edx
        leal    (%ebx,%edx), %eax       /* = -error */
        leal    1 << SMALL_ERROR_BITS(%eax), %ecx
        shrl    $SMALL_ERROR_BITS + 1, %ecx
        jz      11f                     /* a good guess: nothing to learn */
        imull   $-RATE, %eax, %eax
        movl    %eax, ERROR(%ebp)
        xorl    $~0x8000, %edx
        movl    %edx, GOAL(%ebp)
        movl    $CONTEXTS, %ecx
10:     movl    INPUTS - 4(%ebp,%ecx,4), %eax
        imull   ERROR(%ebp), %eax
        sarl    $RATE_SHIFT, %eax
        addl    %eax, -4(%esi,%ecx,4)
        addl    %eax, -4(%edi,%ecx,4)
        movl    FOUND - 4(%ebp,%ecx,4), %ebx
        movzwl  1(%ebx), %eax
        movl    %eax, %edx
        andl    $15, %edx               /* %edx = count */
        xorl    GOAL(%ebp), %eax        /* = how far it is */
        imull   SHARES(%ebp,%edx,4), %eax
        sarl    $15, %eax
        addl    1(%ebx), %eax
        andb    $0xf0, %al
        cmpb    $MAX_COUNT, %dl
        adcb    %dl, %al
        movw    %ax, 1(%ebx)
        loop    10b
11:
        addl    $4 * CONTEXTS, %esi
        testb   $1, NODE + 1(%ebp)
        jz      .Lunpack_bit
        movzbl  NODE(%ebp), %eax
        popl    %edi
        ret

/*
 * unpack_step: follows x86-64 instructions byte by byte (tools/romtool/src/packer/instructions.rs).
 * In      %eax = a byte
 * Clobbers %eax, %ebx, %ecx, %edx
 */
unpack_step:
        shll    $8, BYTES(%ebp)
        movb    %al, BYTES(%ebp)
        movl    %eax, %edx
        movb    PHASE(%ebp), %cl
        cmpb    $PHASE_MODRM, %cl
        je      .Lstep_modrm
        ja      .Lstep_sib
        cmpb    $PHASE_TWO_BYTE, %cl
        je      .Lstep_two_byte
        cmpb    $0x0f, %al
        je      .Lstep_escape
        cmpb    $0x40, %al
        jae     1f
        andb    $7, %al
        jmp     2f
.Lstep_escape:
        movb    $PHASE_TWO_BYTE, PHASE(%ebp)
        ret
.Lstep_two_byte:
        xorb    $TWO_BYTE, %dl
        incb    %ah
1:      subl    $0x38, %eax
2:      movl    $unpack_classes, %ebx
        addl    ROM(%ebp), %ebx
3:      movzbl  (%ebx), %ecx
        incl    %ebx
        pushl   %ecx
        shrl    $3, %ecx
        subl    %ecx, %eax
        popl    %ecx
        jae     3b
        andb    $7, %cl
        cmpb    $PREFIX, %cl
        jne     4f
        orb     %dl, PREFIXES(%ebp)
        movb    $PHASE_PREFIXED, PHASE(%ebp)
        ret
4:      shll    $8, OPCODES(%ebp)
        movb    %dl, OPCODES(%ebp)
        shll    $8, MODRMS(%ebp)
        xorl    %eax, %eax
        testb   $IMM8, %cl
        jz      5f
        movb    $PHASE_IMMEDIATE_8, %al
5:      testb   $IMM32, %cl
        jz      6f
        movb    $PHASE_IMMEDIATE_16, %al
        testb   $OPERAND_SIZE, PREFIXES(%ebp)
        jnz     6f
        movb    $PHASE_IMMEDIATE_32, %al
        testb   $REX_W, PREFIXES(%ebp)
        jz      6f
        andb    $0xf8, %dl
        cmpb    $0xb8, %dl
        jne     6f
        movb    $PHASE_IMMEDIATE_64, %al
6:      movb    %al, IMMEDIATE(%ebp)
        testb   $MODRM, %cl
        jz      .Lstep_operand_ends
        movb    $PHASE_MODRM, PHASE(%ebp)
        ret

.Lstep_modrm:
        movb    %al, MODRMS(%ebp)
        movb    OPCODES(%ebp), %cl
        andb    $0xfe, %cl
        cmpb    $0xf6, %cl
        jne     1f
        testb   $0x30, %al
        jz      1f
        movb    $0, IMMEDIATE(%ebp)     /* of F6 and F7, only the first two operations have one */
1:      cmpb    $0xc0, %al
        jae     .Lstep_operand_ends
        movb    %al, %ah
        andb    $7, %ah
        movb    $PHASE_DISPLACEMENT_32, %cl
        cmpb    $0x80, %al
        jae     2f
        movb    $PHASE_DISPLACEMENT_8, %cl
        cmpb    $0x40, %al
        jae     2f
        movb    $PHASE_DISPLACEMENT_32, %cl
        cmpb    $5, %ah
        je      2f
        movb    $0, %cl
2:      cmpb    $4, %ah
        jne     .Lstep_displacement
        movb    $PHASE_SIB, PHASE(%ebp)
        movb    %cl, DISPLACEMENT(%ebp)
        ret

.Lstep_sib:
        cmpb    $PHASE_SIB, %cl
        jne     .Lstep_operand
        movb    %al, SIB(%ebp)
        movb    DISPLACEMENT(%ebp), %cl
        cmpb    $0x40, MODRMS(%ebp)
        jae     .Lstep_displacement
        andb    $7, %al
        cmpb    $5, %al
        jne     .Lstep_displacement
        movb    $PHASE_DISPLACEMENT_32, %cl
.Lstep_displacement:
        movb    %cl, PHASE(%ebp)
        testb   %cl, %cl
        jmp     1f
.Lstep_operand:
        decb    PHASE(%ebp)
        testb   $7, PHASE(%ebp)
1:      jnz     2f
.Lstep_operand_ends:
        xorl    %eax, %eax
        xchgb   %al, IMMEDIATE(%ebp)
        movb    %al, PHASE(%ebp)
        testb   %al, %al
        jnz     2f
        movl    %eax, PHASE(%ebp)       /* prefixes and SIB byte, too */
2:      ret

unpack_tables:
/* The contexts: offsets of bytes that each looks at, plus 1; 0 ends one. */
unpack_contexts:
        .byte   1 + PHASE, 0
        .byte   1 + BYTES, 1 + PHASE, 0
        .byte   1 + BYTES, 1 + BYTES + 1, 1 + SIB, 0
        .byte   1 + BYTES + 1, 1 + BYTES + 2, 1 + OPCODES, 1 + PHASE, 0
        .byte   1 + OPCODES, 1 + PHASE, 1 + PREFIXES, 1 + SIB, 0
        .byte   1 + OPCODES, 1 + OPCODES + 1, 1 + MODRMS, 1 + MODRMS + 1, 1 + PHASE, 0

/* Classes of opcodes in runs: first those of 00-07, which stand for 00-3F; then 40-FF; then those behind 0F. */
unpack_classes:
        .macro  class_run class, length
        .byte   (\length) << 3 | (\class)
        .endm
        class_run MODRM, 4
        class_run IMM8, 1
        class_run IMM32, 1
        class_run 0, 2
        class_run PREFIX, 16 /* 40: REX */
        class_run 0, 19 /* 50: push, pop */
        class_run MODRM, 1 /* 63: movsxd */
        class_run 0, 2
        class_run PREFIX, 1 /* 66: operand size */
        class_run 0, 1
        class_run IMM32, 1 /* 68: push */
        class_run MODRM|IMM32, 1 /* 69: imul */
        class_run IMM8, 1 /* 6A: push */
        class_run MODRM|IMM8, 1 /* 6B: imul */
        class_run 0, 4
        class_run IMM8, 16 /* 70: jcc */
        class_run MODRM|IMM8, 1 /* 80 */
        class_run MODRM|IMM32, 1 /* 81 */
        class_run MODRM|IMM8, 2 /* 82, 83 */
        class_run MODRM, 12 /* 84: test, xchg, mov, lea, pop */
        class_run 0, 24 /* 90: nop and single bytes */
        class_run IMM8, 1 /* A8: test */
        class_run IMM32, 1 /* A9 */
        class_run 0, 6
        class_run IMM8, 8 /* B0: mov */
        class_run IMM32, 8 /* B8 */
        class_run MODRM|IMM8, 2 /* C0: shifts */
        class_run 0, 4
        class_run MODRM|IMM8, 1 /* C6: mov */
        class_run MODRM|IMM32, 1 /* C7 */
        class_run 0, 8
        class_run MODRM, 4 /* D0: shifts */
        class_run 0, 20
        class_run IMM32, 2 /* E8: call, jmp */
        class_run 0, 1
        class_run IMM8, 1 /* EB: jmp */
        class_run 0, 4
        class_run PREFIX, 4 /* F0: lock, rep */
        class_run 0, 2
        class_run MODRM|IMM8, 1 /* F6: test and others without operand */
        class_run MODRM|IMM32, 1 /* F7 */
        class_run 0, 6
        class_run MODRM, 2 /* FE: inc, dec, call, push */
        class_run 0, 16 /* 0F 00 */
        class_run MODRM, 31 /* 0F 10 */
        class_run MODRM, 1
        class_run 0, 16 /* 0F 30: wrmsr, rdmsr */
        class_run MODRM, 31 /* 0F 40: cmov */
        class_run MODRM, 31
        class_run MODRM, 2
        class_run IMM32, 16 /* 0F 80: jcc */
        class_run MODRM, 16 /* 0F 90: setcc */
        class_run 0, 3 /* 0F A0: cpuid */
        class_run MODRM, 1
        class_run MODRM|IMM8, 1 /* 0F A4: shld */
        class_run MODRM, 7
        class_run MODRM|IMM8, 1 /* 0F AC: shrd */
        class_run MODRM, 13
        class_run MODRM|IMM8, 1 /* 0F BA: bt */
        class_run MODRM, 13
        class_run 0, 8 /* 0F C8: bswap */
        class_run MODRM, 31
        class_run MODRM, 17
unpack_tables_end:
