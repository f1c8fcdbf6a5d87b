#include "worker/run/saver.h"

#include "core/mem.h"
#include "core/thread.h"
#include "core/time.h"

struct ath_saver {
    ath_pool *pool; /* of one thread */
    const char *folder;
    ath_checkpoint checkpoint;
    int64_t keep;
    double seconds;
    bool is_pending;
    _Atomic bool is_done;
};

ath_err ath_saver_create(ath_saver **out)
{
    ath_saver *s = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(1, "saver", &s));
    ATH_TRY_OUT(ath_pool_create(1, 1, &s->pool));
    *out = s;
    s = NULL;
out:
    ath_saver_destroy(&s);
    return err;
}

void ath_saver_destroy(ath_saver **saver)
{
    ath_saver *s = *saver;

    if (!s) return;
    if (ath_saver_take(s))
        ath_err_clear(); /* a pool that is destroyed leaves out what did not begin */
    ath_pool_destroy(&s->pool);
    ath_mem_free(saver);
}

/* Not canceled midway: the one at hand is what a run that ends goes on from. */
static ath_err write(void *arg, const ath_cancel *cancel)
{
    ath_saver *s = arg;
    const int64_t began = ath_time_mono_ns();

    (void)cancel;
    const ath_err err = ath_checkpoint_write(s->folder, &s->checkpoint, s->keep);
    s->seconds = (double)(ath_time_mono_ns() - began) * 1e-9;
    atomic_store(&s->is_done, true);
    return err;
}

ath_err ath_saver_begin(ath_saver *s, const char *folder, const ath_checkpoint *checkpoint,
                        int64_t keep)
{
    ATH_ASSERT(!s->is_pending);
    s->folder = folder;
    s->checkpoint = *checkpoint;
    s->keep = keep;
    atomic_store(&s->is_done, false);
    ATH_TRY(ath_pool_submit(s->pool, write, s));
    s->is_pending = true;
    return ATH_OK;
}

bool ath_saver_is_pending(const ath_saver *s)
{
    return s->is_pending;
}

bool ath_saver_is_done(const ath_saver *s)
{
    return s->is_pending && atomic_load(&s->is_done);
}

ath_err ath_saver_take(ath_saver *s)
{
    if (!s->is_pending) return ATH_OK;
    s->is_pending = false;
    return ath_pool_wait(s->pool);
}

double ath_saver_seconds(const ath_saver *s)
{
    return s->seconds;
}
