#include "tests/ops/case.h"

#include "kernels/adamw.h"
#include "kernels/add_rows.h"
#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/conv2d.h"
#include "kernels/embed.h"
#include "kernels/gelu.h"
#include "kernels/group_norm.h"
#include "kernels/hadamard.h"
#include "kernels/kron.h"
#include "kernels/layer_norm.h"
#include "kernels/lowrank.h"
#include "kernels/mul_channels.h"
#include "kernels/noise.h"
#include "kernels/rows.h"
#include "kernels/time_embed.h"
#include "kernels/tree_add.h"
#include "kernels/upsample.h"
#include "tests/ops/on_device.h"

#include <math.h>
#include <string.h>

#define OPERAND(kind_, ...)                                                                      \
    {                                                                                            \
        .kind = (kind_), .n_dim = (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
        .dim = {                                                                                 \
            __VA_ARGS__                                                                          \
        }                                                                                        \
    }
#define A(...) OPERAND('A', __VA_ARGS__)
#define O(...) OPERAND('O', __VA_ARGS__)
#define W(...) OPERAND('W', __VA_ARGS__)
#define F(...) OPERAND('F', __VA_ARGS__)
#define G(...) OPERAND('G', __VA_ARGS__)
#define P(...) OPERAND('P', __VA_ARGS__)
#define B(...) OPERAND('B', __VA_ARGS__)
#define T(...) OPERAND('T', __VA_ARGS__)
#define M(...) OPERAND('M', __VA_ARGS__)
#define H(...) OPERAND('H', __VA_ARGS__)
#define D(...) OPERAND('D', __VA_ARGS__)
#define K(...) OPERAND('K', __VA_ARGS__)
#define I(range_, n, t)                                               \
    {                                                                 \
        .kind = 'I', .n_dim = 2, .dim = {(n), (t)}, .range = (range_) \
    }
#define V(range_, n)                                             \
    {                                                            \
        .kind = 'I', .n_dim = 1, .dim = {(n)}, .range = (range_) \
    }
#define NO \
    {      \
        0  \
    }
#define ATTR(type, ...)        \
    &(const ath_##type##_attr) \
    {                          \
        __VA_ARGS__            \
    }

const ath_case ath_cases[] = {
#define CASE(op_, name_, tags_, attr_, ...) \
    {.op = #op_, .name = (name_), .tags = (tags_), .attr = (attr_), .in = {__VA_ARGS__}},
#include "tests/ops/cases.def"
#undef CASE
};
const int ath_n_cases = (int)(sizeof ath_cases / sizeof *ath_cases);

const ath_case ath_refusals[] = {
#define REFUSE(op_, name_, refusal_, attr_, ...) \
    {.op = #op_, .name = (name_), .attr = (attr_), .in = {__VA_ARGS__}, .refusal = (refusal_)},
#include "tests/ops/cases.def"
#undef REFUSE
};
const int ath_n_refusals = (int)(sizeof ath_refusals / sizeof *ath_refusals);

/* The dtype of an operand where activations are `run`. */
static ath_dtype dtype_of(char kind, ath_dtype run)
{
    switch (kind) {
    case 0:
        return ATH_NONE;
    case 'I':
    case 'K':
        return ATH_I32;
    case 'D':
        return ATH_F64;
    case 'A':
    case 'O':
    case 'W':
        return run;
    case 'H':
        return run == ATH_F64 ? ATH_F64 : ATH_F16;
    default:
        return run == ATH_F64 ? ATH_F64 : ATH_F32;
    }
}

static ath_dtype dtype_of_word(int32_t word, ath_dtype run)
{
    switch (word) {
    case DT_RUN:
        return run;
    case DT_FULL:
        return run == ATH_F64 ? ATH_F64 : ATH_F32;
    case DT_HALF:
        return run == ATH_F64 ? ATH_F64 : ATH_F16;
    default:
        return ATH_NONE;
    }
}

void ath_case_describe(const ath_setup *s, ath_dtype dtype, int32_t attr[ATH_ATTR_WORDS],
                       ath_desc in[ATH_MAX_IN])
{
    ATH_ASSERT(s->op->attr_bytes <= ATH_ATTR_WORDS * sizeof *attr);
    if (s->c->attr) memcpy(attr, s->c->attr, s->op->attr_bytes);
    for (size_t i = 0; i < s->op->attr_bytes / sizeof *attr; i++)
        if (dtype_of_word(attr[i], dtype)) attr[i] = (int32_t)dtype_of_word(attr[i], dtype);
    for (int i = 0; i < s->op->n_in; i++) {
        const ath_operand *o = &s->c->in[i];
        in[i] = (ath_desc){.dtype = dtype_of(o->kind, dtype), .n_dim = o->n_dim};
        memcpy(in[i].dim, o->dim, sizeof o->dim);
        if (s->drop >> i & 1) in[i] = (ath_desc){0};
    }
}

bool ath_case_has_dtype(const ath_case *c, const ath_op *op)
{
    int32_t attr[ATH_ATTR_WORDS] = {0};

    if (c->attr) memcpy(attr, c->attr, op->attr_bytes);
    for (size_t i = 0; i < op->attr_bytes / sizeof *attr; i++)
        if (attr[i] == DT_RUN) return true;
    for (int i = 0; i < op->n_in; i++)
        if (c->in[i].kind && strchr("AOW", c->in[i].kind)) return true;
    return false;
}

/* Slots keep the random streams of a trial's arrays apart. */
enum { SLOT_IN = 0, SLOT_OUT = 8, SLOT_DOUT = 16, SLOT_DIN = 24 };

static ath_fill fill_of(const ath_trial *t, const ath_operand *o, int slot)
{
    ath_fill f = {.kind = o->kind, .scale = 1, .range = o->range};
    int64_t fan_in = 1;

    for (int i = 1; i < o->n_dim; i++) fan_in *= o->dim[i];
    if (o->kind == 'W') f.scale = 1 / sqrt((double)fan_in);
    f.stream = ath_fill_stream(t->setup.seed, t->setup.c->name, slot);
    return f;
}

static ath_err add_array(ath_guarded *g, const ath_desc *d, const char *what)
{
    if (d->dtype == ATH_NONE) return ATH_OK;
    return ath_guarded_init(g, ath_desc_bytes(d), what);
}

ath_desc ath_trial_din(const ath_trial *t, int i)
{
    ath_desc d = t->site.in[i];
    if (!(t->wanted >> i & 1)) return (ath_desc){0};
    if (t->setup.op->weights >> i & 1) d.dtype = d.dtype == ATH_F64 ? ATH_F64 : ATH_F32;
    return d;
}

static ath_err allocate(ath_trial *t)
{
    const ath_op *op = t->setup.op;

    for (int i = 0; i < op->n_in; i++) ATH_TRY(add_array(&t->in[i], &t->site.in[i], "operand"));
    for (int i = 0; i < op->n_out; i++) ATH_TRY(add_array(&t->out[i], &t->site.out[i], "output"));
    for (int i = 0; i < op->n_saved; i++)
        ATH_TRY(add_array(&t->saved[i], &t->site.saved[i], "saved"));
    if (!ath_trial_has_bwd(t)) return ATH_OK;
    for (int i = 0; i < op->n_out; i++)
        ATH_TRY(add_array(&t->dout[i], &t->site.out[i], "gradient of an output"));
    for (int i = 0; i < op->n_in; i++) {
        if (op->no_grad >> i & 1 || t->site.in[i].dtype == ATH_NONE) continue;
        t->wanted |= 1u << i;
        const ath_desc d = ath_trial_din(t, i);
        ATH_TRY(add_array(&t->din[i], &d, "gradient"));
    }
    return ATH_OK;
}

/* The rounding of an array whose dtype here is `dtype`: the setup's where that is wider. */
static ath_dtype data_of(const ath_trial *t, const ath_operand *o)
{
    return dtype_of(o->kind, t->setup.dtype);
}

static void fill(ath_trial *t)
{
    const ath_op *op = t->setup.op;

    for (int i = 0; i < op->n_in; i++) {
        const ath_operand *o = &t->setup.c->in[i];
        const ath_desc *d = &t->site.in[i];
        if (d->dtype == ATH_NONE) continue;
        const ath_fill f = fill_of(t, o, SLOT_IN + i);
        ath_array_fill(t->in[i].p, d->dtype, ath_desc_count(d), data_of(t, o), &f);
    }
    for (int i = 0; i < op->n_out && ath_trial_has_bwd(t); i++) {
        const ath_operand o = {.kind = 'A'};
        const ath_desc *d = &t->site.out[i];
        const ath_fill f = fill_of(t, &o, SLOT_DOUT + i);
        ath_array_fill(t->dout[i].p, d->dtype, ath_desc_count(d), t->data_out[i], &f);
    }
}

static ath_err infer(ath_trial *t, ath_dtype dtype)
{
    ath_site *site = &t->site;

    ath_case_describe(&t->setup, dtype, t->attr, site->in);
    return ath_op_infer(site->op, site->attr, site->in, site->out, site->saved);
}

ath_err ath_trial_init(ath_trial *t, const ath_setup *s)
{
    ath_err err = ATH_OK;

    *t = (ath_trial){.setup = *s, .dtype = s->backend == ATH_REF64 ? ATH_F64 : s->dtype};
    t->site = (ath_site){.op = s->op, .attr = s->c->attr ? t->attr : NULL, .n_threads = s->threads};
    ATH_TRY(infer(t, s->dtype));
    for (int i = 0; i < ATH_MAX_OUT; i++) t->data_out[i] = t->site.out[i].dtype;
    ATH_TRY(infer(t, t->dtype));
    err = allocate(t);
    if (err)
        ath_trial_release(t);
    else
        fill(t);
    return err;
}

void ath_trial_release(ath_trial *t)
{
    for (int i = 0; i < ATH_MAX_IN; i++) {
        ath_guarded_release(&t->in[i]);
        ath_guarded_release(&t->din[i]);
    }
    for (int i = 0; i < ATH_MAX_OUT; i++) {
        ath_guarded_release(&t->out[i]);
        ath_guarded_release(&t->dout[i]);
    }
    for (int i = 0; i < ATH_MAX_SAVED; i++) ath_guarded_release(&t->saved[i]);
}

bool ath_trial_has_bwd(const ath_trial *t)
{
    return ath_op_kernel(t->setup.op, ATH_BWD, t->setup.backend) != NULL;
}

void ath_trial_fill_din(const ath_trial *t, int i, void *p, ath_dtype dtype)
{
    const ath_operand o = {.kind = 'A'};
    const ath_fill f = fill_of(t, &o, SLOT_DIN + i);
    const ath_desc d = ath_trial_din(t, i);

    /* the same numbers on all backends: those that the narrowest of them can hold */
    ath_array_fill(p, dtype, ath_desc_count(&d), t->setup.dtype, &f);
}

static ath_err pack(ath_ready *r, int i)
{
    if (!r->bound.pack[i].bytes) return ATH_OK;
    ATH_NEED(r->site.frozen >> i & 1, ATH_EINVAL,
             "%s: asks to pack operand %d, which is not frozen", r->site.op->name, i);
    ATH_TRY(ath_guarded_init(&r->packed[i], r->bound.pack[i].bytes, "packed operand"));
    ath_call call = {.site = &r->site, .bound = &r->bound};
    call.in[i] = r->trial->in[i].p;
    if (r->trial->setup.device)
        ATH_TRY(ath_ready_pack_on_device(r, i));
    else
        ATH_TRY(r->kernel->pack(&call, i, r->packed[i].p));
    r->call.packed[i] = r->packed[i].p;
    r->call.in[i] = NULL;
    return ATH_OK;
}

static void point_fwd(ath_ready *r)
{
    ath_trial *t = r->trial;
    for (int i = 0; i < ATH_MAX_IN; i++) r->call.in[i] = t->in[i].p;
    for (int i = 0; i < ATH_MAX_OUT; i++) r->call.out[i] = t->out[i].p;
    for (int i = 0; i < ATH_MAX_SAVED; i++) r->call.saved[i] = t->saved[i].p;
}

static void point_bwd(ath_ready *r)
{
    const uint32_t reads = r->site.op->bwd_reads;
    ath_trial *t = r->trial;

    for (int i = 0; i < ATH_MAX_IN; i++) {
        if (reads & ATH_READS_IN(i)) r->call.in[i] = t->in[i].p;
        if (r->site.din[i].dtype) r->call.din[i] = t->din[i].p;
    }
    for (int i = 0; i < ATH_MAX_OUT; i++) {
        if (reads & ATH_READS_OUT(i)) r->call.out[i] = t->out[i].p;
        r->call.dout[i] = t->dout[i].p;
    }
    for (int i = 0; i < ATH_MAX_SAVED; i++)
        if (reads & ATH_READS_SAVED(i)) r->call.saved[i] = t->saved[i].p;
}

ath_err ath_ready_init(ath_ready *r, ath_trial *t, ath_pass pass, const ath_how *how)
{
    ath_err err = ATH_OK;

    *r = (ath_ready){.trial = t, .site = t->site, .fill = how->fill};
    r->site.pass = pass;
    r->site.n_threads = how->threads;
    r->site.frozen = how->frozen;
    r->site.add = how->add;
    for (int i = 0; i < ATH_MAX_IN; i++)
        if (pass == ATH_BWD && how->wanted >> i & 1) r->site.din[i] = ath_trial_din(t, i);
    r->kernel = ath_op_kernel(t->setup.op, pass, t->setup.backend);
    ATH_TRY(ath_site_bind(&r->site, r->kernel, &r->bound));
    r->call = (ath_call){.site = &r->site, .bound = &r->bound};
    if (pass == ATH_FWD)
        point_fwd(r);
    else
        point_bwd(r);
    ATH_TRY_OUT(ath_guarded_init(&r->scratch, r->bound.scratch_bytes, "scratch"));
    r->call.scratch = r->scratch.p;
    for (int i = 0; i < ATH_MAX_IN; i++) ATH_TRY_OUT(pack(r, i));
out:
    if (err) ath_ready_release(r);
    return err;
}

static void fill_out(const ath_ready *r, int i)
{
    const ath_trial *t = r->trial;
    const ath_desc *d = &t->site.out[i];

    if (!(t->setup.op->updates >> i & 1)) {
        memset(t->out[i].p, r->fill, t->out[i].bytes);
        return;
    }
    const ath_operand *o = &t->setup.c->in[t->setup.op->n_in + i];
    const ath_fill f = fill_of(t, o, SLOT_OUT + i);
    ath_array_fill(t->out[i].p, d->dtype, ath_desc_count(d), data_of(t, o), &f);
}

void ath_ready_fill(const ath_ready *r)
{
    const ath_trial *t = r->trial;

    if (r->scratch.bytes) memset(r->scratch.p, r->fill, r->scratch.bytes);
    for (int i = 0; r->site.pass == ATH_FWD && i < t->setup.op->n_out; i++) fill_out(r, i);
    for (int i = 0; r->site.pass == ATH_FWD && i < t->setup.op->n_saved; i++)
        memset(t->saved[i].p, r->fill, t->saved[i].bytes);
    for (int i = 0; i < ATH_MAX_IN; i++) {
        if (!r->site.din[i].dtype) continue;
        if (r->site.add >> i & 1)
            ath_trial_fill_din(t, i, t->din[i].p, r->site.din[i].dtype);
        else
            memset(t->din[i].p, r->fill, t->din[i].bytes);
    }
}

static ath_err look(const ath_ready *r, const ath_guarded *g, int n, const char *what)
{
    for (int i = 0; i < n; i++)
        ATH_NEED(ath_guarded_is_intact(&g[i]), ATH_ELIMIT, "%s %s wrote beside %s %d",
                 r->site.op->name, r->site.pass == ATH_FWD ? "fwd" : "bwd", what, i);
    return ATH_OK;
}

ath_err ath_ready_run(const ath_ready *r)
{
    const ath_trial *t = r->trial;

    ATH_TRY(t->setup.device ? ath_ready_run_on_device(r, 1, NULL) : r->kernel->run(&r->call));
    ATH_TRY(look(r, t->in, ATH_MAX_IN, "operand"));
    ATH_TRY(look(r, t->out, ATH_MAX_OUT, "output"));
    ATH_TRY(look(r, t->saved, ATH_MAX_SAVED, "saved"));
    ATH_TRY(look(r, t->dout, ATH_MAX_OUT, "dout"));
    ATH_TRY(look(r, t->din, ATH_MAX_IN, "gradient"));
    ATH_TRY(look(r, r->packed, ATH_MAX_IN, "packed operand"));
    return look(r, &r->scratch, 1, "scratch");
}

void ath_ready_release(ath_ready *r)
{
    ath_bound_release(&r->bound);
    ath_guarded_release(&r->scratch);
    for (int i = 0; i < ATH_MAX_IN; i++) ath_guarded_release(&r->packed[i]);
}

ath_err ath_trial_run(ath_trial *t, ath_pass pass, const ath_how *how)
{
    ath_ready r;

    ATH_TRY(ath_ready_init(&r, t, pass, how));
    ath_ready_fill(&r);
    ath_err err = ath_ready_run(&r);
    ath_ready_release(&r);
    return err;
}
