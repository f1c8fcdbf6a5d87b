#include "worker/dist/judge.h"

#include "core/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Who is killed together with its neighbours shall not blame them in its last moment. */
enum { PENDING_NS = 200 * 1000 * 1000, SLICES = 4, KNOT_LIMITS = 2 };

ath_err ath_judge_init(ath_judge *j, int32_t n, int64_t limit_ns, int64_t now_ns)
{
    ATH_ASSERT(n > 0 && limit_ns > 0);
    *j = (ath_judge){.limit_ns = limit_ns, .seen_ns = now_ns, .n = n};
    return ATH_NEW(n, "ranks that are watched", &j->rank);
}

void ath_judge_release(ath_judge *j)
{
    ath_mem_free(&j->rank);
}

void ath_judge_hello(ath_judge *j, int32_t rank, int32_t process, const char *host)
{
    ath_judge_rank *r = &j->rank[rank];

    *r = (ath_judge_rank){
        .is_known = true, .process = process, .heard_ns = j->now_ns, .moved_ns = j->now_ns};
    snprintf(r->host, sizeof r->host, "%s", host);
}

void ath_judge_beat(ath_judge *j, int32_t rank, uint64_t word, uint64_t pulse)
{
    ath_judge_rank *r = &j->rank[rank];

    r->heard_ns = j->now_ns;
    if (r->word != word || r->pulse != pulse) r->moved_ns = j->now_ns;
    r->word = word;
    r->pulse = pulse;
}

void ath_judge_bye(ath_judge *j, int32_t rank)
{
    j->rank[rank].said_bye = true;
}

void ath_judge_gone(ath_judge *j, int32_t rank)
{
    ath_judge_rank *r = &j->rank[rank];

    if (r->has_left) return;
    r->has_left = true;
    r->left_ns = j->now_ns;
}

static bool is_judged(const ath_judge_rank *r)
{
    return r->is_known && !r->said_bye;
}

static int64_t idle_ns(const ath_judge *j, const ath_judge_rank *r)
{
    return j->now_ns - r->moved_ns;
}

static bool waits(const ath_judge_rank *r)
{
    return ath_stage_place(r->word).waits;
}

static int32_t find_left(const ath_judge *j)
{
    int32_t first = -1;

    for (int32_t k = 0; k < j->n; k++) {
        const ath_judge_rank *r = &j->rank[k];
        if (!is_judged(r) || !r->has_left || j->now_ns - r->left_ns < PENDING_NS) continue;
        if (first < 0 || r->left_ns < j->rank[first].left_ns) first = k;
    }
    return first;
}

/* The one longest unheard, or longest unmoved among those that do not wait, beyond the limit. */
static int32_t find_longest(const ath_judge *j, bool is_silent)
{
    int32_t worst = -1;
    int64_t most = j->limit_ns;

    for (int32_t k = 0; k < j->n; k++) {
        const ath_judge_rank *r = &j->rank[k];
        const int64_t unheard = j->now_ns - r->heard_ns;
        if (!is_judged(r) || r->has_left) continue;
        /* one that is half silent already is going to be blamed for that */
        if (!is_silent && (waits(r) || unheard > j->limit_ns / 2)) continue;
        const int64_t since = is_silent ? unheard : idle_ns(j, r);
        if (since < most) continue;
        worst = k;
        most = since;
    }
    return worst;
}

/* Somebody has waited as long as the limit. */
static bool somebody_waits(const ath_judge *j)
{
    for (int32_t k = 0; k < j->n; k++)
        if (is_judged(&j->rank[k]) && waits(&j->rank[k]) && idle_ns(j, &j->rank[k]) >= j->limit_ns)
            return true;
    return false;
}

/* All wait, none has moved for long: the furthest behind. */
static int32_t find_knot(const ath_judge *j)
{
    int32_t behind = 0;

    for (int32_t k = 0; k < j->n; k++) {
        const ath_judge_rank *r = &j->rank[k];
        if (!is_judged(r) || !waits(r) || idle_ns(j, r) < KNOT_LIMITS * j->limit_ns) return -1;
        if (ath_stage_place(r->word).step < ath_stage_place(j->rank[behind].word).step) behind = k;
    }
    return behind;
}

