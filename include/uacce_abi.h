/* SPDX-License-Identifier: Apache-2.0 */
/* The uacce user interface of the Linux kernel and the HiSilicon queue manager: numbers and layouts.
   Little-endian, sizes in bytes. ioctl numbers are complete: pass them as they are. */

#ifndef UACCE_ABI_H
#define UACCE_ABI_H

/* Made from uacce-sys/src/abi.rs; do not edit. */

#include <stdint.h>

/**
 * ioctl: starts the queue (`_IO('W', 0)`).
 */
#define UACCE_ABI_START 22272

/**
 * ioctl: stops the queue, after draining it (`_IO('W', 1)`).
 */
#define UACCE_ABI_PUT_Q 22273

/**
 * ioctl: asks for one slice of the reserved memory region (vendor kernels; `_IOR('W', 3, unsigned long)`). The
 * argument also goes in: the slice's index.
 */
#define UACCE_ABI_GET_SS_DMA 2148030211

/**
 * ioctl: sets the queue class and gives the queue's number (`_IOWR('H', 10, 4 bytes)`).
 */
#define UACCE_ABI_SET_QP_CTX 3221506058

/**
 * ioctl: asks for the descriptor size and the depths (`_IOWR('H', 11, 16 bytes)`); in spite of its name it sets nothing.
 */
#define UACCE_ABI_SET_QP_INFO 3222292491

/**
 * Region number of the doorbell registers; a region is mapped at its number times the page size.
 */
#define UACCE_ABI_REGION_MMIO 0

/**
 * Region number of the rings and status words.
 */
#define UACCE_ABI_REGION_DUS 1

/**
 * Region number of the reserved memory (vendor kernels).
 */
#define UACCE_ABI_REGION_SS 2

/**
 * `flags` bit: the device works in the process's own address space.
 */
#define UACCE_ABI_FLAG_SVA 1

/**
 * `flags` bit: no IOMMU stands before the device (vendor kernels).
 */
#define UACCE_ABI_FLAG_NOIOMMU 2

/**
 * `flags` bit: an IOMMU stands before the device (vendor kernels).
 */
#define UACCE_ABI_FLAG_IOMMU 128

/**
 * Offset of the doorbell in the MMIO region, queue manager version 1.
 */
#define UACCE_ABI_DOORBELL_OFFSET_V1 832

/**
 * Offset of the doorbell in the MMIO region, queue manager version 2 and later.
 */
#define UACCE_ABI_DOORBELL_OFFSET_V2 4096

/**
 * Doorbell command: the submission ring's tail moved.
 */
#define UACCE_ABI_DOORBELL_SQ 0

/**
 * Doorbell command: the completion ring's head moved.
 */
#define UACCE_ABI_DOORBELL_CQ 1

/**
 * Offset of the receive status word from the end of the DUS region.
 */
#define UACCE_ABI_STATUS_RX_FROM_END 8

/**
 * Offset of the send status word from the end of the DUS region.
 */
#define UACCE_ABI_STATUS_TX_FROM_END 4

/**
 * Entries of either ring when the kernel does not tell.
 */
#define UACCE_ABI_DEFAULT_DEPTH 1024

/**
 * Descriptor size of HPRE.
 */
#define UACCE_ABI_DESCRIPTOR_LEN_HPRE 64

/**
 * Descriptor size of SEC and ZIP.
 */
#define UACCE_ABI_DESCRIPTOR_LEN_SEC_ZIP 128

/**
 * Most entries of one hardware scatter-gather list.
 */
#define UACCE_ABI_SGL_ENTRIES_MAX 255

/**
 * Most lists in one chain.
 */
#define UACCE_ABI_SGL_CHAIN_MAX 256

/**
 * Alignment of a list's address.
 */
#define UACCE_ABI_SGL_ALIGN 64

/**
 * Most bytes one entry may name.
 */
#define UACCE_ABI_SGL_ENTRY_LEN_MAX 8388608

/**
 * Argument of `SET_QP_CTX` (the kernel's `hisi_qp_ctx`).
 */
struct uacce_abi_qp_context {
  /**
   * Out: the queue's number inside its function, named in every doorbell.
   */
  uint16_t id;
  /**
   * In: the queue class.
   */
  uint16_t qc_type;
};

/**
 * Argument of `SET_QP_INFO` (the kernel's `hisi_qp_info`).
 */
struct uacce_abi_qp_info {
  /**
   * Out: bytes of one descriptor.
   */
  uint32_t sqe_size;
  /**
   * Out: entries of the submission ring.
   */
  uint16_t sq_depth;
  /**
   * Out: entries of the completion ring.
   */
  uint16_t cq_depth;
  /**
   * Unused.
   */
  uint64_t reserved;
};

/**
 * One entry of the completion ring.
 */
struct uacce_abi_completion_entry {
  /**
   * Unused.
   */
  uint32_t rsvd0;
  /**
   * Read by no known driver.
   */
  uint16_t cmd_id;
  /**
   * Unused.
   */
  uint16_t rsvd1;
  /**
   * Submission slot whose descriptor completed.
   */
  uint16_t sq_head;
  /**
   * The queue's number.
   */
  uint16_t sq_num;
  /**
   * Unused.
   */
  uint16_t rsvd2;
  /**
   * Bit 0: phase. The entry is new when it equals the phase the reader expects.
   */
  uint16_t w7;
};

/**
 * Head of a hardware scatter-gather list; its entries follow at once.
 */
struct uacce_abi_sgl_header {
  /**
   * Device address of the next list; 0 ends the chain.
   */
  uint64_t next_dma;
  /**
   * Entries of the whole chain, counted as room.
   */
  uint16_t entry_sum_in_chain;
  /**
   * Valid entries of this list.
   */
  uint16_t entry_sum_in_sgl;
  /**
   * Room for entries in this list.
   */
  uint16_t entry_length_in_sgl;
  /**
   * Zero.
   */
  uint16_t pad0;
  /**
   * Unused.
   */
  uint64_t pad1[4];
  /**
   * Ignored by the device.
   */
  uint64_t pad2[2];
};

/**
 * One entry of a hardware scatter-gather list.
 */
struct uacce_abi_sgl_entry {
  /**
   * Device address of the data.
   */
  uint64_t buff;
  /**
   * Ignored by the device.
   */
  uint64_t page_ctrl;
  /**
   * Bytes, `1..=8388608`.
   */
  uint32_t len;
  /**
   * Zero.
   */
  uint32_t pad;
  /**
   * Ignored by the device.
   */
  uint64_t pad1;
};

#endif  /* UACCE_ABI_H */
