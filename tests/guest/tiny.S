/*
 * A guest of 64 KiB that is its own firmware, for KVM where Linux does not run.
 *
 * Real mode, from the reset vector on.  It prints its CPUID, fills private
 * pages, declares a page shared, and then counts: "TICK n ok" while its pages
 * hold what it wrote.
 *
 * KVM_HC_MAP_GPA_RANGE is a write to a port instead of VMCALL, which KVM
 * repeats for ever where it emulates real mode.  Nobody answers, and RAX stays.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
        .code16
        .set PRIVATE, 0x2000            /* segment of the private pages */
        .set PAGES, 8
        .set SHARED, 0x3000             /* segment of the shared page */
        .set MAP_GPA_RANGE, 12
        .set HYPERCALL, 0x9e            /* the port */
        .set ENCRYPTED, 1 << 4
        .set PAUSE, 5000                /* reads of port 0x80: about 0.1 s */
        .set ROM, 0xf000

        .text
        .globl _start
_start:
        cli
        cld
        xor     %ax, %ax
        mov     %ax, %ss
        mov     $0x7000, %sp
        mov     %cs, %ax
        mov     %ax, %ds

        mov     $leaves, %si
1:      lodsl
        cmp     $-1, %eax
        je      fill
        lodsw
        push    %ax
        mov     -6(%si), %eax
        pop     %cx
2:      push    %eax
        push    %cx
        call    print_leaf
        pop     %cx
        pop     %eax
        inc     %eax
        loop    2b
        jmp     1b

fill:   mov     $PRIVATE, %ax
        mov     %ax, %es
        mov     $('P' | 'R' << 8 | 'I' << 16 | 'V' << 24), %ebp
        mov     $(PAGES * 1024), %cx
        call    fill_words
        mov     $SHARED, %ax
        mov     %ax, %es
        mov     $('S' | 'H' << 8 | 'A' << 16 | 'R' << 24), %ebp
        mov     $1024, %cx
        call    fill_words

        mov     $(SHARED << 4), %ebx
        xor     %edx, %edx
        call    declare                 /* shared */
        mov     $(PRIVATE << 4), %ebx
        xor     %edx, %edx
        call    declare                 /* shared, and private again */
        mov     $(PRIVATE << 4), %ebx
        mov     $ENCRYPTED, %edx
        call    declare
        mov     $((SHARED << 4) + 1), %ebx
        xor     %edx, %edx
        call    declare                 /* not a page: refused */

        xor     %edi, %edi
ticks:  inc     %edi
        mov     $tick, %si
        call    print
        mov     %edi, %eax
        call    print_hex
        mov     $PRIVATE, %ax
        mov     %ax, %es
        mov     $('P' | 'R' << 8 | 'I' << 16 | 'V' << 24), %ebp
        mov     $(PAGES * 1024), %cx
        call    check_words
        mov     $SHARED, %ax
        mov     %ax, %es
        mov     $('S' | 'H' << 8 | 'A' << 16 | 'R' << 24), %ebp
        mov     $1024, %cx
        call    check_words
        mov     $newline, %si
        call    print
        mov     $PAUSE, %cx
1:      in      $0x80, %al
        loop    1b
        jmp     ticks

/* Words of %es:0: %ebp, then what follows from it.  %cx of them. */
fill_words:
        push    %di
        xor     %di, %di
1:      mov     %ebp, %eax
        stosl
        add     $0x01000193, %ebp
        loop    1b
        pop     %di
        ret

check_words:
        push    %di
        xor     %di, %di
1:      mov     %ebp, %eax
        scasl
        jne     2f
        add     $0x01000193, %ebp
        loop    1b
        mov     $ok, %si
        jmp     3f
2:      mov     $bad, %si
3:      pop     %di
        jmp     print

/* One page at %ebx is what %edx says. */
declare:
        mov     $MAP_GPA_RANGE, %eax
        mov     $1, %ecx
        out     %al, $HYPERCALL
        push    %eax
        mov     $declared, %si
        call    print
        mov     %ebx, %eax
        call    print_hex
        mov     %edx, %eax
        call    print_hex
        pop     %eax
        call    print_hex
        mov     $newline, %si
        jmp     print

print_leaf:
        push    %si
        mov     %eax, %ebp
        xor     %ecx, %ecx
        cpuid
        push    %edx
        push    %ecx
        push    %ebx
        push    %eax
        mov     $cpuid_is, %si
        call    print
        mov     %ebp, %eax
        call    print_hex
        mov     $4, %bp
1:      pop     %eax
        call    print_hex
        dec     %bp
        jnz     1b
        mov     $newline, %si
        call    print
        pop     %si
        ret

#include "tiny-print.inc"

/* First leaf and how many. */
leaves: .long   0x00000000
        .word   0x21
        .long   0x40000000
        .word   0x11
        .long   0x80000000
        .word   0x22
        .long   -1

tick:   .asciz  "TICK"
ok:     .asciz  " ok"
bad:    .asciz  " BAD"
declared: .asciz "DECLARED"
cpuid_is: .asciz "CPUID"
newline: .asciz "\n"

        .org    0xfff0
        ljmp    $ROM, $_start
        .org    0x10000
