/*
 * A network boot program that makes PXE calls and nothing else between two addresses, BEGIN and END (src/lib.rs), where the lab
 * looks at its counters. What it calls is in the orders, which the harness has written into the file.
 *
 * First a function with its block, `count` times; then, if there is a second one, that with its own block: until it returns
 * a packet shorter than the first one was granted (TFTP_OPEN and TFTP_READ), or, with room for each piece, until there is
 * none (FILE_OPEN and FILE_READ). A call that fails ends it.
 *
 * Stack   the one that it was started on
 */
        .section .meter, "awx"
        .code16
        .globl  meter_start
meter_start:
        ljmpw   $0, $1f
1:      sti
        cld
        lesw    %es:0x28(%bx), %bx      /* PXENV+ points to !PXE */
        movl    %es:0x10(%bx), %eax     /* EntryPointSP */
        xorw    %cx, %cx
        movw    %cx, %ds
        movl    %eax, entry
        movl    count, %ecx
        jmp     begin

        .org    meter_start + {BEGIN}
begin:  movw    $meter_start + {FIRST_BLOCK}, %di
        movw    function, %bx
        call    pxe
        jnz     failed
        decl    %ecx
        jnz     begin
        movw    second, %bx
        testw   %bx, %bx
        jz      end
        movw    meter_start + {FIRST_BLOCK} + {FILE_HANDLE}, %ax
        movw    %ax, meter_start + {SECOND_BLOCK} + {FILE_HANDLE}
        movw    meter_start + {FIRST_BLOCK} + {PACKET_SIZE}, %dx
        cmpw    $0, room
        je      next
        movw    $1, %dx
next:   movw    room, %ax
        movw    %ax, meter_start + {SECOND_BLOCK} + {BUFFER_SIZE}
        movw    $meter_start + {SECOND_BLOCK}, %di
        call    pxe
        jz      1f
        cmpw    ${NOTHING_YET}, meter_start + {SECOND_BLOCK}
        je      next
        jmp     failed
1:      cmpw    %dx, meter_start + {SECOND_BLOCK} + {BUFFER_SIZE}
        jae     next
        jmp     end

        .org    meter_start + {END}
end:    movw    $text_done, %si
        jmp     say
failed: movw    $text_failed, %si
say:    lodsb
        testb   %al, %al
        jz      2f
        movb    $0x0e, %ah
        xorw    %bx, %bx
        int     $0x10
        jmp     say
2:      hlt
        jmp     2b

/* Calls function %bx with the block at %di. Out: ZF set on success. Clobbers %ax. */
pxe:    pushw   %ds
        pushw   %di
        pushw   %bx
        lcallw  *entry
        addw    $6, %sp
        testw   %ax, %ax
        ret

text_done:
        .asciz  "METER DONE"
text_failed:
        .asciz  "METER CALL FAILED"
entry:  .long   0

        .org    meter_start + {ORDERS}
        .ascii  "HVMETER1"
count:  .long   1
function:
        .word   0
second: .word   0
room:   .word   0

        .org    meter_start + 0x400
