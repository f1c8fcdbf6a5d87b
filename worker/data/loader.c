#include "worker/data/loader.h"

#include "core/mem.h"
#include "core/text/prompt.h"
#include "core/thread.h"
#include "core/time.h"
#include "worker/dist/dist.h"
#include "worker/dist/tree.h"
#include "worker/train/caption.h"
#include "worker/train/noising.h"

#include <stdio.h>
#include <string.h>

enum { ERROR_BYTES = 2048, STATES_ROOM = 64 };

/* A micro-batch, or the error that came in its place. */
typedef struct slot {
    ath_loaded loaded;
    float *x, *target, *time, *weight, *states;
    int32_t *ids;
    ath_err err;
    char text[ERROR_BYTES];
} slot;

struct ath_loader {
    ath_loader_opts opts;
    ath_noising noising;
    ath_caption_opts captions;
    ath_caption_work work;
    ath_tokenizer *tokenizer;
    ath_state_store *store; /* NULL: the text encoder trains */
    int32_t n_chunks, n_slots;
    int64_t n_ids, n_states, n_latent; /* numbers of a sample; of the largest bucket's latent */
    slot *slots;
    float *scratch;
    ath_queue *empty, *full; /* of slot * */
    slot *held;              /* by the taker */
    ath_pool *pool;          /* the one thread */
    const Athanor__Epoch *epoch;
    int64_t first_step, end_step; /* of the epoch */
    int64_t n_left;               /* micro-batches to take */
};

/* ---- which ---- */

/* A step's micro-batches of the epoch, and those of this rank. */
typedef struct span {
    int64_t first, end, own_first, own_end;
} span;

static span step_of(const ath_loader *l, const Athanor__Epoch *e, int64_t step)
{
    const int64_t by = (int64_t)l->opts.plan->micros_per_step, n = (int64_t)e->n_micro_samples;
    span s = {.first = step * by, .end = (step + 1) * by};

    if (s.end > n) s.end = n;
    const int32_t leaves = (int32_t)(s.end - s.first), size = ath_dist_size();
    s.own_first = s.first + ath_tree_cut(leaves, size, ath_dist_rank());
    s.own_end = s.first + ath_tree_cut(leaves, size, ath_dist_rank() + 1);
    return s;
}

static int64_t samples_of(const Athanor__Epoch *e, int64_t first, int64_t end)
{
    int64_t n = 0;

    for (int64_t i = first; i < end; i++) n += e->micro_samples[i];
    return n;
}

/* What does not fit the plan would be read beyond its end. */
static ath_err check_epoch(const ath_loader *l, const Athanor__Epoch *e, int64_t end_step)
{
    const Athanor__Plan *p = l->opts.plan;
    size_t at = 0;
    bool fits = e->n_micro_bucket == e->n_micro_samples && e->n_id == e->n_image &&
                e->n_flip == e->n_image && e->n_caption_seed == e->n_image;

    for (size_t i = 0; fits && i < e->n_micro_samples; i++) {
        const uint32_t n = e->micro_samples[i], bucket = e->micro_bucket[i];
        fits = n > 0 && n <= p->micro_batch && bucket < p->n_bucket && n <= e->n_image - at;
        for (size_t k = 0; fits && k < n; k++, at++)
            fits = e->image[at] < p->n_image && p->image[e->image[at]]->bucket == bucket;
    }
    ATH_NEED(fits && at == e->n_image, ATH_EFORMAT, "epoch %llu: its order does not fit the plan",
             (unsigned long long)e->epoch);
    ATH_NEED((uint64_t)end_step <=
                 (e->n_micro_samples + p->micros_per_step - 1) / p->micros_per_step,
             ATH_EINVAL, "epoch %llu: it has no step %lld", (unsigned long long)e->epoch,
             (long long)end_step - 1);
    return ATH_OK;
}

/* ---- one sample ---- */

static ath_err make_ids(ath_loader *l, const ath_caption_use *use, const char *caption,
                        int32_t *ids)
{
    ath_chunks chunks = {0};
    const char *text = NULL;

    ATH_TRY(ath_caption_make(&l->captions, use, caption, &l->work, &text));
    ATH_TRY(ath_caption_chunks(l->tokenizer, text, l->n_chunks, &chunks, NULL));
    memcpy(ids, chunks.id, (size_t)l->n_ids * sizeof *ids);
    ath_chunks_release(&chunks);
    return ATH_OK;
}

