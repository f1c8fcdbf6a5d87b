/* The way of a run: open, epochs, steps, close. */
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"
#include "core/time.h"
#include "proto/message.h"
#include "worker/dist/dist.h"
#include "worker/dist/flight.h"
#include "worker/run/run_private.h"

#include <inttypes.h>

static double seconds_since(int64_t ns)
{
    return (double)(ath_time_mono_ns() - ns) * 1e-9;
}

/* ---- a step ---- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* This rank's micro-batches of a step. */
static ath_err run_micros(ath_run *r, ath_run_step *s)
{
    int32_t first = 0, end = 0;
    const ath_loaded *loaded = NULL;

    ath_trainer_leaves(r->trainer, &first, &end);
    for (int32_t leaf = first; leaf < end; leaf++) {
        double *told = r->own + PER_SAMPLE * s->n_own;
        ath_stage_enter(ATH_STAGE_LOAD);
        ATH_TRY(ath_loader_take(r->loader, &loaded));
        s->load_seconds += loaded->wait_seconds;
        const int32_t n = loaded->in.n;
        ath_stage_enter(ATH_STAGE_COMPUTE);
        ATH_TRY(ath_trainer_micro(r->trainer, leaf, &loaded->in, told));
        for (int32_t i = n - 1; i >= 0; i--) {
            told[PER_SAMPLE * i] = told[i];
            told[PER_SAMPLE * i + 1] = (double)loaded->in.time[i];
        }
        s->n_own += n;
    }
    return ATH_OK;
}

/* The mean over this rank's samples; NaN where it had none. */
static double own_loss(const ath_run *r, const ath_run_step *s)
{
    double sum = 0;

    for (int64_t i = 0; i < s->n_own; i++) sum += r->own[PER_SAMPLE * i];
    return sum / (double)s->n_own;
}

static void count_skipped(ath_run *r, const ath_run_step *s)
{
    r->n_skipped = s->done.skipped ? r->n_skipped + 1 : 0;
    r->is_lost = s->done.skipped && r->n_skipped >= r->opts->job->train->skip_limit;
}

static ath_err run_step(ath_run *r, const Athanor__Epoch *epoch, int64_t i)
{
    const Athanor__Plan *plan = r->opts->plan;
    const int64_t micros = (int64_t)plan->micros_per_step;
    const int64_t first = (i - (int64_t)epoch->first_step) * micros, began = ath_time_mono_ns();
    const ath_trainer_rates rates = {plan->unet_rate[i] * r->rate_factor,
                                     plan->text_encoder_rate[i] * r->rate_factor};
    ath_run_step s = {.epoch = epoch, .i = i, .first_micro = first};

    ath_stage_step(i);
    s.n_leaves = (int32_t)least(micros, (int64_t)epoch->n_micro_samples - first);
    ATH_TRY(ath_trainer_begin(r->trainer, s.n_leaves));
    const ath_err err = run_micros(r, &s);
    s.busy_seconds = seconds_since(began);
    ATH_TRY(ath_trainer_finish(r->trainer, err, &rates, &s.done));
    s.seconds = seconds_since(began);
    if (i == r->first_step)
        ath_log(ATH_LOG_INFO, "run", ATH_KV("first_step_seconds", s.seconds),
                ATH_KV("start_seconds", seconds_since(r->began_ns)));
    ath_stage_enter(ATH_STAGE_RECORD);
    ath_flight_result(own_loss(r, &s), s.done.norm);
    ATH_TRY(ath_record_step(r, &s));
    count_skipped(r, &s);
    return ATH_OK;
}

/* ---- epochs ---- */

static bool is_multiple(int64_t n, int64_t of)
{
    return of > 0 && n % of == 0;
}

