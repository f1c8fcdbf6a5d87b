#include "kernels/add_channels.h"

#include "kernels/blocks.h"
#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(add_channels_fwd);
ATH_REF_DECLARE(add_channels_bwd);
ATH_ISA_DISPATCH(add_channels_fwd);
ATH_ISA_DISPATCH(add_channels_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_desc *x = &in[0], *v = &in[1];

    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("add_channels", "x", x));
    ATH_TRY(ath_need_axes("add_channels", "x", x, 2));
    ATH_TRY(ath_need_dtype("add_channels", "v", v, x->dtype));
    ATH_TRY(ath_need_shape("add_channels", "v", v, ATH_SHAPE(x->dim[0], ath_desc_last(x))));
    out[0] = *x;
    return ATH_OK;
}

/* dv: a partial sum [C] in f32 for each block of pixels of each image. */
static ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    const ath_desc *x = &site->in[0];
    const int64_t channels = ath_desc_last(x), pixels = ath_desc_rows(x) / x->dim[0];

    if (site->din[1].dtype != ATH_NONE)
        bound->scratch_bytes =
            (size_t)(x->dim[0] * block_count(pixels, channels) * channels) * sizeof(float);
    return ATH_OK;
}

const ath_op ath_op_add_channels = {
    .name = "add_channels",
    .n_in = 2,
    .n_out = 1,
    .infer = infer,
    .fwd = {ATH_REF_KERNELS(add_channels_fwd), [ATH_CPU] = {.run = ath_add_channels_fwd_cpu,
                                                            .bits =
                                                                ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(add_channels_bwd), [ATH_CPU] = {.bind = bind_bwd,
                                                            .run = ath_add_channels_bwd_cpu,
                                                            .bits =
                                                                ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
