/*
 * An SEV-ES guest of 64 KiB that is its own firmware. It says what raises #VC,
 * and what is answered to requests, good and bad:
 *
 *   VC name code     the error code of #VC; "1000d" is #GP, "10006" #UD, 0 none
 *   REQ name i1 i2 a SW_EXITINFO1, SW_EXITINFO2 and RAX of the answer
 *   MSR name hi lo   the GHCB MSR after a request by it
 *   GHCB hi lo       VMGEXIT with a GHCB there came back
 *   AP n hi lo       what the other vCPU, if there is one, did and heard
 *   STOS n bad       how many REP STOS it has looked at, and how many were wrong
 *   CODE c i1 i2     with ES_SWEEP: an exit code, and what is answered; each code
 *                    of which it is not that there is no such event
 *
 * Then it asks for its end: ES_END 0: by the MSR, 1: by the page, 2: an event
 * that is not supported.  With ES_RANDOM it makes 100000 requests of noise
 * instead, which begin with a number of the processor's and say so: SEED.  With
 * ES_KEEP it does es-keep.inc instead, without end.  With ES_SWEEP it asks for
 * every exit code there may be.
 *
 * 64-bit mode; private but for the 2 MiB at SHARED. The screen is a GHCB of its
 * own, so that no instruction here needs a handler for #VC.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ES_END
#define ES_END 0
#endif
        .set TABLES, 0x10000
        .set IDT, 0xa000
        .set STACK, 0x9000
        .set LAST, 0x9100               /* long: what the last handler saw */
        .set RESUME, 0x9108             /* quad: where it goes on */
        .set AP_COUNT, 0x9110           /* long: how far the other vCPU is */
        .set AP_HEARD, 0x9118           /* two longs: its GHCB MSR */
        .set SHARED, 0x200000
        .set GHCB, SHARED
        .set SCREEN, SHARED + 0x1000
        .set IPIS, SHARED + 0x3000
        .set ASKED, 0x8000              /* a request that is made here */
        .set SCRATCH, SHARED + 0x10000
        .set CBIT_HIGH, 1 << (51 - 32)
        .set MSR_GHCB, 0xc0010130
        .set MSR_EFER, 0xc0000080
        .set APIC, 0xfee00000

        .set NEEDLE, 0x5ec2e7de51c0de5e
        .set F_CODE, 0x390              /* of the GHCB */
        .set F_VALID, 0x3f0
        .set HAS, 1                     /* exit code and infos */
        .set HAS_RAX, 2
        .set HAS_RCX, 4
        .set HAS_RDX, 8
        .set HAS_SCRATCH, 16
        .set HAS_CPL, 32
        .set HAS_XCR0, 64

        .macro vmgexit
        .byte 0xf3, 0x0f, 0x01, 0xd9
        .endm

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

/* The other vCPU: counts, and asks to be held. */
ap16:   cli
        xor     %ax, %ax
        mov     %ax, %ds
1:      incl    AP_COUNT
        mov     $MSR_GHCB, %ecx
        mov     $6, %eax
        xor     %edx, %edx
        wrmsr
        vmgexit
        rdmsr
        mov     %eax, AP_HEARD
        mov     %edx, AP_HEARD + 4
        jmp     1b

        .code32
start32:
        mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $STACK, %esp
        mov     $TABLES, %edi
        xor     %eax, %eax
        mov     $(6 * 1024), %ecx
        rep     stosl
        movl    $0, AP_COUNT
        movl    $(TABLES + 0x1003), TABLES
        mov     $(TABLES + 0x2003), %eax
        mov     $(TABLES + 0x1000), %edi
        mov     $4, %ecx
1:      mov     %eax, (%edi)
        add     $0x1000, %eax
        add     $8, %edi
        loop    1b
        mov     $0x83, %eax             /* 2 MiB, writable, present */
        mov     $(TABLES + 0x2000), %edi
        mov     $2048, %ecx
1:      mov     %eax, (%edi)
        movl    $CBIT_HIGH, 4(%edi)
        add     $0x200000, %eax
        add     $8, %edi
        loop    1b
        movl    $0, TABLES + 0x2000 + (SHARED >> 21) * 8 + 4
        mov     %cr4, %eax
        or      $0x620, %eax            /* PAE; SSE */
        mov     %eax, %cr4
        mov     $TABLES, %eax
        mov     %eax, %cr3
        mov     $MSR_EFER, %ecx
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ljmp    $24, $start64

        .code64
