#include "kernels/upsample.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(upsample_fwd);
ATH_REF_DECLARE(upsample_bwd);
ATH_ISA_DISPATCH(upsample_fwd);
ATH_ISA_DISPATCH(upsample_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_upsample_attr *a = attr;
    char text[ATH_DESC_TEXT];

    (void)saved;
    ATH_TRY(ath_need_activation("upsample", "x", &in[0]));
    ATH_TRY(ath_need_shape("upsample", "x", &in[0], ATH_SHAPE(-1, -1, -1, -1)));
    ATH_NEED(a->height >= in[0].dim[1] && a->width >= in[0].dim[2], ATH_EINVAL,
             "upsample: x is %s, resized to %d x %d, wanted at least its own size",
             ath_desc_print(&in[0], text), a->height, a->width);
    out[0] = in[0];
    out[0].dim[1] = a->height;
    out[0].dim[2] = a->width;
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_upsample_attr *a = attr;
    ath_str_print(to, "%dx%d", a->height, a->width);
}

const ath_op ath_op_upsample = {
    .name = "upsample",
    .n_in = 1,
    .n_out = 1,
    .attr_bytes = sizeof(ath_upsample_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(upsample_fwd), [ATH_CPU] = {.run = ath_upsample_fwd_cpu,
                                                        .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(upsample_bwd), [ATH_CPU] = {.run = ath_upsample_bwd_cpu,
                                                        .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