/* Sample `k` of a slot from sample `at` of the epoch. `share` divides its weight. */
static ath_err make_sample(ath_loader *l, slot *s, int64_t k, int64_t at, double share)
{
    const Athanor__Epoch *e = l->epoch;
    const ath_micro_in *in = &s->loaded.in;
    const Athanor__Image *image = l->opts.plan->image[e->image[at]];
    const ath_draw draw = {l->opts.plan->seed, (uint32_t)e->epoch, e->id[at]};
    const ath_caption_use use = {{e->caption_seed[at], draw.epoch, draw.sample}, 0};
    const int32_t c = l->opts.spec->vae.latents;
    const int64_t n = (int64_t)in->height * in->width * c;
    ath_noising_in from = {.shape = {in->height, in->width, c},
                           .draw = draw,
                           .latent = draw,
                           .is_mirrored = e->flip[at],
                           .is_regularization = image->is_regularization};
    ath_noising_out to = {.x = s->x + k * n, .target = s->target + k * n, .scratch = l->scratch};

    /* Where moments are kept, so is the sample of them: one for a picture, one for its mirror image. */
    if (!l->opts.job->data->random_crop)
        from.latent = (ath_draw){l->opts.plan->seed, 0, e->image[at]};
    ATH_TRY(ath_latents_find(l->opts.latents, e->image[at], e->flip[at], &draw, &from.moments));
    ath_noising_make(&l->noising, &from, &to);
    s->time[k] = (float)to.time;
    s->weight[k] = (float)(to.weight / share);
    return make_ids(l, &use, image->caption, s->ids + k * l->n_ids);
}

static ath_err make_micro(ath_loader *l, slot *s, const span *step, int64_t micro, int64_t at)
{
    const Athanor__Epoch *e = l->epoch;
    const Athanor__Shape *shape = l->opts.plan->bucket[e->micro_bucket[micro]];
    const uint32_t side = (uint32_t)ath_latents_scale(l->opts.latents);
    const int32_t n = (int32_t)e->micro_samples[micro];
    const bool is_full = l->opts.job->train->short_batch == ATHANOR__TRAIN__SHORT_BATCH__FULL;
    const double share = is_full ? (double)n * (double)(step->end - step->first)
                                 : (double)samples_of(e, step->first, step->end);

    s->loaded = (ath_loaded){.in = {.n = n,
                                    .height = (int32_t)(shape->height / side),
                                    .width = (int32_t)(shape->width / side),
                                    .x = s->x,
                                    .target = s->target,
                                    .time = s->time,
                                    .weight = s->weight,
                                    .ids = s->ids,
                                    .states = s->states},
                             .image = e->image + at};
    for (int32_t k = 0; k < n; k++) ATH_TRY(make_sample(l, s, k, at + k, share));
    return ATH_OK;
}

/* ---- the thread ---- */

/* The next slot with its micro-batch or error; ECANCELED where nobody takes any more. */
static ath_err hand_over(ath_loader *l, const span *step, int64_t micro, int64_t at, ath_err *made)
{
    slot *s = NULL;

    ATH_TRY(ath_queue_take(l->empty, &s));
    s->err = *made = make_micro(l, s, step, micro, at);
    if (s->err) snprintf(s->text, sizeof s->text, "%s", ath_err_text());
    return ath_queue_put(l->full, &s);
}

/* An error ends it: the taker gets it in the micro-batch's place. */
static ath_err make_all(void *loader, const ath_cancel *cancel)
{
    ath_loader *l = loader;
    ath_err made = ATH_OK;

    for (int64_t i = l->first_step; i < l->end_step; i++) {
        const span step = step_of(l, l->epoch, i);
        int64_t at = samples_of(l->epoch, 0, step.own_first);
        for (int64_t micro = step.own_first; micro < step.own_end; micro++) {
            if (made || ath_cancel_is_set(cancel)) return ATH_OK;
            if (hand_over(l, &step, micro, at, &made)) return ATH_OK;
            at += l->epoch->micro_samples[micro];
        }
    }
    return ATH_OK;
}

/* ---- captions ahead ---- */

static bool captions_vary(const ath_loader *l)
{
    return l->captions.shuffle || l->captions.tag_dropout > 0;
}

