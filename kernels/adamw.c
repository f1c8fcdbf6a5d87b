#include "kernels/adamw.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

#include <math.h>

ATH_REF_DECLARE(adamw_fwd);
ATH_ISA_DISPATCH(adamw_fwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_adamw_attr *a = attr;
    const ath_desc *g = &in[0], *hyper = &in[1], *norms = &in[2];

    (void)saved;
    ATH_NEED(0 < a->rest1 && a->rest1 <= 1 && 0 < a->rest2 && a->rest2 <= 1, ATH_EINVAL,
             "adamw: betas are %g and %g, wanted 0 up to 1", 1 - (double)a->rest1,
             1 - (double)a->rest2);
    ATH_NEED(a->eps > 0 && isfinite(a->eps), ATH_EINVAL, "adamw: eps is %g, wanted more than 0",
             (double)a->eps);
    ATH_NEED(a->max_norm >= 0 && isfinite(a->max_norm), ATH_EINVAL,
             "adamw: max_norm is %g, wanted 0 or more", (double)a->max_norm);
    ATH_TRY(ath_need_dtype("adamw", "g", g, ath_full_dtype(g)));
    ATH_TRY(ath_need_shape("adamw", "g", g, ATH_SHAPE(-1)));
    ATH_TRY(ath_need_dtype("adamw", "hyper", hyper, g->dtype));
    ATH_TRY(ath_need_shape("adamw", "hyper", hyper, ATH_SHAPE(4)));
    ATH_TRY(ath_need_dtype("adamw", "norms", norms, ATH_F64));
    ATH_TRY(ath_need_shape("adamw", "norms", norms, ATH_SHAPE(-1)));
    out[0] = out[1] = out[2] = *g;
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_adamw_attr *a = attr;

    ath_str_print(to, "b%g b%g eps%g clip%g", 1 - (double)a->rest1, 1 - (double)a->rest2,
                  (double)a->eps, (double)a->max_norm);
}

const ath_op ath_op_adamw = {
    .name = "adamw",
    .n_in = 3,
    .n_out = 3,
    .no_grad = 1u | 2u | 4u,
    .updates = 1u | 2u | 4u,
    .attr_bytes = sizeof(ath_adamw_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS_BITS(adamw_fwd, ATH_BITS_THREADS), [ATH_CPU] = {.run =
                                                                                ath_adamw_fwd_cpu,
                                                                            .bits =
                                                                                ATH_BITS_THREADS}},
};
