/*
 * A hypervisor of 64 KiB that is its own firmware, and its guest: AMD's SVM
 * without SEV.
 *
 * 32-bit mode without paging.  The guest prints "in", with CPUID and OUT that
 * nobody intercepts, and ends with VMMCALL; then the hypervisor prints the exit
 * code, 00000081.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
        .set VMCB, 0x10000
        .set HOST_SAVE, 0x11000
        .set STACK, 0x9000
        .set GUEST_STACK, 0xa000
        .set COM1, 0x3f8

        .set MSR_EFER, 0xc0000080
        .set MSR_HOST_SAVE, 0xc0010117
        .set EFER_SVME, 1 << 12

        .set INTERCEPTS2, VMCB + 0x10   /* bit 0: VMRUN, bit 1: VMMCALL */
        .set ASID, VMCB + 0x58
        .set EXIT_CODE, VMCB + 0x70
        .set SAVED, VMCB + 0x400

        .text
        .globl _start
        .code16
start16:
        cli
        lgdtl   %cs:(gdtr - start16)
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $8, $start32

        .code32
        /* selector, attributes, limit, base */
        .macro  segment at, selector, attributes
        movl    $(\selector | \attributes << 16), SAVED + \at
        movl    $0xffffffff, SAVED + \at + 4
        .endm

start32:
        mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $STACK, %esp
        mov     $VMCB, %edi
        xor     %eax, %eax
        mov     $(0x2000 / 4), %ecx
        rep     stosl

        mov     $MSR_EFER, %ecx
        rdmsr
        or      $EFER_SVME, %eax
        wrmsr
        mov     $MSR_HOST_SAVE, %ecx
        mov     $HOST_SAVE, %eax
        xor     %edx, %edx
        wrmsr

        movl    $3, INTERCEPTS2
        movl    $1, ASID
        segment 0x00, 16, 0xc93
        segment 0x10, 8, 0xc9b
        segment 0x20, 16, 0xc93
        segment 0x30, 16, 0xc93
        movl    $EFER_SVME, SAVED + 0xd0
        mov     %cr0, %eax
        mov     %eax, SAVED + 0x158
        movl    $2, SAVED + 0x170       /* RFLAGS */
        movl    $guest, SAVED + 0x178   /* RIP */
        movl    $GUEST_STACK, SAVED + 0x1d8
        mov     $VMCB, %eax
        vmrun

        mov     EXIT_CODE, %ebx
        mov     $8, %ecx
1:      rol     $4, %ebx
        mov     %ebx, %eax
        and     $15, %eax
        mov     digits(%eax), %al
        call    put
        loop    1b
        mov     $'\n', %al
        call    put
2:      hlt
        jmp     2b

guest:
        xor     %eax, %eax
        cpuid
        mov     $'i', %al
        call    put
        mov     $'n', %al
        call    put
        mov     $' ', %al
        call    put
        vmmcall
3:      jmp     3b

put:    mov     $COM1, %edx
        out     %al, %dx
        ret

digits: .ascii  "0123456789abcdef"

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
gdtr:   .word   . - gdt - 1
        .long   gdt

        .org    0xfff0
        .code16
_start: jmp     start16
        .org    0x10000
