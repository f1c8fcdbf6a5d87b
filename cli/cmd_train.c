/*
 * athanor train: a job becomes a run, or goes on with the one that is there. Rank 0 reads, checks and
 * plans; all ranks get job and plan, confirm that they have the same, and train.
 */
#include "cli/begun.h"
#include "cli/cmd.h"
#include "cli/signals.h"
#include "cli/train.h"
#include "cli/train_boss.h"
#include "core/mem.h"
#include "proto/job.h"
#include "proto/message.h"
#include "worker/dist/dist.h"
#include "worker/dist/watch.h"
#include "worker/graph/unit.h"
#include "worker/run/class_images.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const ath_opt ath_train_cmd_opts[] = {
    {"ranks", ATH_OPT_INT, offsetof(ath_train_values, ranks), "0..4096", "0",
     "processes, started by mpirun; 0: as launched; never changes a bit"},
    {"set", ATH_OPT_LIST, offsetof(ath_train_values, sets), "KEY=VALUE", NULL,
     "puts a value over the job's, as in train.steps=100; as often as wanted"},
    {0},
};

/* What rank 0 finds where the run is to be. */
typedef struct place {
    char folder[ATH_PATH_BYTES];
    bool is_begun, is_finished;
    char model[ATH_PATH_BYTES]; /* where it is finished */
} place;

typedef struct session {
    const ath_train_opts *o;
    Athanor__Job *job; /* of all ranks, with the rest below */
    ProtobufCMessage *plan;
    ath_hash sent; /* of what was shared */
    place place;
    ath_train_boss boss; /* rank 0's part */
    ath_watch *watch;
} session;

static ath_cancel cancel;

/* ---- what rank 0 sends ---- */

/* Whether this begins a run or goes on with one. */
static ath_err find_place(session *s, Athanor__Job *job)
{
    place *p = &s->place;

    if (s->o->run)
        snprintf(p->folder, sizeof p->folder, "%s", s->o->run);
    else
        ATH_TRY(ath_run_folder_name(job, p->folder));
    p->is_begun = ath_run_folder_is_run(p->folder);
    if (!p->is_begun) return ath_run_folder_check(job);
    ATH_TRY(ath_begun_check(p->folder, job));
    return ath_begun_is_finished(p->folder, &p->is_finished, p->model);
}

static ath_err name_job(const ath_train_opts *o, char out[ATH_PATH_BYTES])
{
    ATH_TRY(ath_path_print(out, "%s%s", o->run ? o->run : o->job, o->run ? "/job.toml" : ""));
    ATH_NEED(!o->run || ath_run_folder_is_run(o->run), ATH_EMISSING,
             "%s: there is no run to go on with; wanted the folder of one, with its job.toml",
             o->run);
    return ATH_OK;
}

static ath_err settle_device(session *s, Athanor__Job *job)
{
    ath_unit_wish wish = (ath_unit_wish)job->train->device;

    ATH_TRY(ath_unit_settle(wish, &wish));
    s->boss.lacks_gpu = job->train->device == ATHANOR__TRAIN__DEVICE__AUTO && wish == ATH_UNIT_CPU;
    job->train->device = (Athanor__Train__Device)wish;
    return ATH_OK;
}

/* Threads and device are part of the recipe, so they are settled here, once, and not by each rank. */
static ath_err read_job(session *s, uint8_t **bytes, size_t *n)
{
    ath_err err = ATH_OK;
    char path[ATH_PATH_BYTES];
    Athanor__Job *job = NULL;

    ATH_TRY_OUT(name_job(s->o, path));
    ATH_TRY_OUT(ath_job_read(path, s->o->sets->item, (int)s->o->sets->n, &job));
    ATH_TRY_OUT(find_place(s, job));
    if (job->train->threads == 0) job->train->threads = ath_cores();
    if (!s->place.is_finished) ATH_TRY_OUT(settle_device(s, job));
    if (!s->place.is_finished) ATH_TRY_OUT(ath_train_boss_look(job));
    ATH_TRY_OUT(ath_job_pack(job, bytes, n));
out:
    ath_job_free(&job);
    return err;
}

