/*
 * The BIOS interrupts that the resident block answers. entry::hooks puts them into the interrupt table and takes them out.
 * Pure real mode: they keep working after the core is gone.
 */
        .section .resident, "awx"
        .code16

/*
 * int1a_hook: PXE installation check (PXE 2.1, "INT 1Ah AX=5650h").
 * In      %ax = 5650h ("VP")
 * Out     %ax = 564Eh ("VN"), %es:%bx -> PXENV+, %edx = its physical address, CF clear
 * Note    every other %ax goes to the vector that was there before
 */
        .globl  int1a_hook
int1a_hook:
        cmpw    $0x5650, %ax
        je      1f
        ljmpw   *%cs:exchange_old_int1a
1:      xorl    %edx, %edx
        movw    %cs, %dx
        movw    %dx, %es
        shll    $4, %edx
        addl    $resident_pxenv, %edx
        movw    $resident_pxenv, %bx
        movw    $0x564e, %ax
        clc
        jmp     iret_with_carry

/*
 * int18_hook, int19_hook: a boot program gives up without returning (PXELINUX's "localboot -1"; DOS programs that start the
 * machine anew). Counts as its return with %ax = 0; what was there before gets to go on afterwards.
 */
        .globl  int18_hook, int19_hook
int18_hook:
        cmpw    $0, %cs:nbp_running
        jne     1f
        ljmpw   *%cs:exchange_old_int18
int19_hook:
        cmpw    $0, %cs:nbp_running
        jne     2f
        ljmpw   *%cs:exchange_old_int19
2:      movw    $1, %cs:left_by_int19
1:      xorw    %ax, %ax
        jmp     nbp_returned

/*
 * int15_hook: hides our memory in the BIOS's memory map: the top of base memory, and the core's block when it didn't come
 * from PMM. Both are the end of a RAM region, so entries get shorter, never more.
 * In      %eax = 0000E820h, %ax = E801h, %ah = 88h: filtered; all else goes to the vector that was there before
 * Keeps   what the BIOS keeps
 */
        .set    SMAP, 0x534d4150
        .set    E820_RAM, 1
        .globl  int15_hook
int15_hook:
        cmpw    $0xe820, %ax
        je      int15_e820
        cmpw    $0xe801, %ax
        je      int15_e801
        cmpb    $0x88, %ah
        je      int15_88
        ljmpw   *%cs:exchange_old_int15

int15_e820:
        pushfw
        lcallw  *%cs:exchange_old_int15
        jc      iret_with_carry
        cmpl    $SMAP, %eax
        jne     1f
        cmpl    $E820_RAM, %es:16(%di)
        jne     1f
        cmpl    $0, %es:4(%di)          /* starts at or above 4 GiB */
        jne     1f
        cmpl    $0, %es:12(%di)
        jne     1f
        pushal
        movw    $exchange_hidden, %si
        call    e820_cut
        movw    $exchange_hidden + 8, %si
        call    e820_cut
        popal
1:      clc
        jmp     iret_with_carry

/*
 * e820_cut: shortens the entry at %es:%di by what the range at %cs:%si (start, end) hides of its end.
 * Clobbers %eax, %ecx, %edx
 */
e820_cut:
        movl    %cs:(%si), %eax         /* start of the hidden range; 0: none */
        testl   %eax, %eax
        jz      1f
        movl    %es:(%di), %ecx
        movl    %ecx, %edx
        addl    %es:8(%di), %edx        /* end of the entry */
        jc      1f
        cmpl    %ecx, %eax
        jbe     1f
        cmpl    %edx, %eax
        jae     1f
        cmpl    %cs:4(%si), %edx
        ja      1f                      /* memory follows behind the hidden range: not an entry that we know */
        subl    %ecx, %eax
        movl    %eax, %es:8(%di)
1:      ret

/* E801h: %ax, %cx = KiB from 1 to 16 MiB; %bx, %dx = units of 64 KiB from 16 MiB on. */
int15_e801:
        pushfw
        lcallw  *%cs:exchange_old_int15
        jc      iret_with_carry
        pushl   %eax
        movl    %cs:exchange_hidden + 8, %eax
        testl   %eax, %eax
        jz      2f
        subl    $0x1000000, %eax
        jb      2f
        shrl    $16, %eax
        cmpw    %ax, %bx
        jbe     1f
        movw    %ax, %bx
1:      cmpw    %ax, %dx
        jbe     2f
        movw    %ax, %dx
2:      popl    %eax
        clc
        jmp     iret_with_carry

/* 88h: %ax = KiB from 1 MiB on, 64 MiB at most. */
int15_88:
        pushfw
        lcallw  *%cs:exchange_old_int15
        jc      iret_with_carry
        pushl   %ebx
        movl    %cs:exchange_hidden + 8, %ebx
        testl   %ebx, %ebx
        jz      1f
        subl    $0x100000, %ebx
        jb      1f
        shrl    $10, %ebx
        cmpl    $0xffff, %ebx
        ja      1f
        cmpw    %bx, %ax
        jbe     1f
        movw    %bx, %ax
1:      popl    %ebx
        clc
        jmp     iret_with_carry

        /* falls through */

/* iret_with_carry: returns from the interrupt with the present CF in the caller's flags. */
iret_with_carry:
        pushw   %bp
        movw    %sp, %bp
        jc      1f
        andb    $~1, 6(%bp)
        popw    %bp
        iretw
1:      orb     $1, 6(%bp)
        popw    %bp
        iretw
