/*
 * Power cuts: a run of several checkpoints is recorded, call by call, and every state that a power cut
 * could leave of it is built and read as a resume reads it (crash.h says which states those are). Always
 *
 * - the newest checkpoint that a manifest names is whole, to the last bit, and it is the last one whose
 *   writing had ended, or the one that was being written;
 * - the curve is readable and has every step that was synced, and all that the checkpoint stands on;
 * - going on from there works: a record is appended, a checkpoint written, and what the cut left is gone.
 *
 * Each sync is needed: with any kind of them left out of the record, states are found that break this.
 *
 *     test_crash_states [--states N] [--seed S] [--without SYNC] [--only CALL HOW]
 *
 * With --without it fails, by a state that it shows. Such a state prints the line that repeats it.
 */
#include "coordinator/curve.h"
#include "core/mem.h"
#include "core/time.h"
#include "tests/fault/crash.h"
#include "tests/harness.h"
#include "worker/run/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    N_LARGE = 1500,
    N_SMALL = 8,
    KEEP = 2,
    N_SAVES = 8,
    STEPS_A_SAVE = 6,
    PATH = 2 * IO_PATH_BYTES
};
enum {
    HOWS = 28,
    PINNED = 3,
    SYNCED = 0,
    BEGUN = 1,
    WRITTEN = 2
}; /* marks: step x 4 + one of these */

static char home[64], root[96], built[96];
static float small[N_SMALL], large[N_LARGE];

/* ---- the run ---- */

static void fill(int64_t step)
{
    for (int i = 0; i < N_SMALL; i++) small[i] = (float)step + (float)i / 16;
    for (int i = 0; i < N_LARGE; i++) large[i] = (float)(step * (i + 1) % 977) * 0.25F;
}

static const ath_checkpoint_tensor tensors[] = {
    {.name = "value/layer.weight", .n_dim = 1, .dim = {N_SMALL}, .data = small},
    {.name = "moment1/layer.weight", .n_dim = 1, .dim = {N_LARGE}, .data = large}};

static ath_err save(const char *folder, int64_t step)
{
    static const uint8_t job[] = "a packed job";
    const ath_checkpoint c = {
        .facts = {.n_done = step, .n_updates = step, .is_pinned = step == PINNED * STEPS_A_SAVE},
        .job = job,
        .job_bytes = sizeof job,
        .n_tensors = 2,
        .tensor = tensors};

    fill(step);
    return ath_checkpoint_write(folder, &c, KEEP);
}

static ath_err put_start(ath_curve_log *log)
{
    Athanor__Start start = ATHANOR__START__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;

    start.has_steps = true;
    start.steps = N_SAVES * STEPS_A_SAVE;
    record.is_case = ATHANOR__RECORD__IS_START;
    record.start = &start;
    return ath_curve_log_put(log, &record);
}

static double loss_of(int64_t step)
{
    return 1.0 / (double)(step + 1);
}

/* With a part for each of many ranks, so that a record is longer than a block of a disk. */
static ath_err put_step(ath_curve_log *log, int64_t i)
{
    enum { N_RANKS = 24 };
    Athanor__Step step = ATHANOR__STEP__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;
    Athanor__RankPart parts[N_RANKS], *part[N_RANKS];

    for (int k = 0; k < N_RANKS; k++) {
        athanor__rank_part__init(&parts[k]);
        parts[k].has_loss = parts[k].has_seconds = parts[k].has_wait_seconds = true;
        parts[k].loss = loss_of(i * k);
        part[k] = &parts[k];
    }
    step.has_step = step.has_loss = true;
    step.step = (uint64_t)i;
    step.loss = loss_of(i);
    step.n_rank = N_RANKS;
    step.rank = part;
    record.is_case = ATHANOR__RECORD__IS_STEP;
    record.step = &step;
    return ath_curve_log_put(log, &record);
}

static ath_err put_mark(ath_curve_log *log, int64_t step)
{
    char what[] = "checkpoint";
    Athanor__Mark mark = ATHANOR__MARK__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;

    mark.has_step = true;
    mark.step = (uint64_t)step;
    mark.what = what;
    record.is_case = ATHANOR__RECORD__IS_MARK;
    record.mark = &mark;
    return ath_curve_log_put(log, &record);
}