/* Threads without a core of their own wait for each other in every kernel. */
static void warn_of_threads(const session *s)
{
    const int64_t n = s->job->train->threads, cores = ath_cores();
    const int32_t n_here = ath_dist_local_size();

    if (ath_dist_rank() != 0 || n == 1 || n_here == 1 || n * n_here <= cores) return;
    fprintf(stderr,
            "%" PRId32 " ranks of %" PRId64 " threads share the %" PRId64
            " cores of this machine and wait for each other; train.threads = %" PRId64
            " would be faster (a part of the recipe: another number may change the last bits)\n",
            n_here, n, cores, cores / n_here > 1 ? cores / n_here : 1);
}

static ath_err share_job(session *s)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    ath_err err = ath_dist_rank() == 0 ? read_job(s, &bytes, &n) : ATH_OK;

    ATH_TRY_OUT(ath_dist_share_block(err, &bytes, &n));
    err = ath_job_unpack(bytes, n, &s->job);
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(ath_dist_share(&s->place, sizeof s->place));
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

/* The last verdict is forgotten before another rank can come to one. */
static ath_err open_run(session *s)
{
    const bool is_boss = ath_dist_rank() == 0;
    ath_err err = ATH_OK;

    if (is_boss) err = ath_train_boss_open(&s->boss, s->place.is_begun ? s->place.folder : NULL);
    if (is_boss && !err) ath_watch_set_folder(s->watch, s->place.folder);
    ATH_TRY(ath_dist_agree(err));
    ath_watch_set_folder(s->watch, s->place.folder);
    return ATH_OK;
}

static ath_err train(session *s)
{
    ATH_TRY(share_job(s));
    if (s->place.is_finished) {
        if (ath_dist_rank() == 0) printf("%s\n", s->place.model);
        return ATH_OK;
    }
    warn_of_threads(s);
    ATH_TRY(ath_watch_start(s->job->train->watch_seconds, &s->watch));
    ATH_TRY(draw_class_images(s));
    ATH_TRY(share_plan(s));
    ATH_TRY(confirm(s));
    ATH_TRY(open_run(s));
    const ath_run_opts run = {.job = s->job,
                              .plan = (const Athanor__Plan *)s->plan,
                              .folder = s->place.folder,
                              .resume = s->place.is_begun,
                              .boss = ath_train_boss_face(&s->boss),
                              .cancel = &cancel};
    return ath_run_train(&run);
}

ath_err ath_train(const ath_train_opts *opts)
{
    session s = {.o = opts};
    ath_err err = ATH_OK;

    /* who becomes the supervisor would set a flag that no rank sees: it has its own way */
    if (opts->ranks < 2 || ath_dist_is_launched()) ATH_TRY_OUT(ath_signals_catch(&cancel));
    ATH_TRY_OUT(ath_dist_init((int32_t)opts->ranks));
    err = train(&s);
    if (err == ATH_EMPI) ath_watch_consult(s.watch);
    if (ath_dist_rank() == 0) err = ath_train_boss_close(&s.boss, err);
    err = ath_dist_agree(err);
    ath_watch_stop(&s.watch, err);
    if (ath_dist_rank() > 0) ath_err_clear(); /* rank 0 says it for all */
out:
    ath_dist_finalize();
    ath_message_drop(s.plan);
    ath_job_free(&s.job);
    return err;
}

static ath_err run(const void *given, int n_args, char **args)
{
    const ath_train_values *v = given;

    (void)n_args;
    return ath_train(&(ath_train_opts){.ranks = v->ranks, .sets = &v->sets, .job = args[0]});
}

const ath_cmd ath_cmd_train = {
    .name = "train",
    .args = "JOB",
    .help = "trains what a job says, on any number of ranks",
    .min_args = 1,
    .max_args = 1,
    .opts = ath_train_cmd_opts,
    .values_bytes = sizeof(ath_train_values),
    .run = run,
};
