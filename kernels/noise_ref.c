#include "core/rng.h"
#include "kernels/noise.h"
#include "kernels/par.h"
#include "kernels/ref.h"

ath_err ATH_REF_NAME(noise_fwd)(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];
    const ath_noise_attr *a = c->site->attr;
    const uint32_t *key = c->in[0];
    const int64_t N = y->dim[0], n = ath_desc_count(y) / N, n_blocks = (n + 3) / 4;

    ATH_PAR_FOR(c->site->n_threads)
    for (int64_t b = 0; b < N * n_blocks; b++) {
        const uint32_t *k = key + 4 * (b / n_blocks);
        const int64_t block = b % n_blocks, first = b / n_blocks * n + 4 * block;
        uint32_t word[4] = {(uint32_t)block, (uint32_t)a->kind, k[2], k[3]};
        float normal[4];
        ath_philox(word, k, word);
        ath_normal4(word, normal);
        for (int64_t i = 0; i < 4 && 4 * block + i < n; i++)
            ref_put(c->out[0], y->dtype, first + i, (real)normal[i]);
    }
    return ATH_OK;
}
