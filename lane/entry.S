/*
 * The lane's first page, its way in, its way out, and its faults.  See abi.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "abi.h"

/* state.h has these for C */
#define STACK_TOP       0x2000
#define FAULT_TOP       0x3000
#define SLOT_ZEROED     0x6000
#define SLOT_SHIFT      15
#define SHARED_SHIFT    21

/* LaneMailbox */
#define BOX_STATUS      8
#define BOX_ABI         20
#define BOX_FAULT       48
#define STATUS_FAULT    16

/* LaneOwn, and a slot's bits of it */
#define OWN_RUNNING     (LANE_OWN + 36)
#define SLOT_0_RUNS     0x10001

#define CPUID_OSXSAVE   27

        .section .text.first, "ax"
        .globl lane_start
lane_start:
        jmp     enter

        .org    LANE_GDT - LANE_IMAGE
        .quad   0
        .quad   0x00af9b000000ffff      /* CS0: 64-bit code, ring 0, accessed */
        .quad   0x00cf93000000ffff      /* DS0 */
        .quad   0x00affb000000ffff      /* CS3 */
        .quad   0x00cff3000000ffff      /* DS3 */
        .quad   0, 0                    /* TR: the host loads it whole */

/* One stub for each exception; those without an error code push 0. */
        .org    LANE_VECTORS - LANE_IMAGE
        .set    vector, 0
        .rept   32
        .balign 16, 0xcc
        .if     vector < 8 || vector == 9 || vector == 15 || vector == 16 || \
                vector == 18 || vector == 19 || vector == 20 || \
                (vector > 21 && vector != 29 && vector != 30)
        push    $0
        .endif
        push    $vector
        jmp     fault
        .set    vector, vector + 1
        .endr

/* Interrupt gates to the stubs, on the first interrupt stack */
        .org    LANE_IDT - LANE_IMAGE
        .set    vector, 0
        .rept   32
        .word   (LANE_VECTORS + vector * 16) & 0xffff
        .word   LANE_CS0
        .byte   1, 0x8e
        .word   LANE_VECTORS >> 16
        .quad   0
        .set    vector, vector + 1
        .endr

/* A TSS for each slot: where a fault finds a stack, and no I/O for ring 3 */
        .org    LANE_TSS - LANE_IMAGE
        .set    slot, 0
        .rept   LANE_MAX_SLOTS
        .balign LANE_TSS_STRIDE, 0
        .set    stack, LANE_SLOTS + slot * LANE_SLOT_SIZE + FAULT_TOP
        .long   0
        .quad   stack, 0, 0             /* RSP0 to RSP2 */
        .quad   0
        .quad   stack, 0, 0, 0, 0, 0, 0 /* IST1 to IST7 */
        .quad   0
        .word   0, 104
        .set    slot, slot + 1
        .endr
        .org    LANE_PAGE

        .text
enter:
        cld
        cmp     $LANE_MAX_SLOTS, %edi
        jae     bad_slot
        mov     %edi, %ebx
        mov     %edi, %eax
        shl     $SLOT_SHIFT, %eax
        lea     LANE_SLOTS + STACK_TOP(%rax), %rsp
        call    lane_main
        jmp     leave

bad_slot:
        mov     $LANE_RING_BAD_SLOT, %ebx
        xor     %eax, %eax
        jmp     clear

/*
 * In ring 0, on the slot's interrupt stack: vector, error, RIP, CS, RFLAGS, RSP,
 * SS.  Says so in the mailbox and leaves in the ring where it happened, because
 * a hypervisor may run SSE in ring 3 only.
 */
fault:
        mov     %esp, %ebx
        sub     $LANE_SLOTS, %ebx
        shr     $SLOT_SHIFT, %ebx
        mov     %ebx, %edi
        shl     $SHARED_SHIFT, %edi
        add     $LANE_SHARED, %edi
        pop     %rax
        mov     %rax, BOX_FAULT(%rdi)
        pop     %rcx
        mov     %rcx, BOX_FAULT + 8(%rdi)
        mov     (%rsp), %rcx
        mov     %rcx, BOX_FAULT + 16(%rdi)
        xor     %ecx, %ecx
        cmp     $14, %eax
        jne     1f
        mov     %cr2, %rcx
1:      mov     %rcx, BOX_FAULT + 24(%rdi)
        movl    $LANE_ABI_VERSION, BOX_ABI(%rdi)
        movl    $STATUS_FAULT, BOX_STATUS(%rdi)
        testb   $3, 8(%rsp)
        jz      leave_after_fault
        movq    $leave_after_fault, (%rsp)
        iretq

/* The slot neither shares nor changes anything any more. */
leave_after_fault:
        mov     $SLOT_0_RUNS, %eax
        mov     %ebx, %ecx
        shl     %cl, %eax
        not     %eax
        lock and %eax, OWN_RUNNING
/* Which vectors may hold something?  All that the CPU has. */
        mov     %ebx, %r8d
        mov     $1, %eax
        cpuid
        mov     %r8d, %ebx
        xor     %eax, %eax
        bt      $CPUID_OSXSAVE, %ecx
        jnc     leave
        xor     %ecx, %ecx
        xgetbv
        mov     %eax, %edx
        xor     %eax, %eax
        and     $LANE_XCR0 & ~1, %edx
        cmp     $LANE_XCR0 & ~1, %edx
        je      1f
        and     $6, %edx
        cmp     $6, %edx
        jne     leave
        mov     $LANE_PATH_VAES256, %eax
        jmp     leave
1:      mov     $LANE_PATH_VAES512, %eax

/* EBX: the slot; EAX: the widest vectors that were used, LANE_PATH_* */
leave:
        pxor    %xmm0, %xmm0
        mov     %ebx, %edi
        shl     $SLOT_SHIFT, %edi
        add     $LANE_SLOTS, %edi
        lea     SLOT_ZEROED(%rdi), %esi
1:      movaps  %xmm0, (%rdi)
        movaps  %xmm0, 16(%rdi)
        movaps  %xmm0, 32(%rdi)
        movaps  %xmm0, 48(%rdi)
        add     $64, %edi
        cmp     %esi, %edi
        jb      1b

/* Nothing of key or plaintext is in a register when the host looks. */
clear:
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        pxor    %xmm\n, %xmm\n
        .endr
        cmp     $LANE_PATH_VAES256, %eax
        jb      1f
        vzeroall
        cmp     $LANE_PATH_VAES512, %eax
        jb      1f
        .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vpxorq  %zmm\n, %zmm\n, %zmm\n
        .endr
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        kxorw   %k\n, %k\n, %k\n
        .endr
1:      mov     %ebx, %eax
        mov     $LANE_PORT, %edx
        xor     %ebx, %ebx
        xor     %ecx, %ecx
        xor     %esi, %esi
        xor     %edi, %edi
        xor     %ebp, %ebp
        xor     %esp, %esp
        .irp    n, 8, 9, 10, 11, 12, 13, 14, 15
        xor     %r\n\()d, %r\n\()d
        .endr
        mov     %cs, %ecx
        test    $3, %cl
        mov     $0, %ecx
        jnz     2f
1:      out     %al, %dx
        jmp     1b
2:      movb    %al, LANE_DOORBELL
        jmp     2b
