#include "core/mem.h"
#include "tests/ops/opcheck.h"

/* Bounds of the relative L2 error and, ten times as wide, of the largest error, by the roughest
 * dtype involved. */
static const struct {
    double warn, fail;
} bounds[ATH_N_DTYPES] = {
    [ATH_F32] = {1e-6, 1e-5},
    [ATH_BF16] = {4e-3, 1e-2},
    [ATH_F16] = {5e-4, 1e-3},
};

typedef struct judge {
    ath_report *report;
    ath_trial want, got;
} judge;

/* One array of the trials: "bwd set" 2. */
typedef struct array {
    const char *what;
    int i;
    const ath_desc *d;
    const ath_guarded *got, *want;
} array;

static void compare(judge *j, const array *a, const double *base)
{
    const ath_desc *d = a->d;

    if (d->dtype == ATH_NONE) return;
    const ath_dtype rough =
        bounds[d->dtype].fail > bounds[j->got.dtype].fail ? d->dtype : j->got.dtype;
    const double fail = bounds[rough].fail, warn = bounds[rough].warn;
    const ath_diff e = ath_array_diff(a->got->p, d->dtype, ath_desc_count(d), a->want->p, base);
    const bool ok = e.rel <= fail && e.max <= 10 * fail;

    ath_report_check(j->report, ok,
                     "%s %d: rel %.2e (wanted %.0e), max %.2e at %lld: %.9g, wanted %.9g", a->what,
                     a->i, e.rel, fail, e.max, (long long)e.at, e.got, e.want);
    if (ok && (e.rel > warn || e.max > 10 * warn))
        ath_report_warn(j->report, "%s %d: rel %.2e, max %.2e", a->what, a->i, e.rel, e.max);
}

static ath_err check_fwd(judge *j, const char *out, const char *saved, uint32_t frozen)
{
    const ath_how how = {.threads = j->got.setup.threads, .fill = 0xff, .frozen = frozen};

    ATH_TRY(ath_trial_run(&j->got, ATH_FWD, &how));
    for (int i = 0; i < ATH_MAX_OUT; i++)
        compare(j, &(array){out, i, &j->got.site.out[i], &j->got.out[i], &j->want.out[i]}, NULL);
    for (int i = 0; i < ATH_MAX_SAVED; i++)
        compare(j, &(array){saved, i, &j->got.site.saved[i], &j->got.saved[i], &j->want.saved[i]},
                NULL);
    return ATH_OK;
}

/* The gradient i of a call that added to it. */
static ath_err compare_sum(judge *j, const array *a)
{
    const int64_t n = ath_desc_count(a->d);
    double *base = NULL;

    ATH_TRY(ATH_NEW(n, "what is added to", &base));
    ath_trial_fill_din(&j->got, a->i, base, ATH_F64);
    compare(j, a, base);
    ath_mem_free(&base);
    return ATH_OK;
}

static ath_err check_bwd(judge *j, const char *what, const ath_how *how)
{
    ath_ready r;

    ATH_TRY(ath_ready_init(&r, &j->got, ATH_BWD, how));
    ath_ready_fill(&r);
    ath_err err = ath_ready_run(&r);
    for (int i = 0; i < ATH_MAX_IN && !err; i++) {
        const array a = {what, i, &r.site.din[i], &j->got.din[i], &j->want.din[i]};
        if (how->add >> i & 1)
            err = compare_sum(j, &a);
        else
            compare(j, &a, NULL);
    }
    ath_ready_release(&r);
    return err;
}

/* Which gradients are wanted is a matter of branches, and smaller shapes take them all. */
static bool is_long(const ath_site *site)
{
    return site->op->flop && site->op->flop(site) > 4e9;
}

static ath_err check(judge *j, const ath_setup *s)
{
    const ath_how how = {.threads = s->threads, .fill = 0xff, .wanted = j->got.wanted};
    const uint32_t frozen = s->op->weights, all = j->got.wanted;

    ATH_TRY(ath_trial_run(&j->want, ATH_FWD, &how));
    ATH_TRY(check_fwd(j, "fwd out", "fwd saved", 0));
    if (all) {
        ATH_TRY(ath_trial_run(&j->want, ATH_BWD, &how));
        ATH_TRY(check_bwd(j, "bwd set", &how));
        ATH_TRY(
            check_bwd(j, "bwd add",
                      &(ath_how){.threads = s->threads, .fill = 0xff, .wanted = all, .add = all}));
    }
    for (uint32_t i = 0; i < ATH_MAX_IN; i++)
        if (all >> i & 1 && all != 1u << i && !is_long(&j->got.site))
            ATH_TRY(check_bwd(j, "bwd alone",
                              &(ath_how){.threads = s->threads, .fill = 0xff, .wanted = 1u << i}));
    if (!frozen) return ATH_OK;
    ATH_TRY(check_fwd(j, "fwd frozen out", "fwd frozen saved", frozen));
    if (!(all & ~frozen)) return ATH_OK;
    return check_bwd(
        j, "bwd frozen",
        &(ath_how){.threads = s->threads, .fill = 0xff, .wanted = all & ~frozen, .frozen = frozen});
}

ath_err ath_mode_value(const ath_setup *s, ath_report *r)
{
    judge j = {.report = r};
    ath_setup double_setup = *s;
    ath_err err = ATH_OK;

    double_setup.backend = ATH_REF64;
    double_setup.device = NULL;
    ATH_TRY_OUT(ath_trial_init(&j.want, &double_setup));
    ATH_TRY_OUT(ath_trial_init(&j.got, s));
    ATH_TRY_OUT(check(&j, s));
out:
    ath_trial_release(&j.want);
    ath_trial_release(&j.got);
    return err;
}
