/*
 * SEV guests of 64 KiB that are their own firmware, for KVM where Linux does
 * not run. They behave as Linux does:
 *
 *   GUEST_LINUX    declares pages when CPUID says so, then sets the MSR
 *   GUEST_EFI      as Linux that EFI started: no MSR, and its firmware left
 *                  pages shared that nobody declared
 *   GUEST_SILENT   shares pages and never says so
 *   GUEST_ONCE     as Linux, but after a reset it is silent
 *   GUEST_ES       (as well) has the reset block of an SEV-ES firmware
 *
 * Real mode, from the reset vector on. A C-bit is a bit in the table that CR3
 * names; OUT to FLIP tells the memory controller that one of them changed.
 * OUT to HYPERCALL is VMMCALL, which KVM does not do where it emulates.
 *
 * Each tick prints "TICK n ok ok": private memory is right, shared memory is.
 * A second vCPU, if there is one, counts for itself: "AP n".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
        .code16
        .set VARS, 0x500                /* in page 0, behind the vectors */
        .set VAR_DECLARES, VARS         /* byte: declares pages */
        .set VAR_HAS_MSR, VARS + 1      /* byte: reads the MSR at each tick */
        .set VAR_FAULTED, VARS + 2      /* byte: #GP since it was cleared */
        .set VAR_MSR, VARS + 4          /* what was printed of the MSR */
        .set VAR_HOT, VARS + 8          /* first word of the hot pages */
        .set VAR_FLIPPED, VARS + 12     /* a bit per page of FLIPS: shared */
        .set VAR_BAD, VARS + 16         /* bytes: private, shared memory */
        .set VAR_AP, VARS + 20          /* how far the other vCPU counted */
        .set VAR_AP_BAD, VARS + 24      /* byte: its memory changed */

        .set WAS_HERE, 0x600            /* also in page 0, never cleared */
        .set MAGIC, 0x4f4e4345

        .set STACK, 0x7000
        .set AP_STACK, 0xa000
        .set TABLE, 0x8000
        .set PRIVATE, 0x20000           /* never change */
        .set PRIVATE_PAGES, 8
        .set HOT, 0x28000               /* private, written at each tick */
        .set AP_HOT, 0x2a000            /* the other vCPU's */
        .set SHARED, 0x30000            /* Linux' .bss..decrypted */
        .set SHARED_PAGES, 4
        .set HOT_SHARED, 0x34000
        .set SWIOTLB, 0x38000           /* shared a bit later */
        .set SWIOTLB_PAGES, 4
        .set FLIPS, 0x40000             /* change sides all the time */
        .set FLIP_PAGES, 4
        .set FIRMWARE, 0x48000          /* shared by firmware, then left */
        .set BULK, 0x50000              /* private, one word all over a page */
        .set BULK_PAGES, 64

        .set MAP_GPA_RANGE, 12
        .set HYPERCALL, 0x9e
        .set FLIP, 0x9c
        .set ENCRYPTED, 1 << 4
        .set MIGRATION_CONTROL, 17      /* bit of the features */
        .set MSR_MIGRATION, 0x4b564d08
        .set MSR_SEV_STATUS, 0xc0010131
        .set PAUSE, 1000                /* reads of port 0x80 */
        .set ROM, 0xf000
        .set LOW_PAGES, 0xa0
        .set HIGH, 0x100000
        .set HIGH_PAGES, (0x1000000 - HIGH) >> 12

        .text
        .globl _start
        jmp     ap                      /* where the startup IPI leads to */
_start:
        cli
        cld
        xor     %ax, %ax
        mov     %ax, %ss
        mov     %ax, %ds                /* data; texts are in %cs */
        mov     $STACK, %sp
        movw    $fault, 13 * 4
        movw    $ROM, 13 * 4 + 2

        mov     $(TABLE >> 4), %ax
        mov     %ax, %es
        xor     %di, %di
        xor     %eax, %eax
        mov     $1024, %cx
        rep     stosl
        mov     $(VARS >> 4), %ax
        mov     %ax, %es
        xor     %di, %di
        xor     %eax, %eax
        mov     $8, %cx
        rep     stosl
        mov     $TABLE, %eax
        mov     %eax, %cr3

        mov     $started, %si
        call    print
        mov     $0x40000001, %eax
        xor     %ecx, %ecx
        cpuid
        mov     %eax, %ebp
        mov     $features, %si
        call    print
        mov     %ebp, %eax
        call    print_hex
        mov     $newline, %si
        call    print
        call    print_status
