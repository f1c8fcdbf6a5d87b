/* What the ranks tell of a step, as one record. */
#include "core/arena.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "worker/dist/dist.h"
#include "worker/dist/tree.h"
#include "worker/run/replicas.h"
#include "worker/run/run_private.h"

#include <math.h>
#include <string.h>

/* What a rank tells beside loss and time of each of its samples, behind them. A digest goes in four
 * pieces, which doubles hold exactly. */
enum {
    SECONDS,
    BUSY,
    LOAD,
    CANCELED,
    STATE_DUE,
    DIGEST,
    AVERAGE = DIGEST + 4,
    N_FACTS = AVERAGE + 4
};
enum { N_BANDS = 10 };

#define SET(m, field, value) ((m)->has_##field = true, (m)->field = (value))

/* ---- folders ---- */

static size_t folder_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) : 0;
}

/* Pictures of a folder follow one another in the plan. */
static void find_concepts(ath_run *r)
{
    const Athanor__Plan *plan = r->opts->plan;

    for (size_t i = 0; i < plan->n_image; i++) {
        const char *path = plan->image[i]->path, *before = i ? plan->image[i - 1]->path : "";
        const size_t n = folder_bytes(path);
        if (!i || n != folder_bytes(before) || memcmp(path, before, n) != 0) r->n_concepts++;
        r->concept[i] = r->n_concepts - 1;
    }
}

ath_err ath_record_create(ath_run *r)
{
    const Athanor__Plan *plan = r->opts->plan;
    const int64_t n_samples = (int64_t)(plan->micro_batch * plan->micros_per_step);

    ATH_TRY(ATH_NEW(n_samples * PER_SAMPLE + N_FACTS, "report of a step", &r->own));
    ATH_TRY(ATH_NEW(n_samples * PER_SAMPLE + (int64_t)ath_dist_size() * N_FACTS,
                    "reports of a step", &r->all));
    ATH_TRY(ATH_NEW(plan->n_image, "folders", &r->concept));
    ATH_TRY(ATH_NEW(ath_dist_size(), "times of ranks", &r->leaf_seconds));
    ATH_TRY(ath_slow_init(&r->slow, ath_dist_size()));
    find_concepts(r);
    return ATH_OK;
}

void ath_run_note(const ath_run *r, const char *text)
{
    if (ath_dist_rank() == 0 && r->opts->boss.note) r->opts->boss.note(r->opts->boss.context, text);
}

static ath_err tell(const ath_run *r, const Athanor__Record *record)
{
    const ath_boss *boss = &r->opts->boss;

    return boss->record ? boss->record(boss->context, record) : ATH_OK;
}

/* ---- the beginning, marks ---- */

static ath_err fill_start(const ath_run *r, int64_t n_done, ath_arena *arena, Athanor__Start *start)
{
    const Athanor__Plan *plan = r->opts->plan;
    const char *text = NULL;

    start->name = r->opts->job->name;
    SET(start, plan, plan->hash);
    SET(start, steps, plan->steps);
    SET(start, first_step, (uint64_t)n_done);
    SET(start, ranks, (uint32_t)ath_dist_size());
    SET(start, fast, r->opts->job->train->reduce == ATHANOR__TRAIN__REDUCE__FAST);
    ATH_TRY(ATH_ARENA_NEW(arena, r->n_concepts, &start->concept));
    ATH_TRY(ATH_ARENA_NEW(arena, plan->n_image, &start->image));
    for (size_t i = 0; i < plan->n_image; i++) {
        start->image[start->n_image++] = plan->image[i]->path;
        if ((size_t)r->concept[i] < start -> n_concept) continue;
        ATH_TRY(ath_arena_print(arena, &text, "%.*s", (int)folder_bytes(plan->image[i]->path),
                                plan->image[i]->path));
        start->concept[start->n_concept++] = (char *)(uintptr_t)text; /* not written to */
    }
    return ATH_ARENA_NEW(arena, sizeof ATH_VERSION, &start->version);
}

ath_err ath_record_start(ath_run *r, int64_t n_done)
{
    Athanor__Start start = ATHANOR__START__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;
    ath_arena arena = {0};
    ath_err err = ATH_OK;

    if (ath_dist_rank() == 0) {
        err = fill_start(r, n_done, &arena, &start);
        if (!err) memcpy(start.version, ATH_VERSION, sizeof ATH_VERSION);
        record.is_case = ATHANOR__RECORD__IS_START;
        record.start = &start;
        if (!err) err = tell(r, &record);
    }
    ath_arena_release(&arena);
    return ath_dist_agree(err);
}

ath_err ath_record_mark(const ath_run *r, int64_t step, const char *what, const char *path)
{
    Athanor__Mark mark = ATHANOR__MARK__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;

    /* protobuf wants texts that are not const, and does not write to them */
    SET(&mark, step, (uint64_t)step);
    mark.what = (char *)(uintptr_t)what;
    mark.path = (char *)(uintptr_t)path;
    record.is_case = ATHANOR__RECORD__IS_MARK;
    record.mark = &mark;
    return tell(r, &record);
}

