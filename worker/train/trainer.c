#include "worker/train/trainer.h"

#include "core/mem.h"
#include "worker/dist/dist.h"
#include "worker/dist/reduce.h"
#include "worker/dist/stage.h"
#include "worker/model/init.h"
#include "worker/train/ema.h"
#include "worker/train/network.h"
#include "worker/train/optimizer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct program {
    ath_train_shape shape;
    ath_plan *plan;
    ath_exec *exec;
} program;

struct ath_trainer {
    ath_trainer_opts opts;
    ath_device *device, *own_device;
    ath_stream *stream;
    ath_plan *layout; /* of the smallest shape: says where parameters lie */
    ath_weights *weights;
    ath_slab *slab;
    ath_reduce *reduce;
    ath_optimizer *optimizer;
    float *values;      /* of the whole slab, for the host: the slab itself, or a copy of it */
    float *own_values;  /* the copy; NULL where the device is the host */
    float *own_grads;   /* room for one bucket's gradients, where the host sums those of a device */
    ath_ema *ema;       /* NULL: no average is kept */
    bool is_fetched;    /* the copy is what the slab holds */
    bool has_left;      /* somebody looked since the values were last changed: */
    ath_hash left;      /* their digest */
    int64_t n_finished; /* steps of this trainer */
    ath_moments moments; /* of the whole slab, on rank 0, where they were collected */
    ath_buf arena;       /* for the largest program */
    program *programs;
    int32_t n_programs;
    int64_t programs_room;
    char *staging; /* an input on its way: room for the largest */
    size_t staging_bytes;
};

/* ---- making one ---- */

static ath_err check(const ath_trainer_opts *o)
{
    ATH_NEED(o->dtype == ATH_F32 || o->dtype == ATH_BF16, ATH_EDTYPE,
             "trainer: activations are %s, wanted f32 or bf16", ath_dtype_name(o->dtype));
    ATH_NEED(o->trains_unet || o->trains_text, ATH_EINVAL,
             "trainer: neither U-Net nor text encoder is trained, wanted one of them");
    ATH_NEED(1 <= o->n_chunks && o->n_chunks <= 3, ATH_EINVAL,
             "trainer: captions of %" PRId32 " chunks, wanted 1 to 3", o->n_chunks);
    ATH_NEED(0 <= o->beta1 && o->beta1 < 1 && 0 <= o->beta2 && o->beta2 < 1, ATH_EINVAL,
             "trainer: betas are %g and %g, wanted 0 up to 1", o->beta1, o->beta2);
    ATH_NEED(o->weight_decay >= 0 && isfinite(o->weight_decay), ATH_EINVAL,
             "trainer: weight decay is %g, wanted 0 or more", o->weight_decay);
    ATH_NEED(0 <= o->ema_decay && o->ema_decay < 1, ATH_EINVAL,
             "trainer: the average's decay is %g, wanted 0 up to 1", o->ema_decay);
    ATH_NEED(o->load, ATH_EINVAL, "trainer: nothing loads the weights");
    return ATH_OK;
}

static size_t slab_bytes(const ath_trainer *t)
{
    return ath_slab_part_of(t->slab, ATH_VALUE).bytes;
}

/* With one rank a device sums for itself. */
static bool is_staged(const ath_trainer *t)
{
    return !ath_device_is_host(t->device) && ath_dist_size() > 1;
}

/* Where the host cannot read the slab: a copy, and a bucket of gradients on its way to the reduction. */
static ath_err make_copies(ath_trainer *t)
{
    const int32_t n_buckets = ath_plan_get_stats(t->layout).n_buckets;
    int64_t most = 0, first = 0;

    t->values = ath_slab_part_of(t->slab, ATH_VALUE).address;
    if (ath_device_is_host(t->device)) return ATH_OK;
    ATH_TRY(ath_mem_new(slab_bytes(t), 1, "parameters on the host", (void **)&t->own_values));
    t->values = t->own_values;
    for (int32_t k = 0; k < n_buckets && is_staged(t); k++) {
        const int64_t n = ath_plan_bucket_span(t->layout, k, &first);
        if (most < n) most = n;
    }
    return most ? ATH_NEW(most, "gradients on the host", &t->own_grads) : ATH_OK;
}

