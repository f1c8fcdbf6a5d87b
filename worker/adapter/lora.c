#include "worker/adapter/lora.h"

#include "kernels/cast.h"
#include "kernels/lowrank.h"
#include "kernels/ops.h"

/* "<name>.weight": trained in full precision, cast where the net computes in another dtype. */
static ath_val factor(ath_net *n, const char *name, int64_t rows, int64_t columns, bool is_conv)
{
    const ath_cast_attr to = {(int32_t)ath_net_compute(n)};
    const int64_t dim[] = {rows, columns, 1, 1};

    ath_enter(n, name);
    ath_val w = ath_net_param(n, "weight", ATH_F32, is_conv ? 4 : 2, dim);
    ath_leave(n);
    if (is_conv) w = ath_net_view(n, w, 2, dim);
    if (!w.i || ath_net_desc(n, w).dtype == ath_net_compute(n)) return w;
    return ath_net_apply(n, &ath_op_cast, &to, (ath_val[ATH_MAX_IN]){w});
}

static ath_val delta(ath_net *n, const ath_adapter *a, const ath_adapter_site *site, ath_val x)
{
    const ath_lora *l = a->state;
    const ath_lowrank_attr attr = {l->alpha / (float)l->rank};
    const bool was_training = ath_net_is_training(n);

    if (site->kernel != 1 || site->stride != 1) return (ath_val){0};
    ath_net_train(n, true);
    ath_enter(n, a->name);
    ath_val down = factor(n, "lora_down", l->rank, site->n_in, site->is_conv);
    ath_val up = factor(n, "lora_up", site->n_out, l->rank, site->is_conv);
    ath_val y = ath_net_apply(n, &ath_op_lowrank, &attr, (ath_val[ATH_MAX_IN]){x, down, up});
    ath_leave(n);
    ath_net_train(n, was_training);
    return y;
}

ath_adapter ath_lora_adapter(const char *name, const ath_lora *lora, int64_t row, int64_t n_rows)
{
    return (ath_adapter){.name = name, .row = row, .n_rows = n_rows, .delta = delta, .state = lora};
}
