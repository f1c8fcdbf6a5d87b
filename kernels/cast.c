#include "kernels/cast.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(cast_fwd);
ATH_REF_DECLARE(cast_bwd);
ATH_ISA_DISPATCH(cast_fwd);
ATH_ISA_DISPATCH(cast_bwd);

static bool is_float(int32_t dtype)
{
    return dtype == ATH_F32 || dtype == ATH_BF16 || dtype == ATH_F16 || dtype == ATH_F64;
}

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_cast_attr *a = attr;

    (void)saved;
    ATH_NEED(is_float(a->dtype), ATH_EDTYPE, "cast: to %s, wanted f32, bf16, f16 or f64",
             ath_dtype_name((ath_dtype)a->dtype));
    ATH_NEED(is_float((int32_t)in[0].dtype), ATH_EDTYPE,
             "cast: x is %s, wanted f32, bf16, f16 or f64", ath_dtype_name(in[0].dtype));
    out[0] = in[0];
    out[0].dtype = (ath_dtype)a->dtype;
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_cast_attr *a = attr;
    ath_str_print(to, "to %s", ath_dtype_name((ath_dtype)a->dtype));
}

const ath_op ath_op_cast = {
    .name = "cast",
    .n_in = 1,
    .n_out = 1,
    .weights = 1u << 0,
    .attr_bytes = sizeof(ath_cast_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(cast_fwd), [ATH_CPU] = {.run = ath_cast_fwd_cpu,
                                                    .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(cast_bwd), [ATH_CPU] = {.run = ath_cast_bwd_cpu,
                                                    .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