/* The slab's values to where the host sees them, unless they are there; and back. */
static ath_err fetch_values(ath_trainer *t)
{
    if (!t->own_values || t->is_fetched) return ATH_OK;
    ATH_TRY(ath_buf_read(t->stream, ath_slab_part_of(t->slab, ATH_VALUE), 0, t->own_values,
                         slab_bytes(t)));
    t->is_fetched = true;
    return ATH_OK;
}

static ath_err store_values(const ath_trainer *t)
{
    if (!t->own_values) return ATH_OK;
    ATH_TRY(ath_buf_write(t->stream, ath_slab_part_of(t->slab, ATH_VALUE), 0, t->own_values,
                          slab_bytes(t)));
    return ath_stream_sync(t->stream);
}

/* Their digest, for whoever asks later whether they are still the same. */
static ath_err note_values(ath_trainer *t)
{
    ATH_TRY(fetch_values(t));
    if (!t->has_left) ATH_TRY(ath_trainer_digest(t, &t->left));
    t->has_left = true;
    return ATH_OK;
}

/* LoRA as it begins: "down" uniform within 1 / sqrt(inputs), "up" zero as the slab is. */
static ath_err init_adapters(ath_trainer *t)
{
    static const char ending[] = ".lora_down.weight";
    const ath_plan_param *p = NULL;
    const int32_t n = t->opts.lora ? ath_plan_trainables(t->layout, &p) : 0;

    for (int32_t i = 0; i < n; i++) {
        const size_t length = strlen(p[i].name);
        const int64_t count = ath_desc_count(&p[i].desc);
        float *values = NULL;
        if (length < sizeof ending || strcmp(p[i].name + length - (sizeof ending - 1), ending) != 0)
            continue;
        ATH_TRY(ATH_NEW(count, "first values", &values));
        ath_init_uniform(t->opts.seed, p[i].name, 1 / sqrt((double)(count / p[i].desc.dim[0])),
                         count, values);
        ath_err err =
            ath_slab_write(t->slab, ATH_VALUE, p[i].name, values, (size_t)count * sizeof *values);
        ath_mem_free(&values);
        ATH_TRY(err);
    }
    return ATH_OK;
}

/* What a rank does on its own. */
static ath_err make_local(ath_trainer *t)
{
    ATH_TRY(check(&t->opts));
    ATH_TRY(ath_train_plan(&t->opts, ath_train_shape_least(&t->opts.spec), &t->layout));
    t->device = t->opts.device;
    if (!t->device) {
        ATH_TRY(ath_device_create_host(&t->own_device));
        t->device = t->own_device;
    }
    ATH_TRY(ath_stream_create(t->device, &t->stream));
    ATH_TRY(ath_weights_create(t->device, &t->weights));
    ATH_TRY(ath_slab_create(t->device, t->layout, &t->slab));
    ATH_TRY(t->opts.load(t->opts.load_context, t->layout, t->weights, t->slab));
    ATH_TRY(init_adapters(t));
    ATH_TRY(make_copies(t));
    ATH_TRY(note_values(t));
    if (t->opts.ema_decay == 0) return ATH_OK;
    const ath_ema_on on = {t->opts.backend, t->opts.n_threads,
                           ath_slab_part_of(t->slab, ATH_VALUE)};
    return ath_ema_create(&on, t->values, &t->ema);
}

static ath_err make_reduce(ath_trainer *t)
{
    const int32_t n = ath_plan_get_stats(t->layout).n_buckets;
    int64_t *counts = NULL, first = 0;
    ath_err err = ATH_NEW(n, "buckets", &counts);

    for (int32_t i = 0; !err && i < n; i++) counts[i] = ath_plan_bucket_span(t->layout, i, &first);
    ATH_TRY_OUT(ath_dist_agree(err));
    ath_reduce_opts opts = {.n_leaves_max = t->opts.n_leaves_max,
                            .n_buckets = n,
                            .counts = counts,
                            .is_fast = t->opts.reduces_fast};
    if (!ath_device_is_host(t->device) && !is_staged(t))
        opts.on = (ath_reduce_on){t->device, t->opts.backend, t->opts.n_threads};
    ATH_TRY_OUT(ath_reduce_create(&opts, &t->reduce));
out:
    ath_mem_free(&counts);
    return err;
}