start64:
        movabs  $NEEDLE, %r15           /* in registers, and nowhere else */
        movq    %r15, %xmm7
        mov     $SHARED, %edi
        xor     %eax, %eax
        mov     $(0x20000 / 8), %ecx
        rep     stosq
        mov     $IDT, %edi
        mov     $(0x1000 / 8), %ecx
        rep     stosq
        mov     $on_vc, %eax
        mov     $29, %edi
        call    gate
        mov     $on_gp, %eax
        mov     $13, %edi
        call    gate
        mov     $on_ud, %eax
        mov     $6, %edi
        call    gate
        mov     $idtr, %eax
        lidt    (%rax)
        mov     $hello, %esi
        call    print
#ifdef ES_KEEP
        jmp     keep
#endif
#ifdef ES_RANDOM
        call    noise
#elif defined(ES_SWEEP)
        call    sweep
#else
        call    exceptions
        call    requests
        call    msr_requests
        call    bad_pages
        call    stos
        call    other_vcpu
#endif
        mov     $bye, %esi
        call    print
#if ES_END == 0
        mov     $((2 << 16) | (1 << 12) | 0x100), %eax
        xor     %edx, %edx
        mov     $MSR_GHCB, %ecx
        wrmsr
        vmgexit
#else
        mov     $last_request, %ebx
        call    request
#endif
1:      hlt
        jmp     1b

/* Vector %edi goes to %eax. */
gate:   shl     $4, %edi
        add     $IDT, %edi
        mov     %ax, (%rdi)
        movw    $24, 2(%rdi)
        movw    $0x8e00, 4(%rdi)
        shr     $16, %eax
        mov     %eax, 6(%rdi)
        ret

on_vc:  push    %rax
        mov     8(%rsp), %eax
        or      LAST, %eax
        jmp     1f
on_gp:  push    %rax
        mov     $0x1000d, %eax
1:      mov     %eax, LAST
        pop     %rax
        add     $8, %rsp
        jmp     2f
on_ud:  movl    $0x10006, LAST
2:      push    %rax
        mov     RESUME, %rax
        mov     %rax, 8(%rsp)
        andl    $~0x100, 24(%rsp)       /* TF */
        pop     %rax
        iretq

        .macro begin
        movl    $0, LAST
        mov     $9f, %eax
        mov     %rax, RESUME
        .endm
        .macro end name
9:      mov     $8f, %esi
        call    vc_said
        jmp     7f
8:      .asciz  "\name"
7:
        .endm

vc_said:
        push    %rsi
        mov     $text_vc, %esi
        call    print
        pop     %rsi
        call    print
        mov     LAST, %eax
        call    print_hex
        jmp     newline

exceptions:
        begin
        xor     %eax, %eax
        cpuid
        end     cpuid
        begin
        in      $0x80, %al
        end     in
        begin
        out     %al, $0x80
        end     out
        begin
        mov     $SCRATCH, %edi
        mov     $0x80, %edx
        insb
        end     ins
        begin
        mov     $SCRATCH, %esi
        mov     $0x80, %edx
        outsb
        end     outs
        begin
        mov     $0xfe, %ecx
        rdmsr
        end     rdmsr
        begin
        mov     $0x250, %ecx
        xor     %eax, %eax
        xor     %edx, %edx
        wrmsr
        end     wrmsr
        begin
        wbinvd
        end     wbinvd
        begin
        invd
        end     invd
        begin
        xor     %ecx, %ecx
        rdpmc
        end     rdpmc
        begin
        mov     %dr7, %rax
        end     read-dr7
        begin
        mov     $0x400, %eax
        mov     %rax, %dr7
        end     write-dr7
        begin
        vmmcall
        end     vmmcall
        begin
        xor     %ecx, %ecx
        xor     %edx, %edx
        mov     $SCRATCH, %eax
        monitor
        end     monitor
        begin
        xor     %ecx, %ecx
        xor     %eax, %eax
        mwait
        end     mwait
        begin
        mov     $APIC, %edi
        mov     0x20(%rdi), %eax
        end     mmio-read
        begin
        mov     $APIC, %edi
        mov     %eax, 0x80(%rdi)
        end     mmio-write
        begin
        mov     $0xc0000000, %edi
        mov     (%rdi), %eax
        end     nowhere
        begin
        pushfq
        orl     $0x100, (%rsp)
        popfq
        nop
        end     single-step
        /* None of these */
        begin
        rdtsc
        end     rdtsc
        begin
        mov     $0xc0010131, %ecx
        rdmsr
        end     sev-status
        begin
        mov     $MSR_GHCB, %ecx
        rdmsr
        end     ghcb-msr
        begin
        mov     $MSR_EFER, %ecx
        rdmsr
        wrmsr
        end     efer
        begin
        mov     $0xc0000101, %ecx
        rdmsr
        wrmsr
        end     gs-base
        begin
        mov     $0x277, %ecx
        rdmsr
        end     pat
        begin
        mov     %cr0, %rax
        mov     %rax, %cr0
        mov     %cr4, %rax
        mov     %rax, %cr4
        end     cr0-cr4
        begin
        mov     %cr8, %rax
        mov     %rax, %cr8
        end     cr8
        begin
        mov     %dr6, %rax
        end     dr6
        begin
        mov     $SHARED, %edi
        clflush (%rdi)
        end     clflush
        begin
        mov     $APIC, %edi
        clflush (%rdi)
        end     clflush-mmio
        begin
        vmrun
        end     vmrun
        ret

