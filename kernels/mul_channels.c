#include "kernels/mul_channels.h"

#include "kernels/blocks.h"
#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(mul_channels_fwd);
ATH_REF_DECLARE(mul_channels_bwd);
ATH_ISA_DISPATCH(mul_channels_fwd);
ATH_ISA_DISPATCH(mul_channels_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_activation("mul_channels", "x", &in[0]));
    out[0] = in[0];
    if (in[1].dtype == ATH_NONE) return ATH_OK;
    ATH_TRY(ath_need_dtype("mul_channels", "v", &in[1], ath_full_dtype(&in[0])));
    ATH_TRY(ath_need_shape("mul_channels", "v", &in[1], ATH_SHAPE(ath_desc_last(&in[0]))));
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    ath_str_print(to, "offset %g", (double)((const ath_mul_channels_attr *)attr)->offset);
}

/* Of each block of rows: sums for dv. */
static ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    const ath_desc *x = &site->in[0];
    const int64_t c = ath_desc_last(x);

    bound->scratch_bytes =
        (size_t)(block_count(ath_desc_rows(x), c) * block_width(c)) * sizeof(float);
    return ATH_OK;
}

const ath_op ath_op_mul_channels = {
    .name = "mul_channels",
    .n_in = 2,
    .n_out = 1,
    .weights = 1u << 1,
    .optional = 1u << 1,
    .bwd_reads = ATH_READS_IN(0) | ATH_READS_IN(1),
    .attr_bytes = sizeof(ath_mul_channels_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(mul_channels_fwd), [ATH_CPU] = {.run = ath_mul_channels_fwd_cpu,
                                                            .bits =
                                                                ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(mul_channels_bwd), [ATH_CPU] = {.bind = bind_bwd,
                                                            .run = ath_mul_channels_bwd_cpu,
                                                            .bits =
                                                                ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