static ath_err make(ath_trainer *t)
{
    ath_err err = make_local(t);

    ATH_TRY(ath_dist_agree(err));
    ATH_TRY(make_reduce(t));
    const ath_optimizer_on on = {t->device, t->layout, t->slab, t->reduce, t->values};
    err = ath_optimizer_create(&t->opts, &on, &t->optimizer);
    return ath_dist_agree(err);
}

ath_err ath_trainer_create(const ath_trainer_opts *opts, ath_trainer **out)
{
    ath_trainer *t = NULL;
    ath_err err = ATH_NEW(1, "trainer", &t);

    ATH_TRY_OUT(ath_dist_agree(err));
    t->opts = *opts;
    ATH_TRY_OUT(make(t));
    *out = t;
    t = NULL;
out:
    ath_trainer_destroy(&t);
    return err;
}

void ath_trainer_destroy(ath_trainer **trainer)
{
    ath_trainer *t = *trainer;

    if (!t) return;
    for (int32_t i = 0; i < t->n_programs; i++) {
        ath_exec_destroy(&t->programs[i].exec);
        ath_plan_destroy(&t->programs[i].plan);
    }
    ath_mem_free(&t->programs);
    ath_mem_free(&t->staging);
    ath_ema_destroy(&t->ema);
    ath_mem_free(&t->own_values);
    ath_mem_free(&t->own_grads);
    ath_mem_free(&t->moments.first);
    ath_mem_free(&t->moments.second);
    ath_optimizer_destroy(&t->optimizer);
    ath_reduce_destroy(&t->reduce);
    ath_buf_release(&t->arena);
    ath_slab_destroy(&t->slab);
    ath_weights_destroy(&t->weights);
    ath_stream_destroy(&t->stream);
    ath_device_destroy(&t->own_device);
    ath_plan_destroy(&t->layout);
    ath_mem_free(trainer);
}

/* ---- programs ---- */

static program *find(const ath_trainer *t, ath_train_shape s)
{
    for (int32_t i = 0; i < t->n_programs; i++) {
        const ath_train_shape *have = &t->programs[i].shape;
        if (have->n == s.n && have->height == s.height && have->width == s.width)
            return &t->programs[i];
    }
    return NULL;
}

static ath_err make_exec(ath_trainer *t, program *p)
{
    ath_exec_opts opts = {
        .weights = t->weights, .slab = t->slab, .arena = t->arena, .reduce_context = t->reduce};

    if (ath_reduce_is_on_device(t->reduce))
        opts.reduce_put = ath_reduce_put;
    else if (!t->own_grads)
        opts.reduce = ath_reduce_hook;
    return ath_exec_create(p->plan, t->device, &opts, &p->exec);
}

/* Room for the largest program. Where the arena moves, programs made so far are resolved anew; one that
 * fails here is resolved when it is next used. */
static ath_err grow_arena(ath_trainer *t)
{
    size_t most = 0;

    for (int32_t i = 0; i < t->n_programs; i++) {
        const size_t bytes = ath_plan_get_stats(t->programs[i].plan).arena_bytes;
        if (most < bytes) most = bytes;
    }
    if (t->arena.bytes >= most) return ATH_OK;
    for (int32_t i = 0; i < t->n_programs; i++) ath_exec_destroy(&t->programs[i].exec);
    ath_buf_release(&t->arena);
    ATH_TRY(ath_buf_create(t->device, most, "arena", &t->arena));
    for (int32_t i = 0; i < t->n_programs; i++) ATH_TRY(make_exec(t, &t->programs[i]));
    return ATH_OK;
}

static int64_t latents(ath_train_shape s, int32_t channels)
{
    return (int64_t)s.n * s.height * s.width * channels;
}

static int64_t states(const ath_trainer *t, ath_train_shape s)
{
    return (int64_t)s.n * ath_train_tokens(&t->opts) * t->opts.spec.unet.context_width;
}