#ifndef GUEST_SILENT
        bt      $MIGRATION_CONTROL, %ebp
        setc    VAR_DECLARES
#endif
#ifdef GUEST_ONCE
        cmpl    $MAGIC, WAS_HERE        /* RAM outlives a reset */
        jne     1f
        movb    $0, VAR_DECLARES
1:      movl    $MAGIC, WAS_HERE
#endif

        /* Early on nobody asks whether to declare. */
        mov     $SHARED, %ebx
        mov     $(SHARED_PAGES + 1), %cx
        call    share_quietly
#ifdef GUEST_EFI
        mov     $FIRMWARE, %ebx
        mov     $2, %cx
        call    share_quietly
#endif
        call    init_platform

        mov     $PRIVATE, %ebx
        mov     $(PRIVATE_PAGES * 1024), %cx
        mov     $0x56495250, %ebp
        call    fill
        mov     $SHARED, %ebx
        mov     $(SHARED_PAGES * 1024), %cx
        mov     $0x52414853, %ebp
        call    fill
        mov     $SWIOTLB, %ebx
        mov     $SWIOTLB_PAGES, %cx
1:      mov     $1, %al
        call    set_side
        add     $0x1000, %ebx
        loop    1b
        mov     $SWIOTLB, %ebx
        mov     $(SWIOTLB_PAGES * 1024), %cx
        mov     $0x4c545753, %ebp
        call    fill
        mov     $FLIPS, %ebx
        mov     $(FLIP_PAGES * 1024), %cx
        mov     $0x50494c46, %ebp
        call    fill
        mov     $BULK, %ebx
        mov     $BULK_PAGES, %cx
1:      call    bulk_page
        rep     stosl
        pop     %cx
        add     $0x1000, %ebx
        loop    1b
        call    fill_hot

        call    start_ap

        xor     %edi, %edi
ticks:  inc     %edi
        movw    $0, VAR_BAD
        call    look
        mov     VAR_AP_BAD, %al
        or      %al, VAR_BAD
        mov     $tick, %si
        call    print
        mov     %edi, %eax
        call    print_hex
        mov     VAR_BAD, %al
        call    print_verdict
        mov     VAR_BAD + 1, %al
        call    print_verdict
        mov     $newline, %si
        call    print
        call    fill_hot
        call    change_sides
        call    read_msr
        call    print_ap
        mov     $PAUSE, %cx
1:      in      $0x80, %al
        loop    1b
        jmp     ticks

/* As Linux' kvm_init_platform(): all is private, then what is not. */
init_platform:
        cmpb    $0, VAR_DECLARES
        je      1f
        xor     %ebx, %ebx
        mov     $LOW_PAGES, %ecx
        mov     $ENCRYPTED, %edx
        call    declare
        mov     $HIGH, %ebx
        mov     $HIGH_PAGES, %ecx
        mov     $ENCRYPTED, %edx
        call    declare
        mov     $SHARED, %ebx
        mov     $(SHARED_PAGES + 1), %ecx
        xor     %edx, %edx
        call    declare
#ifdef GUEST_EFI
        call    try_hypercalls
#endif
#if defined(GUEST_LINUX) || defined(GUEST_ONCE)
        movb    $1, VAR_HAS_MSR
        mov     $before, %si
        call    print
        mov     $MSR_MIGRATION, %ecx
        rdmsr
        call    print_hex
        mov     $newline, %si
        call    print
        mov     $MSR_MIGRATION, %ecx
        xor     %edx, %edx
        mov     $1, %eax
        wrmsr
        call    read_msr
#endif
1:      ret

/* What tells a guest that it is an SEV guest. */
print_status:
        movb    $0, VAR_FAULTED
        mov     $MSR_SEV_STATUS, %ecx
        rdmsr
        mov     $status, %si
        call    print
        cmpb    $0, VAR_FAULTED
        jne     1f
        call    print_hex
1:      mov     $newline, %si
        jmp     print

/* Prints the MSR when it is not what was printed before. */
read_msr:
        cmpb    $0, VAR_HAS_MSR
        je      2f
        movb    $0, VAR_FAULTED
        mov     $MSR_MIGRATION, %ecx
        xor     %eax, %eax
        rdmsr
        cmpb    $0, VAR_FAULTED
        je      1f
        movb    $0, VAR_HAS_MSR
        mov     $no_msr, %si
        jmp     print
1:      cmp     %eax, VAR_MSR
        je      2f
        mov     %eax, VAR_MSR
        mov     $control, %si
        call    print
        call    print_hex
        mov     $newline, %si
        jmp     print
2:      ret