/* --- Requests -------------------------------------------------------------- */

        .macro req name, code, info1=0, info2=0, valid=HAS, scratch=0, rax=0, \
                   rcx=0, usage=0, version=1
        .quad   \code, \info1, \info2, \scratch, \rax, \rcx
        .long   \valid, \usage, \version, 0
1:      .ascii  "\name"
        .fill   16 - (. - 1b), 1, 0
        .endm
        .set ENTRY, 80

/* The one at %ebx. What it says is written as the guest would, field by field. */
request:
        mov     $GHCB, %edi
        xor     %eax, %eax
        mov     $256, %ecx
        rep     stosq
        mov     $GHCB, %edi
        mov     (%rbx), %rax
        mov     %rax, F_CODE(%rdi)
        mov     8(%rbx), %rax
        mov     %rax, F_CODE + 8(%rdi)
        mov     16(%rbx), %rax
        mov     %rax, F_CODE + 16(%rdi)
        mov     24(%rbx), %rax
        mov     %rax, F_CODE + 24(%rdi)
        mov     32(%rbx), %rax
        mov     %rax, 0x1f8(%rdi)
        mov     40(%rbx), %rax
        mov     %rax, 0x308(%rdi)
        movq    $1, 0x3e8(%rdi)
        mov     48(%rbx), %edx
        mov     52(%rbx), %eax
        mov     %eax, 0xffc(%rdi)
        mov     56(%rbx), %eax
        mov     %ax, 0xffa(%rdi)
        .macro  bits have, byte, bit
        test    $\have, %edx
        jz      1f
        orb     $\bit, F_VALID + \byte(%rdi)
1:
        .endm
        bits    HAS, 14, 0x1c
        bits    HAS_SCRATCH, 14, 0x20
        bits    HAS_RAX, 7, 0x80
        bits    HAS_RCX, 12, 0x02
        bits    HAS_RDX, 12, 0x04
        bits    HAS_CPL, 3, 0x02
        bits    HAS_XCR0, 15, 0x20
        .purgem bits
        mov     $GHCB, %eax
        call    exit_with
        ret

requests:
        mov     $first_request, %ebx
1:      call    request
        mov     $text_req, %esi
        call    print
        lea     64(%rbx), %esi
        call    print
        mov     GHCB + F_CODE + 8, %eax
        call    print_hex
        mov     GHCB + F_CODE + 16, %eax
        call    print_hex
        mov     GHCB + 0x1f8, %eax
        call    print_hex
        call    newline
        add     $ENTRY, %ebx
        cmp     $last_request, %ebx
        jb      1b
        mov     $text_buf, %esi
        call    print
        mov     GHCB + 0x800, %eax
        call    print_hex
        mov     SCRATCH, %eax
        call    print_hex
        jmp     newline

/* GHCB MSR := %eax; VMGEXIT */
exit_with:
        mov     $MSR_GHCB, %ecx
        xor     %edx, %edx
        wrmsr
        vmgexit
        ret

/* By the MSR: name, low, high */
msr_requests:
        mov     $first_msr, %ebx
