/*
 * What the run goes on from, as checkpoints of its folder. Rank 0 alone touches the files.
 *
 * A save on schedule takes a snapshot, which a thread writes while training goes on: of values and
 * average a copy is made, and the moments that rank 0 has collected do not change until the next time.
 * What became of it is known some steps later.
 */
#include "core/arena.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"
#include "core/time.h"
#include "proto/job.h"
#include "worker/dist/dist.h"
#include "worker/dist/stage.h"
#include "worker/run/checkpoint.h"
#include "worker/run/run_private.h"
#include "worker/run/saver.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- tensors ---- */

typedef struct tensors {
    ath_arena arena;
    ath_checkpoint_tensor *list;
    int32_t n;
} tensors;

static ath_err add(tensors *t, const char *kind, const ath_plan_param *p, float *array)
{
    ath_checkpoint_tensor *one = &t->list[t->n++];

    one->n_dim = p->desc.n_dim;
    for (int32_t i = 0; i < p->desc.n_dim; i++) one->dim[i] = p->desc.dim[i];
    one->data = array + p->offset;
    return ath_arena_print(&t->arena, &one->name, "%s/%s", kind, p->name);
}

static ath_err list_tensors(const ath_run *r, const ath_trainer_state *s, tensors *out)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(r->trainer, &p);

    ATH_TRY(ATH_ARENA_NEW(&out->arena, n * 4, &out->list));
    for (int32_t i = 0; i < n; i++) {
        ATH_TRY(add(out, "value", &p[i], s->value));
        ATH_TRY(add(out, "moment1", &p[i], s->moment1));
        ATH_TRY(add(out, "moment2", &p[i], s->moment2));
        if (s->average) ATH_TRY(add(out, "average", &p[i], s->average));
    }
    return ATH_OK;
}

static ath_hash plan_hash(const ath_run *r)
{
    const ProtobufCBinaryData *bytes = &r->opts->plan->hash;
    ath_hash hash = {0};

    memcpy(&hash, bytes->data, bytes->len < sizeof hash ? bytes->len : sizeof hash);
    return hash;
}

/* ---- what is written at the moment ---- */

struct ath_snapshot {
    ath_saver *saver;
    float *value, *average; /* copies, in the slab's layout; NULL: none is wanted on schedule */
    int64_t n;              /* numbers of each */
    /* of the checkpoint that is pending */
    char folder[ATH_PATH_BYTES];
    tensors tensors;
    uint8_t *job;
    int64_t n_done;
};

static void release(ath_snapshot *s)
{
    ath_mem_free(&s->job);
    ath_arena_release(&s->tensors.arena);
    s->tensors = (tensors){0};
}

static int64_t count_numbers(const ath_run *r)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_trainer_params(r->trainer, &p);
    int64_t end = 0;

    for (int32_t i = 0; i < n; i++) {
        const int64_t own_end = p[i].offset + ath_desc_count(&p[i].desc);
        if (own_end > end) end = own_end;
    }
    return end;
}

ath_err ath_state_open(ath_run *r)
{
    const Athanor__Job *job = r->opts->job;
    ath_snapshot *s = NULL;

    if (ath_dist_rank() != 0) return ATH_OK;
    ATH_TRY(ATH_NEW(1, "snapshot", &r->snapshot));
    s = r->snapshot;
    ATH_TRY(ath_path_print(s->folder, "%s/checkpoints", r->opts->folder));
    ATH_TRY(ath_saver_create(&s->saver));
    s->n = count_numbers(r);
    if (job->save->state_minutes <= 0 && job->save->pin_every_epochs == 0) return ATH_OK;
    ATH_TRY(ATH_NEW(s->n, "snapshot of the values", &s->value));
    return job->train->ema_decay > 0 ? ATH_NEW(s->n, "snapshot of the average", &s->average)
                                     : ATH_OK;
}

/* ---- what became of it ---- */

/* What costs a checkpoint, or a line about one, but not the run: a full disk today may have room at the
 * next checkpoint; the one before is still good. */
