/*
 * hvpxe.0: the ROM as a boot program of another PXE ROM (the parent). Looks for a synthetic card; when there is none, goes
 * back to the parent as if nothing had been. Else unloads the parent, and boots from that card.
 */
        .section .nbp, "awx"
        .code16

        .set    NBP_STACK, 2048         /* ours, in bytes, behind the image */
        .set    NBP_SAVED, 2 + 8 * 4 + 4 * 2    /* bytes saved on the parent's stack: flags, pushal, segments */

        .set    PXENV_UNDI_CLEANUP, 0x02
        .set    PXENV_UNDI_SHUTDOWN, 0x05
        .set    PXENV_STOP_UNDI, 0x15
        .set    PXENV_UNLOAD_STACK, 0x70

/* Fields of !PXE and PXENV+ (PXE 2.1, "!PXE Structure", "PXENV+ Structure"). */
        .set    BANG_SIGNATURE, 0x45585021      /* "!PXE" */
        .set    BANG_LENGTH, 0x04
        .set    BANG_ENTRY_SP, 0x10
        .set    BANG_UNDI_DATA, 0x28    /* segment descriptors: segment word, physical address dword, size word */
        .set    BANG_UNDI_CODE, 0x30
        .set    DESCRIPTOR_SIZE, 6
        .set    BANG_MIN_LENGTH, 0x38
        .set    PXENV_SIGNATURE, 0x4e455850     /* "PXEN", then "V+" */
        .set    PXENV_SIGNATURE_END, 0x2b56
        .set    PXENV_VERSION, 0x06
        .set    PXENV_LENGTH, 0x08
        .set    PXENV_RM_ENTRY, 0x0a
        .set    PXENV_UNDI_DATA, 0x20   /* segment word, size word */
        .set    PXENV_UNDI_CODE, 0x24
        .set    PXENV_MIN_LENGTH, 0x28

/*
 * nbp_start: the boot program's entry (PXE 2.1, "NBP execution environment").
 * Mode    16-bit real mode, at 0000:7C00 by whatever segment
 * In      %es:%bx -> PXENV+, 4(%sp) = far pointer to !PXE
 * Out     by far return to the parent: %ax = 0, all else as found. Not once the parent has been unloaded
 * Stack   50 bytes of the parent's
 */
nbp_start:
        ljmpw   $0, $1f
1:      pushfw
        pushal
        pushw   %ds
        pushw   %es
        pushw   %fs
        pushw   %gs
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %sp, %bp
        movl    NBP_SAVED + 4(%bp), %eax
        movl    %eax, parent_bang_pxe
        movw    %bx, parent_pxenv
        movw    %es, parent_pxenv + 2
        movl    %esp, parent_esp
        movw    %ss, parent_ss
        movw    BDA_SEGMENT * 16 + BDA_BASE_MEMORY, %ax
        movw    %ax, parent_base_memory

        movzbw  nbp_image + (rom_blocks - rom_start), %ax
        shlw    $5, %ax                 /* blocks to paragraphs */
        addw    $nbp_image_segment, %ax
        movw    %ax, %ss
        movl    $NBP_STACK, %esp
        leaw    NBP_STACK / 16, %bx
        addw    %ax, %bx                /* memory for the probe */
        lcallw  $nbp_image_segment, $media_prepare
        jc      nbp_return
        lcallw  $nbp_image_segment, $media_probe
        testw   %ax, %ax
        jz      nbp_return
        call    parent_unload
        movw    $nbp_image_segment, %ax
        movw    %ax, %es
        movw    $1, %es:rom_one_way
        lcallw  $nbp_image_segment, $rom_bev
        int     $0x18                   /* not reached: media_prepare was content with settings and memory */
nbp_return:
        movw    parent_ss, %ss
        movl    parent_esp, %esp
        popw    %gs
        popw    %fs
        popw    %es
        popw    %ds
        popal
        popfw
        xorw    %ax, %ax                /* PXENV_STATUS_SUCCESS: remove all, go on with the next device */
        lretw

