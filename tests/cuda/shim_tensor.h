/*
 * What shim.h has of tensor cores and of copies that run beside the program, with fragments as the PTX
 * manual lays them out. A copy takes place only when it is waited for, and its place is NaN until then:
 * so a missing wait is found, and a place that is filled while others still read it.
 */
#ifndef ATH_TESTS_CUDA_SHIM_TENSOR_H
#define ATH_TESTS_CUDA_SHIM_TENSOR_H

#include "tests/cuda/shim.h"

/* mma.sync m16n8k16 (inner 16: a[4], b[2]) or m16n8k8 (inner 8: a[2], b[1]), bf16 to f32, on c in place.
 * The sum of products is exact to double, and joins c with one rounding. */
void shim_mma(float c[4], const uint32_t *a, const uint32_t *b, int inner);

/* The other half of shim_ldmatrix: the rows are in the slots. */
void shim_deal(uint32_t *r, int n, bool is_flipped);

/* ldmatrix .x2 or .x4 (n), with .trans or without: this lane gives a row of 16 bytes of shared memory. */
static inline void shim_ldmatrix(uint32_t *r, const void *row, int n, bool is_flipped)
{
    if ((uintptr_t)row % 16 != 0) shim_fail("ldmatrix of a row that is not at a multiple of 16");
    if (threadIdx.x % 32 < (unsigned)n * 8) memcpy(shim_slot(), row, 16);
    shim_deal(r, n, is_flipped);
}

/* cp.async of 16 bytes (zeros instead where is_there is not), and its groups. */
void shim_copy(void *to, const void *from, bool is_there);
void shim_copy_commit();
void shim_copy_wait(unsigned n_groups); /* until at most the last n_groups are under way */

#endif
