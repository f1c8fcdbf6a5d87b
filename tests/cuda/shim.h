/*
 * CUDA's language for the host's C++ compiler, so that kernels of .cu files run in tests where no GPU
 * is: included before each of them. Blocks run one after another; the threads of a block take turns,
 * each until it ends or waits at a barrier. After a barrier they go on in the order of their numbers or
 * against it, launch by launch, so that a missing barrier changes results. Shared memory has exactly
 * the bytes asked for and is NaN in each new block. Misuse ends the program with a sentence: threads
 * that wait at different barriers, lanes missing from a warp's exchange.
 */
#ifndef ATH_TESTS_CUDA_SHIM_H
#define ATH_TESTS_CUDA_SHIM_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

/* ---- barriers and exchanges ---- */

void shim_sync_block();
/* Waits for the lanes of `mask`, all of which must come. */
void shim_sync_warp(unsigned mask);
/* Room of this thread that the other lanes read after the next shim_sync_warp, until that after it. */
enum { SHIM_SLOT = 128 };
void *shim_slot();
/* That of another lane of this warp, as it stood at the last shim_sync_warp. */
const void *shim_slot_of(unsigned lane);
void *shim_shared();
/* Where a rule of CUDA was broken: says what, and by which thread of which block; ends the program. */
[[noreturn]] void shim_fail(const char *what);

static inline void __syncthreads()
{
    shim_sync_block();
}

static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    shim_sync_warp(mask);
}

/* What another lane put; its own value where `lane` is out of range. */
template <class T> static inline T shim_exchange(unsigned mask, T x, unsigned lane)
{
    static_assert(sizeof(T) <= SHIM_SLOT, "fits into a slot");
    T y = x;

    memcpy(shim_slot(), &x, sizeof x);
    shim_sync_warp(mask);
    if (lane < 32) memcpy(&y, shim_slot_of(lane), sizeof y);
    return y;
}

template <class T> static inline T __shfl_sync(unsigned mask, T x, int lane)
{
    return shim_exchange(mask, x, (unsigned)lane % 32);
}

template <class T> static inline T __shfl_xor_sync(unsigned mask, T x, int bits)
{
    return shim_exchange(mask, x, threadIdx.x % 32 ^ (unsigned)bits);
}

template <class T> static inline T __shfl_down_sync(unsigned mask, T x, unsigned distance)
{
    return shim_exchange(mask, x, threadIdx.x % 32 + distance);
}

template <class T> static inline T __shfl_up_sync(unsigned mask, T x, unsigned distance)
{
    return shim_exchange(mask, x, threadIdx.x % 32 - distance);
}

/* Bit l: whether lane l said so. */
static inline unsigned __ballot_sync(unsigned mask, int said)
{
    unsigned all = 0;

    *static_cast<int *>(shim_slot()) = said != 0;
    shim_sync_warp(mask);
    for (unsigned lane = 0; lane < 32; lane++)
        if (mask >> lane & 1)
            all |= (unsigned)*static_cast<const int *>(shim_slot_of(lane)) << lane;
    return all;
}

/* Whether any lane of the mask says so. */
static inline bool __any_sync(unsigned mask, bool is_so)
{
    return __ballot_sync(mask, is_so) != 0;
}

/* ---- arithmetic ---- */

/* One more than the index of the lowest bit; 0 for 0. */
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}

static inline float __uint_as_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t __float_as_uint(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float rsqrtf(float x)
{
    return 1 / sqrtf(x);
}

/* glibc has functions of these names that its headers declare. */
#define __expf(x)        expf(x)
#define __logf(x)        logf(x)
#define __fdividef(a, b) ((a) / (b))

template <class T> static inline T __ldg(const T *p)
{
    return *p;
}

template <class T> static inline T min(T a, T b)
{
    return b < a ? b : a;
}

template <class T> static inline T max(T a, T b)
{
    return a < b ? b : a;
}

/* ---- launching ---- */

void shim_run(dim3 grid, unsigned threads, size_t shared, void (*body)(const void *),
              const void *context);

template <class F>
static inline void shim_launch(dim3 grid, unsigned threads, size_t shared, const F &body)
{
    shim_run(
        grid, threads, shared, [](const void *f) { (*static_cast<const F *>(f))(); }, &body);
}

#include "tests/cuda/shim_tensor.h"

#endif
