#include "core/mem.h"
#include "tests/ops/opcheck.h"

#include <math.h>

enum { N_DIRECTIONS = 3, SLOT_U = 64 };
static const double step = 1e-5, bound = 1e-6;

/* The trial's forward moved by c u in operand i, against v: v . f. */
static ath_err value_at(ath_trial *t, int i, double c, const double *u, double *out)
{
    const int64_t n = ath_desc_count(&t->site.in[i]);
    const ath_how how = {.threads = t->setup.threads};

    ath_array_axpy(n, c, u, t->in[i].p);
    ath_err err = ath_trial_run(t, ATH_FWD, &how);
    *out = 0;
    for (int k = 0; k < t->setup.op->n_out; k++)
        *out += ath_array_dot(ath_desc_count(&t->site.out[k]), t->out[k].p, t->dout[k].p);
    return err;
}

/* din[i] holds J^T v. Every u differs, so that a wrong element cannot hide. */
static ath_err check_direction(ath_trial *t, ath_report *r, int i, int turn, double *u)
{
    const int64_t n = ath_desc_count(&t->site.in[i]);
    const double *grad = t->din[i].p;
    double above, below;

    const double size = sqrt(ath_array_dot(n, t->in[i].p, t->in[i].p) / (double)n);
    const ath_fill f = {
        .kind = 'A',
        .scale = size > 0 ? size : 1,
        .stream = ath_fill_stream(t->setup.seed, t->setup.c->name, SLOT_U + 8 * turn + i)};
    ath_array_fill(u, ATH_F64, n, ATH_F64, &f);
    ATH_TRY(value_at(t, i, step, u, &above));
    ATH_TRY(value_at(t, i, -2 * step, u, &below));
    ath_array_axpy(n, step, u, t->in[i].p);

    const double quotient = (above - below) / (2 * step), product = ath_array_dot(n, u, grad);
    const double typical = sqrt(ath_array_dot(n, grad, grad)) * f.scale;
    const double error = fabs(quotient - product) / (typical > 0 ? typical : 1);
    ath_report_check(r, error <= bound,
                     "operand %d, direction %d: the quotient is %.12g, u . din is %.12g: "
                     "%.1e apart, wanted %.0e",
                     i, turn, quotient, product, error, bound);
    return ATH_OK;
}

static ath_err check_operand(ath_trial *t, ath_report *r, int i)
{
    double *u = NULL;
    ath_err err = ATH_OK;

    ATH_TRY(ATH_NEW(ath_desc_count(&t->site.in[i]), "direction", &u));
    for (int turn = 0; turn < N_DIRECTIONS; turn++) ATH_TRY_OUT(check_direction(t, r, i, turn, u));
out:
    ath_mem_free(&u);
    return err;
}

ath_err ath_mode_grad(const ath_setup *s, ath_report *r)
{
    ath_trial t;
    ath_err err = ATH_OK;
    ath_how how = {.threads = s->threads, .fill = 0xff};

    ATH_TRY(ath_trial_init(&t, s));
    how.wanted = t.wanted;
    if (!t.wanted) goto out;
    ATH_TRY_OUT(ath_trial_run(&t, ATH_FWD, &how));
    ATH_TRY_OUT(ath_trial_run(&t, ATH_BWD, &how));
    for (int i = 0; i < ATH_MAX_IN; i++)
        if (t.wanted >> i & 1) ATH_TRY_OUT(check_operand(&t, r, i));
out:
    ath_trial_release(&t);
    return err;
}