/* ---- a step ---- */

static void put_digest(ath_hash h, double out[4])
{
    const uint64_t word[2] = {h.lo, h.hi};

    for (int i = 0; i < 4; i++) out[i] = (double)(uint32_t)(word[i / 2] >> 32 * (i % 2));
}

static void get_digest(const double in[4], uint8_t out[16])
{
    for (int i = 0; i < 16; i++) out[i] = (uint8_t)((uint32_t)in[i / 4] >> 8 * (i % 4));
}

static int64_t count_samples(const ath_run_step *s, int32_t first_leaf, int32_t end_leaf)
{
    int64_t n = 0;

    for (int32_t leaf = first_leaf; leaf < end_leaf; leaf++)
        n += s->epoch->micro_samples[s->first_micro + leaf];
    return n;
}

/* Sums over some samples; a mean where there are any. */
typedef struct tally {
    uint32_t n;
    double sum;
} tally;

static void add(tally *t, double loss)
{
    t->n++;
    t->sum += loss;
}

typedef struct account {
    ath_run *run;
    const ath_run_step *step;
    ath_arena arena;
    Athanor__Step m;
    tally whole, *rank, *concept, band[N_BANDS];
    const double **facts; /* of each rank */
} account;

/* Walks over what the ranks told: samples in the plan's order, their ranks' facts in between. */
static void add_up(account *a)
{
    const ath_run_step *s = a->step;
    const double *at = a->run->all;
    const int32_t n_ranks = ath_dist_size();

    for (int32_t k = 0; k < n_ranks; k++) {
        const int64_t n = count_samples(s, ath_tree_cut(s->n_leaves, n_ranks, k),
                                        ath_tree_cut(s->n_leaves, n_ranks, k + 1));
        for (int64_t i = 0; i < n; i++, at += PER_SAMPLE) {
            const uint32_t image = s->epoch->image[a->run->i_sample + a->whole.n];
            const int band = (int)(at[1] / 100);
            a->m.image[a->m.n_image++] = image;
            add(&a->whole, at[0]);
            add(&a->rank[k], at[0]);
            add(&a->concept[a->run->concept[image]], at[0]);
            add(&a->band[band < N_BANDS ? band : N_BANDS - 1], at[0]);
        }
        a->facts[k] = at;
        at += N_FACTS;
    }
}

/* All ranks hold the same, or something broke that must not go on. */
static ath_err check_digests(account *a, int at, const char *what)
{
    const int32_t n = ath_dist_size();
    ath_hash *of = NULL;

    ATH_TRY(ATH_ARENA_NEW(&a->arena, n, &of));
    for (int32_t k = 0; k < n; k++) {
        uint8_t bytes[sizeof *of];
        get_digest(a->facts[k] + at, bytes);
        memcpy(&of[k], bytes, sizeof bytes);
    }
    return ath_replicas_check(a->step->i, what, of, n);
}

/* A rank waits for the slowest. */
static ath_err put_ranks(account *a)
{
    const int32_t n_ranks = ath_dist_size();
    double slowest = 0;

    ATH_TRY(ATH_ARENA_NEW(&a->arena, n_ranks, &a->m.rank));
    for (int32_t k = 0; k < n_ranks; k++) slowest = fmax(slowest, a->facts[k][BUSY]);
    for (int32_t k = 0; k < n_ranks; k++) {
        Athanor__RankPart *part = NULL;
        ATH_TRY(ATH_ARENA_NEW(&a->arena, 1, &part));
        athanor__rank_part__init(part);
        if (a->rank[k].n) SET(part, loss, a->rank[k].sum / a->rank[k].n);
        SET(part, seconds, a->facts[k][SECONDS]);
        SET(part, wait_seconds, slowest - a->facts[k][BUSY]);
        SET(part, load_seconds, a->facts[k][LOAD]);
        a->m.rank[a->m.n_rank++] = part;
    }
    return ATH_OK;
}

static ath_err put_shares(ath_arena *arena, const tally *t, int32_t n, Athanor__Share ***out)
{
    ATH_TRY(ATH_ARENA_NEW(arena, n, out));
    for (int32_t i = 0; i < n; i++) {
        Athanor__Share *share = NULL;
        ATH_TRY(ATH_ARENA_NEW(arena, 1, &share));
        athanor__share__init(share);
        SET(share, samples, t[i].n);
        if (t[i].n) SET(share, loss, t[i].sum / t[i].n);
        (*out)[i] = share;
    }
    return ATH_OK;
}

