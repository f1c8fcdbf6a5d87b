#include "worker/run/replicas.h"

#include "core/str.h"

#include <inttypes.h>

enum { NAMED_MAX = 8 };

static int32_t count(const ath_hash *of, int32_t n, ath_hash like)
{
    int32_t found = 0;

    for (int32_t k = 0; k < n; k++) found += ath_hash_is_equal(of[k], like);
    return found;
}

/* What more than half of them have, if any has: pairs of unequal ones cancel, it remains. */
static ath_hash majority(const ath_hash *of, int32_t n)
{
    ath_hash best = of[0];
    int32_t lead = 0;

    for (int32_t k = 0; k < n; k++) {
        if (lead == 0) best = of[k];
        lead += ath_hash_is_equal(of[k], best) ? 1 : -1;
    }
    return best;
}

/* "rank 3", "ranks 1, 4": those that are not like `best`; all where it is NULL. */
static void name(const ath_hash *of, int32_t n, const ath_hash *best, ath_str *to)
{
    const int32_t n_odd = best ? n - count(of, n, *best) : n;
    int32_t named = 0;

    ath_str_print(to, "rank%s", n_odd > 1 ? "s" : "");
    for (int32_t k = 0; k < n && named < NAMED_MAX; k++)
        if (!best || !ath_hash_is_equal(of[k], *best))
            ath_str_print(to, "%s %" PRId32, named++ ? "," : "", k);
    if (n_odd > named) ath_str_print(to, " and %" PRId32 " more", n_odd - named);
}

ath_err ath_replicas_check(int64_t step, const char *what, const ath_hash *of_rank, int32_t n)
{
    ath_str names = {0};

    if (count(of_rank, n, of_rank[0]) == n) return ATH_OK;
    const ath_hash best = majority(of_rank, n);
    const int32_t n_best = count(of_rank, n, best);
    const bool is_known = 2 * n_best > n;
    name(of_rank, n, is_known ? &best : NULL, &names);
    ath_err err = ath_str_check(&names);
    if (!err && is_known)
        err = ath_raise(ATH_EPEER,
                        "step %" PRId64 ": %s: %s unlike the other %" PRId32
                        " ranks'; memory or network there is not sound: test or leave out that "
                        "machine, and go on with athanor resume",
                        step, ath_str_text(&names), what, n_best);
    else if (!err)
        err =
            ath_raise(ATH_EPEER,
                      "step %" PRId64 ": %s hold %s unlike each other's, and nobody knows which is "
                      "right; memory or network of one of them is not sound: test their machines, "
                      "and go on with athanor resume",
                      step, ath_str_text(&names), what);
    ath_str_release(&names);
    return err;
}
