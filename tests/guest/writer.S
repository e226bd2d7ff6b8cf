/*
 * A guest of 4 KiB, its own firmware, that writes without a pause.
 *
 * For ever, it looks at one word in each page of a range, which must hold the
 * number of the last round, and stores the next number there.  It prints '+'
 * once in a while, and '!' from the first wrong word on.  No paging and no
 * interrupts: nothing flushes a TLB, so a write that a dirty log misses stays
 * missed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
        .set PAGE, 4096
        .set FIRST, 12 << 20            /* the range */
        .set END, FIRST + 64 * PAGE     /* so few that a TLB holds them */
        .set ROUNDS, 5000               /* between two marks */
        .set COM1, 0x3f8
        .set BASE, 0xffff0000           /* of the code segment after reset */

        .text
        .code16
        .globl start
start:
        cli
        lgdtl   %cs:gdt_register
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $8, $BASE + flat

        .code32
flat:
        movw    $16, %ax
        movw    %ax, %ds
        movb    $'+', %bl
        xorl    %ebp, %ebp              /* the last round */
        movl    $FIRST, %esi
clear:
        movl    %ebp, (%esi)            /* under a key it is not zero */
        addl    $PAGE, %esi
        cmpl    $END, %esi
        jb      clear
mark:
        movl    $ROUNDS, %ecx
round:
        leal    1(%ebp), %edx
        movl    $FIRST, %esi
page:
        cmpl    %ebp, (%esi)
        je      right
        movb    $'!', %bl
right:
        movl    %edx, (%esi)
        addl    $PAGE, %esi
        cmpl    $END, %esi
        jb      page
        movl    %edx, %ebp
        decl    %ecx
        jnz     round
        movw    $COM1, %dx
        movb    %bl, %al
        outb    %al, %dx
        jmp     mark

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9a000000ffff      /* 8: code, flat */
        .quad   0x00cf92000000ffff      /* 16: data, flat */
gdt_register:
        .word   . - gdt - 1
        .long   BASE + gdt

        .org    0xff0
        .code16
        jmp     start
        .org    0x1000