static ath_err fill_step(account *a)
{
    const ath_run_step *s = a->step;
    const Athanor__Plan *plan = a->run->opts->plan;
    Athanor__Step *m = &a->m;
    uint8_t *digest = NULL;

    const int64_t n = count_samples(s, 0, s->n_leaves);
    ATH_TRY(ATH_ARENA_NEW(&a->arena, n, &m->image));
    ATH_TRY(ATH_ARENA_NEW(&a->arena, ath_dist_size(), &a->rank));
    ATH_TRY(ATH_ARENA_NEW(&a->arena, a->run->n_concepts, &a->concept));
    ATH_TRY(ATH_ARENA_NEW(&a->arena, ath_dist_size(), &a->facts));
    ATH_TRY(ATH_ARENA_NEW(&a->arena, 16, &digest));
    add_up(a);
    ATH_TRY(check_digests(a, DIGEST, "weights"));
    ATH_TRY(check_digests(a, AVERAGE, "an average of the weights"));
    get_digest(a->facts[0] + DIGEST, digest);
    SET(m, step, (uint64_t)s->i);
    SET(m, epoch, s->epoch->epoch);
    SET(m, wall_ns, ath_time_wall_ns());
    SET(m, samples, a->whole.n);
    SET(m, loss, a->whole.sum / a->whole.n);
    SET(m, unet_rate, plan->unet_rate[s->i] * a->run->rate_factor);
    SET(m, text_encoder_rate, plan->text_encoder_rate[s->i] * a->run->rate_factor);
    SET(m, gradient_norm, s->done.norm);
    SET(m, skipped, s->done.skipped);
    if (!ath_hash_is_equal(s->done.digest, (ath_hash){0})) /* somebody looked */
        SET(m, digest, ((ProtobufCBinaryData){16, digest}));
    ATH_TRY(put_ranks(a));
    ATH_TRY(put_shares(&a->arena, a->concept, a->run->n_concepts, &m->concept));
    m->n_concept = (size_t)a->run->n_concepts;
    ATH_TRY(put_shares(&a->arena, a->band, N_BANDS, &m->band));
    m->n_band = N_BANDS;
    return ATH_OK;
}

/* Ranks with more micro-batches take longer: that is no fault. */
static void log_slow(const account *a)
{
    const ath_run *r = a->run;
    const int32_t n_ranks = ath_dist_size(), n = a->step->n_leaves;
    double times = 0;

    for (int32_t k = 0; k < n_ranks; k++) {
        const int32_t own = ath_tree_cut(n, n_ranks, k + 1) - ath_tree_cut(n, n_ranks, k);
        r->leaf_seconds[k] = own ? a->facts[k][BUSY] / own : 0;
    }
    const int32_t rank = ath_slow_step(&a->run->slow, r->leaf_seconds, &times);
    if (rank >= 0)
        ath_log(ATH_LOG_WARN, "watch", ATH_KV("slow_rank", rank), ATH_KV("times_the_median", times),
                ATH_KV("step", a->step->i));
}

static ath_err tell_step(ath_run *r, const ath_run_step *s)
{
    account a = {.run = r, .step = s, .m = ATHANOR__STEP__INIT};
    Athanor__Record record = ATHANOR__RECORD__INIT;

    ath_err err = fill_step(&a);
    record.is_case = ATHANOR__RECORD__IS_STEP;
    record.step = &a.m;
    if (!err) err = tell(r, &record);
    if (!err) log_slow(&a);
    if (!err && isfinite(a.m.loss)) {
        r->loss_sum += a.m.loss;
        r->n_losses++;
    }
    ath_arena_release(&a.arena);
    return err;
}

ath_err ath_record_step(ath_run *r, const ath_run_step *s)
{
    const int64_t n_samples = count_samples(s, 0, s->n_leaves), n_ranks = ath_dist_size();
    const int64_t n_all = n_samples * PER_SAMPLE + n_ranks * N_FACTS;
    double *fact = r->own + s->n_own * PER_SAMPLE;
    ath_hash average = {0};

    fact[SECONDS] = s->seconds;
    fact[BUSY] = s->busy_seconds;
    fact[LOAD] = s->load_seconds;
    fact[CANCELED] = r->opts->cancel && ath_cancel_is_set(r->opts->cancel);
    fact[STATE_DUE] = ath_dist_rank() == 0 && ath_state_is_due(r);
    const bool looks = s->i % r->opts->job->train->digest_every == 0;
    put_digest(s->done.digest, fact + DIGEST);
    if (looks) ATH_TRY(ath_dist_agree(ath_trainer_average_digest(r->trainer, &average)));
    put_digest(average, fact + AVERAGE);
    ATH_TRY(ath_dist_gather(r->own, s->n_own * PER_SAMPLE + N_FACTS, r->all, n_all));
    const double *at = r->all;
    r->is_state_due = false;
    for (int32_t k = 0; k < n_ranks; k++) {
        at += PER_SAMPLE * count_samples(s, ath_tree_cut(s->n_leaves, (int32_t)n_ranks, k),
                                         ath_tree_cut(s->n_leaves, (int32_t)n_ranks, k + 1));
        if (at[CANCELED] > 0) r->is_canceled = true;
        if (at[STATE_DUE] > 0) r->is_state_due = true;
        at += N_FACTS;
    }
    ath_err err = ath_dist_rank() == 0 ? tell_step(r, s) : ATH_OK;
    if (!err && ath_dist_rank() == 0) err = ath_state_look(r);
    r->i_sample += n_samples;
    return ath_dist_agree(err);
}