/* #GP of RDMSR or WRMSR: go on behind it. */
fault:  push    %bp
        mov     %sp, %bp
        addw    $2, 2(%bp)
        pop     %bp
        movb    $1, VAR_FAULTED
        iret

/* One page, in turn, changes sides. Then it is written anew. */
change_sides:
        mov     %edi, %ecx
        and     $(FLIP_PAGES - 1), %ecx
        mov     %ecx, %ebx
        shl     $12, %ebx
        add     $FLIPS, %ebx
        btc     %ecx, VAR_FLIPPED
        setnc   %al
        call    set_side
        mov     $1024, %cx
        mov     $0x50494c46, %ebp
        call    fill_page_of_flips
        ret

/* Each page of FLIPS has the words that it had before. */
fill_page_of_flips:
        mov     %ebx, %eax
        sub     $FLIPS, %eax
        shr     $2, %eax
        imul    $0x01000193, %eax
        add     %eax, %ebp
        jmp     fill

/* Page %ebx: C-bit, then the hypercall, as set_memory_decrypted(). %al: 1
   makes it shared. */
set_side:
        push    %ecx
        push    %edx
        call    flip
        xor     %edx, %edx
        test    %al, %al
        jnz     1f
        mov     $ENCRYPTED, %edx
1:      mov     $1, %ecx
        cmpb    $0, VAR_DECLARES
        je      2f
        call    declare
2:      pop     %edx
        pop     %ecx
        ret

share_quietly:
        mov     $1, %al
        call    flip
        add     $0x1000, %ebx
        loop    share_quietly
        ret

flip:   push    %eax
        push    %ebx
        push    %edx
        mov     %ebx, %edx
        shr     $12, %edx
        push    %bx
        mov     $(TABLE >> 4), %bx
        mov     %bx, %es
        pop     %bx
        btr     %edx, %es:0
        test    %al, %al
        jz      1f
        bts     %edx, %es:0
1:      out     %al, $FLIP
        pop     %edx
        pop     %ebx
        pop     %eax
        ret

/* %ecx pages from %ebx on are what %edx says. */
declare:
        push    %eax
        mov     $MAP_GPA_RANGE, %eax
        out     %al, $HYPERCALL
        test    %eax, %eax
        jz      1f
        push    %eax
        mov     $refused, %si
        call    print
        pop     %eax
        call    print_hex
        mov     %ebx, %eax
        call    print_hex
        mov     $newline, %si
        call    print
1:      pop     %eax
        ret

/* What KVM refuses by itself: no page, no pages, no such call. */
try_hypercalls:
        mov     $(SHARED + 1), %ebx
        mov     $1, %ecx
        mov     $MAP_GPA_RANGE, %eax
        call    try_hypercall
        dec     %ebx
        xor     %ecx, %ecx
        mov     $MAP_GPA_RANGE, %eax
        call    try_hypercall
        mov     $1, %ecx
        mov     $99, %eax
try_hypercall:
        xor     %edx, %edx
        out     %al, $HYPERCALL
        mov     $returned, %si
        call    print
        call    print_hex
        mov     $newline, %si
        jmp     print

/* --- The other vCPU ---------------------------------------------------------- */

        .set    LEAF_COUNT, 16          /* in EBX of leaf 1: logical processors */
        .set    X2APIC, 3 << 10
        .set    MSR_APIC_BASE, 0x1b
        .set    MSR_ICR, 0x830
        .set    IPI_INIT, 0x4500
        .set    IPI_STARTUP, 0x4600 + (ROM >> 8)

start_ap:
        mov     $1, %eax
        cpuid
        shr     $LEAF_COUNT, %ebx
        cmp     $2, %bl
        jb      1f
        mov     $MSR_APIC_BASE, %ecx
        rdmsr
        or      $X2APIC, %eax
        wrmsr
        mov     $MSR_ICR, %ecx
        mov     $1, %edx
        mov     $IPI_INIT, %eax
        wrmsr
        mov     $1, %edx
        mov     $IPI_STARTUP, %eax
        wrmsr
1:      ret

ap:     cli
        cld
        xor     %ax, %ax
        mov     %ax, %ss
        mov     %ax, %ds
        mov     $AP_STACK, %sp
        mov     $TABLE, %eax
        mov     %eax, %cr3
        xor     %edi, %edi
        jmp     2f
1:      mov     $AP_HOT, %ebx
        mov     $1024, %cx
        mov     %edi, %ebp
        call    check
        or      %al, VAR_AP_BAD