static ath_err bear(const ath_run *r, const char *what, ath_err err)
{
    if (err != ATH_EIO && err != ATH_EHDF5) return err;
    ath_log(ATH_LOG_WARN, "run", ATH_KV(what, ath_err_text()));
    ath_run_note(r, ath_err_text());
    ath_err_clear();
    return ATH_OK;
}

/* Rank 0: waits for the one that is pending. */
static ath_err take(ath_run *r, ath_state_why why)
{
    ath_snapshot *s = r->snapshot;

    if (!ath_saver_is_pending(s->saver)) return ATH_OK;
    const ath_err err = ath_saver_take(s->saver);
    release(s);
    if (err) {
        r->i_saved = 0;
        return why == ATH_STATE_LAST ? err : bear(r, "no_checkpoint", err);
    }
    ath_log(ATH_LOG_INFO, "run", ATH_KV("checkpoint", s->n_done),
            ATH_KV("seconds", ath_saver_seconds(s->saver)));
    return bear(r, "checkpoint_not_in_the_curve",
                ath_record_mark(r, s->n_done, "checkpoint", s->folder));
}

ath_err ath_state_look(ath_run *r)
{
    return ath_saver_is_done(r->snapshot->saver) ? take(r, ATH_STATE_DUE) : ATH_OK;
}

ath_err ath_state_settle(ath_run *r, ath_state_why why)
{
    ATH_TRY(ath_dist_agree(ath_dist_rank() == 0 ? take(r, why) : ATH_OK));
    return ath_dist_share(&r->i_saved, sizeof r->i_saved);
}

ath_err ath_state_close(ath_run *r, ath_err err)
{
    ath_snapshot *s = r->snapshot;
    ath_str first = {0};

    if (!s) return err;
    ath_str_print(&first, "%s", ath_err_text()); /* is told, whatever becomes of the checkpoint */
    if (s->saver && take(r, ATH_STATE_DUE)) ath_err_clear();
    if (err && !ath_str_check(&first)) err = ath_err_restore(err, ath_str_text(&first));
    ath_str_release(&first);
    ath_saver_destroy(&s->saver);
    release(s);
    ath_mem_free(&s->value);
    ath_mem_free(&s->average);
    ath_mem_free(&r->snapshot);
    return err;
}

/* ---- saving ---- */

/* Values and average as they are now, for the time in which the trainer's go on. */
static void copy_arrays(const ath_snapshot *to, ath_trainer_state *s)
{
    memcpy(to->value, s->value, (size_t)to->n * sizeof *s->value);
    s->value = to->value;
    if (!s->average) return;
    memcpy(to->average, s->average, (size_t)to->n * sizeof *s->average);
    s->average = to->average;
}

/* Rank 0. The steps that a checkpoint stands on are in the curve before it counts. */
static ath_err begin(ath_run *r, ath_trainer_state *s, int64_t n_done, ath_state_why why)
{
    const ath_boss *boss = &r->opts->boss;
    ath_snapshot *to = r->snapshot;
    ath_checkpoint c = {.facts = {.n_done = n_done,
                                  .n_updates = s->n_updates,
                                  .n_skipped = r->n_skipped,
                                  .plan = plan_hash(r),
                                  .n_losses = r->n_losses,
                                  .loss_sum = r->loss_sum,
                                  .rate_factor = r->rate_factor,
                                  .is_pinned = why == ATH_STATE_PINNED}};

    ATH_TRY(ath_trainer_digest(r->trainer, &c.facts.digest));
    ATH_NEED(
        ath_hash_is_equal(c.facts.digest, s->digest), ATH_EPEER,
        "rank 0: the trained weights in its memory changed by themselves since the last step; no "
        "checkpoint is made of them, athanor resume goes on from the one before");
    ath_err err = boss->sync ? boss->sync(boss->context) : ATH_OK;

    if (err) return why == ATH_STATE_LAST ? err : bear(r, "no_checkpoint_for_the_curve", err);
    if (why != ATH_STATE_LAST) copy_arrays(to, s);
    ATH_TRY_OUT(list_tensors(r, s, &to->tensors));
    ATH_TRY_OUT(ath_job_pack(r->opts->job, &to->job, &c.job_bytes));
    c.job = to->job;
    c.tensor = to->tensors.list;
    c.n_tensors = to->tensors.n;
    to->n_done = n_done;
    ATH_TRY_OUT(ath_saver_begin(to->saver, to->folder, &c, r->opts->job->save->keep));
    r->i_saved = n_done;
out:
    if (err) release(to);
    return err;
}

