#include "core/mem.h"
#include "kernels/conv_cudnn.h"
#include "kernels/cuda_ops.h"
#include "kernels/gemm_cublaslt.h"
#include "kernels/product_cuda.h"
#include "kernels/workspace.h"
#include <stdio.h>

enum {
    NAMES = 1024,
    TURNED = 0x6f696a63, /* keys of packings */
    NARROWED = 0x62663136,
};

/* What bound->handle owns. */
typedef struct convs {
    ath_conv *kind[ATH_N_CONV_KINDS]; /* NULL where not wanted */
    size_t workspace_bytes;
    char names[NAMES];
} convs;

/* Single pixels by single pixels: a product of matrices. */
static bool is_linear(const ath_site *site)
{
    const ath_conv2d_attr *a = site->attr;
    return site->in[1].dim[2] == 1 && site->in[1].dim[3] == 1 && a->stride == 1 &&
           !(a->top | a->left | a->bottom | a->right);
}

static ath_filter filter_of(const ath_site *site)
{
    const int64_t *dim = site->in[1].dim;
    return (ath_filter){dim[0], dim[1], dim[2] * dim[3], site->in[1].dtype};
}

static bool is_frozen(const ath_site *site, int i)
{
    return site->frozen >> i & 1;
}

/* The bias beside BF16 is rounded to BF16, as y is: engines for it take no other. */
static size_t narrowed_bytes(const ath_site *site)
{
    const bool is_narrowed = site->in[2].dtype != ATH_NONE && site->in[0].dtype == ATH_BF16;
    return is_narrowed ? sizeof(uint16_t) * (size_t)site->in[1].dim[0] : 0;
}

static void destroy(void *handle)
{
    convs *v = handle;

    for (int k = 0; k < ATH_N_CONV_KINDS; k++) ath_conv_destroy(&v->kind[k]);
    ath_mem_drop(v);
}

static ath_err create(ath_bound *bound, convs **out)
{
    ATH_TRY(ATH_NEW(1, "convolutions", out));
    bound->handle = *out;
    bound->destroy = destroy;
    return ATH_OK;
}

static void seal(convs *v, size_t own_bytes, ath_bound *bound)
{
    int n = 0;

    for (int k = 0; k < ATH_N_CONV_KINDS; k++) {
        if (!v->kind[k]) continue;
        const size_t bytes = ath_scratch_aligned(ath_conv_get_workspace_bytes(v->kind[k]));
        if (v->workspace_bytes < bytes) v->workspace_bytes = bytes;
        n += snprintf(v->names + n, NAMES - (size_t)n, "%s%s", n ? "," : "",
                      ath_conv_get_name(v->kind[k]));
        ATH_ASSERT(n < NAMES);
    }
    bound->algorithm = v->names;
    bound->scratch_bytes = ath_workspace_book(v->workspace_bytes, own_bytes);
}

static void *own(const ath_call *c)
{
    const convs *v = c->bound->handle;
    return ath_workspace_own(c, v->workspace_bytes);
}

/* Asks for the filter's packing; bytes of scratch where it changes and must be turned in each call. */
static size_t plan_filter(const ath_site *site, ath_bound *bound)
{
    const size_t bytes = ath_desc_bytes(&site->in[1]);

    if (!is_frozen(site, 1)) return ath_scratch_aligned(bytes);
    bound->pack[1] = (ath_packing){bytes, TURNED};
    return 0;
}

/* The filter as engines take it: packed, or turned into the beginning of the own scratch. */
static ath_err turned_filter(const ath_call *c, const void **out)
{
    const ath_filter f = filter_of(c->site);

    *out = c->packed[1];
    if (*out) return ATH_OK;
    *out = own(c);
    return ath_cuda_filter_turn(c, &f, c->in[1], own(c));
}

/* ---- forward ---- */

static ath_err bind_fwd(const ath_site *site, ath_bound *bound)
{
    size_t narrowed = narrowed_bytes(site);
    convs *v;

    if (is_linear(site)) return ath_linear_bind_fwd_cublaslt(site, bound);
    ATH_TRY(create(bound, &v));
    ATH_TRY(ath_conv_create(site, ATH_CONV_Y, false, &v->kind[ATH_CONV_Y]));
    if (narrowed && is_frozen(site, 2)) {
        bound->pack[2] = (ath_packing){narrowed, NARROWED};
        narrowed = 0;
    }
    seal(v, plan_filter(site, bound) + narrowed, bound);
    return ATH_OK;
}

