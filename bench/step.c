/*
 * bench/step: a whole training step of a full-size network with random weights, against the rate of
 * the machine's best primitive measured in the same run.
 *
 *     step --model sd15-unet-like --mode lora --dtype bf16 --size 512 --threads 2 --repeats 3
 *
 * With --text, mode lora trains adapters of the text encoder too and runs whole steps of the trainer:
 * one micro-batch, reduction, clipping, update.
 *
 * Modes: forward (no gradients), backward (gradients of all parameters), lora (rank 32 at all
 * linears and 1x1 convolutions), full. The last two update with AdamW.
 *
 * --device cuda runs on the first GPU. --digest runs the gradients of one step again and again instead,
 * and fails where two runs differ in a bit.
 */
#include "core/hash.h"
#include "core/mem.h"
#include "kernels/cuda.h"
#include "kernels/peak.h"
#include "kernels/peak_dnnl.h"
#include "worker/adapter/lora.h"
#include "worker/graph/exec.h"
#include "worker/graph/layer.h"
#include "worker/model/unet.h"
#include "worker/train/network.h"
#include "worker/train/trainer.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct settings {
    const char *model, *mode;
    ath_dtype dtype;
    int32_t size, batch, threads, repeats;
    bool recompute, explain, text, cuda, digest, json;
} settings;

typedef struct bench {
    ath_net *net;
    ath_plan *plan;
    ath_device *device;
    ath_weights *weights;
    ath_slab *slab;
    ath_exec *exec;
    ath_trainer *trainer; /* --text: in place of all but the plan */
    ath_micro_in in;
    void *inputs[5]; /* what `in` points to */
} bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Uniform numbers of the given spread in the tensor's dtype: data for timing, not for learning. */
static ath_err fill(const ath_desc *d, float spread, void **out)
{
    uint32_t state = 12345;

    ATH_TRY(ath_mem_new(ath_desc_bytes(d), 1, "random tensor", out));
    for (int64_t i = 0; i < ath_desc_count(d); i++) {
        state = state * 1664525u + 1013904223u;
        const float v = ((float)(state >> 8) * 0x1p-24f - 0.5f) * spread;
        if (d->dtype == ATH_F32)
            ((float *)*out)[i] = v;
        else
            ((uint16_t *)*out)[i] = ath_bf16_from_f32(v);
    }
    return ATH_OK;
}

static float spread_of(const ath_desc *d)
{
    if (d->n_dim < 2) return 0.1f;
    return 3.4f / (float)(d->n_dim == 2 ? d->dim[1] : 3 * d->dim[1]) * 8;
}

static bool is_mode(const settings *s, const char *mode)
{
    return strcmp(s->mode, mode) == 0;
}

static bool has_update(const settings *s)
{
    return is_mode(s, "lora") || is_mode(s, "full");
}

static ath_backend backend_of(const settings *s)
{
    return s->cuda ? ATH_CUDA : ATH_CPU;
}

static ath_err record(const settings *s, ath_net *n, const ath_adapter *lora)
{
    const bool is_sd15 = strcmp(s->model, "sd15-unet-like") == 0;
    const ath_unet_spec *spec = is_sd15 ? &ath_unet_sd15 : &ath_unet_tiny;
    const int64_t side = s->size / 8, batch = s->batch;
    const ath_desc image = {s->dtype, 4, {batch, side, side, 4}};
    const ath_desc target = {ATH_F32, 4, {batch, side, side, 4}}, row = {ATH_F32, 1, {batch}};
    const ath_desc text = {s->dtype, 3, {batch, 77, spec->context_width}};

    ATH_NEED(is_sd15 || strcmp(s->model, "tiny") == 0, ATH_EINVAL,
             "model %s: wanted sd15-unet-like or tiny", s->model);
    ATH_NEED(has_update(s) || is_mode(s, "forward") || is_mode(s, "backward"), ATH_EINVAL,
             "mode %s: wanted forward, backward, lora or full", s->mode);
    ath_net_train(n, is_mode(s, "backward") || is_mode(s, "full"));
    if (is_mode(s, "lora")) ath_net_attach(n, lora, 1);
    ath_val y = ath_unet(n, spec, ath_net_input(n, "x", image), ath_net_input(n, "t", row),
                         ath_net_input(n, "text", text));
    ath_val loss = ath_mse(n, y, ath_net_input(n, "target", target), ath_net_input(n, "w", row));
    ath_net_loss(n, loss);
    return ath_net_check(n);
}

