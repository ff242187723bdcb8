/*
 * memcpy, which the compiler calls for every copy whose length it doesn't know or like. Most are of a few bytes, so what
 * comes around the copy counts; the library's own aligns the destination first, which these don't pay for.
 */
        .section .text.memcpy, "ax"
        .code64

/*
 * memcpy: copies bytes (C17 7.24.2.1).
 * In      %rdi = to, %rsi = from, %rdx = length; the ranges don't overlap
 * Out     %rax = %rdi as it was
 * Clobbers %rcx, %rdx, %rsi, %rdi, %r8
 * Note    a length of 8 or more ends with 8 bytes that may have been copied before
 */
        .globl  memcpy
        .type   memcpy, @function
memcpy:
        movq    %rdi, %rax
        leaq    -8(%rdx), %rcx
        testq   %rcx, %rcx
        js      1f
        movq    (%rsi,%rcx), %r8
        addq    %rax, %rcx              /* where the last 8 bytes go */
        xchgq   %rcx, %rdx
        shrq    $3, %rcx
        rep movsq
        movq    %r8, (%rdx)
        ret
1:      movl    %edx, %ecx
        rep movsb
        ret
        .size   memcpy, . - memcpy
