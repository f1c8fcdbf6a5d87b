/*
 * Tiles of bf16 in shared memory: copies from memory that run beside the program, products on the tensor
 * cores with sums in f32. On the host tests/cuda/shim_tensor.h stands for both.
 *
 * A product is a warp's, all lanes together. Fragments, with g = lane / 4 and t = lane % 4:
 *
 *     c[4]   of C [16][8]:   (g, 2t) (g, 2t+1) (g+8, 2t) (g+8, 2t+1)
 *     a[4]   of A [16][16]:  pairs along the inner axis at (g, 2t) (g+8, 2t) (g, 2t+8) (g+8, 2t+8)
 *     b[2]   of B [16][8]:   pairs along the inner axis at (2t, g) (2t+8, g)
 *
 * so that two neighbours of C, packed, are an A of the next product. Reading tiles of 8 rows of 16 bytes
 * costs no bank conflict where the rows lie an odd number of 16 bytes apart (tile_step).
 */
#ifndef ATH_KERNELS_TILE_CUH
#define ATH_KERNELS_TILE_CUH

#include "kernels/launch.cuh"

/* Elements from one row to the next of a tile in shared memory with rows of d bf16, a multiple of 8. */
static __host__ __device__ constexpr int tile_step(int d)
{
    return (d / 8 | 1) * 8;
}

/* x in the lower half, which comes first in memory. */
static __device__ inline uint32_t pack_pair(float x, float y)
{
#if defined(__CUDACC__)
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(y), "f"(x));
    return pair;
#else
    return (uint32_t)from_f32<bf16>(y).bits << 16 | from_f32<bf16>(x).bits;
#endif
}

/* 2^x to a relative 2^-22; 0 for -inf, and where the result would be subnormal. */
static __device__ inline float exp2_near(float x)
{
#if defined(__CUDACC__)
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return x < -126 ? 0 : exp2f(x);
#endif
}

/* ---- products ---- */

/* c += a b over an inner axis of 16. */
static __device__ inline void mma_16(float (&c)[4], const uint32_t *a, const uint32_t *b)
{
#if defined(__CUDACC__)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    shim_mma(c, a, b, 16);
#endif
}

/* The same over 8: a[2], b[1], the first halves of the fragments. */
static __device__ inline void mma_8(float (&c)[4], const uint32_t *a, const uint32_t *b)
{
#if defined(__CUDACC__)
    asm("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]));
#else
    shim_mma(c, a, b, 8);
#endif
}

/* ---- places in shared memory ---- */

/* Where an element of a tile lies. On a GPU the 32 bits that instructions want, so that an offset known
 * beforehand costs none. */
struct tile_ptr {
#if defined(__CUDACC__)
    uint32_t at;
    __device__ inline explicit tile_ptr(const bf16 *p) : at((uint32_t)__cvta_generic_to_shared(p))
    {
    }
    __device__ inline explicit tile_ptr(uint32_t address) : at(address)
    {
    }
    __device__ inline tile_ptr operator+(int n) const
    {
        return tile_ptr(at + (uint32_t)n * (uint32_t)sizeof(bf16));
    }
#else
    bf16 *at;
    explicit tile_ptr(bf16 *p) : at(p)
    {
    }
    tile_ptr operator+(int n) const
    {
        return tile_ptr(at + n);
    }
#endif
};

/* ---- fragments from shared memory ---- */

/* Register i of each lane gets its pair (g, 2t) of the i-th matrix of 8 rows of 8 bf16; lane l gives the
 * address of row l % 8 of matrix l / 8. */
static __device__ inline void load_4(uint32_t *r, tile_ptr row)
{
#if defined(__CUDACC__)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row.at)
                 : "memory");
#else
    shim_ldmatrix(r, row.at, 4, false);
#endif
}

/* Two matrices, from the addresses of the first 16 lanes. */
static __device__ inline void load_2(uint32_t *r, tile_ptr row)
{
#if defined(__CUDACC__)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(row.at)
                 : "memory");
#else
    shim_ldmatrix(r, row.at, 2, false);
#endif
}

/* The same of the transposed matrices: the lane's pair is (2t, g), (2t+1, g). */
static __device__ inline void load_4_flipped(uint32_t *r, tile_ptr row)
{
#if defined(__CUDACC__)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row.at)
                 : "memory");
#else
    shim_ldmatrix(r, row.at, 4, true);
#endif
}

static __device__ inline void load_2_flipped(uint32_t *r, tile_ptr row)
{
#if defined(__CUDACC__)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(row.at)
                 : "memory");
#else
    shim_ldmatrix(r, row.at, 2, true);
#endif
}

/* ---- copies beside the program ---- */

/* 16 bytes to shared memory; zeros where is_there is not. There for this thread after copy_wait, for
 * the others after a barrier behind that. */
static __device__ inline void copy_16(tile_ptr to, const void *from, bool is_there)
{
#if defined(__CUDACC__)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(to.at), "l"(from), "r"(is_there ? 16 : 0)
                 : "memory");
#else
    shim_copy(to.at, from, is_there);
#endif
}

/* Ends a group of this thread's copies. */
static __device__ inline void copy_commit()
{
#if defined(__CUDACC__)
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    shim_copy_commit();
#endif
}

/* Until all of this thread's groups but the last N are there. */
template <int N> static __device__ inline void copy_wait()
{
#if defined(__CUDACC__)
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#else
    shim_copy_wait(N);
#endif
}

#endif
