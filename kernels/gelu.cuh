/* GELU by erf, for gelu.cu and geglu.cu: its gate and the gate's slope. By erfc, which keeps its relative
 * precision where 1 + erf cancels. */
#ifndef ATH_KERNELS_GELU_CUH
#define ATH_KERNELS_GELU_CUH

#include "kernels/pointwise.cuh"

static __device__ inline float gelu_gate(float x)
{
    return 0.5f * erfcf(-x * 0.707106781f);
}

/* d/dx of x * gelu_gate(x) */
static __device__ inline float gelu_slope(float x, float gate)
{
    return fmaf(x * 0.398942280f, expf(-0.5f * x * x), gate); /* the density: 1 / sqrt(2 pi) */
}

#endif
