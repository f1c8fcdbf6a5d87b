#include "kernels/launch.cuh"

#include "kernels/product_cuda.h"

enum { THREADS = 256 };

/* A thread has all taps of one (o, c): they lie together on one side, and lanes do on the other. */
template <class T>
static __global__ void turn(const T *x, T *turned, int64_t n, int64_t c, int64_t taps)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

    if (i >= n) return;
    for (int64_t t = 0; t < taps; t++) turned[(i / c * taps + t) * c + i % c] = x[i * taps + t];
}

template <class T>
static __global__ void turn_back(const T *turned, float *y, int64_t n, int64_t c, int64_t taps,
                                 bool add)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

    if (i >= n) return;
    for (int64_t t = 0; t < taps; t++)
        grad_put(&y[i * taps + t], to_f32(turned[(i / c * taps + t) * c + i % c]), add);
}

static dim3 blocks(const ath_filter *f)
{
    return dim3((unsigned)ceil_div(f->o * f->c, THREADS));
}

ath_err ath_cuda_filter_turn(const ath_call *c, const ath_filter *f, const void *x, void *turned)
{
#define RUN(T) \
    launch(c, blocks(f), THREADS, 0, turn<T>, (const T *)x, (T *)turned, f->o * f->c, f->c, f->taps)
    return BY_DTYPE(f->dtype, RUN);
#undef RUN
}

ath_err ath_cuda_filter_back(const ath_call *c, const ath_filter *f, const void *turned, bool add,
                             float *y)
{
#define RUN(T)                                                                              \
    launch(c, blocks(f), THREADS, 0, turn_back<T>, (const T *)turned, y, f->o * f->c, f->c, \
           f->taps, add)
    return BY_DTYPE(f->dtype, RUN);
#undef RUN
}