/* After a step: what the job wants saved and drawn. The last epoch's file is the run's. */
static ath_err save_on_schedule(ath_run *r, int64_t n_done, bool is_epoch_end)
{
    const Athanor__Save *save = r->opts->job->save;
    const Athanor__Plan *plan = r->opts->plan;
    const bool by_step = is_multiple(n_done, save->every_steps);
    const bool by_epoch = is_epoch_end && is_multiple(r->epoch + 1, save->every_epochs) &&
                          r->epoch + 1 < (int64_t)plan->epochs;

    if (by_step) ATH_TRY(ath_export(r, ATH_EXPORT_STEP, n_done));
    if (by_epoch) ATH_TRY(ath_export(r, ATH_EXPORT_EPOCH, n_done));
    if (by_step || by_epoch) ATH_TRY(ath_preview(r, n_done));
    /* last, so that a run that goes on from it lacks none of these */
    if (is_epoch_end && is_multiple(r->epoch + 1, save->pin_every_epochs))
        return ath_state_save(r, n_done, ATH_STATE_PINNED);
    /* not while steps are skipped: it would take the place of one to go back to */
    return r->is_state_due && r->n_skipped == 0 ? ath_state_save(r, n_done, ATH_STATE_DUE) : ATH_OK;
}

/* Whether pictures are drawn after that many steps, as save_on_schedule does. */
static bool draws_after(const ath_run *r, int64_t n_done)
{
    const Athanor__Save *save = r->opts->job->save;
    const Athanor__Plan *plan = r->opts->plan;

    if (is_multiple(n_done, save->every_steps)) return true;
    for (int64_t e = 1; e < (int64_t)plan->epochs; e++)
        if ((int64_t)plan->first_step[e] == n_done) return is_multiple(e, save->every_epochs);
    return false;
}

/* What is drawn before the first step of this process. */
static ath_err draw_first(ath_run *r)
{
    if (r->first_step > 0)
        return draws_after(r, r->first_step) ? ath_preview_again(r, r->first_step) : ATH_OK;
    ATH_TRY(ath_preview(r, 0));
    /* what is missing of these could not be drawn any more after a step */
    return ath_dist_agree(ath_cancel_check(r->opts->cancel, "no step was done"));
}

static ath_err stop_early(ath_run *r, int64_t n_done)
{
    ATH_TRY(ath_state_save(r, n_done, ATH_STATE_LAST)); /* first: there may be little time */
    if (n_done < (int64_t)r->opts->plan->steps) ATH_TRY(ath_export(r, ATH_EXPORT_STEP, n_done));
    return ath_raise(ATH_ECANCELED,
                     "stopped by a signal after %" PRId64 " of %" PRId64
                     " steps; what was trained so far lies in %s/model, athanor resume %s goes on",
                     n_done, (int64_t)r->opts->plan->steps, r->opts->folder, r->opts->folder);
}

/* The samples of an epoch's first steps. */
static int64_t samples_before(const ath_run *r, const Athanor__Epoch *epoch, int64_t n_steps)
{
    const int64_t n = n_steps * (int64_t)r->opts->plan->micros_per_step;
    int64_t sum = 0;

    for (int64_t i = 0; i < n; i++) sum += epoch->micro_samples[i];
    return sum;
}

static ath_err run_steps(ath_run *r, const Athanor__Epoch *epoch)
{
    const Athanor__Plan *plan = r->opts->plan;
    const int64_t begin = (int64_t)plan->first_step[r->epoch];
    const int64_t end = (int64_t)plan->first_step[r->epoch + 1];
    const int64_t first = r->first_step > begin ? r->first_step : begin;

    r->i_sample = samples_before(r, epoch, first - begin);
    if (first == begin) {
        r->loss_sum = 0;
        r->n_losses = 0;
    }
    ATH_TRY(ath_dist_agree(ath_loader_begin(r->loader, epoch, first - begin, end - begin)));
    for (int64_t i = first; i < end; i++) {
        ATH_TRY(run_step(r, epoch, i));
        if (r->is_lost) return ath_run_roll_back(r, i + 1);
        ATH_TRY(save_on_schedule(r, i + 1, i + 1 == end));
        if (r->is_canceled && i + 1 < (int64_t)plan->steps) return stop_early(r, i + 1);
    }
    return ATH_OK;
}