static ath_err put_frozen(const void *context, const ath_plan_param *p, ath_weights *weights)
{
    void *host = NULL;

    (void)context;
    ATH_TRY(fill(&p->desc, spread_of(&p->desc), &host));
    ath_err err = ath_weights_put(weights, p->name, p->desc, p->desc.dtype, host);
    ath_mem_free(&host);
    return err;
}

/* An ath_trainer_load_fn that looks at no context. */
static ath_err put_weights(void *context, const ath_plan *plan, ath_weights *weights,
                           ath_slab *slab)
{
    const ath_plan_param *p = NULL;
    void *host = NULL;
    ath_err err = ATH_OK;

    (void)context;
    ath_weights_draw_from(weights, put_frozen, NULL);
    const int32_t n_trainables = ath_plan_trainables(plan, &p);
    for (int32_t i = 0; i < n_trainables; i++) {
        ATH_TRY_OUT(fill(&p[i].desc, spread_of(&p[i].desc), &host));
        ATH_TRY_OUT(ath_slab_write(slab, ATH_VALUE, p[i].name, host, ath_desc_bytes(&p[i].desc)));
        ath_mem_free(&host);
    }
out:
    ath_mem_free(&host);
    return err;
}

static ath_err write_inputs(const settings *s, bench *b)
{
    const int64_t side = s->size / 8;
    const int32_t width = strcmp(s->model, "tiny") == 0 ? ath_unet_tiny.context_width : 768;
    const struct {
        const char *name;
        ath_desc desc;
    } inputs[] = {
        {"x", {s->dtype, 4, {s->batch, side, side, 4}}},
        {"t", {ATH_F32, 1, {s->batch}}},
        {"text", {s->dtype, 3, {s->batch, 77, width}}},
        {"target", {ATH_F32, 4, {s->batch, side, side, 4}}},
        {"w", {ATH_F32, 1, {s->batch}}},
    };

    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        void *host = NULL;
        ATH_TRY(fill(&inputs[i].desc, 3.4f, &host));
        ath_err err =
            ath_exec_write(b->exec, inputs[i].name, host, ath_desc_bytes(&inputs[i].desc));
        ath_mem_free(&host);
        ATH_TRY(err);
    }
    if (!has_update(s)) return ATH_OK;
    const float hyper[4] = {1e-4f, 1e-2f, 0.1f, 1e-3f};
    return ath_exec_write(b->exec, "adamw", hyper, sizeof hyper);
}

static ath_err make_inputs(const settings *s, const ath_model_spec *spec, bench *b)
{
    const int32_t side = s->size / 8;
    const ath_desc image = {ATH_F32, 4, {s->batch, side, side, 4}}, row = {ATH_F32, 1, {s->batch}};
    const ath_desc *descs[] = {&image, &image, &row, &row};
    const int64_t n_ids = (int64_t)s->batch * spec->text.positions;

    for (int i = 0; i < 4; i++) ATH_TRY(fill(descs[i], 3.4f, &b->inputs[i]));
    ATH_TRY(ath_mem_new((size_t)n_ids, sizeof(int32_t), "ids", &b->inputs[4]));
    for (int64_t i = 0; i < n_ids; i++)
        ((int32_t *)b->inputs[4])[i] = (int32_t)(i * 17 % spec->text.vocab);
    b->in = (ath_micro_in){.n = s->batch,
                           .height = side,
                           .width = side,
                           .x = b->inputs[0],
                           .target = b->inputs[1],
                           .time = b->inputs[2],
                           .weight = b->inputs[3],
                           .ids = b->inputs[4]};
    return ATH_OK;
}