/* Room for an input in the run's dtype, and for weights. */
static ath_err grow_staging(ath_trainer *t, ath_train_shape s)
{
    int64_t most = latents(s, t->opts.spec.unet.in_channels);

    if (most < states(t, s)) most = states(t, s);
    const size_t bytes = (size_t)most * sizeof(float);
    if (t->staging_bytes >= bytes) return ATH_OK;
    t->staging_bytes = 0;
    ath_mem_free(&t->staging);
    ATH_TRY(ath_mem_new(bytes, 1, "step data", (void **)&t->staging));
    t->staging_bytes = bytes;
    return ATH_OK;
}

/* The program of a shape, made where it is not yet. */
static ath_err need(ath_trainer *t, ath_train_shape s, program **out)
{
    program *p = find(t, s);
    ath_plan *plan = NULL;

    ATH_NEED(s.n > 0 && s.height > 0 && s.width > 0, ATH_EINVAL,
             "trainer: a micro-batch of %" PRId32 " pictures of %" PRId32 " x %" PRId32
             " latents, wanted one or more",
             s.n, s.width, s.height);
    ATH_TRY(grow_staging(t, s));
    if (!p) {
        ATH_TRY(ath_mem_grow(&t->programs, t->n_programs, &t->programs_room, sizeof *t->programs,
                             "programs"));
        ATH_TRY(ath_train_plan(&t->opts, s, &plan));
        p = &t->programs[t->n_programs++];
        *p = (program){.shape = s, .plan = plan};
    }
    ATH_TRY(grow_arena(t));
    if (!p->exec) ATH_TRY(make_exec(t, p));
    *out = p;
    return ATH_OK;
}

ath_err ath_trainer_prepare(ath_trainer *trainer, int32_t n, int32_t height, int32_t width)
{
    program *p = NULL;

    return need(trainer, (ath_train_shape){n, height, width}, &p);
}

int32_t ath_trainer_tokens(const ath_trainer *trainer)
{
    return ath_train_tokens(&trainer->opts);
}

/* ---- a step ---- */

ath_err ath_trainer_begin(ath_trainer *trainer, int32_t n_leaves)
{
    return ath_reduce_begin(trainer->reduce, n_leaves);
}

void ath_trainer_leaves(const ath_trainer *trainer, int32_t *first, int32_t *end)
{
    ath_reduce_leaves(trainer->reduce, first, end);
}

/* An input given in F32, in the run's dtype. */
static ath_err write(ath_trainer *t, const program *p, const char *name, const float *from,
                     int64_t count)
{
    const ath_dtype dtype = t->opts.dtype;

    ath_dtype_convert(t->staging, dtype, from, ATH_F32, count);
    return ath_exec_write(p->exec, name, t->staging, (size_t)count * ath_dtype_bytes(dtype));
}

static ath_err write_text(ath_trainer *t, const program *p, const ath_micro_in *in)
{
    const int64_t n_ids = (int64_t)in->n * t->opts.n_chunks * t->opts.spec.text.positions;

    ATH_NEED(t->opts.trains_text ? in->ids != NULL : in->states != NULL, ATH_EINVAL,
             "trainer: a micro-batch has no %s, which are needed where the text encoder %s",
             t->opts.trains_text ? "token ids" : "text states",
             t->opts.trains_text ? "trains" : "does not train");
    if (!t->opts.trains_text) return write(t, p, "states", in->states, states(t, p->shape));
    return ath_exec_write(p->exec, "ids", in->ids, (size_t)n_ids * sizeof *in->ids);
}

static ath_err write_inputs(ath_trainer *t, const program *p, const ath_micro_in *in)
{
    const ath_unet_spec *unet = &t->opts.spec.unet;
    const size_t row = (size_t)in->n * sizeof(float);
    float *weight = (float *)(void *)t->staging;

    ATH_TRY(write(t, p, "x", in->x, latents(p->shape, unet->in_channels)));
    ATH_TRY(ath_exec_write(p->exec, "target", in->target,
                           (size_t)latents(p->shape, unet->out_channels) * sizeof(float)));
    ATH_TRY(ath_exec_write(p->exec, "t", in->time, row));
    for (int32_t i = 0; i < in->n; i++) weight[i] = in->weight[i] * (float)in->n;
    ATH_TRY(ath_exec_write(p->exec, "w", weight, row));
    return write_text(t, p, in);
}

