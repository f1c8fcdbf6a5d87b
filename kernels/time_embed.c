#include "kernels/time_embed.h"

#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(time_embed_fwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_time_embed_attr *a = attr;
    ath_desc y = {.dtype = (ath_dtype)a->dtype, .n_dim = 2, .dim = {in[0].dim[0], a->width}};

    (void)saved;
    ATH_TRY(ath_need_dtype("time_embed", "t", &in[0], ath_full_dtype(&in[0])));
    ATH_TRY(ath_need_shape("time_embed", "t", &in[0], ATH_SHAPE(-1)));
    ATH_TRY(ath_need_activation("time_embed", "y", &y));
    ATH_NEED(a->width > 0 && a->width % 2 == 0, ATH_EINVAL,
             "time_embed: width is %d, wanted an even number", a->width);
    out[0] = y;
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_time_embed_attr *a = attr;
    ath_str_print(to, "%d %s", a->width, ath_dtype_name((ath_dtype)a->dtype));
}

/* No cpu kernel: one short row for each image. */
const ath_op ath_op_time_embed = {
    .name = "time_embed",
    .n_in = 1,
    .n_out = 1,
    .no_grad = 1u << 0,
    .attr_bytes = sizeof(ath_time_embed_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(time_embed_fwd)},
};
