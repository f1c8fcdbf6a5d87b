#include "kernels/add_rows.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(add_rows_fwd);
ATH_REF_DECLARE(add_rows_bwd);
ATH_ISA_DISPATCH(add_rows_fwd);
ATH_ISA_DISPATCH(add_rows_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_add_rows_attr *a = attr;
    ath_desc d = in[0];
    char x_text[ATH_DESC_TEXT], d_text[ATH_DESC_TEXT];

    (void)saved;
    ATH_TRY(ath_need_activation("add_rows", "x", &in[0]));
    ATH_TRY(ath_need_axes("add_rows", "x", &in[0], 1));
    d.dim[0] = -1;
    ATH_TRY(ath_need_dtype("add_rows", "d", &in[1], d.dtype));
    ATH_TRY(ath_need_shape("add_rows", "d", &in[1], d.n_dim, d.dim));
    ATH_NEED(a->first >= 0 && in[1].dim[0] <= in[0].dim[0] - a->first, ATH_EINVAL,
             "add_rows: d is %s, first %d, wanted a run within the first axis of x, %s",
             ath_desc_print(&in[1], d_text), a->first, ath_desc_print(&in[0], x_text));
    out[0] = in[0];
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_add_rows_attr *a = attr;
    ath_str_print(to, "at %d", a->first);
}

const ath_op ath_op_add_rows = {
    .name = "add_rows",
    .n_in = 2,
    .n_out = 1,
    .attr_bytes = sizeof(ath_add_rows_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(add_rows_fwd), [ATH_CPU] = {.run = ath_add_rows_fwd_cpu,
                                                        .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(add_rows_bwd), [ATH_CPU] = {.run = ath_add_rows_bwd_cpu,
                                                        .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