1:      mov     (%rbx), %eax
        mov     4(%rbx), %edx
        mov     $MSR_GHCB, %ecx
        wrmsr
        vmgexit
        rdmsr
        push    %rax
        push    %rdx
        mov     $text_msr, %esi
        call    print
        lea     8(%rbx), %esi
        call    print
        pop     %rax
        call    print_hex
        pop     %rax
        call    print_hex
        call    newline
        add     $24, %ebx
        cmp     $last_msr, %ebx
        jb      1b
        ret

bad_pages:
        mov     $first_page, %ebx
1:      mov     (%rbx), %eax
        mov     4(%rbx), %edx
        mov     $MSR_GHCB, %ecx
        wrmsr
        vmgexit
        mov     $text_ghcb, %esi
        call    print
        mov     4(%rbx), %eax
        call    print_hex
        mov     (%rbx), %eax
        call    print_hex
        call    newline
        add     $8, %ebx
        cmp     $last_page, %ebx
        jb      1b
        ret

/* Twice: started as it was measured, then woken from where it is held. */
other_vcpu:
        movl    $0xc4500, IPIS          /* INIT, all but this one */
        movl    $0xc4600, IPIS + 4      /* startup */
        mov     $2, %ebp
1:      mov     AP_COUNT, %r12d
        mov     $ipi_init, %ebx
        call    request
        mov     $ipi_start, %ebx
        call    request
        mov     $50000, %r13d
2:      mov     $idle, %ebx
        call    request
        cmp     AP_COUNT, %r12d
        jne     3f
        dec     %r13d
        jnz     2b
        ret                             /* there is none */
3:      mov     $text_ap, %esi
        call    print
        mov     AP_COUNT, %eax
        call    print_hex
        mov     AP_HEARD + 4, %eax
        call    print_hex
        mov     AP_HEARD, %eax
        call    print_hex
        call    newline
        dec     %ebp
        jnz     1b
        ret

#ifdef ES_RANDOM
/* --- Noise: only what reads, so that the machine stays on ------------------ */

/* The next number, in %rax (xorshift64); its state is %r14. */
next:   mov     %r14, %rax
        shl     $13, %rax
        xor     %rax, %r14
        mov     %r14, %rax
        shr     $7, %rax
        xor     %rax, %r14
        mov     %r14, %rax
        shl     $17, %rax
        xor     %rax, %r14
        mov     %r14, %rax
        ret

/* A number of any length, so that small ones are not rare */
some:   call    next
        mov     %eax, %ecx
        push    %rcx
        call    next
        pop     %rcx
        shr     %cl, %rax
        ret

noise:
        rdrand  %r14
        mov     $text_seed, %esi
        call    print
        mov     %r14, %rax
        shr     $32, %rax
        call    print_hex
        mov     %r14d, %eax
        call    print_hex
        call    newline
        mov     $100000, %ebp
1:      mov     $GHCB, %edi
        mov     $512, %ebx
2:      call    next
        mov     %rax, (%rdi)
        add     $8, %rdi
        dec     %ebx
        jnz     2b
        mov     $GHCB, %edi
        call    next
        test    $7, %al                 /* mostly of the right form */
        jz      3f
        movl    $0, 0xffc(%rdi)
        movw    $1, 0xffa(%rdi)
        movq    $-1, F_VALID(%rdi)
        movq    $-1, F_VALID + 8(%rdi)
        xor     %edx, %edx
        mov     %ah, %al
        movzbl  %al, %eax
        mov     $NOISE_CODES, %ecx
        div     %ecx
        mov     $codes, %ecx
        mov     (%rcx, %rdx, 4), %eax
        mov     %rax, F_CODE(%rdi)
3:      call    some
        or      $1, %rax                /* IN */
        mov     %rax, F_CODE + 8(%rdi)
        cmpl    $0x7c, F_CODE(%rdi)
        jne     4f
        movq    $0, F_CODE + 8(%rdi)    /* RDMSR */
        call    some
        mov     %rax, 0x308(%rdi)
4:      call    some
        mov     %rax, F_CODE + 16(%rdi)
        call    some
        test    $1, %al
        jz      5f
        and     $0xfff, %eax
        add     $GHCB + 0x700, %eax
