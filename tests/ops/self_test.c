/*
 * The tool tests itself: an op with a fault on demand, y = 3 x. Every fault must be caught by the
 * mode that is there for it, and nothing may be caught where there is none.
 */
#include "tests/ops/opcheck.h"

#include <string.h>

typedef enum fault {
    FAULT_NONE,
    FAULT_CONSTANT,
    FAULT_SAVED,
    FAULT_MISSING_WRITE,
    FAULT_WRITE_BEHIND,
    FAULT_WRITE_BEFORE,
    FAULT_SCRATCH_TOO_SMALL,
    FAULT_SCRATCH_READ,
    FAULT_THREADS,
    FAULT_ROWS,
    FAULT_CONFUSED_ROWS,
    FAULT_DOUT_WRITTEN,
    FAULT_UNDECLARED_READ,
    FAULT_GRADIENT,
    FAULT_NOT_ADDED,
    FAULT_PACKING,
    FAULT_SHAPE_RULE,
    FAULT_SENTENCE,
    N_FAULTS
} fault;

typedef struct triple_attr {
    int32_t fault;
} triple_attr;

static fault fault_of(const ath_site *site)
{
    return (fault)((const triple_attr *)site->attr)->fault;
}

static ath_err infer(const void *attr, const ath_desc *in, ath_desc *out, ath_desc *saved)
{
    const int32_t f = ((const triple_attr *)attr)->fault;

    if (f != FAULT_SHAPE_RULE)
        ATH_NEED(in[0].dtype == ATH_F32 || in[0].dtype == ATH_F64, ATH_EDTYPE, "%s: x is %s",
                 f == FAULT_SENTENCE ? "something" : "triple", ath_dtype_name(in[0].dtype));
    out[0] = saved[0] = in[0];
    return ATH_OK;
}

static ath_err bind(const ath_site *site, ath_bound *bound)
{
    bound->scratch_bytes = 64;
    if (site->frozen) bound->pack[0] = (ath_packing){ath_desc_bytes(&site->in[0]), 1};
    return ATH_OK;
}

static ath_err pack(const ath_call *call, int i, void *packed)
{
    const float *plain = call->in[i];

    for (int64_t k = 0; k < ath_desc_count(&call->site->in[i]); k++)
        ((float *)packed)[k] = plain[k] * (fault_of(call->site) == FAULT_PACKING ? 1.001f : 1);
    return ATH_OK;
}

/* to = factor * from, or to += */
static void scale(const ath_call *c, const void *from, void *to, double factor, bool add)
{
    const ath_dtype dtype = c->site->in[0].dtype;
    const int64_t n = ath_desc_count(&c->site->in[0]);

    for (int64_t i = 0; i < n; i++)
        ath_dtype_put(to, dtype, i,
                      ath_dtype_get(from, dtype, i) * factor +
                          (add ? ath_dtype_get(to, dtype, i) : 0));
}

static ath_err good_fwd(const ath_call *c)
{
    scale(c, c->in[0], c->out[0], 3, false);
    scale(c, c->in[0], c->saved[0], 1, false);
    return ATH_OK;
}

static ath_err good_bwd(const ath_call *c)
{
    scale(c, c->dout[0], c->din[0], fault_of(c->site) == FAULT_GRADIENT ? 3.001 : 3,
          c->site->add & 1);
    return ATH_OK;
}

static ath_err bad_fwd(const ath_call *c)
{
    const int64_t n = ath_desc_count(&c->site->in[0]);
    const fault f = fault_of(c->site);
    const void *x = c->packed[0] ? c->packed[0] : c->in[0];
    float *y = c->out[0], *scratch = c->scratch, last = y[n - 1];

    scale(c, x, y, f == FAULT_CONSTANT ? 3.0001 : 3, false);
    scale(c, x, c->saved[0], f == FAULT_SAVED ? 1.0001 : 1, false);
    if (f == FAULT_MISSING_WRITE) y[n - 1] = last;
    if (f == FAULT_WRITE_BEHIND) y[n] = 1;
    if (f == FAULT_WRITE_BEFORE) y[-1] = 1;
    if (f == FAULT_SCRATCH_TOO_SMALL) scratch[16] = 1;
    if (f == FAULT_SCRATCH_READ) y[0] += scratch[3];
    if (f == FAULT_THREADS) y[0] *= 1 + 2e-7f * (float)c->site->n_threads;
    if (f == FAULT_ROWS) y[n - 1] *= 1 + 2e-7f * (float)c->site->in[0].dim[0];
    if (f == FAULT_CONFUSED_ROWS) y[n - 1] = y[0];
    return ATH_OK;
}