/* What does not fit the plan would be read beyond its end. */
static ath_err check_epoch(const ath_run *r, const Athanor__Epoch *e)
{
    const Athanor__Plan *plan = r->opts->plan;
    const uint64_t steps = plan->first_step[r->epoch + 1] - plan->first_step[r->epoch];
    uint64_t n_samples = 0;
    bool fits = e->n_micro_bucket == e->n_micro_samples && e->n_id == e->n_image &&
                e->n_flip == e->n_image && e->n_caption_seed == e->n_image &&
                e->first_step == plan->first_step[r->epoch] && steps > 0 &&
                (steps - 1) * plan->micros_per_step < e->n_micro_samples;

    for (size_t i = 0; fits && i < e->n_micro_samples; i++) {
        n_samples += e->micro_samples[i];
        fits = e->micro_bucket[i] < plan->n_bucket && e->micro_samples[i] > 0 &&
               e->micro_samples[i] <= plan->micro_batch;
    }
    for (size_t i = 0; fits && i < e->n_image; i++) fits = e->image[i] < plan->n_image;
    ATH_NEED(fits && n_samples == e->n_image, ATH_EFORMAT,
             "epoch %" PRId64 ": what the coordinator sent does not fit the plan", r->epoch);
    return ATH_OK;
}

static ath_err run_epoch(ath_run *r)
{
    const ath_boss *boss = &r->opts->boss;
    ProtobufCMessage *m = NULL;
    uint8_t *bytes = NULL;
    size_t n = 0;
    ath_err err = ATH_OK;

    if (ath_dist_rank() == 0) err = boss->epoch(boss->context, r->epoch, &bytes, &n);
    ATH_TRY_OUT(ath_dist_share_block(err, &bytes, &n));
    err = ath_message_unpack(&athanor__epoch__descriptor, bytes, n, &m);
    if (!err) err = check_epoch(r, (const Athanor__Epoch *)m);
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(run_steps(r, (const Athanor__Epoch *)m));
out:
    if (err) ath_loader_destroy(&r->loader); /* it borrows the epoch till the last was taken */
    ath_message_drop(m);
    ath_mem_free(&bytes);
    return err;
}

static ath_err train(ath_run *r)
{
    const Athanor__Plan *plan = r->opts->plan;

    ATH_TRY(ath_run_open(r));
    ATH_TRY(ath_dist_agree(ath_state_open(r)));
    ATH_TRY(ath_state_load(r, &r->first_step));
    ATH_TRY(ath_record_start(r, r->first_step));
    ATH_TRY(draw_first(r));
    for (r->epoch = 0; r->epoch < (int64_t)plan->epochs; r->epoch++)
        if ((int64_t)plan->first_step[r->epoch + 1] > r->first_step) ATH_TRY(run_epoch(r));
    r->epoch--;
    ATH_TRY(ath_export(r, ATH_EXPORT_LAST, (int64_t)plan->steps));
    ATH_TRY(ath_preview(r, (int64_t)plan->steps));
    if (r->lacks_pictures) return stop_early(r, (int64_t)plan->steps);
    ATH_TRY(ath_state_settle(r, ATH_STATE_DUE));
    return ath_dist_agree(ath_dist_rank() == 0
                              ? ath_record_mark(r, (int64_t)plan->steps, ATH_RUN_FINISHED, "")
                              : ATH_OK);
}

ath_err ath_run_train(const ath_run_opts *opts)
{
    ath_run r = {.opts = opts,
                 .began_ns = ath_time_mono_ns(),
                 .began_wall_ns = ath_time_wall_ns(),
                 .rate_factor = 1,
                 .i_drawn = -1};
    const ath_err err = ath_state_close(&r, train(&r));

    ath_stage_enter(ATH_STAGE_END);
    ath_run_close(&r);
    return err;
}