5:      mov     %rax, F_CODE + 24(%rdi)
        cmpl    $0x81, F_CODE(%rdi)
        jne     6f
        movq    $12, 0x1f8(%rdi)        /* KVM_HC_MAP_GPA_RANGE */
        movb    $0, 0xcb(%rdi)
        call    some
        and     $0x3ffffff, %eax
        mov     %rax, 0x318(%rdi)
6:      mov     $GHCB, %eax
        call    exit_with
        test    $63, %ebp
        jnz     7f
        call    some                    /* now and then by the MSR */
        mov     %rax, %rdx
        shr     $32, %rdx
        and     $~0x106, %eax           /* no hold, no end */
        mov     $MSR_GHCB, %ecx
        wrmsr
        vmgexit
7:      dec     %ebp
        jnz     1b
        ret

codes:  .long   0x27, 0x37, 0x6e, 0x6f, 0x72, 0x76, 0x7b, 0x7b, 0x7b, 0x7c
        .long   0x81, 0x87, 0x89, 0x8a, 0x8b, 0x80000001, 0x80000001
        .long   0x80000003, 0x80000005, 0x8000fffd
        .set    NOISE_CODES, (. - codes) / 4
text_seed: .asciz "SEED"
#endif

#ifdef ES_KEEP
#include "es-keep.inc"
#endif

#include "es-stos.inc"

#ifdef ES_SWEEP
/* --- Every exit code, with all that a request can have --------------------- */

sweep:  mov     $ASKED, %edi             /* private memory is noise */
        xor     %eax, %eax
        mov     $(ENTRY / 8), %ecx
        rep     stosq
        mov     $ASKED, %ebx
        movq    $(GHCB + 0x800), 24(%rbx)
        movl    $0x7f, 48(%rbx)
        movl    $1, 56(%rbx)
        mov     $first_range, %r12d
1:      mov     (%r12), %r13d
2:      mov     %r13, (%rbx)
        call    request
        cmpl    $2, GHCB + F_CODE + 8   /* refused: there is no such event */
        jne     3f
        cmpl    $6, GHCB + F_CODE + 16
        je      4f
3:      mov     $text_code, %esi
        call    print
        mov     %r13d, %eax
        call    print_hex
        mov     GHCB + F_CODE + 8, %eax
        call    print_hex
        mov     GHCB + F_CODE + 16, %eax
        call    print_hex
        call    newline
4:      inc     %r13d
        cmp     4(%r12), %r13d
        jbe     2b
        add     $8, %r12d
        cmp     $last_range, %r12d
        jb      1b
        ret

/* Not the AP reset hold, nor the two that end a guest. */
first_range:
        .long   0, 0x4ff, 0x80000000, 0x80000003, 0x80000005, 0x800000ff
        .long   0x8000ff00, 0x8000fffd, 0xf0000000, 0xf00000ff
        .long   0xffffff00, 0xfffffffe
last_range:
text_code: .asciz "CODE"
#endif

/* --- The screen: OUT by a GHCB of its own ---------------------------------- */

put:    push    %rbx
        push    %rcx
        push    %rdx
        push    %rdi
        mov     %al, %bl
        mov     $SCREEN, %edi
        movq    $0x7b, F_CODE(%rdi)
        movq    $0x3f80010, F_CODE + 8(%rdi)
        movq    $0, F_CODE + 16(%rdi)
        movzbl  %bl, %eax
        mov     %rax, 0x1f8(%rdi)
        movb    $0x80, F_VALID + 7(%rdi)
        movb    $0x1c, F_VALID + 14(%rdi)
        movw    $1, 0xffa(%rdi)
        movl    $0, 0xffc(%rdi)         /* a scratch area may have been here */
        mov     $SCREEN, %eax
        call    exit_with
        pop     %rdi
        pop     %rdx
        pop     %rcx
        pop     %rbx
        ret

/* The text at %rsi */
print:  mov     (%rsi), %al
        inc     %rsi
        test    %al, %al
        jz      1f
        call    put
        jmp     print
1:      ret

newline:
        mov     $10, %al
        jmp     put

/* %eax, and a space before it */
print_hex:
        push    %rbx
        push    %rcx
        mov     %eax, %ebx
        mov     $' ', %al
        call    put
        mov     $8, %ecx
1:      rol     $4, %ebx
        mov     %bl, %al
        and     $15, %al
        cmp     $10, %al
        jb      2f
        add     $('a' - '0' - 10), %al
