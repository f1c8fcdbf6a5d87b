#include "tests/graph/toy.h"

#include "core/mem.h"
#include "core/rng.h"
#include "worker/adapter/lora.h"
#include "worker/graph/layer.h"
#include "worker/model/unet.h"
#include <stdlib.h>
#include <string.h>

enum { BATCH = 2, HEIGHT = 6, WIDTH = 5, TOKENS = 3 };

static const ath_unet_spec spec = {
    .in_channels = 4,
    .out_channels = 4,
    .n_levels = 2,
    .width = {8, 16},
    .has_attention = {true, false},
    .blocks = 1,
    .heads = 2,
    .groups = 4,
    .context_width = 6,
};

/* The toy's few layers all take part. */
static ath_lora_size everywhere(const ath_lora *lora, const char *layer,
                                const ath_adapter_site *site)
{
    (void)layer;
    return (ath_lora_size){site->kernel == 1 ? lora->rank : lora->conv_rank, lora->alpha};
}

static const ath_lora lora_a = {.rank = 2, .alpha = 1, .size = everywhere};
static const ath_lora lora_b = {.rank = 3, .alpha = 3, .size = everywhere};
static const ath_lora wide_a = {.rank = 2, .alpha = 1, .conv_rank = 3, .size = everywhere};
static const ath_lora wide_b = {.rank = 3, .alpha = 3, .conv_rank = 1, .size = everywhere};

double toy_value(const char *name, uint32_t what, int64_t i)
{
    const ath_hash h = ath_hash_of(name, strlen(name));
    const uint32_t key[2] = {(uint32_t)h.lo, (uint32_t)(h.lo >> 32)};
    const uint32_t counter[4] = {(uint32_t)(i / 4), what, 0, 0};
    uint32_t word[4];
    float normal[4];

    ath_philox(counter, key, word);
    ath_normal4(word, normal);
    return (double)normal[i % 4];
}

static ath_desc desc(ath_dtype dtype, int n_dim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (ath_desc){dtype, n_dim, {a, b, c, d}};
}

ath_err toy_record(const toy_opts *opts, toy *t)
{
    const ath_dtype act = opts->compute, full = act == ATH_F64 ? ATH_F64 : ATH_F32;
    const bool wide = opts->is_wide;
    int n_adapters = 0;

    if (opts->has_a)
        t->adapters[n_adapters++] = ath_lora_adapter("a", wide ? &wide_a : &lora_a, 0, 1);
    if (opts->has_b)
        t->adapters[n_adapters++] = ath_lora_adapter("b", wide ? &wide_b : &lora_b, 1, 1);
    ATH_TRY(ath_net_create(act, &t->net));
    ath_net *n = t->net;
    ath_val x = ath_net_input(n, "x", desc(act, 4, BATCH, HEIGHT, WIDTH, spec.in_channels));
    ath_val time = ath_net_input(n, "t", desc(full, 1, BATCH, 0, 0, 0));
    ath_val text = ath_net_input(n, "text", desc(act, 3, BATCH, TOKENS, spec.context_width, 0));
    ath_val target = ath_net_input(n, "target", desc(full, 4, BATCH, HEIGHT, WIDTH, 4));
    ath_val weight = ath_net_input(n, "weight", desc(full, 1, BATCH, 0, 0, 0));
    if (opts->wants_input) ath_net_want(n, x);
    ath_net_train(n, opts->trains_base);
    ath_net_attach(n, t->adapters, n_adapters);
    ath_net_loss(n, ath_mse(n, ath_unet(n, &spec, x, time, text), target, weight));
    return ath_net_check(n);
}

/* About 1/sqrt(inputs) for weights, near 1 for norms' gains: activations stay O(1). */
static double first_value(const char *name, const ath_desc *d, int64_t i)
{
    const int64_t fan_in = d->n_dim > 1 ? ath_desc_count(d) / d->dim[0] : 1;
    const double v = toy_value(name, TOY_WEIGHT, i);

    if (d->n_dim == 1)
        return strstr(name, "norm") && strstr(name, "weight") ? 1 + 0.1 * v : 0.1 * v;
    return v / sqrt((double)fan_in);
}

