/*
 * The whole backward pass of the toy against differences, in double: the difference quotient of the
 * loss along a random direction of all parameters equals the gradient's product with it, to 1e-6.
 * With everything trainable, and with adapters alone, also at wide convolutions; with recomputation.
 */
#include "core/mem.h"
#include "tests/graph/toy.h"
#include "tests/harness.h"
#include <math.h>

static double loss_at(toy_opts opts, double nudge)
{
    double loss = 0;
    toy t;

    opts.nudge = nudge;
    CHECK_OK(toy_create(&opts, &t));
    if (!t.exec) return 0;
    CHECK_OK(ath_exec_run(t.exec, ATH_PHASE_GRAD));
    CHECK_OK(toy_loss(&t, &loss));
    toy_release(&t);
    return loss;
}

/* sum over trainables of gradient times direction */
static double slope(toy_opts opts)
{
    const ath_plan_param *p = NULL;
    double sum = 0;
    toy t;

    CHECK_OK(toy_create(&opts, &t));
    if (!t.exec) return 0;
    CHECK_OK(ath_exec_run(t.exec, ATH_PHASE_GRAD));
    const int32_t n = ath_plan_trainables(t.plan, &p);
    for (int32_t k = 0; k < n; k++) {
        const int64_t count = ath_desc_count(&p[k].desc);
        double *grad = NULL;
        CHECK_OK(ATH_NEW(count, "gradient", &grad));
        CHECK_OK(ath_slab_read(t.slab, ATH_GRAD, p[k].name, grad, (size_t)count * sizeof *grad));
        for (int64_t i = 0; i < count; i++) sum += grad[i] * toy_value(p[k].name, TOY_DIRECTION, i);
        ath_mem_free(&grad);
    }
    toy_release(&t);
    return sum;
}

static void check(toy_opts opts, const char *name)
{
    const double h = 1e-6; /* rounding of the loss and the next term are both below 1e-9 here */

    ath_test_begin(name);
    /* the four-point stencil: its error is of order h^4 */
    const double near = loss_at(opts, h) - loss_at(opts, -h);
    const double far = loss_at(opts, 2 * h) - loss_at(opts, -2 * h);
    const double quotient = (8 * near - far) / (12 * h), product = slope(opts);
    const double error = fabs(quotient - product) / (fabs(product) + 1e-12);
    printf("%-24s quotient %.12g, gradient %.12g, relative error %.2g\n", name, quotient, product,
           error);
    CHECK(fabs(product) > 1e-3);
    CHECK(error < 1e-6);
}

int main(void)
{
    toy_opts opts = {
        .compute = ATH_F64, .plan = {.backend = ATH_REF64}, .has_a = true, .has_b = true};

    check(opts, "adapters");
    opts.is_wide = true;
    check(opts, "adapters, wide too");
    opts.is_wide = false;
    opts.trains_base = true;
    check(opts, "everything");
    opts.plan.recompute = true;
    check(opts, "everything, recomputed");
    return ath_test_end();
}
