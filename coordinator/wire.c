#include "coordinator/wire.h"

#include "core/arena.h"
#include "core/rng.h"
#include "proto/message.h"
#include "proto/plan.pb-c.h"

#include <inttypes.h>
#include <string.h>

/* Kind of draw, part of what a seed means: words 0 and 1 the caption's seed, 2 the mirror. */
enum { DRAW_SAMPLE = 0x104 };

#define SET(m, field, value) ((m)->has_##field = true, (m)->field = (value))

/* protobuf wants texts that are not const, and does not write to them. */
static ath_err copy(ath_arena *arena, const char *text, char **out)
{
    size_t n = strlen(text) + 1;

    ATH_TRY(ATH_ARENA_NEW(arena, n, out));
    memcpy(*out, text, n);
    return ATH_OK;
}

static ath_err put_hash(ath_arena *arena, const ath_budget *b, ProtobufCBinaryData *out)
{
    const uint64_t words[2] = {b->hash.lo, b->hash.hi};

    ATH_TRY(ATH_ARENA_NEW(arena, 16, &out->data));
    for (int i = 0; i < 16; i++) out->data[i] = (uint8_t)(words[i / 8] >> 8 * (i % 8));
    out->len = 16;
    return ATH_OK;
}

static ath_err put_images(ath_arena *arena, const ath_budget *b, Athanor__Plan *plan)
{
    const ath_scan *scan = b->scan;

    ATH_TRY(ATH_ARENA_NEW(arena, scan->n_images, &plan->image));
    for (int64_t i = 0; i < scan->n_images; i++) {
        Athanor__Image *m = NULL;
        ATH_TRY(ATH_ARENA_NEW(arena, 1, &m));
        athanor__image__init(m);
        ATH_TRY(copy(arena, scan->image[i].path, &m->path));
        ATH_TRY(copy(arena, scan->image[i].caption, &m->caption));
        SET(m, bucket, (uint32_t)b->bucket_of[i]);
        SET(m, resized_width, (uint32_t)b->fit[i].resized.width);
        SET(m, resized_height, (uint32_t)b->fit[i].resized.height);
        SET(m, is_regularization, scan->folder[scan->image[i].folder].is_reg);
        plan->image[plan->n_image++] = m;
    }
    return ATH_OK;
}

static ath_err put_buckets(ath_arena *arena, const ath_budget *b, Athanor__Plan *plan)
{
    ATH_TRY(ATH_ARENA_NEW(arena, b->n_buckets, &plan->bucket));
    for (int64_t i = 0; i < b->n_buckets; i++) {
        Athanor__Shape *m = NULL;
        ATH_TRY(ATH_ARENA_NEW(arena, 1, &m));
        athanor__shape__init(m);
        SET(m, width, (uint32_t)b->bucket[i].size.width);
        SET(m, height, (uint32_t)b->bucket[i].size.height);
        plan->bucket[plan->n_bucket++] = m;
    }
    return ATH_OK;
}

static ath_err put_steps(ath_arena *arena, const ath_budget *b, const Athanor__Job *job,
                         Athanor__Plan *plan)
{
    const Athanor__Optimizer *o = job->optimizer;
    const bool unet = ath_recipe_trains_unet(job), text = ath_recipe_trains_text(job);
    ath_rate rate;

    ATH_TRY(ath_rate_of(job, b->n_steps, &rate));
    ATH_TRY(ATH_ARENA_NEW(arena, b->n_epochs + 1, &plan->first_step));
    ATH_TRY(ATH_ARENA_NEW(arena, b->n_steps, &plan->unet_rate));
    ATH_TRY(ATH_ARENA_NEW(arena, b->n_steps, &plan->text_encoder_rate));
    for (int64_t i = 0; i <= b->n_epochs; i++)
        plan->first_step[plan->n_first_step++] = (uint64_t)b->first_step[i];
    for (int64_t i = 0; i < b->n_steps; i++) {
        double factor = ath_rate_at(&rate, i);
        plan->unet_rate[plan->n_unet_rate++] = unet ? factor * o->unet_lr : 0;
        plan->text_encoder_rate[plan->n_text_encoder_rate++] =
            text ? factor * o->text_encoder_lr : 0;
    }
    return ATH_OK;
}

