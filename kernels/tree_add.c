#include "kernels/tree_add.h"

#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(tree_add_fwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_tree_add_attr *a = attr;
    const ath_desc *x = &in[0], *turn = &in[1];

    (void)saved;
    ATH_NEED(a->room >= 0, ATH_EINVAL, "tree_add: room for %d sums, wanted 0 or more", a->room);
    ATH_NEED(a->block > 0, ATH_EINVAL, "tree_add: blocks of %d, wanted 1 or more", a->block);
    ATH_TRY(ath_need_dtype("tree_add", "x", x, ath_full_dtype(x)));
    ATH_TRY(ath_need_shape("tree_add", "x", x, ATH_SHAPE(-1)));
    ATH_TRY(ath_need_dtype("tree_add", "turn", turn, ATH_I32));
    ATH_TRY(ath_need_shape("tree_add", "turn", turn, ATH_SHAPE(ATH_N_TURN)));
    out[0] = (ath_desc){x->dtype, 2, {a->room, x->dim[0]}};
    out[1] = *x;
    out[2] = (ath_desc){ATH_F64, 1, {1}};
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_tree_add_attr *a = attr;

    ath_str_print(to, "room%d block%d%s", a->room, a->block, a->is_first ? " first" : "");
}

const ath_op ath_op_tree_add = {
    .name = "tree_add",
    .n_in = 2,
    .n_out = 3,
    .no_grad = 1u | 2u,
    .updates = 1u | 2u | 4u,
    .attr_bytes = sizeof(ath_tree_add_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS_BITS(tree_add_fwd, ATH_BITS_THREADS)},
};
