/*
 * A guest of 4 KiB, its own firmware, that declares much memory at once.
 *
 * For ever: a word in every page of 1 MiB to 96 MiB is looked at, which brings
 * the page into the cache, and written; then one KVM_HC_MAP_GPA_RANGE declares
 * all of them shared ('s'), and after another such round private ('p').  '!'
 * from the first word on that is not what was written, or call that fails.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
        .set PAGE, 4096
        .set FIRST, 1 << 20
        .set END, 96 << 20
        .set MAP_GPA_RANGE, 12
        .set ENCRYPTED, 1 << 4
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
        movw    %ax, %ss
        xorl    %edi, %edi              /* is anything wrong? */
        xorl    %ebp, %ebp              /* the last round */
        movl    $FIRST, %esi
fill:
        movl    %esi, (%esi)
        addl    $PAGE, %esi
        cmpl    $END, %esi
        jb      fill
again:
        movl    $'s', %ebx
        xorl    %edx, %edx
        jmp     declare
private:
        movl    $'p', %ebx
        movl    $ENCRYPTED, %edx
declare:
        movl    %ebx, %esp              /* there is no stack */
        movl    $MAP_GPA_RANGE, %eax
        movl    $FIRST, %ebx
        movl    $(END - FIRST) / PAGE, %ecx
        vmmcall
        orl     %eax, %edi
        cmpl    $FIRST, %ebx
        jne     wrong
        cmpl    $(END - FIRST) / PAGE, %ecx
        je      print
wrong:
        incl    %edi
print:
        movl    %esp, %eax
        testl   %edi, %edi
        jz      good
        movb    $'!', %al
good:
        movw    $COM1, %dx
        outb    %al, %dx
        leal    1(%ebp), %edx
        movl    $FIRST, %esi
look:
        leal    (%esi,%ebp), %eax
        cmpl    %eax, (%esi)
        je      right
        incl    %edi
right:
        leal    (%esi,%edx), %eax
        movl    %eax, (%esi)
        addl    $PAGE, %esi
        cmpl    $END, %esi
        jb      look
        movl    %edx, %ebp
        testl   $1, %edx
        jnz     private
        jmp     again

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
