#include "kernels/group_norm.h"
#include "kernels/par.h"
#include "kernels/ref.h"

#include <math.h>

/* One group of one image: `count` elements, runs of L channels in each pixel. */
typedef struct group {
    int64_t first, count, c, l, channel;
} group;

static group group_of(const ath_site *site, int64_t i)
{
    const ath_group_norm_attr *a = site->attr;
    const ath_desc *x = &site->in[0];
    const int64_t c = ath_desc_last(x), l = c / a->groups;
    const int64_t pixels = ath_desc_rows(x) / x->dim[0], channel = i % a->groups * l;

    return (group){i / a->groups * pixels * c + channel, pixels * l, c, l, channel};
}

/* Where element e of the group lies in x. */
static int64_t place(const group *g, int64_t e)
{
    return g->first + e / g->l * g->c + e % g->l;
}

static double mean_of(const group *g, const void *x, ath_dtype dtype)
{
    double sum = 0;
    for (int64_t e = 0; e < g->count; e++) sum += (double)ref_get(x, dtype, place(g, e));
    return sum / (double)g->count;
}

static double variance_of(const group *g, const void *x, ath_dtype dtype, double mean)
{
    double sum = 0;
    for (int64_t e = 0; e < g->count; e++) {
        double d = (double)ref_get(x, dtype, place(g, e)) - mean;
        sum += d * d;
    }
    return sum / (double)g->count;
}

ath_err ATH_REF_NAME(group_norm_fwd)(const ath_call *c)
{
    const ath_site *site = c->site;
    const ath_group_norm_attr *a = site->attr;
    const ath_dtype dtype = site->in[0].dtype, full = site->in[1].dtype;

    ATH_PAR_FOR(site->n_threads)
    for (int64_t i = 0; i < site->in[0].dim[0] * a->groups; i++) {
        const group g = group_of(site, i);
        const double m = mean_of(&g, c->in[0], dtype);
        const double variance = variance_of(&g, c->in[0], dtype, m);
        const real mean = (real)m, rstd = (real)(1 / sqrt(variance + (double)a->eps));

        ref_put(c->saved[0], full, i, mean);
        ref_put(c->saved[1], full, i, rstd);
        for (int64_t e = 0; e < g.count; e++) {
            const int64_t at = place(&g, e), k = g.channel + e % g.l;
            real z = (ref_get(c->in[0], dtype, at) - mean) * rstd;
            z = z * ref_get(c->in[1], full, k) + ref_get(c->in[2], full, k);
            if (a->act == ATH_ACT_SILU) z = z / (1 + (real)exp(-(double)z));
            ref_put(c->out[0], dtype, at, z);
        }
    }
    return ATH_OK;
}

/* The gradient at gamma * xhat + beta, of element `at` in channel k. */
static real dz_of(const ath_call *c, int64_t at, int64_t k, real xhat)
{
    const ath_group_norm_attr *a = c->site->attr;
    const ath_dtype full = c->site->in[1].dtype;
    const real dy = ref_get(c->dout[0], c->site->in[0].dtype, at);
    if (a->act != ATH_ACT_SILU) return dy;

    const real z = ref_get(c->in[1], full, k) * xhat + ref_get(c->in[2], full, k);
    const real s = 1 / (1 + (real)exp(-(double)z));
    return dy * s * (1 + z * (1 - s));
}

/* dx = rstd * (d - mean(d) - xhat * mean(d * xhat)) with d = gamma * dz, means over group i. */
static void group_bwd(const ath_call *c, int64_t i)
{
    const group g = group_of(c->site, i);
    const ath_dtype dtype = c->site->in[0].dtype, full = c->site->in[1].dtype;
    const real mean = ref_get(c->saved[0], full, i), rstd = ref_get(c->saved[1], full, i);
    double sum = 0, sum_xhat = 0;

    for (int64_t e = 0; e < g.count; e++) {
        const int64_t at = place(&g, e), k = g.channel + e % g.l;
        const real xhat = (ref_get(c->in[0], dtype, at) - mean) * rstd;
        const real d = ref_get(c->in[1], full, k) * dz_of(c, at, k, xhat);
        sum += (double)d;
        sum_xhat += (double)(d * xhat);
    }
    const real mean_d = (real)(sum / (double)g.count), slope = (real)(sum_xhat / (double)g.count);
    for (int64_t e = 0; e < g.count; e++) {
        const int64_t at = place(&g, e), k = g.channel + e % g.l;
        const real xhat = (ref_get(c->in[0], dtype, at) - mean) * rstd;
        const real d = ref_get(c->in[1], full, k) * dz_of(c, at, k, xhat);
        ref_grad(c->din[0], dtype, at, rstd * (d - mean_d - xhat * slope), c->site->add & 1);
    }
}

/* dgamma and dbeta of channel k: pixels of all images in order. */
static void channel_bwd(const ath_call *c, int64_t k)
{
    const ath_site *site = c->site;
    const ath_group_norm_attr *a = site->attr;
    const ath_desc *x = &site->in[0];
    const ath_dtype full = site->in[1].dtype;
    const int64_t channels = ath_desc_last(x), rows = ath_desc_rows(x), pixels = rows / x->dim[0];
    double dgamma = 0, dbeta = 0;

    for (int64_t row = 0; row < rows; row++) {
        const int64_t i = row / pixels * a->groups + k / (channels / a->groups);
        const int64_t at = row * channels + k;
        const real mean = ref_get(c->saved[0], full, i), rstd = ref_get(c->saved[1], full, i);
        const real xhat = (ref_get(c->in[0], x->dtype, at) - mean) * rstd;
        const real dz = dz_of(c, at, k, xhat);
        dgamma += (double)(dz * xhat);
        dbeta += (double)dz;
    }
    if (c->din[1]) ref_grad(c->din[1], full, k, (real)dgamma, site->add >> 1 & 1);
    if (c->din[2]) ref_grad(c->din[2], full, k, (real)dbeta, site->add >> 2 & 1);
}

ath_err ATH_REF_NAME(group_norm_bwd)(const ath_call *c)
{
    const ath_site *site = c->site;
    const ath_group_norm_attr *a = site->attr;
    const int64_t n_groups = c->din[0] ? site->in[0].dim[0] * a->groups : 0;
    const int64_t n_channels = c->din[1] || c->din[2] ? ath_desc_last(&site->in[0]) : 0;

    ATH_PAR_FOR(site->n_threads)
    for (int64_t i = 0; i < n_groups; i++) group_bwd(c, i);
    ATH_PAR_FOR(site->n_threads)
    for (int64_t k = 0; k < n_channels; k++) channel_bwd(c, k);
    return ATH_OK;
}