/*
 * parent_unload: shuts the parent down and gives its memory back, as far as that is safe. Where one step fails, the rest
 * is left out and the parent keeps its memory: its hooks or its card may still need it.
 * A stack below the parent (iPXE's undionly runs on that of the card's ROM) keeps its memory and its structures: undionly has
 * unloaded half of it, and iPXE's ROM then refuses UNDI_SHUTDOWN.
 * Mode    16-bit real mode, %ds = 0
 * Clobbers all registers but %ds, %ss:%esp
 */
parent_unload:
        call    parent_find
        jc      .Lunload_done
        movw    $PXENV_UNDI_SHUTDOWN, %bx
        call    parent_call
        jnz     .Lunload_done
        movw    $PXENV_UNLOAD_STACK, %bx
        call    parent_call
        jnz     .Lunload_done
        movw    parent_stop_opcode, %bx
        call    parent_call
        jnz     .Lunload_done
        call    parent_free_memory
        lesw    parent_pxenv, %bx       /* whoever looks for a PXE stack later must not find this one */
        call    forget_pxenv
        lesw    parent_bang_pxe, %bx
        cmpl    $BANG_SIGNATURE, %es:(%bx)
        jne     .Lunload_done
        movl    $0, %es:(%bx)
.Lunload_done:
        ret

/* forget_pxenv: destroys the signature of the PXENV+ structure at %es:%bx, if it is one. */
forget_pxenv:
        cmpl    $PXENV_SIGNATURE, %es:(%bx)
        jne     1f
        movl    $0, %es:(%bx)
1:      ret

/*
 * parent_find: finds the parent's entry and what it holds of base memory: !PXE if that is right, else PXENV+.
 * Mode    16-bit real mode, %ds = 0
 * Out     CF clear: parent_entry, parent_stop_opcode, parent_low and parent_high are set. CF set: there is no parent
 * Clobbers %eax, %ebx, %ecx, %edx, %si, %di, %es
 */
parent_find:
        lesw    parent_bang_pxe, %bx
        cmpl    $BANG_SIGNATURE, %es:(%bx)
        jne     .Lfind_pxenv
        movzbw  %es:BANG_LENGTH(%bx), %cx
        cmpw    $BANG_MIN_LENGTH, %cx
        jb      .Lfind_pxenv
        call    sum_bytes
        jnz     .Lfind_pxenv
        movw    $PXENV_STOP_UNDI, parent_stop_opcode
        movl    %es:BANG_ENTRY_SP(%bx), %eax
        movw    %es:BANG_UNDI_DATA(%bx), %cx
        movw    %es:BANG_UNDI_DATA + DESCRIPTOR_SIZE(%bx), %dx
        movw    %es:BANG_UNDI_CODE(%bx), %si
        movw    %es:BANG_UNDI_CODE + DESCRIPTOR_SIZE(%bx), %di
        jmp     .Lfind_found
.Lfind_pxenv:
        lesw    parent_pxenv, %bx
        cmpl    $PXENV_SIGNATURE, %es:(%bx)
        jne     .Lfind_none
        cmpw    $PXENV_SIGNATURE_END, %es:4(%bx)
        jne     .Lfind_none
        movzbw  %es:PXENV_LENGTH(%bx), %cx
        cmpw    $PXENV_MIN_LENGTH, %cx
        jb      .Lfind_none
        call    sum_bytes
        jnz     .Lfind_none
        movw    $PXENV_STOP_UNDI, parent_stop_opcode
        cmpw    $0x0200, %es:PXENV_VERSION(%bx)
        jae     1f
        movw    $PXENV_UNDI_CLEANUP, parent_stop_opcode /* before 2.0 there is no other end */
1:      movl    %es:PXENV_RM_ENTRY(%bx), %eax
        movw    %es:PXENV_UNDI_DATA(%bx), %cx
        movw    %es:PXENV_UNDI_DATA + 2(%bx), %dx
        movw    %es:PXENV_UNDI_CODE(%bx), %si
        movw    %es:PXENV_UNDI_CODE + 2(%bx), %di
.Lfind_found:
        movl    %eax, parent_entry
        movw    %cx, %ax
        cmpw    %si, %cx
        jbe     1f
        movw    %si, %ax