static ath_err read_losses(ath_trainer *t, const program *p, double *losses)
{
    const int32_t n = p->shape.n;

    ATH_TRY(ath_exec_read(p->exec, "losses", losses, (size_t)n * sizeof *losses));
    for (int32_t k = 0; k < n; k++)
        if (!isfinite(losses[k])) ath_reduce_spoil(t->reduce);
    return ATH_OK;
}

/* Of many ranks, gradients that the host cannot read go to the reduction by a copy, once all of them are
 * there. */
static ath_err reduce_copies(ath_trainer *t)
{
    const ath_buf grads = ath_slab_part_of(t->slab, ATH_GRAD);
    const int32_t n_buckets = t->own_grads ? ath_plan_get_stats(t->layout).n_buckets : 0;

    for (int32_t k = 0; k < n_buckets; k++) {
        int64_t first = 0;
        const int64_t n = ath_plan_bucket_span(t->layout, k, &first);
        ATH_TRY(ath_buf_read(t->stream, grads, (size_t)first * sizeof(float), t->own_grads,
                             (size_t)n * sizeof(float)));
        ATH_TRY(ath_reduce_hook(t->reduce, k, t->own_grads, n));
    }
    return ATH_OK;
}

ath_err ath_trainer_micro(ath_trainer *trainer, int32_t leaf, const ath_micro_in *in,
                          double *losses)
{
    program *p = NULL;

    ATH_TRY(need(trainer, (ath_train_shape){in->n, in->height, in->width}, &p));
    ATH_TRY(write_inputs(trainer, p, in));
    ATH_TRY(ath_reduce_set_leaf(trainer->reduce, leaf));
    ATH_TRY(ath_exec_run(p->exec, ATH_PHASE_GRAD));
    ATH_TRY(reduce_copies(trainer));
    return read_losses(trainer, p, losses);
}

/* Whether the next step that ends looks at what is in memory. */
static bool looks(const ath_trainer *t)
{
    const int64_t every = t->opts.digest_every;

    return every > 0 && t->n_finished % every == 0;
}

/* What of this rank's memory changed by itself. */
static ath_err check_memory(ath_trainer *t)
{
    const bool looks_well = looks(t);
    const char *name = NULL;
    ath_hash is;

    t->n_finished++;
    if (!t->has_left) return ATH_OK;
    if (looks_well && t->own_values)
        t->is_fetched = false; /* what changed is in the device's memory */
    else if (looks_well)
        name = ath_weights_look(t->weights);
    ATH_TRY(ath_trainer_digest(t, &is));
    const bool holds = ath_hash_is_equal(is, t->left);
    ATH_NEED(holds && !name, ATH_EPEER,
             "in the memory of rank %" PRId32
             " %s%s changed by themselves: its machine is not sound; "
             "test or leave it out, and go on with athanor resume",
             ath_dist_rank(), holds ? "the weights of " : "the trained weights", holds ? name : "");
    return ATH_OK;
}

/* All ranks. Values that a device updated by itself are not fetched. */
static ath_err update(ath_trainer *t, double norm, const ath_trainer_rates *rates)
{
    const ath_ema_opts ema = {.decay = t->opts.ema_decay};

    ath_stage_enter(ATH_STAGE_UPDATE);
    const ath_err err = ath_optimizer_step(t->optimizer, norm, rates);
    t->has_left = false;
    t->is_fetched = !ath_reduce_is_on_device(t->reduce);
    ATH_TRY(err);
    if (!t->ema) return ATH_OK;
    return ath_ema_update(t->ema, ath_ema_decay(&ema, ath_optimizer_n_done(t->optimizer)));
}

ath_err ath_trainer_finish(ath_trainer *trainer, ath_err err, const ath_trainer_rates *rates,
                           ath_trainer_step *out)
{
    ath_trainer *t = trainer;

    *out = (ath_trainer_step){0};
    if (!err) err = check_memory(t);
    ATH_TRY(ath_reduce_finish(t->reduce, err, &out->norm));
    out->skipped = !isfinite(out->norm);
    if (!out->skipped) ATH_TRY(update(t, out->norm, rates));
    if (t->is_fetched || !t->own_values || looks(t)) ATH_TRY(note_values(t));
    if (t->has_left) out->digest = t->left;
    return ATH_OK;
}

/* ---- what it holds ---- */

