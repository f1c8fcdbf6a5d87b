#include "kernels/need.h"

#include <string.h>

ath_err ath_need_activation(const char *op, const char *name, const ath_desc *d)
{
    ATH_NEED(d->dtype == ATH_F32 || d->dtype == ATH_BF16 || d->dtype == ATH_F64, ATH_EDTYPE,
             "%s: %s is %s, wanted f32, bf16 or f64", op, name, ath_dtype_name(d->dtype));
    return ATH_OK;
}

ath_err ath_need_dtype(const char *op, const char *name, const ath_desc *d, ath_dtype want)
{
    ATH_NEED(d->dtype == want, ATH_EDTYPE, "%s: %s is %s, wanted %s", op, name,
             ath_dtype_name(d->dtype), ath_dtype_name(want));
    return ATH_OK;
}

ath_dtype ath_full_dtype(const ath_desc *x)
{
    return x->dtype == ATH_F64 ? ATH_F64 : ATH_F32;
}

ath_err ath_need_shape(const char *op, const char *name, const ath_desc *d, int n_dim,
                       const int64_t *dim)
{
    char found[ATH_DESC_TEXT], text[ATH_DESC_TEXT] = "";
    bool fits = d->n_dim == n_dim;
    ath_desc want = {.dtype = d->dtype, .n_dim = n_dim};

    for (int i = 0; i < n_dim; i++) want.dim[i] = dim[i];
    for (int i = 0; fits && i < n_dim; i++) fits = dim[i] < 0 || d->dim[i] == dim[i];
    ATH_NEED(fits, ATH_ESHAPE, "%s: %s is %s, wanted %s%s", op, name, ath_desc_print(d, found),
             ath_desc_print(&want, text), strstr(text, "-1") ? " (-1: any)" : "");
    return ATH_OK;
}

ath_err ath_need_alike(const char *op, const char *name, const ath_desc *d, const ath_desc *like)
{
    ATH_TRY(ath_need_dtype(op, name, d, like->dtype));
    return ath_need_shape(op, name, d, like->n_dim, like->dim);
}

ath_err ath_need_axes(const char *op, const char *name, const ath_desc *d, int n_dim_min)
{
    char text[ATH_DESC_TEXT];

    ATH_NEED(d->n_dim >= n_dim_min, ATH_ESHAPE, "%s: %s is %s, wanted at least %d axes", op, name,
             ath_desc_print(d, text), n_dim_min);
    return ATH_OK;
}
