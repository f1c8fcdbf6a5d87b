/* Once too many steps in a row were skipped: back to a checkpoint with lower rates, once in a run. */
#include "core/log.h"
#include "worker/dist/dist.h"
#include "worker/run/run_private.h"

#include <inttypes.h>
#include <stdio.h>

#define MEND                                                                                 \
    "lower the learning rates (optimizer.unet_lr, optimizer.text_encoder_lr) or train with " \
    "train.mixed = \"f32\", in a run with another name (--set name=...)"

static ath_err lost(const ath_run *r, int64_t n_done, const char *why)
{
    return ath_raise(ATH_ENAN,
                     "step %" PRId64 ": loss or gradient was not finite for %" PRId64
                     " steps in a row (train.skip_limit), %s; " MEND,
                     n_done, r->n_skipped, why);
}

/* Rank 0. The steps that are done again take the place of those in the curve from the mark on. */
static ath_err tell(const ath_run *r, int64_t n_skipped, int64_t from, int64_t to)
{
    char text[160];

    snprintf(text, sizeof text,
             "step %" PRId64 ": %" PRId64 " steps in a row without a finite loss and gradient; "
             "going back to step %" PRId64 ", with learning rates times %g",
             from, n_skipped, to, r->rate_factor);
    ath_log(ATH_LOG_WARN, "run", ATH_KV("rolled_back", text));
    ath_run_note(r, text);
    return ath_record_mark(r, to, "rolled back", "");
}

ath_err ath_run_roll_back(ath_run *r, int64_t n_done)
{
    const double rate = r->opts->job->train->rollback_rate;
    int64_t to = 0;

    if (r->rate_factor < 1) return lost(r, n_done, "and the run had gone back once already");
    if (rate <= 0) return lost(r, n_done, "and train.rollback_rate is 0");
    const int64_t n_skipped = r->n_skipped; /* going back takes that of the checkpoint */
    ATH_TRY(ath_state_go_back(r, &to));
    if (to == 0) return lost(r, n_done, "and there is no good checkpoint from before");
    r->rate_factor = rate;
    ATH_TRY(ath_dist_agree(ath_dist_rank() == 0 ? tell(r, n_skipped, n_done, to) : ATH_OK));
    r->n_skipped = 0;
    r->is_lost = false;
    r->first_step = to;
    r->i_drawn = -1;
    r->epoch = -1; /* the first is next, and those before the checkpoint are passed over */
    ath_loader_destroy(&r->loader);
    ATH_TRY(ath_record_start(r, to));
    return ath_run_make_loader(r);
}
