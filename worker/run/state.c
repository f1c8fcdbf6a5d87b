/* What the run goes on from, as checkpoints of its folder. Rank 0 alone touches the files. */
#include "core/arena.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "proto/job.h"
#include "worker/dist/dist.h"
#include "worker/run/checkpoint.h"
#include "worker/run/run_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static ath_err name_folder(const ath_run *r, char out[ATH_PATH_BYTES])
{
    const int n = snprintf(out, ATH_PATH_BYTES, "%s/checkpoints", r->opts->folder);

    ATH_NEED(n < ATH_PATH_BYTES, ATH_ELIMIT, "%s: the path is too long", r->opts->folder);
    return ATH_OK;
}

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

/* ---- saving ---- */

static ath_err write(const ath_run *r, const ath_trainer_state *s, int64_t n_done, bool is_pinned)
{
    ath_checkpoint c = {.facts = {.n_done = n_done,
                                  .n_updates = s->n_updates,
                                  .n_skipped = r->n_skipped,
                                  .plan = plan_hash(r),
                                  .digest = ath_trainer_digest(r->trainer),
                                  .n_losses = r->n_losses,
                                  .loss_sum = r->loss_sum,
                                  .is_pinned = is_pinned}};
    char folder[ATH_PATH_BYTES];
    tensors t = {0};
    uint8_t *job = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(name_folder(r, folder));
    ATH_TRY_OUT(list_tensors(r, s, &t));
    ATH_TRY_OUT(ath_job_pack(r->opts->job, &job, &c.job_bytes));
    c.job = job;
    c.tensor = t.list;
    c.n_tensors = t.n;
    /* the steps that it stands on are in the curve before it counts */
    if (r->opts->boss.sync) ATH_TRY_OUT(r->opts->boss.sync(r->opts->boss.context));
    ATH_TRY_OUT(ath_checkpoint_write(folder, &c, r->opts->job->save->keep));
    ATH_TRY_OUT(ath_record_mark(r, n_done, "checkpoint", folder));
out:
    ath_mem_free(&job);
    ath_arena_release(&t.arena);
    return err;
}

/* A full disk today may have room at the next checkpoint; the one before is still good. */
static ath_err bear(const ath_run *r, ath_err err)
{
    if (err != ATH_EIO && err != ATH_EHDF5) return err;
    ath_log(ATH_LOG_WARN, "run", ATH_KV("no_checkpoint", ath_err_text()));
    ath_run_note(r, ath_err_text());
    ath_err_clear();
    return ATH_OK;
}

ath_err ath_state_save(ath_run *r, int64_t n_done, ath_state_why why)
{
    const int64_t began = ath_time_mono_ns();
    ath_trainer_state s = {0};
    bool is_written = false;
    ath_err err = ATH_OK;

    /* written again it would lack its pin, and for a moment there would be none */
    if (r->i_saved == n_done) return ATH_OK;
    ATH_TRY(ath_trainer_collect(r->trainer, &s));
    if (ath_dist_rank() == 0) {
        err = write(r, &s, n_done, why == ATH_STATE_PINNED);
        is_written = !err;
        if (why != ATH_STATE_LAST) err = bear(r, err);
        ath_log(ATH_LOG_INFO, "run", ATH_KV("checkpoint", n_done),
                ATH_KV("seconds", (double)(ath_time_mono_ns() - began) * 1e-9));
    }
    r->saved_ns = ath_time_mono_ns();
    ATH_TRY(ath_dist_agree(err));
    ATH_TRY(ath_dist_share(&is_written, sizeof is_written));
    if (is_written) r->i_saved = n_done;
    return ATH_OK;
}

/* ---- going on ---- */

/* The newest that is whole; NULL where there is none at all. */
static ath_err open_newest(const ath_run *r, const char *folder, ath_checkpoint_file **out)
{
    int64_t *steps = NULL, n = 0;
    ath_err err = ATH_OK;

    ATH_TRY(ath_checkpoint_list(folder, &steps, &n));
    for (int64_t i = 0; i < n; i++) {
        err = ath_checkpoint_open(folder, steps[i], out);
        if (err != ATH_EFORMAT) break;
        ath_log(ATH_LOG_WARN, "run", ATH_KV("bad_checkpoint", ath_err_text()));
        ath_run_note(r, ath_err_text());
        ath_err_clear();
    }
    if (err == ATH_EFORMAT)
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
    return ATH_OK;
}

/* Rank 0: everything into the trainer's own arrays. */
static ath_err read(const ath_run *r, ath_trainer_state *s, ath_checkpoint_facts *facts)
{
    ath_checkpoint_file *file = NULL;
    char folder[ATH_PATH_BYTES];
    tensors t = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(name_folder(r, folder));
    ATH_TRY_OUT(open_newest(r, folder, &file));
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

static ath_err mark_resumed(const ath_run *r, int64_t n_done)
{
    char text[96];

    snprintf(text, sizeof text, "going on after step %" PRId64 " of %" PRId64, n_done,
             (int64_t)r->opts->plan->steps);
    ath_run_note(r, text);
    return ATH_OK;
}

ath_err ath_state_load(ath_run *r, int64_t *n_done)
{
    ath_checkpoint_facts facts = {0};
    ath_trainer_state s = {0};

    *n_done = 0;
    r->saved_ns = ath_time_mono_ns();
    if (!r->opts->resume) return ATH_OK;
    ATH_TRY(ath_trainer_collect(r->trainer, &s));
    ATH_TRY(ath_dist_agree(ath_dist_rank() == 0 ? read(r, &s, &facts) : ATH_OK));
    ATH_TRY(ath_dist_share(&facts, sizeof facts));
    if (facts.n_done == 0) return ATH_OK;
    ATH_TRY(ath_trainer_restore(r->trainer, &s));
    const ath_err err = ath_hash_is_equal(ath_trainer_digest(r->trainer), facts.digest)
                            ? mark_resumed(r, facts.n_done)
                            : ath_raise(ATH_EFORMAT,
                                        "%s: the weights are not those that step %" PRId64
                                        " had when its checkpoint was made",
                                        r->opts->folder, facts.n_done);
    r->n_skipped = facts.n_skipped;
    r->n_losses = facts.n_losses;
    r->loss_sum = facts.loss_sum;
    *n_done = facts.n_done;
    return ath_dist_agree(err);
}

/* ---- when ---- */

bool ath_state_is_due(const ath_run *r)
{
    const double minutes = r->opts->job->save->state_minutes;

    return minutes > 0 && (double)(ath_time_mono_ns() - r->saved_ns) > minutes * 60e9;
}