typedef struct places {
    char curve[PATH], folder[PATH];
} places;

static places in(const char *where)
{
    places p;

    snprintf(p.curve, PATH, "%s/curve.log", where);
    snprintf(p.folder, PATH, "%s/checkpoints", where);
    return p;
}

/* The steps up to `end` and their checkpoint, in the order of a run. */
static ath_err go_on(const places *p, ath_curve_log *log, int64_t from, int64_t end, io_trace *t)
{
    for (int64_t i = from; i < end; i++) {
        ATH_TRY(put_step(log, i));
        /* the last checkpoint is told when its thread has ended */
        if (i == from + 1 && from > 0) ATH_TRY(put_mark(log, from));
    }
    ATH_TRY(ath_curve_log_sync(log));
    if (t) io_trace_mark(t, end * 4 + SYNCED);
    if (t) io_trace_mark(t, end * 4 + BEGUN);
    ATH_TRY(save(p->folder, end));
    if (t) io_trace_mark(t, end * 4 + WRITTEN);
    return ATH_OK;
}

/* The curve is opened anew in the middle, as by a resume. */
static ath_err run(io_trace *t)
{
    const places p = in(root);
    ath_curve_log *log = NULL;
    ath_err err = ATH_OK;

    for (int64_t i = 0; i < N_SAVES && !err; i++) {
        if (i == 3) ath_curve_log_close(&log);
        if (!log) err = ath_curve_log_open(p.curve, &log);
        if (!err && (i == 0 || i == 3)) err = put_start(log);
        if (!err) err = go_on(&p, log, i * STEPS_A_SAVE, (i + 1) * STEPS_A_SAVE, t);
    }
    ath_curve_log_close(&log);
    return err;
}

static void record(io_trace *t)
{
    static faulty_io f;

    f = (faulty_io){.trace = t};
    faulty_io_install(&f);
    CHECK_OK(run(t));
    ath_io_replace(NULL);
}

/* ---- what must hold ---- */

typedef struct wanted {
    int64_t n_synced, n_written, n_begun; /* steps */
} wanted;

static wanted wanted_after(const io_trace *t, int64_t n)
{
    wanted w = {0};

    for (int64_t i = 0; i < n; i++) {
        if (t->call[i].what != IO_MARK) continue;
        const int64_t step = t->call[i].at / 4, what = t->call[i].at % 4;
        *(what == SYNCED ? &w.n_synced : what == BEGUN ? &w.n_begun : &w.n_written) = step;
    }
    return w;
}

/* All of one as `step` had it; EIO with a sentence where it is another. */
static ath_err load(const char *folder, int64_t step)
{
    static float a[N_SMALL], b[N_LARGE];
    ath_checkpoint_tensor to[2] = {tensors[0], tensors[1]};
    ath_checkpoint_file *f = NULL;
    ath_err err = ATH_OK;

    to[0].data = a;
    to[1].data = b;
    ATH_TRY_OUT(ath_checkpoint_open(folder, step, &f));
    for (int i = 0; i < 2; i++) ATH_TRY_OUT(ath_checkpoint_read(f, &to[i]));
    fill(step);
    if (memcmp(a, small, sizeof a) != 0 || memcmp(b, large, sizeof b) != 0)
        err = ath_raise(ATH_EIO, "step %" PRId64 " holds other numbers", step);
out:
    ath_checkpoint_close(&f);
    return err;
}

static ath_err check_newest(const places *p, const wanted *w, int64_t *newest)
{
    int64_t *steps = NULL, n = 0;

    ATH_TRY(ath_checkpoint_list(p->folder, &steps, &n));
    *newest = n ? steps[0] : 0;
    ath_mem_free(&steps);
    ATH_NEED(*newest == w->n_written || *newest == w->n_begun, ATH_EIO,
             "the newest checkpoint is of step %" PRId64 ", wanted %" PRId64 " or %" PRId64,
             *newest, w->n_written, w->n_begun);
    return *newest ? load(p->folder, *newest) : ATH_OK;
}

