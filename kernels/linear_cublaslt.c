#include "kernels/linear.h"

#include "kernels/cuda_ops.h"
#include "kernels/gemm_cublaslt.h"
#include "kernels/product_cuda.h"

/* The products of backward. */
enum { DX, DWEIGHT };

typedef struct lengths {
    int64_t m, n, k;
} lengths;

static lengths lengths_of(const ath_site *site)
{
    return (lengths){ath_desc_rows(&site->in[0]), site->in[1].dim[0], ath_desc_last(&site->in[0])};
}

/* The library takes a bias of y's type alone: beside BF16 it is rounded to BF16, as y is. */
static bool is_bias_narrowed(const ath_site *site)
{
    return site->in[2].dtype != ATH_NONE && site->out[0].dtype == ATH_BF16;
}

ath_err ath_linear_bind_fwd_cublaslt(const ath_site *site, ath_bound *bound)
{
    enum { NARROWED = 0x62663136 }; /* the packing's key */
    const lengths l = lengths_of(site);
    const ath_dtype dtype = site->in[0].dtype;
    const size_t narrow_bytes = is_bias_narrowed(site) ? sizeof(uint16_t) * (size_t)l.n : 0;
    const bool is_frozen = site->frozen >> 2 & 1;
    ath_gemms *g;

    ATH_TRY(ath_gemms_create(site, bound, &g));
    ATH_TRY(ath_gemms_add(g, 0,
                          &(ath_gemm){.m = l.m,
                                      .n = l.n,
                                      .k = l.k,
                                      .b_turned = true,
                                      .has_bias = site->in[2].dtype != ATH_NONE,
                                      .scale = 1,
                                      .in = dtype,
                                      .out = dtype}));
    ath_gemms_seal(g, is_frozen ? 0 : narrow_bytes, bound);
    if (is_frozen && narrow_bytes) bound->pack[2] = (ath_packing){narrow_bytes, NARROWED};
    return ATH_OK;
}

ath_err ath_linear_pack_cublaslt(const ath_call *c, int i, void *packed)
{
    return ath_cuda_narrow(c, c->in[i], ath_desc_count(&c->site->in[i]), packed);
}

ath_err ath_linear_run_fwd_cublaslt(const ath_call *c)
{
    const void *bias = c->packed[2] ? c->packed[2] : c->in[2];

    if (c->in[2] && is_bias_narrowed(c->site)) {
        bias = ath_gemms_own(c);
        ATH_TRY(ath_cuda_narrow(c, c->in[2], c->site->in[1].dim[0], ath_gemms_own(c)));
    }
    return ath_gemms_run(c, 0, c->in[0], c->in[1], bias, c->out[0]);
}

ath_err ath_linear_bind_bwd_cublaslt(const ath_site *site, ath_bound *bound)
{
    const lengths l = lengths_of(site);
    const ath_dtype dtype = site->in[0].dtype;
    const bool dbias = site->din[2].dtype != ATH_NONE;
    ath_gemms *g;

    ATH_TRY(ath_gemms_create(site, bound, &g));
    if (site->din[0].dtype != ATH_NONE) /* dy weight */
        ATH_TRY(ath_gemms_add(g, DX,
                              &(ath_gemm){.m = l.m,
                                          .n = l.k,
                                          .k = l.n,
                                          .add = site->add & 1,
                                          .scale = 1,
                                          .in = dtype,
                                          .out = dtype}));
    if (site->din[1].dtype != ATH_NONE) /* dy^T x */
        ATH_TRY(ath_gemms_add(g, DWEIGHT,
                              &(ath_gemm){.m = l.n,
                                          .n = l.k,
                                          .k = l.m,
                                          .a_turned = true,
                                          .add = site->add >> 1 & 1,
                                          .scale = 1,
                                          .in = dtype,
                                          .out = ATH_F32}));
    ath_gemms_seal(g, dbias ? ath_cuda_column_sum_bytes(&site->out[0]) : 0, bound);
    return ATH_OK;
}

ath_err ath_linear_run_bwd_cublaslt(const ath_call *c)
{
    const ath_site *s = c->site;

    if (c->din[0]) ATH_TRY(ath_gemms_run(c, DX, c->dout[0], c->in[1], NULL, c->din[0]));
    if (c->din[1]) ATH_TRY(ath_gemms_run(c, DWEIGHT, c->dout[0], c->in[0], NULL, c->din[1]));
    if (!c->din[2]) return ATH_OK;
    return ath_cuda_column_sum(c, &s->out[0], c->dout[0], ath_gemms_own(c), s->add >> 2 & 1,
                               c->din[2]);
}

const ath_cuda_op ath_cuda_op_linear = {
    .fwd = {ath_linear_bind_fwd_cublaslt, ath_linear_run_fwd_cublaslt, ath_linear_pack_cublaslt,
            ATH_BITS_THREADS},
    .bwd = {ath_linear_bind_bwd_cublaslt, ath_linear_run_bwd_cublaslt, NULL, ATH_BITS_THREADS},
};
