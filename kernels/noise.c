#include "kernels/noise.h"

#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(noise_fwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_noise_attr *a = attr;
    const ath_desc *key = &in[0];
    int64_t count = 1;

    (void)saved;
    ATH_TRY(ath_need_dtype("noise", "key", key, ATH_I32));
    ATH_TRY(ath_need_shape("noise", "key", key, ATH_SHAPE(-1, 4)));
    ATH_NEED(a->dtype == ATH_F32 || a->dtype == ATH_F64, ATH_EDTYPE,
             "noise: dtype is %s, wanted f32 or f64", ath_dtype_name((ath_dtype)a->dtype));
    ATH_NEED(1 <= a->n_dim && a->n_dim <= 4, ATH_EINVAL, "noise: %d axes, wanted 1 to 4", a->n_dim);
    out[0] = (ath_desc){(ath_dtype)a->dtype, a->n_dim + 1, {key->dim[0]}};
    for (int i = 0; i < a->n_dim; i++) {
        ATH_NEED(a->dim[i] > 0, ATH_EINVAL, "noise: axis %d has %d elements", i, a->dim[i]);
        out[0].dim[i + 1] = a->dim[i];
        count *= a->dim[i];
        ATH_NEED(count <= INT32_MAX, ATH_EINVAL, "noise: an image of more than %d elements",
                 INT32_MAX);
    }
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    ath_str_print(to, "kind%d", ((const ath_noise_attr *)attr)->kind);
}

/* The reference works on all threads, and no vector instruction would speed libm up: it is the
 * host's kernel too. */
const ath_op ath_op_noise = {
    .name = "noise",
    .n_in = 1,
    .n_out = 1,
    .no_grad = 1u,
    .attr_bytes = sizeof(ath_noise_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(noise_fwd)},
};