2:      add     $'0', %al
        call    put
        loop    1b
        pop     %rcx
        pop     %rbx
        ret

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff      /* 32-bit code */
        .quad   0x00cf93000000ffff
        .quad   0x00af9b000000ffff      /* 64-bit code */
gdtr:   .word   . - gdt - 1
        .long   gdt
idtr:   .word   0xfff
        .quad   IDT

hello:  .asciz  "ES\n"
bye:    .asciz  "BYE\n"
text_vc: .asciz "VC "
text_req: .asciz "REQ "
text_buf: .asciz "BUF"
text_msr: .asciz "MSR "
text_ghcb: .asciz "GHCB"
text_ap: .asciz "AP"

        .balign 8
first_request:
        req     cpuid, 0x72, valid=HAS|HAS_RAX|HAS_RCX, rax=0x40000000
        req     cpuid-no-rcx, 0x72, valid=HAS|HAS_RAX
        req     cpuid-d-no-xcr0, 0x72, valid=HAS|HAS_RAX|HAS_RCX, rax=0xd
        req     cpuid-d, 0x72, valid=HAS|HAS_RAX|HAS_RCX|HAS_XCR0, rax=0xd
        req     in, 0x7b, info1=0x800011
        req     in-no-size, 0x7b, info1=0x800001
        req     in-size-3, 0x7b, info1=0x800031
        req     out-no-rax, 0x7b, info1=0x800010
        req     in-over-end, 0x7b, info1=0x3fd0041
        req     outs, 0x7b, info1=0x80001c, info2=16, valid=HAS|HAS_SCRATCH, \
                scratch=GHCB+0x800
        req     outs-no-scratch, 0x7b, info1=0x80001c, info2=16
        req     outs-0, 0x7b, info1=0x80001c, info2=16, valid=HAS|HAS_SCRATCH
        req     outs-edge, 0x7b, info1=0x80001c, info2=2032, \
                valid=HAS|HAS_SCRATCH, scratch=GHCB+0x800
        req     outs-too-long, 0x7b, info1=0x80001c, info2=2033, \
                valid=HAS|HAS_SCRATCH, scratch=GHCB+0x800
        req     outs-before, 0x7b, info1=0x80001c, info2=1, \
                valid=HAS|HAS_SCRATCH, scratch=GHCB+0x7ff
        req     outs-behind, 0x7b, info1=0x80001c, info2=1, \
                valid=HAS|HAS_SCRATCH, scratch=GHCB+0xff0
        req     outs-wrap, 0x7b, info1=0x80001c, info2=16, \
                valid=HAS|HAS_SCRATCH, scratch=0xfffffffffffffffe
        req     outs-count, 0x7b, info1=0x80004c, info2=0x7fffffff, \
                valid=HAS|HAS_SCRATCH, scratch=SCRATCH
        req     outs-count-64, 0x7b, info1=0x80001c, \
                info2=0xffffffffffffffff, valid=HAS|HAS_SCRATCH, scratch=SCRATCH
        req     outs-ram, 0x7b, info1=0x80001c, info2=65536, \
                valid=HAS|HAS_SCRATCH, scratch=SCRATCH
        req     outs-ram-long, 0x7b, info1=0x80001c, info2=65537, \
                valid=HAS|HAS_SCRATCH, scratch=SCRATCH
        req     outs-private, 0x7b, info1=0x80001c, info2=16, \
                valid=HAS|HAS_SCRATCH, scratch=STACK
        req     outs-mmio, 0x7b, info1=0x80001c, info2=16, \
                valid=HAS|HAS_SCRATCH, scratch=APIC
        req     outs-nowhere, 0x7b, info1=0x80001c, info2=16, \
                valid=HAS|HAS_SCRATCH, scratch=0x8000000000
        req     outs-rom, 0x7b, info1=0x80001c, info2=16, \
                valid=HAS|HAS_SCRATCH, scratch=0xffff0000
        req     ins, 0x7b, info1=0x80001d, info2=4, valid=HAS|HAS_SCRATCH, \
                scratch=GHCB+0x800
        req     msr-read, 0x7c, valid=HAS|HAS_RCX, rcx=0x1b
        req     msr-no-rcx, 0x7c
        req     msr-write-no-ax, 0x7c, info1=1, valid=HAS|HAS_RCX, rcx=0x250
        req     msr-bad-write, 0x7c, info1=1, \
                valid=HAS|HAS_RCX|HAS_RAX|HAS_RDX, rcx=0x1b, rax=1
        req     msr-ghcb, 0x7c, valid=HAS|HAS_RCX, rcx=MSR_GHCB
        req     wbinvd, 0x89
        req     invd, 0x76
        req     rdtsc, 0x6e
        req     rdtscp, 0x87
        req     rdpmc, 0x6f, valid=HAS|HAS_RCX
        req     rdpmc-no-rcx, 0x6f
        req     dr7-read, 0x27
        req     dr7-no-rax, 0x37
        req     vmmcall, 0x81, valid=HAS|HAS_RAX|HAS_CPL, rax=99
        req     vmmcall-no-cpl, 0x81, valid=HAS|HAS_RAX, rax=99
        req     monitor-nothing, 0x8a
        req     mwait, 0x8b, valid=HAS|HAS_RAX|HAS_RCX
        req     mmio-read, 0x80000001, info1=APIC+0x30, info2=4, \
                valid=HAS|HAS_SCRATCH, scratch=GHCB+0x800
        req     mmio-read-ram, 0x80000001, info1=APIC+0x30, info2=4, \
                valid=HAS|HAS_SCRATCH, scratch=SCRATCH
        req     mmio-no-scratch, 0x80000001, info1=APIC+0x30, info2=4
        req     mmio-0-bytes, 0x80000001, info1=APIC+0x30, \
                valid=HAS|HAS_SCRATCH, scratch=GHCB+0x800
        req     mmio-too-long, 0x80000001, info1=APIC+0x30, info2=4096, \
                valid=HAS|HAS_SCRATCH, scratch=GHCB+0x800
        req     mmio-nowhere, 0x80000001, info1=0xfffffffffffffff0, info2=64, \
                valid=HAS|HAS_SCRATCH, scratch=GHCB+0x800
        req     mmio-write, 0x80000002, info1=APIC+0x80, info2=4, \
                valid=HAS|HAS_SCRATCH, scratch=GHCB+0x800
        req     nmi-complete, 0x80000003
        req     jump-table-set, 0x80000005, info2=0x12345000
        req     jump-table-get, 0x80000005, info1=1
        req     jump-table-bad, 0x80000005, info1=2
        req     features, 0x8000fffd
        req     usage, 0x72, usage=1, valid=HAS|HAS_RAX|HAS_RCX
        req     version, 0x89, version=0x7fff
        req     nothing-valid, 0x89, valid=0
        req     unknown, 0x1234
        req     unknown-64, 0xffffffffffffffff
        req     snp-psc, 0x80000010, valid=HAS|HAS_SCRATCH, scratch=GHCB+0x800