static ath_err create_trainer(const settings *s, bench *b)
{
    static const ath_lora lora = {.rank = 32, .alpha = 16};
    const bool is_tiny = strcmp(s->model, "tiny") == 0;
    const ath_trainer_opts opts = {.spec = is_tiny ? ath_model_tiny : ath_model_sd15,
                                   .backend = backend_of(s),
                                   .device = b->device,
                                   .dtype = s->dtype,
                                   .n_threads = s->threads,
                                   .recompute = s->recompute,
                                   .trains_unet = true,
                                   .trains_text = true,
                                   .lora = &lora,
                                   .clip_skip = 1,
                                   .n_chunks = 1,
                                   .n_leaves_max = 1,
                                   .max_norm = 1,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .eps = 1e-8,
                                   .weight_decay = 0.01,
                                   .load = put_weights};
    const int32_t side = s->size / 8;

    ATH_NEED(s->batch <= 64, ATH_EINVAL, "--batch %d: wanted 64 at most", s->batch);
    ATH_NEED(is_mode(s, "lora"), ATH_EINVAL, "--text: wanted with mode lora, not %s", s->mode);
    ATH_TRY(ath_train_plan(&opts, (ath_train_shape){s->batch, side, side}, &b->plan));
    if (s->explain) return ATH_OK;
    ATH_TRY(make_inputs(s, &opts.spec, b));
    ATH_TRY(ath_trainer_create(&opts, &b->trainer));
    return ath_trainer_prepare(b->trainer, s->batch, side, side);
}

static ath_err run_step(bench *b)
{
    const ath_trainer_rates rates = {1e-4, 5e-5};
    ath_trainer_step out;
    double losses[64];

    if (!b->trainer) return ath_exec_run(b->exec, ATH_PHASE_ALL);
    ATH_TRY(ath_trainer_begin(b->trainer, 1));
    ath_err err = ath_trainer_micro(b->trainer, 0, &b->in, losses);
    ATH_TRY(ath_trainer_finish(b->trainer, err, &rates, &out));
    ATH_NEED(!out.skipped, ATH_ENAN, "the gradient is not finite");
    return ATH_OK;
}

static ath_err create(const settings *s, bench *b)
{
    if (s->cuda) ATH_TRY(ath_cuda_open());
    ATH_TRY(s->cuda ? ath_device_create_cuda(0, &b->device) : ath_device_create_host(&b->device));
    if (s->text) return create_trainer(s, b);
    const ath_lora lora = {.rank = 32, .alpha = 16};
    const ath_adapter adapter = ath_lora_adapter("lora", &lora, 0, 0);
    const ath_plan_opts opts = {.backend = backend_of(s),
                                .n_threads = s->threads,
                                .recompute = s->recompute,
                                .update = has_update(s),
                                .max_norm = 1};

    ATH_TRY(ath_net_create(s->dtype, &b->net));
    ATH_TRY(record(s, b->net, &adapter));
    ATH_TRY(ath_plan_create(b->net, &opts, &b->plan));
    ATH_TRY(ath_weights_create(b->device, &b->weights));
    ATH_TRY(ath_slab_create(b->device, b->plan, &b->slab));
    ATH_TRY(put_weights(NULL, b->plan, b->weights, b->slab));
    const ath_exec_opts exec = {.weights = b->weights, .slab = b->slab};
    ATH_TRY(ath_exec_create(b->plan, b->device, &exec, &b->exec));
    return write_inputs(s, b);
}

static void release(bench *b)
{
    ath_trainer_destroy(&b->trainer);
    for (int i = 0; i < 5; i++) ath_mem_free(&b->inputs[i]);
    ath_exec_destroy(&b->exec);
    ath_slab_destroy(&b->slab);
    ath_weights_destroy(&b->weights);
    ath_device_destroy(&b->device);
    ath_plan_destroy(&b->plan);
    ath_net_destroy(&b->net);
}

