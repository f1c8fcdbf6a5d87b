#include "tests/ops/opcheck.h"

#include <string.h>

/* `base` is run once; `other` is run in every other way and must end with the same bytes. */
typedef struct pair {
    ath_report *report;
    ath_trial base, other;
} pair;

/* Which of a trial's arrays, and after what. */
typedef struct place {
    const char *how, *what;
    int i;
} place;

/* a and b must hold the same bits. */
static void same(ath_report *r, place p, const ath_desc *d, const void *a, const void *b)
{
    if (d->dtype == ATH_NONE) return;
    const int64_t n = ath_desc_count(d), at = ath_array_first_unequal(a, b, d->dtype, n);
    const bool ok = at == n;

    ath_report_check(r, ok, "%s: %s %d is %.17g at %lld, and %.17g", p.how, p.what, p.i,
                     ok ? 0 : ath_dtype_get(b, d->dtype, at), (long long)at,
                     ok ? 0 : ath_dtype_get(a, d->dtype, at));
}

/* Backward reads what the base's forward left, so that each pass is judged alone. */
static void copy_results(pair *p)
{
    for (int i = 0; i < ATH_MAX_OUT; i++)
        if (p->base.out[i].p) memcpy(p->other.out[i].p, p->base.out[i].p, p->base.out[i].bytes);
    for (int i = 0; i < ATH_MAX_SAVED; i++)
        if (p->base.saved[i].p)
            memcpy(p->other.saved[i].p, p->base.saved[i].p, p->base.saved[i].bytes);
}

/* The base's own number of threads where the kernel does not promise that it may be any other. */
static int threads_for(const pair *p, ath_pass pass, int threads)
{
    const ath_setup *s = &p->base.setup;
    return ath_op_kernel(s->op, pass, s->backend)->bits & ATH_BITS_THREADS ? threads : s->threads;
}

static ath_err check_variant(pair *p, const char *name, int threads, int fill)
{
    const ath_trial *a = &p->base;
    ath_how how = {.fill = fill, .wanted = a->wanted};

    how.threads = threads_for(p, ATH_FWD, threads);
    ATH_TRY(ath_trial_run(&p->other, ATH_FWD, &how));
    for (int i = 0; i < ATH_MAX_OUT; i++)
        same(p->report, (place){name, "out", i}, &a->site.out[i], a->out[i].p, p->other.out[i].p);
    for (int i = 0; i < ATH_MAX_SAVED; i++)
        same(p->report, (place){name, "saved", i}, &a->site.saved[i], a->saved[i].p,
             p->other.saved[i].p);
    if (!a->wanted) return ATH_OK;
    copy_results(p);
    how.threads = threads_for(p, ATH_BWD, threads);
    ATH_TRY(ath_trial_run(&p->other, ATH_BWD, &how));
    for (int i = 0; i < ATH_MAX_IN; i++) {
        const ath_desc d = ath_trial_din(a, i);
        same(p->report, (place){name, "din", i}, &d, a->din[i].p, p->other.din[i].p);
    }
    return ATH_OK;
}

/* A kernel must leave its operands as they were: `other` has not been run yet. */
static void check_operands(pair *p)
{
    const ath_trial *a = &p->base;

    for (int i = 0; i < ATH_MAX_IN; i++)
        same(p->report, (place){"operands untouched", "in", i}, &a->site.in[i], p->other.in[i].p,
             a->in[i].p);
    for (int i = 0; i < ATH_MAX_OUT && a->wanted; i++)
        same(p->report, (place){"operands untouched", "dout", i}, &a->site.out[i],
             p->other.dout[i].p, a->dout[i].p);
}

static ath_err check_add(pair *p)
{
    const ath_trial *a = &p->base;
    const ath_how how = {.threads = a->setup.threads, .wanted = a->wanted, .add = a->wanted};

    copy_results(p);
    ATH_TRY(ath_trial_run(&p->other, ATH_BWD, &how));
    for (int i = 0; i < ATH_MAX_IN; i++) {
        const ath_desc d = ath_trial_din(a, i);
        const int64_t n = ath_desc_count(&d);
        ath_guarded base = {0};
        if (d.dtype == ATH_NONE) continue;
        ATH_TRY(ath_guarded_init(&base, ath_desc_bytes(&d), "what is added to"));
        ath_trial_fill_din(a, i, base.p, d.dtype);
        const int64_t at =
            ath_array_first_unadded(p->other.din[i].p, base.p, a->din[i].p, d.dtype, n);
        const bool ok = at == n;
        ath_report_check(p->report, ok, "adding: din %d is %.9g at %lld, wanted %.9g + %.9g", i,
                         ok ? 0 : ath_dtype_get(p->other.din[i].p, d.dtype, at), (long long)at,
                         ok ? 0 : ath_dtype_get(base.p, d.dtype, at),
                         ok ? 0 : ath_dtype_get(a->din[i].p, d.dtype, at));
        ath_guarded_release(&base);
    }
    return ATH_OK;
}

/* One image alone -------------------------------------------------------------------------- */

static bool is_batched(const ath_operand *o)
{
    return o->kind && strchr("AOBTIK", o->kind);
}