static ath_err pack(const ath_call *c, int i, void *packed)
{
    const ath_filter f = filter_of(c->site);

    if (is_linear(c->site)) return ath_linear_pack_cublaslt(c, i, packed);
    if (i == 1) return ath_cuda_filter_turn(c, &f, c->in[1], packed);
    return ath_cuda_narrow(c, c->in[2], ath_desc_count(&c->site->in[2]), packed);
}

static ath_err run_fwd(const ath_call *c)
{
    const convs *v = c->bound->handle;
    const ath_site *s = c->site;
    ath_conv_arrays at = {.x = c->in[0], .y = c->out[0]};

    if (is_linear(s)) return ath_linear_run_fwd_cublaslt(c);
    ATH_TRY(turned_filter(c, &at.filter));
    at.bias = c->packed[2] ? c->packed[2] : c->in[2];
    if (c->in[2] && narrowed_bytes(s)) {
        void *narrow =
            (char *)own(c) + (c->packed[1] ? 0 : ath_scratch_aligned(ath_desc_bytes(&s->in[1])));
        ATH_TRY(ath_cuda_narrow(c, c->in[2], ath_desc_count(&s->in[2]), narrow));
        at.bias = narrow;
    }
    return ath_conv_run(v->kind[ATH_CONV_Y], c, &at, ath_workspace_get(c));
}

/* ---- backward ---- */

static ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    size_t most = 0, bytes = 0; /* of the own scratch: each gradient in turn has it */
    convs *v;

    if (is_linear(site)) return ath_linear_bind_bwd_cublaslt(site, bound);
    ATH_TRY(create(bound, &v));
    if (site->din[0].dtype != ATH_NONE) {
        ATH_TRY(ath_conv_create(site, ATH_CONV_DX, site->add & 1, &v->kind[ATH_CONV_DX]));
        most = plan_filter(site, bound);
    }
    if (site->din[1].dtype != ATH_NONE) {
        ATH_TRY(ath_conv_create(site, ATH_CONV_DFILTER, false, &v->kind[ATH_CONV_DFILTER]));
        bytes = ath_desc_bytes(&site->in[1]);
        most = most < bytes ? bytes : most;
    }
    if (site->din[2].dtype != ATH_NONE) {
        bytes = ath_cuda_column_sum_bytes(&site->out[0]);
        most = most < bytes ? bytes : most;
    }
    seal(v, most, bound);
    return ATH_OK;
}

static ath_err run_bwd(const ath_call *c)
{
    const convs *v = c->bound->handle;
    const ath_site *s = c->site;
    const ath_filter f = filter_of(s);

    if (is_linear(s)) return ath_linear_run_bwd_cublaslt(c);
    if (c->din[0]) {
        ath_conv_arrays at = {.x = c->din[0], .y = c->dout[0]};
        ATH_TRY(turned_filter(c, &at.filter));
        ATH_TRY(ath_conv_run(v->kind[ATH_CONV_DX], c, &at, ath_workspace_get(c)));
    }
    if (c->din[1]) {
        const ath_conv_arrays at = {.x = c->in[0], .filter = own(c), .y = c->dout[0]};
        ATH_TRY(ath_conv_run(v->kind[ATH_CONV_DFILTER], c, &at, ath_workspace_get(c)));
        ATH_TRY(ath_cuda_filter_back(c, &f, own(c), s->add >> 1 & 1, c->din[1]));
    }
    if (!c->din[2]) return ATH_OK;
    return ath_cuda_column_sum(c, &s->out[0], c->dout[0], own(c), s->add >> 2 & 1, c->din[2]);
}

const ath_cuda_op ath_cuda_op_conv2d = {
    .fwd = {bind_fwd, run_fwd, pack, ATH_BITS_THREADS},
    .bwd = {bind_bwd, run_bwd, pack, ATH_BITS_THREADS},
};
