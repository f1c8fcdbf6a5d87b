#include "kernels/embed.h"

#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(embed_fwd);
ATH_REF_DECLARE(embed_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_embed_attr *a = attr;
    const ath_desc *ids = &in[0], *token = &in[1], *position = &in[2];
    ath_desc y = {.dtype = (ath_dtype)a->dtype, .n_dim = 3};
    char ids_text[ATH_DESC_TEXT], position_text[ATH_DESC_TEXT];

    (void)saved;
    ATH_TRY(ath_need_dtype("embed", "ids", ids, ATH_I32));
    ATH_TRY(ath_need_shape("embed", "ids", ids, ATH_SHAPE(-1, -1)));
    ATH_TRY(ath_need_activation("embed", "token", token));
    ATH_TRY(ath_need_shape("embed", "token", token, ATH_SHAPE(-1, -1)));
    ATH_TRY(ath_need_dtype("embed", "position", position, token->dtype));
    ATH_TRY(ath_need_shape("embed", "position", position, ATH_SHAPE(-1, token->dim[1])));
    ATH_NEED(ids->dim[1] <= position->dim[0], ATH_ESHAPE,
             "embed: ids is %s and position %s, wanted a position for every token",
             ath_desc_print(ids, ids_text), ath_desc_print(position, position_text));
    ATH_TRY(ath_need_activation("embed", "y", &y));
    y.dim[0] = ids->dim[0];
    y.dim[1] = ids->dim[1];
    y.dim[2] = token->dim[1];
    out[0] = y;
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_embed_attr *a = attr;
    ath_str_print(to, "%s", ath_dtype_name((ath_dtype)a->dtype));
}

/* Backward: the sum of one row. */
static ath_err bind_bwd(const ath_site *site, ath_bound *bound)
{
    bound->scratch_bytes = (size_t)site->out[0].dim[2] * sizeof(double);
    return ATH_OK;
}

/* No cpu kernels: some hundred rows of work. */
const ath_op ath_op_embed = {
    .name = "embed",
    .n_in = 3,
    .n_out = 1,
    .weights = 1u << 1 | 1u << 2,
    .no_grad = 1u << 0,
    .bwd_reads = ATH_READS_IN(0),
    .attr_bytes = sizeof(ath_embed_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(embed_fwd)},
    .bwd = {ATH_REF_KERNELS_BIND(embed_bwd, bind_bwd)},
};
