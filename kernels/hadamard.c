#include "kernels/hadamard.h"

#include "kernels/hadamard_cut.h"
#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(hadamard_fwd);
ATH_REF_DECLARE(hadamard_bwd);
ATH_ISA_DISPATCH(hadamard_fwd);
ATH_ISA_DISPATCH(hadamard_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_desc *w1a = &in[0], *w1b = &in[1];

    (void)attr;
    (void)saved;
    ATH_TRY(ath_need_dtype("hadamard", "w1a", w1a, ath_full_dtype(w1a)));
    ATH_TRY(ath_need_shape("hadamard", "w1a", w1a, ATH_SHAPE(-1, -1)));
    ATH_TRY(ath_need_dtype("hadamard", "w1b", w1b, w1a->dtype));
    ATH_TRY(ath_need_shape("hadamard", "w1b", w1b, ATH_SHAPE(w1a->dim[1], -1)));
    ATH_TRY(ath_need_alike("hadamard", "w2a", &in[2], w1a));
    ATH_TRY(ath_need_alike("hadamard", "w2b", &in[3], w1b));
    out[0] = *w1a;
    out[0].dim[1] = w1b->dim[1];
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_hadamard_attr *a = attr;
    ath_str_print(to, "scale %g", (double)a->scale);
}

/* Forward two products; backward the same two and one for each gradient. */
static double flop(const ath_site *site)
{
    int n_products = 2;

    for (int i = 0; i < 4 && site->pass == ATH_BWD; i++)
        n_products += site->din[i].dtype != ATH_NONE;
    return 2.0 * n_products * (double)ath_desc_count(&site->out[0]) * (double)site->in[0].dim[1];
}

/* A block of rows of both products; backward also the four operands turned and the four sums. */
static ath_err bind_ref(const ath_site *site, ath_bound *bound)
{
    const int64_t o = site->out[0].dim[0], i = site->out[0].dim[1], r = site->in[0].dim[1];
    const int64_t more = site->pass == ATH_BWD ? 4 * (o + i) * r : 0;

    bound->scratch_bytes =
        (size_t)(2 * HADAMARD_ROWS * i + more) * ath_dtype_bytes(site->out[0].dtype);
    return ATH_OK;
}

static ath_err bind_cpu(const ath_site *site, ath_bound *bound)
{
    const hadamard_cut cut = hadamard_cut_of(site);
    bound->scratch_bytes = 2 * (size_t)hadamard_pair_floats(&cut, site->pass) * sizeof(float);
    return ATH_OK;
}

const ath_op ath_op_hadamard = {
    .name = "hadamard",
    .n_in = 4,
    .n_out = 1,
    .weights = 0xfu,
    .bwd_reads = ATH_READS_IN(0) | ATH_READS_IN(1) | ATH_READS_IN(2) | ATH_READS_IN(3),
    .attr_bytes = sizeof(ath_hadamard_attr),
    .infer = infer,
    .show = show,
    .flop = flop,
    .fwd = {ATH_REF_KERNELS_BIND(hadamard_fwd, bind_ref), [ATH_CPU] = {.bind = bind_cpu,
                                                                       .run = ath_hadamard_fwd_cpu,
                                                                       .bits = ATH_BITS_THREADS}},
    .bwd = {ATH_REF_KERNELS_BIND(hadamard_bwd, bind_ref), [ATH_CPU] = {.bind = bind_cpu,
                                                                       .run = ath_hadamard_bwd_cpu,
                                                                       .bits = ATH_BITS_THREADS}},
};
