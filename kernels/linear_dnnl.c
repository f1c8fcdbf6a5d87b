#include "kernels/linear_dnnl.h"

#include "kernels/chain_dnnl.h"

/* The weight [N,K], or [N,K,1,1] of a convolution, as a matrix. */
static ath_array weight_of(const ath_site *site, ath_place_kind kind, ath_dtype dtype)
{
    return ath_array_at(kind, 1, dtype, 2, site->in[1].dim);
}

ath_err ath_linear_bind_fwd_dnnl(const ath_site *site, ath_bound *bound)
{
    ath_chain *chain;

    ATH_TRY(ath_chain_create(site, bound, &chain));
    ath_array weight = weight_of(site, ATH_AT_IN, site->in[1].dtype);
    ath_array bias = {0};
    ath_product y = {
        .a = ath_array_rows(ATH_AT_IN, 0, &site->in[0]),
        .b = ath_array_swap(&weight),
        .c = ath_array_rows(ATH_AT_OUT, 0, &site->out[0]),
        .scale = 1.0f,
    };

    if (site->in[2].dtype != ATH_NONE) {
        bias = ath_array_rows(ATH_AT_IN, 2, &site->in[2]);
        y.bias = &bias;
    }
    ATH_TRY(ath_chain_product(chain, &y));
    ath_chain_seal(chain);
    return ATH_OK;
}

ath_err ath_linear_bind_bwd_dnnl(const ath_site *site, ath_bound *bound)
{
    ath_chain *chain;

    ATH_TRY(ath_chain_create(site, bound, &chain));
    const ath_array dy = ath_array_rows(ATH_AT_DOUT, 0, &site->out[0]);
    if (site->din[0].dtype != ATH_NONE)
        ATH_TRY(ath_chain_product(chain, &(ath_product){
                                             .a = dy,
                                             .b = weight_of(site, ATH_AT_IN, site->in[1].dtype),
                                             .c = ath_array_rows(ATH_AT_DIN, 0, &site->din[0]),
                                             .scale = 1.0f,
                                             .add = site->add & 1,
                                         }));
    if (site->din[1].dtype != ATH_NONE)
        ATH_TRY(ath_chain_product(chain, &(ath_product){
                                             .a = ath_array_swap(&dy),
                                             .b = ath_array_rows(ATH_AT_IN, 0, &site->in[0]),
                                             .c = weight_of(site, ATH_AT_DIN, site->din[1].dtype),
                                             .scale = 1.0f,
                                             .add = site->add >> 1 & 1,
                                         }));
    ATH_TRY(ath_chain_bias_grad(chain, 2));
    ath_chain_seal(chain);
    return ATH_OK;
}
