/*
 * athanor train: a job becomes a run. Rank 0 reads, checks and plans; all ranks get job and plan,
 * confirm that they have the same, and train.
 */
#include "cli/cmd.h"
#include "cli/signals.h"
#include "cli/train_boss.h"
#include "core/mem.h"
#include "proto/job.h"
#include "proto/message.h"
#include "worker/dist/dist.h"
#include "worker/run/class_images.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct values {
    int64_t ranks;
    ath_opt_list sets;
} values;

static const ath_opt opts[] = {
    {"ranks", ATH_OPT_INT, offsetof(values, ranks), "0..4096", "0",
     "processes, started by mpirun; 0: as launched; never changes a bit"},
    {"set", ATH_OPT_LIST, offsetof(values, sets), "KEY=VALUE", NULL,
     "puts a value over the job's, as in train.steps=100; as often as wanted"},
    {0},
};

typedef struct session {
    const values *v;
    const char *path;
    Athanor__Job *job; /* of all ranks, with the rest below */
    ProtobufCMessage *plan;
    ath_hash sent; /* of what was shared */
    char folder[ATH_PATH_BYTES];
    ath_train_boss boss; /* rank 0's part */
} session;

static ath_cancel cancel;

/* ---- what rank 0 sends ---- */

/* Threads are part of the recipe, so they are settled here, once, and not by each rank. */
static ath_err read_job(session *s, uint8_t **bytes, size_t *n)
{
    ath_err err = ATH_OK;
    Athanor__Job *job = NULL;

    ATH_TRY_OUT(ath_job_read(s->path, s->v->sets.item, (int)s->v->sets.n, &job));
    if (job->train->threads == 0) job->train->threads = ath_cores();
    ATH_TRY_OUT(ath_run_folder_check(job));
    ATH_TRY_OUT(ath_train_boss_look(job));
    ATH_TRY_OUT(ath_job_pack(job, bytes, n));
out:
    ath_job_free(&job);
    return err;
}

static ath_err share_job(session *s)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    ath_err err = ath_dist_rank() == 0 ? read_job(s, &bytes, &n) : ATH_OK;

    ATH_TRY_OUT(ath_dist_share_block(err, &bytes, &n));
    err = ath_job_unpack(bytes, n, &s->job);
    if (!err) err = ath_run_folder_name(s->job, s->folder);
    ATH_TRY_OUT(ath_dist_agree(err));
    s->sent = ath_hash_of(bytes, n);
out:
    ath_mem_free(&bytes);
    return err;
}

static ath_err share_plan(session *s)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    ath_err err = ATH_OK;

    if (ath_dist_rank() == 0)
        err = ath_train_boss_plan(&s->boss, s->job, ath_dist_size(), &bytes, &n);
    ATH_TRY_OUT(ath_dist_share_block(err, &bytes, &n));
    err = ath_message_unpack(&athanor__plan__descriptor, bytes, n, &s->plan);
    ATH_TRY_OUT(ath_dist_agree(err));
    const ath_hash h = ath_hash_of(bytes, n);
    s->sent.lo ^= h.lo;
    s->sent.hi ^= h.hi;
out:
    ath_mem_free(&bytes);
    return err;
}

/* Every rank has the same job and plan, or none begins. */
static ath_err confirm(const session *s)
{
    enum { N = 4 };
    const uint64_t word[2] = {s->sent.lo, s->sent.hi};
    const int32_t size = ath_dist_size();
    double own[N], *all = NULL;
    ath_err err = ATH_NEW(size * N, "answers", &all);

    for (int i = 0; i < N; i++) own[i] = (double)(uint32_t)(word[i / 2] >> 32 * (i % 2));
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(ath_dist_gather(own, N, all, (int64_t)size * N));
    for (int32_t k = 0; k < size; k++)
        if (memcmp(all + (ptrdiff_t)k * N, own, sizeof own) != 0)
            err =
                ath_raise(ATH_EPEER, "rank %" PRId32 " got another job or plan than rank %" PRId32,
                          k, ath_dist_rank());
    err = ath_dist_agree(err);
out:
    ath_mem_free(&all);
    return err;
}

/* ---- class images ---- */

static void note_drawn(void *context, int64_t done, int64_t n)
{
    char text[80];

    snprintf(text, sizeof text, "class images: %" PRId64 " of %" PRId64, done, n);
    ath_train_boss_note(context, text);
}

static ath_err draw_class_images(session *s)
{
    ath_lacking lacking = {0};
    ath_err err = ATH_OK;

    if (s->job->class_images->count == 0) return ATH_OK;
    if (ath_dist_rank() == 0) err = ath_lacking_find(s->job, &lacking);
    ATH_TRY(ath_dist_agree(err));
    ATH_TRY(ath_dist_share(&lacking, sizeof lacking));
    if (lacking.n == 0) return ATH_OK;
    const ath_class_images images = {.job = s->job,
                                     .folder = lacking.folder,
                                     .first = lacking.first,
                                     .cancel = &cancel,
                                     .count = lacking.n,
                                     .progress = ath_dist_rank() == 0 ? note_drawn : NULL,
                                     .context = &s->boss};
    return ath_class_images_draw(&images);
}

/* ---- all of it ---- */

static ath_err train(session *s)
{
    ATH_TRY(share_job(s));
    ATH_TRY(draw_class_images(s));
    ATH_TRY(share_plan(s));
    ATH_TRY(confirm(s));
    ATH_TRY(ath_dist_agree(ath_dist_rank() == 0 ? ath_train_boss_open(&s->boss) : ATH_OK));
    const ath_run_opts run = {.job = s->job,
                              .plan = (const Athanor__Plan *)s->plan,
                              .folder = s->folder,
                              .boss = ath_train_boss_face(&s->boss),
                              .cancel = &cancel};
    return ath_run_train(&run);
}

static ath_err run(const void *given, int n_args, char **args)
{
    const values *v = given;
    session s = {.v = v, .path = args[0]};
    ath_err err = ATH_OK;

    (void)n_args;
    ATH_TRY_OUT(ath_signals_catch(&cancel));
    ATH_TRY_OUT(ath_dist_init((int32_t)v->ranks));
    err = train(&s);
    if (ath_dist_rank() == 0) err = ath_train_boss_close(&s.boss, err);
    err = ath_dist_agree(err);
    if (ath_dist_rank() > 0) ath_err_clear(); /* rank 0 says it for all */
out:
    ath_dist_finalize();
    ath_message_drop(s.plan);
    ath_job_free(&s.job);
    return err;
}

const ath_cmd ath_cmd_train = {
    .name = "train",
    .args = "JOB",
    .help = "trains what a job says, on any number of ranks",
    .min_args = 1,
    .max_args = 1,
    .opts = opts,
    .values_bytes = sizeof(values),
    .run = run,
};