static bool blame(const ath_judge *j, int32_t rank, ath_fate fate, ath_verdict *out)
{
    const ath_judge_rank *r = &j->rank[rank];
    const bool has_moved = fate == ATH_FATE_STUCK || fate == ATH_FATE_KNOT;

    *out = (ath_verdict){.fate = fate,
                         .rank = rank,
                         .process = r->process,
                         .seconds =
                             (double)(j->now_ns - (has_moved ? r->moved_ns : r->heard_ns)) * 1e-9,
                         .word = r->word,
                         .has_word = true};
    memcpy(out->host, r->host, sizeof out->host);
    return true;
}

void ath_judge_tick(ath_judge *j, int64_t now_ns)
{
    const int64_t passed = now_ns - j->seen_ns, most = j->limit_ns / SLICES;

    j->seen_ns = now_ns;
    j->now_ns += passed < most ? passed : most;
}

bool ath_judge_look(const ath_judge *j, ath_verdict *out)
{
    int32_t rank = find_left(j);

    if (rank >= 0) return blame(j, rank, ATH_FATE_LEFT, out);
    if (ath_judge_is_pending(j)) return false;
    if (!somebody_waits(j)) return false; /* the run goes on, whatever is not heard */
    rank = find_longest(j, true);
    if (rank >= 0) return blame(j, rank, ATH_FATE_SILENT, out);
    rank = find_longest(j, false);
    if (rank >= 0) return blame(j, rank, ATH_FATE_STUCK, out);
    rank = find_knot(j);
    return rank >= 0 && blame(j, rank, ATH_FATE_KNOT, out);
}

bool ath_judge_is_pending(const ath_judge *j)
{
    for (int32_t k = 0; k < j->n; k++)
        if (is_judged(&j->rank[k]) && j->rank[k].has_left) return true;
    return false;
}

/* ---- in words ---- */

static const char *mend_of(ath_fate fate)
{
    switch (fate) {
    case ATH_FATE_LEFT:
        return "look there for the cause (memory, a crash), then go on with athanor resume";
    case ATH_FATE_SILENT:
        return "it is stopped, or its host or network is gone: mend that, then go on with athanor "
               "resume";
    case ATH_FATE_STUCK:
        return "look at that host's disks and load, then go on with athanor resume; where it was "
               "only slow, raise train.watch_seconds";
    case ATH_FATE_KNOT:
        return "the network between the hosts lost something, or is slow: look at it, then go on "
               "with athanor resume, or raise train.watch_seconds";
    case ATH_FATE_FINE:
    case ATH_N_FATES:
        break;
    }
    return "";
}

char *ath_verdict_print(const ath_verdict *v, const char *how, char out[ATH_VERDICT_TEXT])
{
    char place[ATH_PLACE_TEXT] = "", what[160] = "";

    if (v->has_word) ath_place_print(ath_stage_place(v->word), place);
    switch (v->fate) {
    case ATH_FATE_LEFT:
        snprintf(what, sizeof what, "%s", how ? how : "left without a farewell");
        break;
    case ATH_FATE_SILENT:
        snprintf(what, sizeof what, "gave no sign of life for %.1f s", v->seconds);
        break;
    case ATH_FATE_STUCK:
        snprintf(what, sizeof what, "has not moved for %.1f s while others wait for it",
                 v->seconds);
        break;
    case ATH_FATE_KNOT:
        snprintf(what, sizeof what, "and all others have waited for each other for %.1f s",
                 v->seconds);
        break;
    case ATH_FATE_FINE:
    case ATH_N_FATES:
        break;
    }
    snprintf(out, ATH_VERDICT_TEXT,
             "rank %" PRId32 " (process %" PRId32 " on %s) %s%s%s; all ranks end: %s", v->rank,
             v->process, v->host[0] ? v->host : "?", what, place[0] ? ", last seen " : "", place,
             mend_of(v->fate));
    return out;
}