2:      inc     %edi
        mov     $AP_HOT, %ebx
        mov     $1024, %cx
        mov     %edi, %ebp
        call    fill
        mov     %edi, VAR_AP
        mov     $300, %cx
3:      in      $0x80, %al
        loop    3b
        jmp     1b

print_ap:
        cmpl    $0, VAR_AP
        je      1f
        mov     $other, %si
        call    print
        mov     VAR_AP, %eax
        call    print_hex
        mov     $newline, %si
        jmp     print
1:      ret

/* --- Memory ------------------------------------------------------------------ */

fill_hot:
        mov     %edi, %ebp
        add     $0x00484f54, %ebp
        mov     %ebp, VAR_HOT
        mov     $HOT, %ebx
        mov     $2048, %cx
        call    fill
        mov     VAR_HOT, %ebp
        mov     $HOT_SHARED, %ebx
        mov     $1024, %cx
        jmp     fill

/* Sets VAR_BAD */
look:   mov     $PRIVATE, %ebx
        mov     $(PRIVATE_PAGES * 1024), %cx
        mov     $0x56495250, %ebp
        call    check
        or      %al, VAR_BAD
        mov     $HOT, %ebx
        mov     $2048, %cx
        mov     VAR_HOT, %ebp
        call    check
        or      %al, VAR_BAD
        mov     $SHARED, %ebx
        mov     $(SHARED_PAGES * 1024), %cx
        mov     $0x52414853, %ebp
        call    check
        or      %al, VAR_BAD + 1
        mov     $SWIOTLB, %ebx
        mov     $(SWIOTLB_PAGES * 1024), %cx
        mov     $0x4c545753, %ebp
        call    check
        or      %al, VAR_BAD + 1
        mov     $HOT_SHARED, %ebx
        mov     $1024, %cx
        mov     VAR_HOT, %ebp
        call    check
        or      %al, VAR_BAD + 1
        mov     $FLIPS, %ebx
        mov     $(FLIP_PAGES * 1024), %cx
        mov     $0x50494c46, %ebp
        call    check
        or      %al, VAR_BAD + 1
        mov     %edi, %ebx              /* one page of BULK, in turn */
        and     $(BULK_PAGES - 1), %ebx
        shl     $12, %ebx
        add     $BULK, %ebx
        push    %edi
        call    bulk_page
        repe    scasl
        setne   %al
        or      %al, VAR_BAD
        pop     %cx
        pop     %edi
        ret

/* For rep: page %ebx of BULK, all of it, its word. Leaves %cx on the stack. */
bulk_page:
        pop     %ax
        push    %cx
        push    %ax
        mov     %ebx, %eax
        shr     $4, %eax
        mov     %ax, %es
        mov     %ebx, %eax
        xor     $0x4b4c5542, %eax
        xor     %di, %di
        mov     $1024, %cx
        ret

/* %cx words from %ebx on: %ebp, then what follows from it. */
fill:   push    %di
        push    %ebx
        shr     $4, %ebx
        mov     %bx, %es
        pop     %ebx
        xor     %di, %di
1:      mov     %ebp, %eax
        stosl
        add     $0x01000193, %ebp
        loop    1b
        pop     %di
        ret

/* %al: 0 when they are still there */
check:  push    %di
        push    %ebx
        shr     $4, %ebx
        mov     %bx, %es
        pop     %ebx
        xor     %di, %di
1:      mov     %ebp, %eax
        scasl
        jne     2f
        add     $0x01000193, %ebp
        loop    1b
        mov     $0, %al
        jmp     3f
2:      mov     $1, %al
3:      pop     %di
        ret

print_verdict:
        mov     $ok, %si
        test    %al, %al
        jz      1f
        mov     $bad, %si
1:      jmp     print

#include "tiny-print.inc"

tick:   .asciz  "TICK"
ok:     .asciz  " ok"
bad:    .asciz  " BAD"
newline: .asciz "\n"
started: .asciz "STARTED\n"
features: .asciz "FEATURES"
status: .asciz  "SEV_STATUS"
control: .asciz "CONTROL"
before: .asciz  "BEFORE"
no_msr: .asciz  "CONTROL #GP\n"
refused: .asciz "REFUSED"
returned: .asciz "RETURNED"
other:  .asciz  "AP"

#ifdef GUEST_ES
        .org    0xffca                  /* 32 bytes before the end ends this */
        .long   ROM << 4                /* SEV-ES reset block: CS base, IP */
        .word   22
        .byte   0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f
        .byte   0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e
#endif
        .org    0xfff0
        ljmp    $ROM, $_start
        .org    0x10000