/* Every caption that a use can have: those of the pictures and, where some are left out, the empty. */
static ath_err make_all_ids(ath_loader *l, int32_t *ids)
{
    const ath_caption_opts kept = l->captions;
    const int64_t n = (int64_t)l->opts.plan->n_image;
    ath_err err = ATH_OK;

    l->captions.dropout = 0;
    for (int64_t i = 0; i < n && !err; i++)
        err =
            make_ids(l, &(ath_caption_use){0}, l->opts.plan->image[i]->caption, ids + i * l->n_ids);
    l->captions.dropout = 1;
    if (!err) err = make_ids(l, &(ath_caption_use){0}, "", ids + n * l->n_ids);
    l->captions = kept;
    return err;
}

static ath_err fill_states(ath_loader *l)
{
    const int64_t n = (int64_t)l->opts.plan->n_image + (l->captions.dropout > 0);
    int32_t *ids = NULL;
    ath_err err = ATH_OK;

    if (!l->store || captions_vary(l)) return ATH_OK;
    err = ATH_NEW((n + 1) * l->n_ids, "captions", &ids);
    if (!err) err = make_all_ids(l, ids);
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(ath_state_store_fill(l->store, n, ids));
out:
    ath_mem_free(&ids);
    return err;
}

/* ---- life ---- */

static ath_err new_slot(const ath_loader *l, slot *s)
{
    const int64_t n = (int64_t)l->opts.plan->micro_batch;

    ATH_TRY(ATH_NEW(n * l->n_latent, "micro-batch", &s->x));
    ATH_TRY(ATH_NEW(n * l->n_latent, "micro-batch", &s->target));
    ATH_TRY(ATH_NEW(n, "micro-batch", &s->time));
    ATH_TRY(ATH_NEW(n, "micro-batch", &s->weight));
    ATH_TRY(ATH_NEW(n * l->n_ids, "micro-batch", &s->ids));
    return l->store ? ATH_NEW(n * l->n_states, "micro-batch", &s->states) : ATH_OK;
}

static void set_sizes(ath_loader *l)
{
    const Athanor__Plan *p = l->opts.plan;
    const ath_model_spec *spec = l->opts.spec;
    const int64_t side = ath_latents_scale(l->opts.latents);

    l->n_chunks = (int32_t)(l->opts.job->train->tokens / ATH_CHUNK_INNER);
    l->n_ids = (int64_t)l->n_chunks * ATH_CHUNK;
    l->n_states = ((int64_t)l->n_chunks * ATH_CHUNK_INNER + 2) * spec->text.width;
    for (size_t i = 0; i < p->n_bucket; i++) {
        const int64_t n =
            p->bucket[i]->height / side * (p->bucket[i]->width / side) * spec->vae.latents;
        l->n_latent = n > l->n_latent ? n : l->n_latent;
    }
    l->n_slots = l->opts.n_ahead + 1;
}

static ath_err set_captions(ath_loader *l)
{
    const Athanor__Data *data = l->opts.job->data;

    l->captions = (ath_caption_opts){.prefix = data->trigger,
                                     .separator = data->separator,
                                     .keep_tokens = (int32_t)data->keep_tokens,
                                     .shuffle = data->shuffle_tags,
                                     .dropout = data->caption_dropout,
                                     .tag_dropout = data->tag_dropout};
    ATH_TRY(ath_caption_check(&l->captions));
    ATH_NEED(l->opts.spec->text.positions == ATH_CHUNK && l->n_chunks > 0, ATH_EINVAL,
             "captions: %d positions in the text encoder, %d chunks; wanted %d, and 1 or more",
             l->opts.spec->text.positions, l->n_chunks, ATH_CHUNK);
    return ath_tokenizer_create(l->opts.spec->text.vocab, &l->tokenizer);
}

static ath_err new_loader(ath_loader *l)
{
    const ath_state_store_opts store = {.n_ids = l->n_ids,
                                        .n_states = l->n_states,
                                        .room = STATES_ROOM,
                                        .folder = l->opts.job->data->cache,
                                        .encoder = l->opts.text,
                                        .make = l->opts.states,
                                        .context = l->opts.states_context};

    ATH_TRY(set_captions(l));
    ATH_TRY(ath_noising_init(l->opts.job, l->opts.spec->vae.scale, &l->noising));
    if (l->opts.states) ATH_TRY(ath_state_store_create(&store, &l->store));
    ATH_TRY(ATH_NEW(l->n_slots, "micro-batches", &l->slots));
    ATH_TRY(ATH_NEW(l->n_latent, "micro-batches", &l->scratch));
    ATH_TRY(ath_queue_create(l->n_slots, sizeof(slot *), &l->empty));
    ATH_TRY(ath_queue_create(l->n_slots, sizeof(slot *), &l->full));
    for (int32_t i = 0; i < l->n_slots; i++) {
        slot *s = &l->slots[i];
        ATH_TRY(new_slot(l, s));
        ATH_TRY(ath_queue_put(l->empty, &s));
    }
    return ath_pool_create(1, 1, &l->pool);
}

