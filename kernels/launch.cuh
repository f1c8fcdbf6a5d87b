/*
 * What all .cu files share: storage types, 16-byte packs, sums in a fixed order, launching.
 *
 * A file is compiled twice: by nvcc for GPUs, and by the host's C++ compiler for the tests, where
 * tests/cuda/shim.h stands for the language and runs blocks one after another, threads in turns. So
 * kernels use only what that header has. Shared memory is always dynamic (ATH_SHARED): the shim gives
 * exactly the bytes that were asked for, filled with NaN. No float atomics: bits depend on shapes alone.
 *
 * Everything here has internal linkage.
 */
#ifndef ATH_KERNELS_LAUNCH_CUH
#define ATH_KERNELS_LAUNCH_CUH

extern "C" {
#include "kernels/cuda_ops.h"
}
#include <math.h>
#include <stdint.h>
#if defined(__CUDACC__)
#include "kernels/device_cuda.h"
#include <cuda_runtime.h>
#endif

enum { WARP = 32 };
constexpr unsigned ALL_LANES = 0xffffffffu;

/* ---- storage ---- */

struct bf16 {
    uint16_t bits;
};

static __device__ inline float to_f32(float x)
{
    return x;
}

static __device__ inline float to_f32(bf16 x)
{
    return __uint_as_float((uint32_t)x.bits << 16);
}

/* To nearest even; NaN stays NaN. */
template <class T> static __device__ inline T from_f32(float x);
template <> __device__ inline float from_f32<float>(float x)
{
    return x;
}
template <> __device__ inline bf16 from_f32<bf16>(float x)
{
    bf16 y;
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
#else
    y.bits = ath_bf16_from_f32(x);
#endif
    return y;
}

/* What one thread loads or stores at once: 4 floats or 8 bf16. Lies at multiples of its size. */
template <class T> struct alignas(16) pack {
    static constexpr int n = 16 / (int)sizeof(T);
    T x[n];
};

/* Elements [i, i + pack<T>::n) of an array of n, i a multiple of it; zeros behind the end. */
template <class T>
static __device__ inline void load_pack(const T *p, int64_t i, int64_t n, float *out)
{
    constexpr int N = pack<T>::n;

    if (i + N <= n) {
        const pack<T> v = *reinterpret_cast<const pack<T> *>(p + i);
#pragma unroll
        for (int k = 0; k < N; k++) out[k] = to_f32(v.x[k]);
    } else {
#pragma unroll
        for (int k = 0; k < N; k++) out[k] = i + k < n ? to_f32(p[i + k]) : 0;
    }
}

template <class T>
static __device__ inline void store_pack(T *p, int64_t i, int64_t n, const float *x)
{
    constexpr int N = pack<T>::n;

    if (i + N <= n) {
        pack<T> v;
#pragma unroll
        for (int k = 0; k < N; k++) v.x[k] = from_f32<T>(x[k]);
        *reinterpret_cast<pack<T> *>(p + i) = v;
    } else {
#pragma unroll
        for (int k = 0; k < N; k++)
            if (i + k < n) p[i + k] = from_f32<T>(x[k]);
    }
}

/* A gradient, set or added to: the sum is rounded once. */
template <class T>
static __device__ inline void grad_pack(T *p, int64_t i, int64_t n, const float *x, bool add)
{
    constexpr int N = pack<T>::n;
    float sum[N];

    if (add) load_pack(p, i, n, sum);
#pragma unroll
    for (int k = 0; k < N; k++) sum[k] = add ? sum[k] + x[k] : x[k];
    store_pack(p, i, n, sum);
}

template <class T> static __device__ inline void grad_put(T *p, float x, bool add)
{
    *p = from_f32<T>(add ? to_f32(*p) + x : x);
}

/* ---- sums in a fixed order ---- */

/* All lanes get the sum over the warp, by halving distances. */
template <class T> static __device__ inline T warp_sum(T x)
{
#pragma unroll
    for (int d = WARP / 2; d > 0; d /= 2) x += __shfl_xor_sync(ALL_LANES, x, d);
    return x;
}

/* All threads of the block get the sum over it; whole warps, `shared` has room for one T a warp and is
 * free again when it returns. */
template <class T> static __device__ inline T block_sum(T x, T *shared)
{
    const int warp = (int)threadIdx.x / WARP, n_warps = (int)blockDim.x / WARP;
    T sum = 0;

    x = warp_sum(x);
    if ((int)threadIdx.x % WARP == 0) shared[warp] = x;
    __syncthreads();
    for (int w = 0; w < n_warps; w++) sum += shared[w];
    __syncthreads();
    return sum;
}

/* ---- launching ---- */

/* The dynamic shared memory of the block as an array of T. */
#if defined(__CUDACC__)
#define ATH_SHARED(T, name)                                       \
    extern __shared__ __align__(128) unsigned char ath_shared_[]; \
    T *name = reinterpret_cast<T *>(ath_shared_)
#else
#define ATH_SHARED(T, name) T *name = reinterpret_cast<T *>(shim_shared())
#endif

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Launches `kernel` into the call's stream: `shared` bytes of dynamic shared memory, `threads` a
 * block. ECUDA where the launch is refused. */
template <class... P, class... A>
static ath_err launch(const ath_call *c, dim3 grid, unsigned threads, size_t shared,
                      void (*kernel)(P...), A... args)
{
#if defined(__CUDACC__)
    enum { PLAIN = 48 * 1024 }; /* more must be asked for */
    const char *name = c->site->op->name;
    if (shared > PLAIN)
        ATH_TRY(ath_cuda_check(cudaFuncSetAttribute((const void *)kernel,
                                                    cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                    (int)shared),
                               name));
    kernel<<<grid, threads, shared, ath_cuda_stream(c->stream)>>>(static_cast<P>(args)...);
    return ath_cuda_check(cudaGetLastError(), name);
#else
    (void)c;
    shim_launch(grid, threads, shared, [&] { kernel(static_cast<P>(args)...); });
    return ATH_OK;
#endif
}

/* call(T) with T as the storage type of dtype: F32 or BF16. */
#define BY_DTYPE(dtype, call) ((dtype) == ATH_BF16 ? call(bf16) : call(float))

#endif