/* A tensor of values in `d`'s dtype: the caller frees it. */
static ath_err make(const toy_opts *opts, const char *name, const ath_desc *d, uint32_t what,
                    void **out)
{
    const bool is_scaled = strcmp(name, "x") == 0 && opts->x_scale != 0;
    const double scale = is_scaled ? (double)opts->x_scale : 1;

    ATH_TRY(ath_mem_new(ath_desc_bytes(d), 1, "toy tensor", out));
    for (int64_t i = 0; i < ath_desc_count(d); i++) {
        double v = scale * toy_value(name, what, i);
        if (what == TOY_WEIGHT)
            v = first_value(name, d, i) + opts->nudge * toy_value(name, TOY_DIRECTION, i);
        if (strcmp(name, "t") == 0) v = 100 + 300 * (double)i;
        if (strcmp(name, "weight") == 0) v = 1 + 0.5 * (double)i;
        ath_dtype_put(*out, d->dtype, i, v);
    }
    return ATH_OK;
}

static ath_err write_weights(const toy_opts *opts, toy *t)
{
    const ath_plan_param *p = NULL;
    ath_err err = ATH_OK;
    void *host = NULL;
    toy_opts still = *opts;

    still.nudge = 0;
    const int32_t n_frozen = ath_plan_frozen(t->plan, &p);
    for (int32_t i = 0; i < n_frozen; i++) {
        ATH_TRY_OUT(make(&still, p[i].name, &p[i].desc, TOY_WEIGHT, &host));
        ATH_TRY_OUT(ath_weights_put(t->weights, p[i].name, p[i].desc, p[i].desc.dtype, host));
        ath_mem_free(&host);
    }
    const int32_t n_trainables = ath_plan_trainables(t->plan, &p);
    for (int32_t i = 0; i < n_trainables; i++) {
        ATH_TRY_OUT(make(opts, p[i].name, &p[i].desc, TOY_WEIGHT, &host));
        ATH_TRY_OUT(
            ath_slab_write(t->slab, ATH_VALUE, p[i].name, host, ath_desc_bytes(&p[i].desc)));
        ath_mem_free(&host);
    }
out:
    ath_mem_free(&host);
    return err;
}

ath_err toy_write(const toy_opts *opts, toy *t)
{
    const ath_dtype act = opts->compute, full = act == ATH_F64 ? ATH_F64 : ATH_F32;
    const struct {
        const char *name;
        ath_desc desc;
    } inputs[] = {
        {"x", desc(act, 4, BATCH, HEIGHT, WIDTH, 4)},
        {"t", desc(full, 1, BATCH, 0, 0, 0)},
        {"text", desc(act, 3, BATCH, TOKENS, spec.context_width, 0)},
        {"target", desc(full, 4, BATCH, HEIGHT, WIDTH, 4)},
        {"weight", desc(full, 1, BATCH, 0, 0, 0)},
        {"adamw", desc(full, 1, 4, 0, 0, 0)},
    };
    const float hyper[] = {1e-2f, 1e-2f, 0.1f, 1e-3f};
    ath_err err = ATH_OK;
    void *host = NULL;

    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        const bool is_hyper = strcmp(inputs[i].name, "adamw") == 0;
        if (is_hyper && !opts->plan.update) continue;
        ATH_TRY_OUT(make(opts, inputs[i].name, &inputs[i].desc, TOY_INPUT, &host));
        for (int k = 0; is_hyper && k < 4; k++) ath_dtype_put(host, full, k, (double)hyper[k]);
        ATH_TRY_OUT(ath_exec_write(t->exec, inputs[i].name, host, ath_desc_bytes(&inputs[i].desc)));
        ath_mem_free(&host);
    }
out:
    ath_mem_free(&host);
    return err;
}

static ath_err double_grads(void *context, int32_t bucket, void *grads, int64_t count)
{
    const bool is64 = *(const bool *)context;

    (void)bucket;
    for (int64_t i = 0; i < count; i++) {
        if (is64)
            ((double *)grads)[i] *= 2;
        else
            ((float *)grads)[i] *= 2;
    }
    return ATH_OK;
}