ath_err ath_trainer_digest(ath_trainer *trainer, ath_hash *out)
{
    ATH_TRY(fetch_values(trainer));
    *out = ath_hash_of(trainer->values, slab_bytes(trainer));
    return ATH_OK;
}

/* NULL where none is kept. */
static ath_err fetch_average(const ath_trainer *t, float **out)
{
    *out = NULL;
    return t->ema ? ath_ema_fetch(t->ema, out) : ATH_OK;
}

ath_err ath_trainer_average_digest(const ath_trainer *trainer, ath_hash *out)
{
    float *average = NULL;

    ATH_TRY(fetch_average(trainer, &average));
    *out = average ? ath_hash_of(average, slab_bytes(trainer)) : (ath_hash){0};
    return ATH_OK;
}

int32_t ath_trainer_params(const ath_trainer *trainer, const ath_plan_param **out)
{
    return ath_plan_trainables(trainer->layout, out);
}

ath_err ath_trainer_value(ath_trainer *trainer, const char *name, bool average, const float **out)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(trainer, &p);
    float *values = trainer->values;

    if (average && trainer->ema)
        ATH_TRY(ath_ema_fetch(trainer->ema, &values));
    else
        ATH_TRY(fetch_values(trainer));
    for (int32_t i = 0; i < n; i++) {
        if (strcmp(p[i].name, name) != 0) continue;
        *out = values + p[i].offset;
        return ATH_OK;
    }
    return ath_raise(ATH_EMISSING, "trainer: no trainable parameter %s", name);
}

/* ---- all of it, to go on from ---- */

static ath_err make_moments(ath_trainer *t)
{
    const size_t n = slab_bytes(t) / sizeof(float);

    if (ath_dist_rank() != 0 || t->moments.second) return ATH_OK;
    if (!t->moments.first) ATH_TRY(ATH_NEW(n, "first moments of all ranks", &t->moments.first));
    return ATH_NEW(n, "second moments of all ranks", &t->moments.second);
}

int64_t ath_trainer_n_updates(const ath_trainer *t)
{
    return ath_optimizer_n_done(t->optimizer);
}

ath_err ath_trainer_collect(ath_trainer *t, ath_trainer_state *out)
{
    float *average = NULL;

    ATH_TRY(ath_dist_agree(make_moments(t)));
    ATH_TRY(ath_dist_agree(note_values(t)));
    ATH_TRY(ath_dist_agree(fetch_average(t, &average)));
    ATH_TRY(ath_optimizer_collect(t->optimizer, &t->moments));
    *out = (ath_trainer_state){.n_updates = ath_optimizer_n_done(t->optimizer),
                               .digest = t->left,
                               .value = t->values,
                               .average = average,
                               .moment1 = t->moments.first,
                               .moment2 = t->moments.second};
    return ATH_OK;
}

/* What was put where the host sees the values is theirs. */
static ath_err take_values(ath_trainer *t)
{
    ATH_TRY(store_values(t));
    t->is_fetched = true;
    t->has_left = false;
    return note_values(t);
}

ath_err ath_trainer_restore(ath_trainer *t, const ath_trainer_state *state)
{
    int64_t n_updates = ath_dist_rank() == 0 ? state->n_updates : 0;
    float *average = NULL;

    ATH_TRY(ath_dist_share(&n_updates, sizeof n_updates));
    ATH_TRY(ath_dist_share(t->values, slab_bytes(t)));
    ATH_TRY(ath_dist_agree(take_values(t)));
    ATH_TRY(ath_dist_agree(fetch_average(t, &average)));
    if (average) {
        ATH_TRY(ath_dist_share(average, slab_bytes(t)));
        ATH_TRY(ath_dist_agree(ath_ema_store(t->ema)));
    }
    return ath_optimizer_restore(t->optimizer, &t->moments, n_updates);
}

ath_weights *ath_trainer_weights(const ath_trainer *trainer)
{
    return trainer->weights;
}

size_t ath_trainer_bytes(const ath_trainer *t)
{
    const size_t slabs = t->ema ? 3 : 2; /* values, gradients, average */

    return t->arena.bytes + ath_weights_bytes(t->weights) + slabs * slab_bytes(t) +
           ath_optimizer_bytes(t->optimizer) + ath_reduce_device_bytes(t->reduce);
}