ath_err ath_budget_pack(const ath_budget *b, const Athanor__Job *job, uint8_t **out, size_t *n)
{
    ath_err err = ATH_OK;
    ath_arena arena = {0};
    Athanor__Plan plan = ATHANOR__PLAN__INIT;

    plan.has_hash = true;
    ATH_TRY_OUT(put_hash(&arena, b, &plan.hash));
    SET(&plan, seed, b->rule.seed);
    SET(&plan, epochs, (uint64_t)b->n_epochs);
    SET(&plan, steps, (uint64_t)b->n_steps);
    SET(&plan, samples, (uint64_t)b->n_samples);
    SET(&plan, micro_batch, (uint64_t)b->rule.micro_batch);
    SET(&plan, micros_per_step, (uint64_t)(b->rule.global_batch / b->rule.micro_batch));
    ATH_TRY_OUT(put_buckets(&arena, b, &plan));
    ATH_TRY_OUT(put_images(&arena, b, &plan));
    ATH_TRY_OUT(put_steps(&arena, b, job, &plan));
    ATH_TRY_OUT(ath_message_pack(&plan.base, out, n));
out:
    ath_arena_release(&arena);
    return err;
}

static ath_err put_samples(ath_arena *arena, const ath_budget *b, bool flips, const ath_epoch *e,
                           Athanor__Epoch *m)
{
    const uint32_t key[2] = {(uint32_t)b->rule.seed, (uint32_t)(b->rule.seed >> 32)};

    ATH_TRY(ATH_ARENA_NEW(arena, e->n_samples, &m->image));
    ATH_TRY(ATH_ARENA_NEW(arena, e->n_samples, &m->id));
    ATH_TRY(ATH_ARENA_NEW(arena, e->n_samples, &m->flip));
    ATH_TRY(ATH_ARENA_NEW(arena, e->n_samples, &m->caption_seed));
    for (int64_t i = 0; i < e->n_samples; i++) {
        const ath_sample s = e->sample[i];
        uint32_t word[4] = {0, DRAW_SAMPLE, (uint32_t)e->epoch, (uint32_t)s.id};
        ath_philox(word, key, word);
        m->image[i] = (uint32_t)s.image;
        m->id[i] = (uint32_t)s.id;
        m->flip[i] = flips && word[2] >> 31;
        m->caption_seed[i] = (uint64_t)word[1] << 32 | word[0];
    }
    m->n_image = m->n_id = m->n_flip = m->n_caption_seed = (size_t)e->n_samples;
    return ATH_OK;
}

/* Samples go out in the order of the micro-batches. */
static ath_err put_micros(ath_arena *arena, ath_epoch *e, Athanor__Epoch *m)
{
    ath_sample *ordered = NULL;
    int64_t at = 0;

    ATH_TRY(ATH_ARENA_NEW(arena, e->n_samples, &ordered));
    ATH_TRY(ATH_ARENA_NEW(arena, e->n_micros, &m->micro_bucket));
    ATH_TRY(ATH_ARENA_NEW(arena, e->n_micros, &m->micro_samples));
    for (int64_t i = 0; i < e->n_micros; i++) {
        const ath_micro *micro = &e->micro[i];
        m->micro_bucket[i] = (uint32_t)micro->bucket;
        m->micro_samples[i] = (uint32_t)micro->n;
        for (int32_t k = 0; k < micro->n; k++) ordered[at++] = e->sample[micro->first + k];
    }
    m->n_micro_bucket = m->n_micro_samples = (size_t)e->n_micros;
    memcpy(e->sample, ordered, (size_t)e->n_samples * sizeof *ordered);
    return ATH_OK;
}

ath_err ath_epoch_pack(const ath_budget *b, const Athanor__Job *job, int64_t epoch, uint8_t **out,
                       size_t *n)
{
    ath_err err = ATH_OK;
    ath_arena arena = {0};
    ath_epoch e = {0};
    Athanor__Epoch m = ATHANOR__EPOCH__INIT;

    ATH_NEED(0 <= epoch && epoch < b->n_epochs, ATH_EINVAL,
             "epoch %" PRId64 " of a run of %" PRId64, epoch, b->n_epochs);
    m.has_plan = true;
    ATH_TRY_OUT(put_hash(&arena, b, &m.plan));
    SET(&m, epoch, (uint64_t)epoch);
    SET(&m, first_step, (uint64_t)b->first_step[epoch]);
    ATH_TRY_OUT(ath_epoch_make(b, epoch, &e));
    ATH_TRY_OUT(put_micros(&arena, &e, &m));
    ATH_TRY_OUT(put_samples(&arena, b, job->data->flip, &e, &m));
    ATH_TRY_OUT(ath_message_pack(&m.base, out, n));
out:
    ath_epoch_release(&e);
    ath_arena_release(&arena);
    return err;
}
