#include "worker/adapter/lora.h"

#include "kernels/cast.h"
#include "kernels/conv2d.h"
#include "kernels/lowrank.h"
#include "kernels/mul_channels.h"
#include "kernels/ops.h"
#include <string.h>

#define APPLY(n, op, attr, ...) \
    ath_net_apply((n), &ath_op_##op, (attr), (ath_val[ATH_MAX_IN]){__VA_ARGS__})

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* The autoencoder has blocks of these names too, below "encoder." and "decoder.". */
static bool is_in_unet(const char *layer)
{
    return starts(layer, "down_blocks.") || starts(layer, "mid_block.") ||
           starts(layer, "up_blocks.");
}

ath_lora_size ath_lora_size_of(const ath_lora *lora, const char *layer,
                               const ath_adapter_site *site)
{
    const ath_lora_size narrow = {lora->rank, lora->alpha}, none = {0};
    const ath_lora_size wide = {lora->conv_rank, lora->conv_alpha};

    if (starts(layer, "text_model.encoder.layers.")) return narrow;
    if (!is_in_unet(layer)) return none;
    if (site->kernel > 1) return wide;
    return strstr(layer, ".attentions.") || lora->conv_rank ? narrow : none;
}

/* "<name>.weight": trained in full precision and cast where the net computes in another dtype, or
 * frozen and kept in it. */
static ath_val factor(ath_net *n, const char *name, int n_dim, const int64_t *dim)
{
    const ath_dtype compute = ath_net_compute(n);
    const ath_cast_attr to = {(int32_t)compute};

    ath_enter(n, name);
    ath_val w = ath_net_param(n, "weight", compute, n_dim, dim);
    ath_leave(n);
    return !w.i || ath_net_desc(n, w).dtype == compute ? w : APPLY(n, cast, &to, w);
}

/* x [N,H,W,in] through a window as wide as the layer's. */
static ath_val wide_delta(ath_net *n, const ath_lora_size *size, const ath_adapter_site *s,
                          ath_val x)
{
    const int64_t down[] = {size->rank, s->n_in, s->kernel, s->kernel};
    const int64_t up[] = {s->n_out, size->rank, 1, 1};
    const ath_conv2d_attr window = {s->stride, s->pad[0], s->pad[1], s->pad[2], s->pad[3]};
    const ath_mul_channels_attr scale = {size->alpha / (float)size->rank};

    ath_val h = APPLY(n, conv2d, &window, x, factor(n, "lora_down", 4, down));
    h = APPLY(n, mul_channels, &scale, h);
    return APPLY(n, linear, NULL, h, ath_net_view(n, factor(n, "lora_up", 4, up), 2, up));
}

/* x [...,in] */
static ath_val narrow_delta(ath_net *n, const ath_lora_size *size, const ath_adapter_site *s,
                            ath_val x)
{
    const int n_dim = s->is_conv ? 4 : 2;
    const int64_t down[] = {size->rank, s->n_in, 1, 1}, up[] = {s->n_out, size->rank, 1, 1};
    const ath_lowrank_attr scale = {size->alpha / (float)size->rank};
    ath_val a = factor(n, "lora_down", n_dim, down), b = factor(n, "lora_up", n_dim, up);

    if (s->is_conv) {
        a = ath_net_view(n, a, 2, down);
        b = ath_net_view(n, b, 2, up);
    }
    return APPLY(n, lowrank, &scale, x, a, b);
}

static ath_val delta(ath_net *n, const ath_adapter *a, const ath_adapter_site *site, ath_val x)
{
    const ath_lora *l = a->state;
    const bool was_training = ath_net_is_training(n), is_wide = site->kernel > 1;
    const ath_lora_size size = (l->size ? l->size : ath_lora_size_of)(l, ath_net_path(n), site);

    if (size.rank < 1 || (!is_wide && site->stride > 1)) return (ath_val){0};
    ath_net_train(n, !l->is_frozen);
    ath_enter(n, a->name);
    ath_val y = is_wide ? wide_delta(n, &size, site, x) : narrow_delta(n, &size, site, x);
    ath_leave(n);
    ath_net_train(n, was_training);
    return y;
}

ath_adapter ath_lora_adapter(const char *name, const ath_lora *lora, int64_t row, int64_t n_rows)
{
    return (ath_adapter){.name = name, .row = row, .n_rows = n_rows, .delta = delta, .state = lora};
}
