#include "kernels/lowrank.h"

#include "kernels/cuda_ops.h"
#include "kernels/gemm_cublaslt.h"
#include "kernels/product_cuda.h"

/* The products of either pass; dt is the gradient of t. */
enum { T, Y };
enum { DT, DX, DDOWN, DUP };

typedef struct lengths {
    int64_t m, n, k, r;
} lengths;

static lengths lengths_of(const ath_site *site)
{
    return (lengths){ath_desc_rows(&site->in[0]), site->in[2].dim[0], ath_desc_last(&site->in[0]),
                     site->in[1].dim[0]};
}

static float scale_of(const ath_site *site)
{
    return ((const ath_lowrank_attr *)site->attr)->scale;
}

static ath_err bind_fwd(const ath_site *site, ath_bound *bound)
{
    const lengths l = lengths_of(site);
    const ath_dtype dtype = site->in[0].dtype;
    ath_gemm t = {.m = l.m, .n = l.r, .k = l.k, .b_turned = true, .in = dtype, .out = dtype};
    ath_gemm y = {.m = l.m, .n = l.n, .k = l.r, .b_turned = true, .in = dtype, .out = dtype};
    ath_gemms *g;

    t.scale = 1;
    y.scale = scale_of(site);
    ATH_TRY(ath_gemms_create(site, bound, &g));
    ATH_TRY(ath_gemms_add(g, T, &t));
    ATH_TRY(ath_gemms_add(g, Y, &y));
    ath_gemms_seal(g, 0, bound);
    return ATH_OK;
}

static ath_err run_fwd(const ath_call *c)
{
    ATH_TRY(ath_gemms_run(c, T, c->in[0], c->in[1], NULL, c->saved[0]));
    if (c->in[3]) ATH_TRY(ath_cuda_scale_columns(c, &c->site->saved[0], c->in[3], c->saved[0]));
    return ath_gemms_run(c, Y, c->saved[0], c->in[2], NULL, c->out[0]);
}

static bool is_lower_wanted(const ath_site *site)
{
    return site->din[0].dtype != ATH_NONE || site->din[1].dtype != ATH_NONE;
}

/* dt = scale * dy up, then dx = dt down and ddown = dt^T x. */
static ath_err add_lower(ath_gemms *g, const ath_site *site)
{
    const lengths l = lengths_of(site);
    const ath_dtype dtype = site->in[0].dtype;
    ath_gemm dt = {.m = l.m, .n = l.r, .k = l.n, .in = dtype, .out = dtype};
    ath_gemm dx = {.m = l.m, .n = l.k, .k = l.r, .scale = 1, .in = dtype, .out = dtype};
    ath_gemm ddown = {.m = l.r, .n = l.k, .k = l.m, .scale = 1, .in = dtype, .out = ATH_F32};

    dt.scale = scale_of(site);
    dx.add = site->add & 1;
    ddown.a_turned = true;
    ddown.add = site->add >> 1 & 1;
    ATH_TRY(ath_gemms_add(g, DT, &dt));
    if (site->din[0].dtype != ATH_NONE) ATH_TRY(ath_gemms_add(g, DX, &dx));
    if (site->din[1].dtype != ATH_NONE) ATH_TRY(ath_gemms_add(g, DDOWN, &ddown));
    return ATH_OK;
}

static ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    const lengths l = lengths_of(site);
    ath_gemm dup = {.m = l.n, .n = l.r, .k = l.m, .a_turned = true, .in = site->in[0].dtype};
    ath_gemms *g;

    dup.out = ATH_F32;
    dup.scale = scale_of(site);
    dup.add = site->add >> 2 & 1;
    ATH_TRY(ath_gemms_create(site, bound, &g));
    if (is_lower_wanted(site)) ATH_TRY(add_lower(g, site));
    if (site->din[2].dtype != ATH_NONE) ATH_TRY(ath_gemms_add(g, DUP, &dup));
    ath_gemms_seal(g, is_lower_wanted(site) ? ath_desc_bytes(&site->saved[0]) : 0, bound);
    return ATH_OK;
}

static ath_err run_bwd(const ath_call *c)
{
    void *dt = ath_gemms_own(c);

    if (is_lower_wanted(c->site)) {
        ATH_TRY(ath_gemms_run(c, DT, c->dout[0], c->in[2], NULL, dt));
        if (c->in[3]) ATH_TRY(ath_cuda_scale_columns(c, &c->site->saved[0], c->in[3], dt));
    }
    if (c->din[0]) ATH_TRY(ath_gemms_run(c, DX, dt, c->in[1], NULL, c->din[0]));
    if (c->din[1]) ATH_TRY(ath_gemms_run(c, DDOWN, dt, c->in[0], NULL, c->din[1]));
    if (c->din[2]) ATH_TRY(ath_gemms_run(c, DUP, c->dout[0], c->saved[0], NULL, c->din[2]));
    return ATH_OK;
}

const ath_cuda_op ath_cuda_op_lowrank = {
    .fwd = {bind_fwd, run_fwd, NULL, ATH_BITS_THREADS},
    .bwd = {bind_bwd, run_bwd, NULL, ATH_BITS_THREADS},
};
