/* The cpu kernels of linear, also of convolutions that are one: 1x1, stride 1, nothing added. */
#ifndef ATH_KERNELS_LINEAR_DNNL_H
#define ATH_KERNELS_LINEAR_DNNL_H

#include "kernels/op.h"

ath_err ath_linear_bind_fwd_dnnl(const ath_site *site, ath_bound *bound);
ath_err ath_linear_bind_bwd_dnnl(const ath_site *site, ath_bound *bound);

#endif