static ath_err check_curve(const places *p, int64_t n_least)
{
    ath_curve c = {0};
    ath_err err = ath_curve_read(p->curve, &c);

    if (err == ATH_EMISSING && n_least == 0) return ATH_OK;
    for (int64_t i = 0; i < c.n_steps && !err; i++)
        if ((int64_t)c.step[i]->step != i || c.step[i]->loss != loss_of(i))
            err = ath_raise(ATH_EIO, "record %" PRId64 " of the curve is another", i);
    if (!err && c.n_steps < n_least)
        err = ath_raise(ATH_EIO, "the curve has %" PRId64 " steps, wanted %" PRId64, c.n_steps,
                        n_least);
    ath_curve_release(&c);
    return err;
}

static ath_err refuse_leftover(void *context, const char *name)
{
    (void)context;
    ATH_NEED(name[0] != '.', ATH_EIO, "%s was left", name);
    return ATH_OK;
}

static ath_err check_going_on(const places *p, int64_t newest)
{
    const int64_t end = newest + 1;
    ath_curve_log *log = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_curve_log_open(p->curve, &log));
    ATH_TRY_OUT(put_start(log));
    ATH_TRY_OUT(go_on(p, log, newest, end, NULL));
    ath_curve_log_close(&log);
    ATH_TRY_OUT(check_newest(p, &(wanted){end, end, end}, &newest));
    ATH_TRY_OUT(check_curve(p, end));
    ATH_TRY_OUT(ath_folder_each(p->folder, refuse_leftover, NULL));
out:
    ath_curve_log_close(&log);
    return err;
}

/* ---- states ---- */

static ath_err drop_name(void *folder, const char *name)
{
    char path[2 * PATH];

    snprintf(path, sizeof path, "%s/%s", (const char *)folder, name);
    return ath_sys(remove(path), path);
}

static ath_err clear(void)
{
    places p = in(built);

    ath_err err = ath_folder_each(p.folder, drop_name, p.folder);
    if (err && err != ATH_EMISSING) return err;
    return ath_folder_each(built, drop_name, built);
}

/* One state, into an empty folder. */
static ath_err check_state(const crash *c, int64_t n, int64_t how)
{
    const wanted w = wanted_after(c->trace, n);
    const places p = in(built);
    int64_t newest = 0;
    ath_hash hash;

    ATH_TRY(clear());
    ATH_TRY(crash_build(c, n, how, built, &hash));
    ATH_TRY(check_newest(&p, &w, &newest));
    ATH_TRY(check_curve(&p, newest > w.n_synced ? newest : w.n_synced));
    return (n + how) % 4 == 0 ? check_going_on(&p, newest) : ATH_OK;
}

/* States with what is wanted of them, each once. */
typedef struct seen {
    ath_hash *hash; /* {0}: free */
    uint64_t room;
    int64_t n;
} seen;

static bool is_new(seen *s, const crash *c, int64_t n, int64_t how)
{
    struct {
        ath_hash state;
        wanted w;
    } key = {.w = wanted_after(c->trace, n)};

    CHECK_OK(crash_build(c, n, how, NULL, &key.state));
    const ath_hash hash = ath_hash_of(&key, sizeof key);
    uint64_t at = hash.lo % s->room;
    while (s->hash[at].lo || s->hash[at].hi) {
        if (ath_hash_is_equal(s->hash[at], hash)) return false;
        at = (at + 1) % s->room;
    }
    s->hash[at] = hash;
    s->n++;
    return true;
}

static void print_bad(const crash *c, int64_t n, int64_t how)
{
    printf("repeat: test_crash_states --seed %" PRIu64 " --only %" PRId64 " %" PRId64, c->seed, n,
           how);
    if (c->without) printf(" --without \"%s\"", c->without);
    printf("\n%s\n", ath_err_text());
}

/* The i-th pair of a call and a kind: the first few are as mixed as all of them. */
static void find_pair(int64_t i, int64_t n_calls, int64_t n_hows, int64_t *n, int64_t *how)
{
    const int64_t group = i / n_hows;

    *how = i % n_hows;
    *n = (group * 7919 + *how * 31) % n_calls;
    if (*how >= CRASH_RANDOM) *how += group / n_calls * n_hows; /* of these there are ever more */
}

