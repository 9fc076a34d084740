/*
 * Our ABI header beside the kernel's own: every number and layout that both have must agree, at compile time.
 * Prints each of ours as "name value" for tests/abi.rs to compare with the Rust side, and "absent name" for what these
 * kernel headers do not have.
 */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "uacce_abi.h"

/* The kernel's header uses its own macro without defining it for user space. */
#define BIT(n) (1U << (n))
#include <misc/uacce/hisi_qm.h>
#include <misc/uacce/uacce.h>
#include <sys/ioctl.h>

#define SAME(ours, theirs) static_assert((unsigned long)(ours) == (unsigned long)(theirs), #ours " is not " #theirs)
#define SAME_SIZE(ours, theirs) SAME(sizeof(struct ours), sizeof(struct theirs))
#define SAME_FIELD(ours, theirs, field) \
	SAME(offsetof(struct ours, field), offsetof(struct theirs, field)); \
	SAME(sizeof(((struct ours *)0)->field), sizeof(((struct theirs *)0)->field))

#ifdef UACCE_CMD_START /* 5.7 to 5.9 */
SAME(UACCE_ABI_START, UACCE_CMD_START);
#else
SAME(UACCE_ABI_START, UACCE_CMD_START_Q);
#endif
SAME(UACCE_ABI_PUT_Q, UACCE_CMD_PUT_Q);
SAME(UACCE_ABI_FLAG_SVA, UACCE_DEV_SVA);
SAME(UACCE_ABI_REGION_MMIO, UACCE_QFRT_MMIO);
SAME(UACCE_ABI_REGION_DUS, UACCE_QFRT_DUS);

SAME(UACCE_ABI_SET_QP_CTX, UACCE_CMD_QM_SET_QP_CTX);
SAME_SIZE(uacce_abi_qp_context, hisi_qp_ctx);
SAME_FIELD(uacce_abi_qp_context, hisi_qp_ctx, id);
SAME_FIELD(uacce_abi_qp_context, hisi_qp_ctx, qc_type);

#ifdef UACCE_CMD_QM_SET_QP_INFO /* 6.1 and later */
SAME(UACCE_ABI_SET_QP_INFO, UACCE_CMD_QM_SET_QP_INFO);
SAME_SIZE(uacce_abi_qp_info, hisi_qp_info);
SAME_FIELD(uacce_abi_qp_info, hisi_qp_info, sqe_size);
SAME_FIELD(uacce_abi_qp_info, hisi_qp_info, sq_depth);
SAME_FIELD(uacce_abi_qp_info, hisi_qp_info, cq_depth);
SAME_FIELD(uacce_abi_qp_info, hisi_qp_info, reserved);
#endif

/* Only vendor kernels' headers have these; elsewhere the encoding is checked instead. */
#ifdef UACCE_CMD_GET_SS_DMA
SAME(UACCE_ABI_GET_SS_DMA, UACCE_CMD_GET_SS_DMA);
#endif
#ifdef UACCE_QFRT_SS
SAME(UACCE_ABI_REGION_SS, UACCE_QFRT_SS);
#endif
SAME(UACCE_ABI_START, _IO('W', 0));
SAME(UACCE_ABI_PUT_Q, _IO('W', 1));
SAME(UACCE_ABI_GET_SS_DMA, _IOR('W', 3, unsigned long));
SAME(UACCE_ABI_SET_QP_CTX, _IOWR('H', 10, struct uacce_abi_qp_context));
SAME(UACCE_ABI_SET_QP_INFO, _IOWR('H', 11, struct uacce_abi_qp_info));

#define NUMBER(name) printf(#name " %lu\n", (unsigned long)UACCE_ABI_##name)
#define SIZE(type) printf("sizeof " #type " %zu\n", sizeof(struct uacce_abi_##type))
#define OFFSET(type, field) printf("offsetof " #type "." #field " %zu\n", offsetof(struct uacce_abi_##type, field))

int main(void)
{
#ifndef UACCE_CMD_QM_SET_QP_INFO
	puts("absent UACCE_CMD_QM_SET_QP_INFO");
#endif
#ifndef UACCE_CMD_GET_SS_DMA
	puts("absent UACCE_CMD_GET_SS_DMA");
#endif
	NUMBER(START);
	NUMBER(PUT_Q);
	NUMBER(GET_SS_DMA);
	NUMBER(SET_QP_CTX);
	NUMBER(SET_QP_INFO);
	NUMBER(REGION_MMIO);
	NUMBER(REGION_DUS);
	NUMBER(REGION_SS);
	NUMBER(FLAG_SVA);
	NUMBER(FLAG_NOIOMMU);
	NUMBER(FLAG_IOMMU);
	NUMBER(DOORBELL_OFFSET_V1);
	NUMBER(DOORBELL_OFFSET_V2);
	NUMBER(DOORBELL_SQ);
	NUMBER(DOORBELL_CQ);
	NUMBER(STATUS_RX_FROM_END);
	NUMBER(STATUS_TX_FROM_END);
	NUMBER(DEFAULT_DEPTH);
	NUMBER(DESCRIPTOR_LEN_HPRE);
	NUMBER(DESCRIPTOR_LEN_SEC_ZIP);
	NUMBER(SGL_ENTRIES_MAX);
	NUMBER(SGL_CHAIN_MAX);
	NUMBER(SGL_ALIGN);
	NUMBER(SGL_ENTRY_LEN_MAX);
	SIZE(qp_context);
	OFFSET(qp_context, id);
	OFFSET(qp_context, qc_type);
	SIZE(qp_info);
	OFFSET(qp_info, sqe_size);
	OFFSET(qp_info, sq_depth);
	OFFSET(qp_info, cq_depth);
	OFFSET(qp_info, reserved);
	SIZE(completion_entry);
	OFFSET(completion_entry, cmd_id);
	OFFSET(completion_entry, sq_head);
	OFFSET(completion_entry, sq_num);
	OFFSET(completion_entry, w7);
	SIZE(sgl_header);
	OFFSET(sgl_header, next_dma);
	OFFSET(sgl_header, entry_sum_in_chain);
	OFFSET(sgl_header, entry_sum_in_sgl);
	OFFSET(sgl_header, entry_length_in_sgl);
	OFFSET(sgl_header, pad1);
	OFFSET(sgl_header, pad2);
	SIZE(sgl_entry);
	OFFSET(sgl_entry, buff);
	OFFSET(sgl_entry, page_ctrl);
	OFFSET(sgl_entry, len);
	OFFSET(sgl_entry, pad);
	OFFSET(sgl_entry, pad1);
	return 0;
}