static ath_err run_double(const void *arg)
{
    const toy_doubling *d = arg;
    return double_grads(d->is64, d->bucket, d->grads, d->count);
}

static ath_err put_double(void *context, int32_t bucket, void *grads, int64_t count,
                          ath_stream *stream)
{
    toy *t = context;

    ATH_ASSERT(bucket < TOY_BUCKETS);
    t->doubling[bucket] = (toy_doubling){&t->is64, bucket, grads, count};
    return ath_stream_launch(stream, run_double, &t->doubling[bucket]);
}

/* How a bucket is reduced, if at all. */
static void choose_hook(const toy_opts *opts, toy *t, ath_exec_opts *exec)
{
    t->is64 = opts->compute == ATH_F64;
    exec->reduce = opts->reduce;
    exec->reduce_put = opts->reduce_put;
    exec->reduce_context = opts->reduce_context;
    if (!opts->reduces) return;
    exec->reduce = opts->puts_reduce ? NULL : double_grads;
    exec->reduce_put = opts->puts_reduce ? put_double : NULL;
    exec->reduce_context = opts->puts_reduce ? (void *)t : &t->is64;
}

static ath_err create(const toy_opts *opts, toy *t)
{

    ATH_TRY(toy_record(opts, t));
    ATH_TRY(ath_plan_create(t->net, &opts->plan, &t->plan));
    if (opts->is_sim)
        ATH_TRY(ath_device_create_sim(opts->seed, &t->device));
    else
        ATH_TRY(ath_device_create_host(&t->device));
    ATH_TRY(ath_weights_create(t->device, &t->weights));
    ATH_TRY(ath_slab_create(t->device, t->plan, &t->slab));
    ATH_TRY(write_weights(opts, t));
    ath_exec_opts exec = {.weights = t->weights,
                          .slab = t->slab,
                          .check_nan = opts->checks_nan,
                          .drop_wait = opts->drop_wait};
    choose_hook(opts, t, &exec);
    ATH_TRY(ath_exec_create(t->plan, t->device, &exec, &t->exec));
    return toy_write(opts, t);
}

ath_err toy_create(const toy_opts *opts, toy *t)
{
    *t = (toy){0};
    ath_err err = create(opts, t);
    if (err) toy_release(t);
    return err;
}

void toy_release(toy *t)
{
    ath_exec_destroy(&t->exec);
    ath_slab_destroy(&t->slab);
    ath_weights_destroy(&t->weights);
    ath_device_destroy(&t->device);
    ath_plan_destroy(&t->plan);
    ath_net_destroy(&t->net);
}

ath_err toy_loss(toy *t, double *out)
{
    const bool is64 = ath_net_compute(t->net) == ATH_F64;
    float f32 = 0;

    if (is64) return ath_exec_read(t->exec, "loss", out, sizeof *out);
    ATH_TRY(ath_exec_read(t->exec, "loss", &f32, sizeof f32));
    *out = (double)f32;
    return ATH_OK;
}

static int by_name(const void *left, const void *right)
{
    const ath_plan_param *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

ath_err toy_read(toy *t, ath_slab_part part, const char *like, void **out, size_t *bytes)
{
    const ath_plan_param *p = NULL, **sorted = NULL;
    const int32_t n = ath_plan_trainables(t->plan, &p);
    ath_err err = ATH_OK;
    char *all = NULL;
    size_t used = 0;

    ATH_TRY_OUT(ATH_NEW(n, "names", &sorted));
    ATH_TRY_OUT(ATH_NEW(2 * ath_plan_get_stats(t->plan).param_bytes, "slab copy", &all));
    for (int32_t i = 0; i < n; i++) sorted[i] = &p[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_name);
    for (int32_t i = 0; i < n; i++) {
        const size_t size = ath_desc_bytes(&sorted[i]->desc);
        if (!strstr(sorted[i]->name, like)) continue;
        ATH_TRY_OUT(ath_slab_read(t->slab, part, sorted[i]->name, all + used, size));
        used += size;
    }
    *out = all;
    *bytes = used;
    all = NULL;
out:
    ath_mem_free(&sorted);
    ath_mem_free(&all);
    return err;
}