last_request:
#if ES_END == 1
        req     terminate, 0x8000fffe, info1=0, info2=1
#else
        req     unsupported, 0x8000ffff, info1=0x6d
#endif
ipi_init:
        req     init, 0x80000002, info1=APIC+0x300, info2=4, \
                valid=HAS|HAS_SCRATCH, scratch=IPIS
ipi_start:
        req     start, 0x80000002, info1=APIC+0x300, info2=4, \
                valid=HAS|HAS_SCRATCH, scratch=IPIS+4
idle:   req     idle, 0x76

        .macro  msr name, low, high=0
        .long   \low, \high
1:      .ascii  "\name"
        .fill   16 - (. - 1b), 1, 0
        .endm
first_msr:
        msr     info, 2
        msr     cpuid-eax, 4, 0x8000001f
        msr     cpuid-ebx, 0x40000004, 0x8000001f
        msr     features, 0x80
        msr     register, 0x12
        msr     unknown, 0xabc, 0xffffffff
        msr     all-ones, 0xffffffff, 0xffffffff
last_msr:

first_page:
        .long   0, 0                    /* none is set */
        .long   0xfee00000, 0           /* registers */
        .long   0xffff0000, 0           /* ROM */
        .long   0x8000, 0               /* private */
        .long   0x00000000, 0x80        /* nothing at all */
        .long   0xfffff000, 0xffffffff
        .long   0xff000, 0              /* the other end of the ROM */
last_page:

        .org    0xffca                  /* 32 bytes before the end ends this */
        .long   ap16                    /* SEV-ES reset block: CS base, IP */
        .word   22
        .byte   0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f
        .byte   0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e
        .org    0xfff0
        .code16
_start: jmp     start16
        .org    0x10000
