#include "kernels/rows.h"

#include "kernels/isa.h"
#include "kernels/need.h"
#include "kernels/ref.h"

ATH_REF_DECLARE(rows_fwd);
ATH_REF_DECLARE(rows_bwd);
ATH_ISA_DISPATCH(rows_fwd);
ATH_ISA_DISPATCH(rows_bwd);

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const ath_rows_attr *a = attr;
    char text[ATH_DESC_TEXT];

    (void)saved;
    ATH_TRY(ath_need_activation("rows", "x", &in[0]));
    ATH_TRY(ath_need_axes("rows", "x", &in[0], 1));
    ATH_NEED(a->first >= 0 && a->count > 0 && a->count <= in[0].dim[0] - a->first, ATH_EINVAL,
             "rows: x is %s, first %d and count %d, wanted a run within its first axis",
             ath_desc_print(&in[0], text), a->first, a->count);
    out[0] = in[0];
    out[0].dim[0] = a->count;
    return ATH_OK;
}

static void show(const void *attr, ath_str *to)
{
    const ath_rows_attr *a = attr;
    ath_str_print(to, "%d+%d", a->first, a->count);
}

const ath_op ath_op_rows = {
    .name = "rows",
    .n_in = 1,
    .n_out = 1,
    .attr_bytes = sizeof(ath_rows_attr),
    .infer = infer,
    .show = show,
    .fwd = {ATH_REF_KERNELS(rows_fwd), [ATH_CPU] = {.run = ath_rows_fwd_cpu,
                                                    .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
    .bwd = {ATH_REF_KERNELS(rows_bwd), [ATH_CPU] = {.run = ath_rows_bwd_cpu,
                                                    .bits = ATH_BITS_THREADS | ATH_BITS_ROWS}},
};
