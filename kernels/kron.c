#include "kernels/kron.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(kron_fwd);
ATH_REF_DECLARE(kron_bwd);
ATH_ISA_DISPATCH(kron_fwd);
ATH_ISA_DISPATCH(kron_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_desc *a = &in[0], *b = &in[1];

    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_dtype("kron", "a", a, ath_full_dtype(a)));
    ATH_TRY(ath_need_shape("kron", "a", a, ATH_SHAPE(-1, -1)));
    ATH_TRY(ath_need_dtype("kron", "b", b, a->dtype));
    if (b->n_dim != 2) ATH_TRY(ath_need_shape("kron", "b", b, ATH_SHAPE(-1, -1, -1, -1)));
    out[0] = *b;
    out[0].dim[0] *= a->dim[0];
    out[0].dim[1] *= a->dim[1];
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_kron_attr *a = attr;
    ath_str_print(to, "scale %g", (double)a->scale);
}

const ath_op ath_op_kron = {
    .name = "kron",
    .n_in = 2,
    .n_out = 1,
    .weights = 1u << 0 | 1u << 1,
    .bwd_reads = ATH_READS_IN(0) | ATH_READS_IN(1),
    .attr_bytes = sizeof(ath_kron_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(kron_fwd), [ATH_CPU] = {.run = ath_kron_fwd_cpu,
                                                    .bits = ATH_BITS_THREADS}},
    .bwd = {ATH_REF_KERNELS(kron_bwd), [ATH_CPU] = {.run = ath_kron_bwd_cpu,
                                                    .bits = ATH_BITS_THREADS}},
};