ath_err ath_loader_create(const ath_loader_opts *opts, ath_loader **out)
{
    ath_loader *l = NULL;
    ath_err err = ATH_OK;

    ATH_ASSERT(opts->n_ahead > 0);
    err = ATH_NEW(1, "loader", &l);
    if (!err) {
        l->opts = *opts;
        set_sizes(l);
        err = new_loader(l);
    }
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(fill_states(l));
    *out = l;
    l = NULL;
out:
    ath_loader_destroy(&l);
    return err;
}

void ath_loader_destroy(ath_loader **loader)
{
    ath_loader *l = *loader;

    if (!l) return;
    if (l->empty) ath_queue_stop(l->empty);
    if (l->full) ath_queue_stop(l->full);
    ath_pool_destroy(&l->pool); /* waits for the thread */
    ath_queue_destroy(&l->empty);
    ath_queue_destroy(&l->full);
    for (int32_t i = 0; l->slots && i < l->n_slots; i++) {
        slot *s = &l->slots[i];
        ath_mem_free(&s->x);
        ath_mem_free(&s->target);
        ath_mem_free(&s->time);
        ath_mem_free(&s->weight);
        ath_mem_free(&s->ids);
        ath_mem_free(&s->states);
    }
    ath_mem_free(&l->slots);
    ath_mem_free(&l->scratch);
    ath_state_store_destroy(&l->store);
    ath_tokenizer_destroy(&l->tokenizer);
    ath_caption_release(&l->work);
    ath_mem_free(loader);
}

/* ---- use ---- */

ath_err ath_loader_begin(ath_loader *l, const Athanor__Epoch *epoch, int64_t first_step,
                         int64_t end_step)
{
    ATH_NEED(l->n_left == 0, ATH_EINVAL,
             "loader: %lld micro-batches of the last epoch were not taken", (long long)l->n_left);
    ATH_NEED(0 <= first_step && first_step <= end_step, ATH_EINVAL, "loader: steps %lld to %lld",
             (long long)first_step, (long long)end_step);
    ATH_TRY(check_epoch(l, epoch, end_step));
    l->epoch = epoch;
    l->first_step = first_step;
    l->end_step = end_step;
    for (int64_t i = first_step; i < end_step; i++) {
        const span s = step_of(l, epoch, i);
        l->n_left += s.own_end - s.own_first;
    }
    /* nobody would wait for a thread that has nothing to make, and it would read an epoch that is gone */
    return l->n_left > 0 ? ath_pool_submit(l->pool, make_all, l) : ATH_OK;
}

static ath_err fetch_states(ath_loader *l, slot *s)
{
    for (int32_t k = 0; l->store && k < s->loaded.in.n; k++) {
        const float *states = NULL;
        ATH_TRY(ath_state_store_find(l->store, s->ids + k * l->n_ids, &states));
        memcpy(s->states + k * l->n_states, states, (size_t)l->n_states * sizeof *states);
    }
    return ATH_OK;
}

ath_err ath_loader_take(ath_loader *l, const ath_loaded **out)
{
    const int64_t began = ath_time_mono_ns();

    ATH_NEED(l->n_left > 0, ATH_ECANCELED, "loader: there is no micro-batch left to take");
    if (l->held) ATH_TRY(ath_queue_put(l->empty, &l->held));
    l->held = NULL;
    ATH_TRY(ath_queue_take(l->full, &l->held));
    slot *s = l->held;
    if (s->err) { /* the thread has ended: this one stays the last */
        ath_queue_stop(l->full);
        l->n_left = 1;
        return ath_err_restore(s->err, s->text);
    }
    s->loaded.wait_seconds = (double)(ath_time_mono_ns() - began) * 1e-9;
    ATH_TRY(fetch_states(l, s));
    *out = &s->loaded;
    if (--l->n_left > 0) return ATH_OK;
    return ath_pool_wait(l->pool); /* the epoch is the caller's again */
}