/* So many different states, or as many as are found; true: all are good. Ends at the first that is not. */
static bool check_states(const crash *c, int64_t n_states, int64_t n_hows, bool is_quiet)
{
    const int64_t n_calls = c->trace->n + 1, began = ath_time_mono_ns();
    seen s = {.room = (uint64_t)n_states * 2 + 2};
    bool is_good = true;
    int64_t n = 0, how = 0;

    ATH_ASSERT(!ATH_NEW(s.room, "states", &s.hash));
    for (int64_t i = 0; s.n < n_states && i < 16 * n_states && is_good; i++) {
        find_pair(i, n_calls, n_hows, &n, &how);
        if (is_new(&s, c, n, how)) is_good = !check_state(c, n, how);
    }
    if (!is_good && !is_quiet) print_bad(c, n, how);
    if (is_good)
        printf("%" PRId64 " different states after %" PRId64 " calls, all good: seed %" PRIu64
               ", %.2f s\n",
               s.n, n_calls - 1, c->seed, (double)(ath_time_mono_ns() - began) * 1e-9);
    ath_err_clear();
    ath_mem_free(&s.hash);
    return is_good;
}

/* ---- each sync ---- */

static bool is_first(const crash *c, int64_t i)
{
    for (int64_t k = 0; k < i; k++)
        if (strcmp(c->call[k].label, c->call[i].label) == 0) return false;
    return c->call[i].label[0] != 0;
}

static void check_each_sync(const io_trace *t, const crash *whole)
{
    enum { N_KINDS = 7 };
    int n_kinds = 0;

    ath_test_begin("each sync is needed");
    for (int64_t i = 0; i < t->n; i++) {
        const char *label = whole->call[i].label;
        crash c;
        if (!is_first(whole, i)) continue;
        n_kinds++;
        CHECK_OK(crash_init(&c, t, root, label));
        c.seed = whole->seed;
        CHECK(!check_states(&c, HOWS * t->n, CRASH_NAMES, true));
        crash_release(&c);
    }
    CHECK_EQ(n_kinds, N_KINDS);
}

typedef struct options {
    int64_t n_states, n, how;
    uint64_t seed;
    const char *without;
} options;

static options read_options(char **argv)
{
    options o = {.n_states = 1000, .n = -1, .seed = 1};

    for (argv++; *argv; argv++) {
        const char *key = *argv, *value = *++argv;
        ATH_ASSERT(value);
        if (strcmp(key, "--states") == 0) o.n_states = strtoll(value, NULL, 10);
        if (strcmp(key, "--seed") == 0) o.seed = strtoull(value, NULL, 10);
        if (strcmp(key, "--without") == 0) o.without = value;
        if (strcmp(key, "--only") != 0) continue;
        ATH_ASSERT(*++argv);
        o.n = strtoll(value, NULL, 10);
        o.how = strtoll(*argv, NULL, 10);
    }
    return o;
}

static void make_home(void)
{
    snprintf(home, sizeof home, "/dev/shm/ath_crash_XXXXXX");
    if (!mkdtemp(home)) {
        snprintf(home, sizeof home, "/tmp/ath_crash_XXXXXX");
        ATH_ASSERT(mkdtemp(home));
    }
    snprintf(root, sizeof root, "%s/recorded", home);
    snprintf(built, sizeof built, "%s/built", home);
    CHECK_OK(ath_folder_make(root));
    CHECK_OK(ath_folder_make(built));
}

static void remove_home(void)
{
    places p = in(root);

    CHECK_OK(clear());
    CHECK_OK(ath_folder_each(p.folder, drop_name, p.folder));
    CHECK_OK(ath_folder_each(root, drop_name, root));
    CHECK_OK(ath_folder_each(home, drop_name, home));
    CHECK(rmdir(home) == 0);
}

int main(int argc, char **argv)
{
    static io_trace trace;
    const options o = read_options(argv);
    crash c;

    (void)argc;
    ath_test_begin("states");
    make_home();
    record(&trace);
    CHECK_OK(crash_init(&c, &trace, root, o.without));
    c.seed = o.seed;
    if (o.n >= 0)
        CHECK_OK(check_state(&c, o.n, o.how));
    else
        CHECK(check_states(&c, o.n_states, HOWS, false));
    if (o.n < 0 && !o.without) check_each_sync(&trace, &c);
    crash_release(&c);
    io_trace_release(&trace);
    remove_home();
    return ath_test_end();
}