/* The most memory that the whole process ever held, weights, library and all. */
static double peak_mib(void)
{
    struct rusage u = {0};

    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss / 1024 : 0;
}

/* What weights, trainables and arena hold on the device. */
static double device_mib(const bench *b, const ath_plan_stats *t)
{
    size_t bytes = t->arena_bytes;

    if (b->trainer) return (double)ath_trainer_bytes(b->trainer) / 0x1p20;
    for (int part = 0; part < ATH_N_SLAB_PARTS; part++)
        bytes += ath_slab_part_of(b->slab, (ath_slab_part)part).bytes;
    return (double)(bytes + ath_weights_bytes(b->weights)) / 0x1p20;
}

static ath_err digest_once(bench *b, ath_stream *stream, void *host, ath_hash *out)
{
    const ath_buf grads = ath_slab_part_of(b->slab, ATH_GRAD);

    ATH_TRY(ath_exec_run(b->exec, ATH_PHASE_GRAD));
    ATH_TRY(ath_buf_read(stream, grads, 0, host, grads.bytes));
    *out = ath_hash_of(host, grads.bytes);
    return ATH_OK;
}

/* The gradients of one step have one digest, run after run. */
static ath_err repeat_digest(const settings *s, bench *b)
{
    ath_stream *stream = NULL;
    ath_hash first = {0}, next;
    char text[ATH_HASH_TEXT];
    void *host = NULL;
    ath_err err = ATH_OK;

    ATH_NEED(b->slab && has_update(s), ATH_EINVAL,
             "--digest: wanted with lora or full, without --text");
    ATH_TRY_OUT(ath_mem_new(ath_slab_part_of(b->slab, ATH_GRAD).bytes, 1, "gradients", &host));
    ATH_TRY_OUT(ath_stream_create(b->device, &stream));
    for (int32_t i = 0; i < s->repeats && !err; i++) {
        ATH_TRY_OUT(digest_once(b, stream, host, i ? &next : &first));
        if (i && !ath_hash_is_equal(first, next))
            err = ath_raise(ATH_EPEER, "run %" PRId32 " has other bits than the first", i);
    }
    if (!err) printf("%" PRId32 " runs, one digest: %s\n", s->repeats, ath_hash_print(first, text));
out:
    ath_stream_destroy(&stream);
    ath_mem_free(&host);
    return err;
}

static void print_json(const settings *s, const bench *b, const ath_plan_stats *t, double seconds)
{
    printf("{\"who\": \"athanor\", \"mode\": \"%s\", \"dtype\": \"%s\", \"size\": %" PRId32
           ", \"batch\": %" PRId32 ", \"seconds\": %.6f, \"images_per_second\": %.3f, "
           "\"tflops\": %.3f, \"mib\": %.1f}\n",
           s->mode, ath_dtype_name(s->dtype), s->size, s->batch, seconds, s->batch / seconds,
           t->flop / seconds * 1e-12, device_mib(b, t));
}

