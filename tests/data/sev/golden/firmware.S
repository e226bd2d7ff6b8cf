/*
 * The guest in the golden streams: 16-bit code in the last 4 KiB below 4 GiB.
 *
 * It fills 32 KiB with words that follow from their address, then for ever
 * adds one to a counter in memory, checks all words, and prints '+' if they are
 * right and the counter is what a register says, '!' if not.
 *
 *   gcc -m32 -c firmware.S && ld -m elf_i386 -Ttext 0xf000 --oformat binary \
 *       -e start -o firmware.bin firmware.o
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
        .code16
        .globl start
start:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %es
        movw    %ax, %ds
        movw    $0x8000, %di
fill:
        movw    %di, %ax
        xorw    $0xa55a, %ax
        stosw
        cmpw    $0, %di                 /* 0x8000 to 0xffff */
        jne     fill
        xorl    %ebp, %ebp
        movl    %ebp, 0x7000
again:
        incl    %ebp
        incl    0x7000
        movb    $'+', %bl
        cmpl    %ebp, 0x7000
        jne     wrong
        movw    $0x8000, %si
check:
        movw    %si, %cx
        xorw    $0xa55a, %cx
        lodsw
        cmpw    %cx, %ax
        jne     wrong
        cmpw    $0, %si
        jne     check
        jmp     print
wrong:
        movb    $'!', %bl
print:
        movw    $0x3f8, %dx
        movb    %bl, %al
        outb    %al, %dx
        movl    $200000, %ecx
pause:
        decl    %ecx
        jnz     pause
        jmp     again

        .org    0xff0
        .byte   0xe9                    /* jmp start: 3 bytes, backwards */
        .word   start - . - 2
        .org    0x1000
