#include "kernels/embed.h"
#include "kernels/ref.h"

#include <inttypes.h>
#include <string.h>

static ath_err check_ids(const ath_call *c)
{
    const int32_t *ids = c->in[0];
    const ath_desc *d = &c->site->in[0];
    const int64_t words = c->site->in[1].dim[0];

    for (int64_t i = 0; i < ath_desc_count(d); i++)
        ATH_NEED(ids[i] >= 0 && ids[i] < words, ATH_EINVAL,
                 "embed: ids[%" PRId64 ",%" PRId64 "] is %" PRId32 ", wanted 0 to %" PRId64,
                 i / d->dim[1], i % d->dim[1], ids[i], words - 1);
    return ATH_OK;
}

ath_err ATH_REF_NAME(embed_fwd)(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];
    const ath_dtype from = c->site->in[1].dtype;
    const int32_t *ids = c->in[0];
    const int64_t width = y->dim[2];

    ATH_TRY(check_ids(c));
    for (int64_t row = 0; row < ath_desc_rows(y); row++)
        for (int64_t i = 0; i < width; i++)
            ref_put(c->out[0], y->dtype, row * width + i,
                    ref_get(c->in[1], from, ids[row] * width + i) +
                        ref_get(c->in[2], from, row % y->dim[1] * width + i));
    return ATH_OK;
}

static bool is_first(const int32_t *ids, int64_t row)
{
    for (int64_t i = 0; i < row; i++)
        if (ids[i] == ids[row]) return false;
    return true;
}

/* Row `to` of din[k] gets rows first, first + step, ... of dy; for k = 1, those of first's id. */
static void sum_rows(const ath_call *c, int k, int64_t first, int64_t step, int64_t to)
{
    const ath_desc *y = &c->site->out[0];
    const int32_t *ids = c->in[0];
    const int64_t width = y->dim[2];
    real *sum = c->scratch;

    memset(sum, 0, (size_t)width * sizeof *sum);
    for (int64_t row = first; row < ath_desc_rows(y); row += step) {
        if (k == 1 && ids[row] != ids[first]) continue;
        for (int64_t i = 0; i < width; i++)
            sum[i] += ref_get(c->dout[0], y->dtype, row * width + i);
    }
    for (int64_t i = 0; i < width; i++)
        ref_grad(c->din[k], ATH_REF_REAL, to * width + i, sum[i], c->site->add >> k & 1);
}

ath_err ATH_REF_NAME(embed_bwd)(const ath_call *c)
{
    const ath_desc *y = &c->site->out[0];
    const int32_t *ids = c->in[0];

    ATH_TRY(check_ids(c));
    for (int k = 1; k < 3; k++)
        if (c->din[k] && !(c->site->add >> k & 1))
            memset(c->din[k], 0, ath_desc_bytes(&c->site->din[k]));
    for (int64_t row = 0; c->din[1] && row < ath_desc_rows(y); row++)
        if (is_first(ids, row)) sum_rows(c, 1, row, 1, ids[row]);
    for (int64_t t = 0; c->din[2] && t < y->dim[1]; t++) sum_rows(c, 2, t, y->dim[1], t);
    return ATH_OK;
}