static ath_err measure(const settings *s, bench *b)
{
    const ath_plan_stats t = ath_plan_get_stats(b->plan);
    double seconds[64] = {0}, rate = 0;
    const int32_t n = s->repeats < 64 ? s->repeats : 64;

    ATH_TRY(run_step(b));
    for (int32_t i = 0; i < n; i++) {
        const double start = now();
        ATH_TRY(run_step(b));
        seconds[i] = now() - start;
    }
    const double peak = peak_mib();
    qsort(seconds, (size_t)n, sizeof *seconds, by_value);
    const double median = seconds[n / 2], reached = t.flop / median / 1e9;
    if (s->json || s->cuda) {
        print_json(s, b, &t, median);
        return ATH_OK;
    }
    ATH_TRY(ath_peak_conv(s->dtype, s->threads, &rate));
    printf("%s %s%s %s, %d px, batch %d, %d threads, %d runs\n", s->model, s->mode,
           s->text ? " of U-Net and text encoder" : "", ath_dtype_name(s->dtype), s->size, s->batch,
           s->threads, n);
    printf("  step            %8.3f s   %.3f images/s, %.3f s an image\n", median,
           s->batch / median, median / s->batch);
    printf("  peak memory     %8.1f MiB of the process\n", peak);
    printf("  products        %8.1f GFLOP a step\n", t.flop / 1e9);
    printf("  reached         %8.1f GFLOP/s\n", reached);
    printf("  oneDNN 3x3 conv %8.1f GFLOP/s bare, same run: share %.1f %%\n", rate,
           100 * reached / rate);
    printf("  register FMA    %8.1f GFLOP/s in f32\n", ath_peak_fma(s->threads));
    printf(
        "  arena %.1f MiB (floor %.1f, unshared %.1f), frozen %.1f, packed %.1f, trainable %.1f\n",
        (double)t.arena_bytes / 0x1p20, (double)t.arena_floor / 0x1p20,
        (double)t.unshared_bytes / 0x1p20, (double)t.frozen_bytes / 0x1p20,
        (double)t.packed_bytes / 0x1p20, (double)t.param_bytes / 0x1p20);
    printf("  steps %" PRId32 ", bytes held at most %.1f MiB\n", t.n_steps,
           (double)ath_mem_get_stats().bytes_most / 0x1p20);
    return ATH_OK;
}

static ath_err explain(const bench *b)
{
    ath_str text = {0};

    ath_plan_explain(b->plan, &text);
    fputs(ath_str_text(&text), stdout);
    ath_err err = ath_str_check(&text);
    ath_str_release(&text);
    return err;
}

static bool set_flag(settings *s, const char *name)
{
    const struct {
        const char *name;
        bool *value;
    } flags[] = {{"--recompute", &s->recompute},
                 {"--text", &s->text},
                 {"--explain", &s->explain},
                 {"--digest", &s->digest},
                 {"--json", &s->json}};

    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
        if (strcmp(name, flags[k].name) != 0) continue;
        *flags[k].value = true;
        return true;
    }
    return false;
}

static ath_err parse(int argc, char **argv, settings *s)
{
    struct {
        const char *name;
        int32_t *value;
    } numbers[] = {{"--size", &s->size},
                   {"--batch", &s->batch},
                   {"--threads", &s->threads},
                   {"--repeats", &s->repeats}};

    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        bool found = true;
        if (set_flag(s, name)) continue;
        i++;
        if (strcmp(name, "--model") == 0)
            s->model = value;
        else if (strcmp(name, "--mode") == 0)
            s->mode = value;
        else if (strcmp(name, "--device") == 0 &&
                 (strcmp(value, "cpu") == 0 || strcmp(value, "cuda") == 0))
            s->cuda = value[1] == 'u';
        else if (strcmp(name, "--dtype") == 0)
            s->dtype = value[0] == 'b' ? ATH_BF16 : ATH_F32;
        else
            found = false;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            if (strcmp(name, numbers[k].name) != 0) continue;
            *numbers[k].value = (int32_t)strtol(value, NULL, 10);
            found = *numbers[k].value > 0;
        }
        ATH_NEED(found, ATH_EINVAL, "%s %s: not an option or not a value", name, value);
    }
    return ATH_OK;
}

int main(int argc, char **argv)
{
    settings s = {.model = "sd15-unet-like",
                  .mode = "lora",
                  .dtype = ATH_BF16,
                  .size = 512,
                  .batch = 1,
                  .threads = 2,
                  .repeats = 3};
    bench b = {0};
    ath_err err = parse(argc, argv, &s);

    if (!err) err = create(&s, &b);
    if (!err) err = s.explain ? explain(&b) : s.digest ? repeat_digest(&s, &b) : measure(&s, &b);
    release(&b);
    if (err) fprintf(stderr, "step: %s\n", ath_err_text());
    return ath_err_exit_code(err);
}
