#include "coordinator/rates.h"

#include "core/nearest.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *const names[ATH_N_RATE_KINDS] = {
#define NAME(name, text, does) text,
    ATH_RATE_MAP(NAME)
#undef NAME
};

static const double pi = 3.14159265358979323846;

const char *ath_rate_name(ath_rate_kind kind)
{
    return (unsigned)kind < ATH_N_RATE_KINDS ? names[kind] : "unknown";
}

ath_err ath_rate_find(const char *name, ath_rate_kind *out)
{
    for (int i = 0; i < ATH_N_RATE_KINDS; i++) {
        if (strcmp(names[i], name) != 0) continue;
        *out = (ath_rate_kind)i;
        return ATH_OK;
    }
    const char *nearest = ath_nearest(name, names, ATH_N_RATE_KINDS);
    ATH_NEED(!nearest, ATH_EJOB, "no schedule \"%s\"; did you mean \"%s\"?", name, nearest);
    return ath_raise(ATH_EJOB,
                     "no schedule \"%s\"; there are constant, constant_with_warmup, linear, "
                     "polynomial, cosine, cosine_with_restarts",
                     name);
}

ath_err ath_rate_check(const ath_rate *r)
{
    ATH_NEED(r->n_updates > 0, ATH_EJOB, "a schedule over %" PRId64 " updates has no rates",
             r->n_updates);
    ATH_NEED(r->n_warmup >= 0 && r->n_warmup <= r->n_updates, ATH_EJOB,
             "a warm-up of %" PRId64 " updates is longer than the run of %" PRId64
             "; shorten it, 5%% to 10%% is usual",
             r->n_warmup, r->n_updates);
    ATH_NEED(r->kind != ATH_RATE_CONSTANT || r->n_warmup == 0, ATH_EJOB,
             "schedule constant has no warm-up; use constant_with_warmup");
    ATH_NEED(r->kind != ATH_RATE_COSINE_WITH_RESTARTS || r->n_cycles >= 1, ATH_EJOB,
             "cosine_with_restarts with %" PRId64 " cycles: 1 or more are wanted", r->n_cycles);
    ATH_NEED(r->kind != ATH_RATE_POLYNOMIAL ||
                 (r->power > 0 && r->end_ratio >= 0 && r->end_ratio < 1),
             ATH_EJOB,
             "polynomial with power %g and an end of %g times the rate: a power above 0 and an end "
             "below the rate are wanted",
             r->power, r->end_ratio);
    return ATH_OK;
}

static double at_least_zero(double x)
{
    return x > 0 ? x : 0;
}

double ath_rate_at(const ath_rate *r, int64_t i)
{
    const double step = (double)i, warmup = (double)r->n_warmup, all = (double)r->n_updates;
    const double rest = all - warmup > 1 ? all - warmup : 1;
    const double p = (step - warmup) / rest;

    if (i < r->n_warmup) return step / warmup;
    switch (r->kind) {
    case ATH_RATE_CONSTANT:
    case ATH_RATE_CONSTANT_WITH_WARMUP:
        return 1;
    case ATH_RATE_LINEAR:
        return at_least_zero((all - step) / rest);
    case ATH_RATE_POLYNOMIAL:
        if (p >= 1) return r->end_ratio;
        return (1 - r->end_ratio) * pow(1 - p, r->power) + r->end_ratio;
    case ATH_RATE_COSINE:
        return at_least_zero(0.5 * (1 + cos(pi * p)));
    case ATH_RATE_COSINE_WITH_RESTARTS:
        if (p >= 1) return 0;
        return at_least_zero(0.5 * (1 + cos(pi * fmod((double)r->n_cycles * p, 1))));
    case ATH_N_RATE_KINDS:
        break;
    }
    ATH_ASSERT(!"a kind of schedule");
}

ath_err ath_rate_warmup(int64_t steps, double share, int64_t n_updates, int64_t *out)
{
    ATH_NEED(steps >= 0 && share >= 0 && share <= 1, ATH_EJOB,
             "a warm-up of %" PRId64
             " updates or %g%% of them: neither can be below 0 or above all",
             steps, 100 * share);
    /* a share as people write it: 7% of 100 is 7, though 0.07 * 100 lies above it */
    const int64_t n = share > 0 ? (int64_t)floor(share * (double)n_updates + 1e-9) : steps;
    ATH_NEED(n <= n_updates, ATH_EJOB,
             "a warm-up of %" PRId64 " updates is longer than the run of %" PRId64
             "; shorten it, 5%% to 10%% is usual",
             n, n_updates);
    *out = n;
    return ATH_OK;
}