ath_err ath_state_save(ath_run *r, int64_t n_done, ath_state_why why)
{
    ath_trainer_state s = {0};
    ath_err err = ATH_OK;

    ath_stage_enter(ATH_STAGE_SAVE);
    ATH_TRY(ath_state_settle(r, ATH_STATE_DUE)); /* one at a time */
    /* written again it would lack its pin, and for a moment there would be none */
    if (r->i_saved == n_done) return ATH_OK;
    r->saved_ns = ath_time_mono_ns();
    ATH_TRY(ath_trainer_collect(r->trainer, &s));
    if (ath_dist_rank() == 0) {
        err = begin(r, &s, n_done, why);
        ath_log(ATH_LOG_INFO, "run", ATH_KV("checkpoint_begun", n_done),
                ATH_KV("held_seconds", (double)(ath_time_mono_ns() - r->saved_ns) * 1e-9));
    }
    ATH_TRY(ath_dist_agree(err));
    return why == ATH_STATE_LAST ? ath_state_settle(r, why) : ATH_OK;
}

/* ---- going on ---- */

static const int64_t ANY_UPDATES = INT64_MAX;

/* The newest that is whole and has less than `n_updates`; NULL where there is none. */
static ath_err find_newest(const ath_run *r, const int64_t *steps, int64_t n, int64_t n_updates,
                           ath_checkpoint_file **out)
{
    for (int64_t i = 0; i < n; i++) {
        const ath_err err = ath_checkpoint_open(r->snapshot->folder, steps[i], out);
        if (err && err != ATH_EFORMAT) return err;
        if (!err && ath_checkpoint_get_facts(*out)->n_updates < n_updates) return ATH_OK;
        ath_checkpoint_close(out);
        if (!err) continue;
        ath_log(ATH_LOG_WARN, "run", ATH_KV("bad_checkpoint", ath_err_text()));
        ath_run_note(r, ath_err_text());
        ath_err_clear();
    }
    return ATH_OK;
}

static ath_err open_newest(const ath_run *r, int64_t n_updates, ath_checkpoint_file **out)
{
    const char *folder = r->snapshot->folder;
    int64_t *steps = NULL, n = 0;

    ATH_TRY(ath_checkpoint_list(folder, &steps, &n));
    ath_err err = find_newest(r, steps, n, n_updates, out);
    if (!err && !*out && n > 0 && n_updates == ANY_UPDATES)
        err = ath_raise(ATH_EFORMAT,
                        "%s: none of the %" PRId64 " checkpoints is whole, %s/log.txt says why; "
                        "move the run's folder away to begin again",
                        folder, n, r->opts->folder);
    ath_mem_free(&steps);
    return err;
}

static ath_err check_facts(const ath_run *r, const ath_checkpoint_facts *f)
{
    const int64_t n_steps = (int64_t)r->opts->plan->steps;

    ATH_NEED(ath_hash_is_equal(f->plan, plan_hash(r)), ATH_EFORMAT,
             "%s: the data have changed since step %" PRId64
             ", so the run would not be the one that was begun; put them back, or give the new run "
             "another name (--set name=...)",
             r->opts->folder, f->n_done);
    ATH_NEED(0 <= f->n_done && f->n_done <= n_steps && f->n_updates >= 0, ATH_EFORMAT,
             "%s: a checkpoint of %" PRId64 " steps, wanted up to %" PRId64, r->opts->folder,
             f->n_done, n_steps);
    ATH_NEED(0 < f->rate_factor && f->rate_factor <= 1, ATH_EFORMAT,
             "%s: a checkpoint says learning rates times %g, wanted above 0 up to 1",
             r->opts->folder, f->rate_factor);
    return ATH_OK;
}

