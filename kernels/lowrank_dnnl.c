#include "kernels/lowrank.h"

#include "kernels/chain_dnnl.h"

ath_err ath_lowrank_bind_fwd_dnnl(const ath_site *site, ath_bound *bound);
ath_err ath_lowrank_bind_bwd_dnnl(const ath_site *site, ath_bound *bound);

/* The mask [R] as a row; `out` is its array, NULL where it is absent. */
static const ath_array *mask_of(const ath_site *site, ath_array *storage)
{
    if (site->in[3].dtype == ATH_NONE) return NULL;
    *storage = ath_array_rows(ATH_AT_IN, 3, &site->in[3]);
    return storage;
}

ath_err ath_lowrank_bind_fwd_dnnl(const ath_site *site, ath_bound *bound)
{
    const ath_lowrank_attr *attr = site->attr;
    ath_chain *chain;

    ATH_TRY(ath_chain_create(site, bound, &chain));
    const ath_array down = ath_array_rows(ATH_AT_IN, 1, &site->in[1]);
    const ath_array up = ath_array_rows(ATH_AT_IN, 2, &site->in[2]);
    const ath_array t = ath_array_rows(ATH_AT_SAVED, 0, &site->saved[0]);
    ath_array mask;

    ATH_TRY(ath_chain_product(chain, &(ath_product){
                                         .a = ath_array_rows(ATH_AT_IN, 0, &site->in[0]),
                                         .b = ath_array_swap(&down),
                                         .c = t,
                                         .factor = mask_of(site, &mask),
                                         .scale = 1.0f,
                                     }));
    ATH_TRY(ath_chain_product(chain, &(ath_product){
                                         .a = t,
                                         .b = ath_array_swap(&up),
                                         .c = ath_array_rows(ATH_AT_OUT, 0, &site->out[0]),
                                         .scale = attr->scale,
                                     }));
    ath_chain_seal(chain);
    return ATH_OK;
}

/* dt = scale * (dy up) * mask, then dx = dt down and ddown = dt^T x. */
static ath_err put_lower(const ath_site *site, ath_chain *chain)
{
    const ath_lowrank_attr *attr = site->attr;
    const ath_array t = ath_array_rows(ATH_AT_SAVED, 0, &site->saved[0]);
    const ath_array dt = ath_chain_target(chain, &t, true);
    ath_array mask;

    ATH_TRY(ath_chain_product(chain, &(ath_product){
                                         .a = ath_array_rows(ATH_AT_DOUT, 0, &site->out[0]),
                                         .b = ath_array_rows(ATH_AT_IN, 2, &site->in[2]),
                                         .c = dt,
                                         .factor = mask_of(site, &mask),
                                         .scale = attr->scale,
                                     }));
    if (site->din[0].dtype != ATH_NONE)
        ATH_TRY(ath_chain_product(chain, &(ath_product){
                                             .a = dt,
                                             .b = ath_array_rows(ATH_AT_IN, 1, &site->in[1]),
                                             .c = ath_array_rows(ATH_AT_DIN, 0, &site->din[0]),
                                             .scale = 1.0f,
                                             .add = site->add & 1,
                                         }));
    if (site->din[1].dtype != ATH_NONE)
        ATH_TRY(ath_chain_product(chain, &(ath_product){
                                             .a = ath_array_swap(&dt),
                                             .b = ath_array_rows(ATH_AT_IN, 0, &site->in[0]),
                                             .c = ath_array_rows(ATH_AT_DIN, 1, &site->din[1]),
                                             .scale = 1.0f,
                                             .add = site->add >> 1 & 1,
                                         }));
    return ATH_OK;
}

ath_err ath_lowrank_bind_bwd_dnnl(const ath_site *site, ath_bound *bound)
{
    const ath_lowrank_attr *attr = site->attr;
    ath_chain *chain;

    ATH_TRY(ath_chain_create(site, bound, &chain));
    const ath_array dy = ath_array_rows(ATH_AT_DOUT, 0, &site->out[0]);
    if (site->din[0].dtype != ATH_NONE || site->din[1].dtype != ATH_NONE)
        ATH_TRY(put_lower(site, chain));
    if (site->din[2].dtype != ATH_NONE) /* dup = scale * dy^T t */
        ATH_TRY(ath_chain_product(chain, &(ath_product){
                                             .a = ath_array_swap(&dy),
                                             .b = ath_array_rows(ATH_AT_SAVED, 0, &site->saved[0]),
                                             .c = ath_array_rows(ATH_AT_DIN, 2, &site->din[2]),
                                             .scale = attr->scale,
                                             .add = site->add >> 2 & 1,
                                         }));
    ath_chain_seal(chain);
    return ATH_OK;
}
