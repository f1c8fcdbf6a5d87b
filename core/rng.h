/*
 * Random numbers as a pure function of their name: Philox4x32-10 (Salmon, Moraes, Dror, Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC'11). There is no state to save.
 *
 * The house's naming: key = the seed (low word, high word); counter = (index of the block within
 * the draw, kind of draw, epoch, sample). Also seen by .cu files, where the draws are inlined.
 *
 * Uniform numbers are exact in their type, the same on every machine. Normal numbers are computed in
 * double by the platform's log, sqrt, cos and sin and rounded once to float: two maths libraries can
 * differ where the double lies within its last bits of a rounding boundary, about once in 10^8.
 */
#ifndef ATH_CORE_RNG_H
#define ATH_CORE_RNG_H

#include <math.h>
#include <stdint.h>

#if defined(__CUDACC__)
#define ATH_RNG_FN static __host__ __device__ inline
#else
#define ATH_RNG_FN static inline
#endif

/* Four random words from a counter and a key. `out` may be `counter`. */
ATH_RNG_FN void ath_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53u * c0, p1 = (uint64_t)0xcd9e8d57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* In [0, 1): a multiple of 2^-24 from the word's upper bits. */
ATH_RNG_FN float ath_uniform_f32(uint32_t word)
{
    return (float)(word >> 8) * 5.9604644775390625e-8f;
}

/* In [0, 1): a multiple of 2^-53 from two words. */
ATH_RNG_FN double ath_uniform_f64(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 1.1102230246251565404e-16;
}

/* Four standard normal numbers from the four words of a block, by Box and Muller: words 0 and 1 make
 * numbers 0 and 1, words 2 and 3 make 2 and 3. Finite, at most 6.67 in size. */
ATH_RNG_FN void ath_normal4(const uint32_t word[4], float out[4])
{
    for (int i = 0; i < 4; i += 2) {
        double u = ((double)word[i] + 1) * 2.3283064365386963e-10; /* (0, 1]: its log is finite */
        double radius = sqrt(-2 * log(u));
        double angle = (double)word[i + 1] * 1.4629180792671596e-9; /* 2 pi / 2^32 */
        out[i] = (float)(radius * cos(angle));
        out[i + 1] = (float)(radius * sin(angle));
    }
}

/* Where element i of 0 .. n-1 goes in the shuffle of this name: a permutation for each (key, kind,
 * epoch), in O(1) time and space. 0 <= i < n. Host only. */
int64_t ath_permute(int64_t i, int64_t n, const uint32_t key[2], uint32_t kind, uint32_t epoch);

#endif
