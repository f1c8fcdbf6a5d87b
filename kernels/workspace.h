/*
 * The scratch of kernels over NVIDIA's libraries: the library's workspace, which begins at a multiple of
 * 256 as they want it, then the op's own part, at a multiple of 64.
 */
#ifndef ATH_KERNELS_WORKSPACE_H
#define ATH_KERNELS_WORKSPACE_H

#include "kernels/op.h"

enum { ATH_WORKSPACE_ALIGN = 256, ATH_SCRATCH_ALIGN = 64 };

static inline size_t ath_scratch_aligned(size_t bytes)
{
    return (bytes + ATH_SCRATCH_ALIGN - 1) / ATH_SCRATCH_ALIGN * ATH_SCRATCH_ALIGN;
}

/* What to book for both; `workspace` is a multiple of 64. */
static inline size_t ath_workspace_book(size_t workspace, size_t own)
{
    const size_t slack = workspace ? ATH_WORKSPACE_ALIGN - ATH_SCRATCH_ALIGN : 0;
    return slack + workspace + own;
}

static inline void *ath_workspace_get(const ath_call *call)
{
    const uintptr_t over = (uintptr_t)call->scratch % ATH_WORKSPACE_ALIGN;
    return (char *)call->scratch + (over ? ATH_WORKSPACE_ALIGN - over : 0);
}

static inline void *ath_workspace_own(const ath_call *call, size_t workspace)
{
    return workspace ? (char *)ath_workspace_get(call) + workspace : (char *)call->scratch;
}

#endif
