/*
 * Sums of squares, in double, where the square of a float is exact: 16 partial sums
 * by index modulo 16, then halves onto halves. No fused operation can change them, so the bits are
 * the same at every ISA level.
 */
#ifndef ATH_CORE_SQUARES_H
#define ATH_CORE_SQUARES_H

#include <stdint.h>

static inline double sum_of_squares(const float *x, int64_t n)
{
    enum { LANES = 16 };
    double sum[LANES] = {0};
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) sum[k] += (double)x[i + k] * (double)x[i + k];
    for (int k = 0; i + k < n; k++) sum[k] += (double)x[i + k] * (double)x[i + k];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) sum[k] += sum[k + half];
    return sum[0];
}

#endif