1:      shrw    $6, %ax
        movw    %ax, parent_low
        call    end_in_kib
        movw    %ax, parent_high
        movw    %si, %cx
        movw    %di, %dx
        call    end_in_kib
        cmpw    parent_high, %ax
        jbe     1f
        movw    %ax, parent_high
1:      clc
        ret
.Lfind_none:
        stc
        ret

/* sum_bytes: ZF set when the %cx bytes at %es:%bx sum to 0. Clobbers %al, %cx, %si. */
sum_bytes:
        movw    %bx, %si
        xorb    %al, %al
1:      addb    %es:(%si), %al
        incw    %si
        loop    1b
        testb   %al, %al
        ret

/* end_in_kib: the end of the segment %cx with %dx bytes, in KiB, rounded up, in %ax. Clobbers %ecx, %edx. */
end_in_kib:
        movzwl  %cx, %ecx
        movzwl  %dx, %edx
        shll    $4, %ecx
        leal    1023(%ecx,%edx), %ecx
        shrl    $10, %ecx
        movw    %cx, %ax
        ret

/*
 * parent_call: calls the parent. The arguments go by stack and by registers, so that either kind of entry takes them.
 * Mode    16-bit real mode, %ds = 0
 * In      %bx = opcode; its parameter block is a status and reserved bytes, all zero
 * Out     ZF set: %ax and the status are 0
 * Clobbers %ax, %cx, %di, %es
 */
parent_call:
        xorw    %ax, %ax
        movw    %ax, %es
        movw    $parent_block, %di
        movw    $PARENT_BLOCK_SIZE / 2, %cx
        rep stosw
        movw    $parent_block, %di
        pushw   %es
        pushw   %di
        pushw   %bx
        lcallw  *parent_entry
        addw    $6, %sp
        cld
        orw     parent_block, %ax
        ret

/*
 * parent_free_memory: gives the parent's base memory back to the BIOS, by the rule of SYSLINUX and the rules of iPXE: what
 * the UNDI segments cover, and what lies below them down to the present end of base memory; only if nobody took
 * memory since we came, and no interrupt leads there any more.
 * Mode    16-bit real mode, %ds = 0; the parent has said that it is unloaded
 * Clobbers %eax, %ecx, %edx, %si
 */
parent_free_memory:
        movw    BDA_SEGMENT * 16 + BDA_BASE_MEMORY, %ax
        cmpw    parent_base_memory, %ax
        jne     2f
        cmpw    %ax, parent_low
        jb      2f                      /* the parent is not in the memory that was taken from the BIOS */
        movw    parent_high, %dx
        cmpw    %ax, %dx
        jbe     2f
        cmpw    $640, %dx
        ja      2f
        movw    $parent_vectors, %si
        movw    $PARENT_VECTORS, %cx
1:      pushw   %cx
        pushw   %ax
        lodsw
        pushw   %si
        movw    %ax, %si
        movzwl  (%si), %eax
        movzwl  2(%si), %ecx
        shll    $4, %ecx
        addl    %eax, %ecx
        shrl    $10, %ecx               /* KiB at which the handler is */
        popw    %si
        popw    %ax
        cmpw    %ax, %cx
        jb      3f
        cmpw    %dx, %cx
        jb      4f
3:      popw    %cx
        loop    1b
        movw    %dx, BDA_SEGMENT * 16 + BDA_BASE_MEMORY
2:      ret
4:      popw    %cx
        ret

parent_vectors:                         /* interrupts that PXE stacks hook */
        .word   0x13 * 4, 0x15 * 4, 0x18 * 4, 0x19 * 4, 0x1a * 4
        .set    PARENT_VECTORS, (. - parent_vectors) / 2

        .balign 4
parent_esp:
        .long   0
parent_bang_pxe:                        /* far pointers, as given to us; either may point anywhere */
        .long   0
parent_pxenv:
        .long   0
parent_entry:
        .long   0
parent_ss:
        .word   0
parent_base_memory:                     /* in KiB, when we came */
        .word   0
parent_low:                             /* what the UNDI segments cover, in KiB */
        .word   0
parent_high:
        .word   0
parent_stop_opcode:
        .word   0
parent_block:                           /* UNLOAD_STACK's is the longest */
        .set    PARENT_BLOCK_SIZE, 12
        .skip   PARENT_BLOCK_SIZE