static ath_err bad_bwd(const ath_call *c)
{
    const fault f = fault_of(c->site);
    float *dy;

    scale(c, c->dout[0], c->din[0], 3, c->site->add & 1 && f != FAULT_NOT_ADDED);
    memcpy(&dy, &c->dout[0], sizeof dy); /* past the const */
    if (f == FAULT_DOUT_WRITTEN) dy[0] = 0;
    if (f == FAULT_UNDECLARED_READ && !c->in[0]) memset(c->din[0], 0, sizeof *dy);
    return ATH_OK;
}

static const ath_op triple = {
    .name = "triple",
    .n_in = 1,
    .n_out = 1,
    .n_saved = 1,
    .weights = 1,
    .attr_bytes = sizeof(triple_attr),
    .infer = infer,
    .fwd = {[ATH_REF64] = {.run = good_fwd},
            [ATH_CPU] = {.bind = bind, .run = bad_fwd, .pack = pack, .bits = 3}},
    .bwd = {[ATH_REF64] = {.run = good_bwd}, [ATH_CPU] = {.run = bad_bwd, .bits = 3}},
};

enum { VALUE = 1, GRAD = 2, BITS = 4, REFUSE_MODE = 8 };

static const struct {
    const char *name;
    uint32_t catches; /* the modes that must see it; where there is no fault, none may */
} faults[N_FAULTS] = {
    [FAULT_NONE] = {"none", 0},
    [FAULT_CONSTANT] = {"wrong constant", VALUE},
    [FAULT_SAVED] = {"wrong saved", VALUE},
    [FAULT_MISSING_WRITE] = {"missing write", VALUE | BITS},
    [FAULT_WRITE_BEHIND] = {"write behind the end", VALUE | BITS},
    [FAULT_WRITE_BEFORE] = {"write before the beginning", VALUE | BITS},
    [FAULT_SCRATCH_TOO_SMALL] = {"more scratch than booked", VALUE | BITS},
    [FAULT_SCRATCH_READ] = {"scratch read before it is written", VALUE | BITS},
    [FAULT_THREADS] = {"result depends on threads", BITS},
    [FAULT_ROWS] = {"result depends on the batch", BITS},
    [FAULT_CONFUSED_ROWS] = {"one image's result in another", VALUE | BITS},
    [FAULT_DOUT_WRITTEN] = {"operand written", BITS},
    [FAULT_UNDECLARED_READ] = {"undeclared read", VALUE},
    [FAULT_GRADIENT] = {"wrong derivative in the reference", GRAD},
    [FAULT_NOT_ADDED] = {"set instead of added", VALUE | BITS},
    [FAULT_PACKING] = {"wrong packing", VALUE},
    [FAULT_SHAPE_RULE] = {"no check of the dtype", REFUSE_MODE},
    [FAULT_SENTENCE] = {"sentence without the op's name", REFUSE_MODE},
};

static bool is_caught(ath_mode *mode, ath_backend backend, const ath_case *c)
{
    const ath_setup s = {c, &triple, backend, NULL, ATH_F32, 0, 1, 2};
    ath_report r = {.is_quiet = true};
    return mode(&s, &r) != ATH_OK || r.n_failed > 0;
}

void ath_self_test(ath_report *r)
{
    static const struct {
        ath_mode *run;
        ath_backend backend;
        uint32_t bit;
    } modes[] = {{ath_mode_value, ATH_CPU, VALUE},
                 {ath_mode_grad, ATH_REF64, GRAD},
                 {ath_mode_bits, ATH_CPU, BITS},
                 {ath_mode_refuse, ATH_CPU, REFUSE_MODE}};

    for (int f = 0; f < N_FAULTS; f++) {
        const triple_attr attr = {f};
        const ath_case c = {.op = "triple",
                            .name = faults[f].name,
                            .tags = QUICK,
                            .attr = &attr,
                            .in = {{.kind = 'A', .n_dim = 2, .dim = {3, 7}}}};
        const ath_setup s = {&c, &triple, ATH_CPU, NULL, ATH_F32, 0, 1, 2};
        ath_report_at(r, "self", &s);
        for (int m = 0; m < 4; m++) {
            const bool must = faults[f].catches & modes[m].bit;
            if (!must && f != FAULT_NONE) continue;
            ath_report_check(r, is_caught(modes[m].run, modes[m].backend, &c) == must, "mode %d %s",
                             m, must ? "sees nothing" : "sees a fault");
        }
    }
}
