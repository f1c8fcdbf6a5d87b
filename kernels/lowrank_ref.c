#include "kernels/lowrank.h"
#include "kernels/product_ref.h"

ath_err ATH_REF_NAME(lowrank_fwd)(const ath_call *c)
{
    const ath_site *s = c->site;
    const ath_lowrank_attr *attr = s->attr;
    const ath_dtype dtype = s->in[0].dtype;
    const int64_t m = ath_desc_rows(&s->in[0]), k = ath_desc_last(&s->in[0]);
    const int64_t n = s->in[2].dim[0], r = s->in[1].dim[0];
    const ref_product t = {
        .m = m,
        .n = r,
        .k = k,
        .a = {c->in[0], dtype, k, 1},
        .b = {c->in[1], dtype, 1, k},
        .scale = 1,
        .factor = c->in[3],
        .out = c->saved[0],
        .dtype = dtype,
        .n_threads = s->n_threads,
    };
    const ref_product y = {
        .m = m,
        .n = n,
        .k = r,
        .a = {c->saved[0], dtype, r, 1},
        .b = {c->in[2], dtype, 1, r},
        .scale = (double)attr->scale,
        .out = c->out[0],
        .dtype = dtype,
        .n_threads = s->n_threads,
    };

    ATH_REF_NAME(product)(&t, c->scratch);
    ATH_REF_NAME(product)(&y, c->scratch);
    return ATH_OK;
}

ath_err ATH_REF_NAME(lowrank_bwd)(const ath_call *c)
{
    const ath_site *s = c->site;
    const ath_lowrank_attr *attr = s->attr;
    const ath_dtype dtype = s->in[0].dtype;
    const int64_t m = ath_desc_rows(&s->in[0]), k = ath_desc_last(&s->in[0]);
    const int64_t n = s->in[2].dim[0], r = s->in[1].dim[0];
    real *dt = c->scratch, *rest = dt + m * r;
    const ref_product into_dt = {
        .m = m,
        .n = r,
        .k = n,
        .a = {c->dout[0], dtype, n, 1},
        .b = {c->in[2], dtype, r, 1},
        .scale = (double)attr->scale,
        .factor = c->in[3],
        .out = dt,
        .dtype = ATH_REF_REAL,
        .n_threads = s->n_threads,
    };
    const ref_product dx = {
        .m = m,
        .n = k,
        .k = r,
        .a = {dt, ATH_REF_REAL, r, 1},
        .b = {c->in[1], dtype, k, 1},
        .scale = 1,
        .out = c->din[0],
        .dtype = dtype,
        .add = s->add & 1,
        .n_threads = s->n_threads,
    };
    const ref_product ddown = {
        .m = r,
        .n = k,
        .k = m,
        .a = {dt, ATH_REF_REAL, 1, r},
        .b = {c->in[0], dtype, k, 1},
        .scale = 1,
        .out = c->din[1],
        .dtype = ATH_REF_REAL,
        .add = s->add >> 1 & 1,
        .n_threads = s->n_threads,
    };
    const ref_product dup = {
        .m = n,
        .n = r,
        .k = m,
        .a = {c->dout[0], dtype, 1, n},
        .b = {c->saved[0], dtype, r, 1},
        .scale = (double)attr->scale,
        .out = c->din[2],
        .dtype = ATH_REF_REAL,
        .add = s->add >> 2 & 1,
        .n_threads = s->n_threads,
    };

    if (c->din[0] || c->din[1]) ATH_REF_NAME(product)(&into_dt, rest);
    if (c->din[0]) ATH_REF_NAME(product)(&dx, rest);
    if (c->din[1]) ATH_REF_NAME(product)(&ddown, rest);
    if (c->din[2]) ATH_REF_NAME(product)(&dup, rest);
    return ATH_OK;
}