/* The batch of a case: the first axis of its first batched operand; 1 where it has none. */
static int64_t batch_of(const ath_case *c, const ath_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (is_batched(&c->in[i])) return c->in[i].dim[0];
    return 1;
}

/* The last image's part of an array; all of it where it has no batch. */
static void copy_last(ath_guarded *one, const ath_guarded *all)
{
    if (one->p) memcpy(one->p, (const char *)all->p + all->bytes - one->bytes, one->bytes);
}

static bool is_part(const ath_guarded *one, const ath_guarded *all, int64_t batch)
{
    return one->p && one->bytes * (size_t)batch == all->bytes;
}

static void same_last(ath_report *r, place p, const ath_desc *d, const ath_guarded *one,
                      const ath_guarded *all)
{
    same(r, p, d, (const char *)all->p + all->bytes - one->bytes, one->p);
}

static ath_err check_rows_fwd(pair *p, ath_trial *one, int64_t batch)
{
    const ath_trial *a = &p->base;
    const ath_how how = {.threads = a->setup.threads};

    ATH_TRY(ath_trial_run(one, ATH_FWD, &how));
    for (int i = 0; i < ATH_MAX_OUT; i++)
        if (is_part(&one->out[i], &a->out[i], batch))
            same_last(p->report, (place){"last image alone", "out", i}, &one->site.out[i],
                      &one->out[i], &a->out[i]);
    for (int i = 0; i < ATH_MAX_SAVED; i++)
        if (is_part(&one->saved[i], &a->saved[i], batch))
            same_last(p->report, (place){"last image alone", "saved", i}, &one->site.saved[i],
                      &one->saved[i], &a->saved[i]);
    return ATH_OK;
}

static ath_err check_rows_bwd(pair *p, ath_trial *one, int64_t batch)
{
    const ath_trial *a = &p->base;
    const ath_how how = {.threads = a->setup.threads,
                         .wanted = one->wanted & ~a->setup.op->weights};

    for (int i = 0; i < a->setup.op->n_out; i++) {
        if (!is_part(&one->out[i], &a->out[i], batch)) return ATH_OK; /* a sum over the batch */
        copy_last(&one->out[i], &a->out[i]);
        copy_last(&one->dout[i], &a->dout[i]);
    }
    for (int i = 0; i < a->setup.op->n_saved; i++) copy_last(&one->saved[i], &a->saved[i]);
    if (!how.wanted) return ATH_OK;
    ATH_TRY(ath_trial_run(one, ATH_BWD, &how));
    for (int i = 0; i < ATH_MAX_IN; i++) {
        const ath_desc d = ath_trial_din(one, i);
        if (how.wanted >> i & 1 && is_part(&one->din[i], &a->din[i], batch))
            same_last(p->report, (place){"last image alone", "din", i}, &d, &one->din[i],
                      &a->din[i]);
    }
    return ATH_OK;
}

static ath_err check_rows(pair *p)
{
    const ath_setup *s = &p->base.setup;
    const int64_t batch = batch_of(s->c, s->op);
    const ath_kernel *fwd = ath_op_kernel(s->op, ATH_FWD, s->backend);
    const ath_kernel *bwd = ath_op_kernel(s->op, ATH_BWD, s->backend);
    ath_case cut = *s->c;
    ath_setup cut_setup = *s;
    ath_trial one;
    ath_err err = ATH_OK;

    if (batch == 1) return ATH_OK;
    cut_setup.c = &cut;
    for (int i = 0; i < s->op->n_in; i++)
        if (is_batched(&cut.in[i]) && cut.in[i].dim[0] == batch) cut.in[i].dim[0] = 1;
    if (ath_trial_init(&one, &cut_setup)) return ATH_OK; /* no case of one image (rows) */
    for (int i = 0; i < s->op->n_in; i++) copy_last(&one.in[i], &p->base.in[i]);
    if (fwd->bits & ATH_BITS_ROWS) ATH_TRY_OUT(check_rows_fwd(p, &one, batch));
    if (p->base.wanted && bwd->bits & ATH_BITS_ROWS) ATH_TRY_OUT(check_rows_bwd(p, &one, batch));
out:
    ath_trial_release(&one);
    return err;
}

static ath_err check(pair *p, const ath_setup *s)
{
    const ath_how how = {.threads = s->threads, .wanted = p->base.wanted};

    ATH_TRY(ath_trial_run(&p->base, ATH_FWD, &how));
    if (p->base.wanted) ATH_TRY(ath_trial_run(&p->base, ATH_BWD, &how));
    check_operands(p);
    if (s->c->tags & QUICK) {
        ATH_TRY(check_variant(p, "poisoned memory", s->threads, 0xff));
        ATH_TRY(check_variant(p, "one thread", 1, 0));
    }
    ATH_TRY(check_variant(p, "one more thread, poisoned memory", s->threads + 1, 0xff));
    if (p->base.wanted) ATH_TRY(check_add(p));
    return check_rows(p);
}

ath_err ath_mode_bits(const ath_setup *s, ath_report *r)
{
    pair p = {.report = r};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_trial_init(&p.base, s));
    ATH_TRY_OUT(ath_trial_init(&p.other, s));
    ATH_TRY_OUT(check(&p, s));
out:
    ath_trial_release(&p.base);
    ath_trial_release(&p.other);
    return err;
}