/* Rank 0: everything into the trainer's own arrays. */
static ath_err read(const ath_run *r, int64_t n_updates, ath_trainer_state *s,
                    ath_checkpoint_facts *facts)
{
    ath_checkpoint_file *file = NULL;
    tensors t = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(open_newest(r, n_updates, &file));
    if (!file) goto out;
    *facts = *ath_checkpoint_get_facts(file);
    ATH_TRY_OUT(check_facts(r, facts));
    s->n_updates = facts->n_updates;
    ATH_TRY_OUT(list_tensors(r, s, &t));
    for (int32_t i = 0; i < t.n; i++) ATH_TRY_OUT(ath_checkpoint_read(file, &t.list[i]));
out:
    ath_checkpoint_close(&file);
    ath_arena_release(&t.arena);
    return err;
}

static void note_resumed(const ath_run *r, int64_t n_done)
{
    char text[96];

    snprintf(text, sizeof text, "going on after step %" PRId64 " of %" PRId64, n_done,
             (int64_t)r->opts->plan->steps);
    ath_run_note(r, text);
}

/* The newest with less than `n_updates`. */
static ath_err load(ath_run *r, int64_t n_updates, int64_t *n_done)
{
    ath_checkpoint_facts facts = {0};
    ath_trainer_state s = {0};
    ath_hash is;

    ATH_TRY(ath_trainer_collect(r->trainer, &s));
    ATH_TRY(ath_dist_agree(ath_dist_rank() == 0 ? read(r, n_updates, &s, &facts) : ATH_OK));
    ATH_TRY(ath_dist_share(&facts, sizeof facts));
    if (facts.n_done == 0) return ATH_OK;
    ATH_TRY(ath_trainer_restore(r->trainer, &s));
    ath_err err = ath_trainer_digest(r->trainer, &is);
    if (!err && !ath_hash_is_equal(is, facts.digest))
        err = ath_raise(ATH_EFORMAT,
                        "%s: the weights are not those that step %" PRId64
                        " had when its checkpoint was made",
                        r->opts->folder, facts.n_done);
    r->n_skipped = facts.n_skipped;
    r->n_losses = facts.n_losses;
    r->loss_sum = facts.loss_sum;
    r->rate_factor = facts.rate_factor;
    *n_done = facts.n_done;
    return ath_dist_agree(err);
}

ath_err ath_state_load(ath_run *r, int64_t *n_done)
{
    *n_done = 0;
    r->saved_ns = ath_time_mono_ns();
    if (!r->opts->resume) return ATH_OK;
    ATH_TRY(load(r, ANY_UPDATES, n_done));
    if (*n_done > 0) note_resumed(r, *n_done);
    return ATH_OK;
}

ath_err ath_state_go_back(ath_run *r, int64_t *n_done)
{
    *n_done = 0;
    ATH_TRY(ath_state_settle(r, ATH_STATE_DUE));
    ATH_TRY(load(r, ath_trainer_n_updates(r->trainer), n_done));
    if (*n_done == 0) return ATH_OK;
    r->i_saved = *n_done;
    r->saved_ns = ath_time_mono_ns();
    return ath_dist_agree(
        ath_dist_rank() == 0 ? ath_checkpoint_drop_later(r->snapshot->folder, *n_done) : ATH_OK);
}

/* ---- when ---- */

bool ath_state_is_due(const ath_run *r)
{
    const double minutes = r->opts->job->save->state_minutes;

    return minutes > 0 && (double)(ath_time_mono_ns() - r->saved_ns) > minutes * 60e9;
}
