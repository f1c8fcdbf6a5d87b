#include "kernels/pointwise.cuh"
extern "C" {
#include "core/rng.h"
#include "kernels/noise.h"
}

namespace
{

/* A thread draws a block of four; rows of y may begin anywhere. */
static __global__ void draw(const uint32_t *key, uint32_t kind, float *y, int64_t n_images,
                            int64_t n)
{
    const int64_t n_blocks = (n + 3) / 4;
    const int64_t b = (int64_t)blockIdx.x * POINTWISE_THREADS + threadIdx.x;
    const int64_t image = b / n_blocks, i = b % n_blocks * 4;

    if (image >= n_images) return;
    const uint32_t *k = key + 4 * image;
    uint32_t word[4] = {(uint32_t)(i / 4), kind, k[2], k[3]};
    float normal[4];
    ath_philox(word, k, word);
    ath_normal4(word, normal);
    if (n % 4 == 0)
        store(y + image * n + i, normal, false);
    else
        for (int j = 0; j < 4 && i + j < n; j++) y[image * n + i + j] = normal[j];
}

ath_err bind(const ath_site *site, ath_bound *)
{
    ATH_NEED(site->out[0].dtype == ATH_F32, ATH_ENOTSUP, "noise: f64 on a GPU");
    return ATH_OK;
}

ath_err fwd(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];
    const int64_t n = ath_desc_count(y) / y->dim[0];
    const int64_t n_threads = y->dim[0] * ((n + 3) / 4);

    return launch(c, dim3((unsigned)ceil_div(n_threads, POINTWISE_THREADS)), POINTWISE_THREADS, 0,
                  draw, (const uint32_t *)c->in[0], ((const ath_noise_attr *)c->site->attr)->kind,
                  (float *)c->out[0], y->dim[0], n);
}

} // namespace

const ath_cuda_op ath_cuda_op_noise = {
    {bind, fwd, nullptr, EXACT},
    {},
};
