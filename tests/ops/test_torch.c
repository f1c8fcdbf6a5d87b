/*
 * PyTorch's results on small shapes, tests/reference/ops.safetensors (make_ops.py beside it says
 * what is in it), against every op, forward and backward, on each host backend: plain and with
 * weights frozen, so that packed operands are seen too. AdamW is followed over a hundred steps.
 * Every op has a fixture but those in `without`, and every fixture an op.
 *
 *     test_torch ops.safetensors
 */
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "kernels/need.h"
#include "kernels/ops.h"
#include "tests/harness.h"
#include "tests/ops/case.h"

enum { NAME = 128, THREADS = 2 };

typedef struct fixture {
    const ath_st *st;
    char name[NAME]; /* "op/case" */
    ath_backend backend;
} fixture;

/* The tensor "op/case/what<i>", NULL where there is none. */
static const ath_st_tensor *find(const fixture *f, const char *what, int i)
{
    char name[2 * NAME];
    snprintf(name, sizeof name, "%s/%s%d", f->name, what, i);
    return ath_st_find(f->st, name);
}

static ath_dtype stored_dtype(const ath_st_tensor *t)
{
    static const ath_dtype ours[ATH_N_ST_DTYPES] = {
        [ATH_ST_F32] = ATH_F32, [ATH_ST_BF16] = ATH_BF16, [ATH_ST_F16] = ATH_F16,
        [ATH_ST_F64] = ATH_F64, [ATH_ST_I32] = ATH_I32,
    };
    return ours[t->dtype];
}

/* The double reference has all floating operands in f64. */
static ath_dtype run_dtype(const fixture *f, ath_dtype dtype)
{
    return f->backend == ATH_REF64 && dtype != ATH_I32 ? ATH_F64 : dtype;
}

static double get(const ath_st_tensor *t, int64_t i)
{
    const size_t size = ath_dtype_bytes(stored_dtype(t));
    double aligned;

    memcpy(&aligned, (const char *)t->data + (size_t)i * size, size);
    return ath_dtype_get(&aligned, stored_dtype(t), 0);
}

static ath_desc desc_of(const fixture *f, const ath_st_tensor *t)
{
    ath_desc d = {.dtype = run_dtype(f, stored_dtype(t)), .n_dim = t->n_dim};

    ATH_ASSERT(t->n_dim <= ATH_MAX_DIMS && d.dtype);
    memcpy(d.dim, t->dim, (size_t)t->n_dim * sizeof *t->dim);
    return d;
}

/* Elements first, first + 1, ... of t, as many as d has. */
static void copy(void *to, const ath_desc *d, const ath_st_tensor *t, int64_t first)
{
    for (int64_t i = 0; i < ath_desc_count(d); i++)
        ath_dtype_put(to, d->dtype, i, get(t, first + i));
}

/* Worst relative L2 error that is accepted. */
static double bound_of(const fixture *f)
{
    /* one IEEE operation or none for each element: rounded as torch rounds */
    static const char *const exact[] = {"add/", "add_rows/", "concat/", "mul/", "rows/"};
    bool is_half = false;

    for (size_t i = 0; i < sizeof exact / sizeof *exact && f->backend != ATH_REF64; i++)
        if (strncmp(f->name, exact[i], strlen(exact[i])) == 0) return 0;
    for (int i = 0; i <= ATH_MAX_IN; i++) {
        const ath_st_tensor *t = i < ATH_MAX_IN ? find(f, "in", i) : find(f, "out", 0);
        is_half |= t && (t->dtype == ATH_ST_BF16 || t->dtype == ATH_ST_F16);
    }
    if (is_half) return 1e-2;
    /* torch's own f32 arithmetic, over 100 steps */
    if (strcmp(f->name, "adamw/plain") == 0) return 5e-6;
    /* the fixture's own rounding to f32 is up to 6e-8 */
    return f->backend == ATH_REF64 ? 1e-7 : 5e-6;
}

/* One check: the values of a result, all of `t`. */
static void check(const fixture *f, const char *what, const ath_st_tensor *t, const ath_desc *d,
                  const void *got)
{
    const double bound = bound_of(f);
    const int64_t n = ath_desc_count(d);
    double *want = NULL;

    ATH_ASSERT(t && ATH_NEW(n, "what torch has", &want) == ATH_OK);
    for (int64_t i = 0; i < n; i++) want[i] = get(t, i);
    const ath_diff e = ath_array_diff(got, d->dtype, n, want, NULL);
    ath_test_note(e.rel <= bound, __FILE__, __LINE__,
                  "%s: rel %.2e, wanted %.0e; at %" PRId64 ": %.9g, torch has %.9g", what, e.rel,
                  bound, e.at, e.got, e.want);
    ath_mem_free(&want);
}

/* The shape rule gives the shape and type that torch has. */
static ath_err need_desc(const fixture *f, const char *what, const ath_st_tensor *t,
                         const ath_desc *got)
{
    char a[ATH_DESC_TEXT], b[ATH_DESC_TEXT];

    ATH_NEED(t, ATH_EMISSING, "%s: no %s", f->name, what);
    const ath_desc want = desc_of(f, t);
    ATH_NEED(ath_desc_is_equal(got, &want), ATH_ESHAPE, "%s is %s, torch has %s", what,
             ath_desc_print(got, a), ath_desc_print(&want, b));
    return ATH_OK;
}

static const ath_st_tensor *find_attr(const fixture *f, size_t k)
{
    char stem[2 * NAME];
    const int n = snprintf(stem, sizeof stem, "%s/attr.%zu.", f->name, k);

    for (int64_t i = 0; i < ath_st_count(f->st); i++)
        if (strncmp(ath_st_get(f->st, i)->name, stem, (size_t)n) == 0) return ath_st_get(f->st, i);
    return NULL;
}

static int32_t dtype_named(const fixture *f, const ath_st_tensor *t)
{
    for (int i = 0; i < ATH_N_DTYPES; i++) {
        const char *name = ath_dtype_name((ath_dtype)i);
        if (strlen(name) == t->bytes && memcmp(name, t->data, t->bytes) == 0)
            return (int32_t)run_dtype(f, (ath_dtype)i);
    }
    return ATH_NONE;
}

/* Attributes are four-byte fields in order; a dtype is spelled out. */
static ath_err load_attrs(const fixture *f, ath_trial *t)
{
    const size_t n = t->setup.op->attr_bytes / sizeof *t->attr;

    ATH_ASSERT(n <= ATH_ATTR_WORDS);
    for (size_t k = 0; k < n; k++) {
        const ath_st_tensor *field = find_attr(f, k);
        ATH_NEED(field, ATH_EMISSING, "%s: no attribute %zu", f->name, k);
        if (field->dtype == ATH_ST_U8)
            t->attr[k] = dtype_named(f, field);
        else
            memcpy(&t->attr[k], field->data, sizeof *t->attr);
    }
    ATH_NEED(!find_attr(f, n), ATH_EINVAL, "%s: more attributes than the %zu of the op", f->name,
             n);
    t->site.attr = n ? t->attr : NULL;
    return ATH_OK;
}

/* Everything but the operands' values and gradients: attributes, shape rule, room for the results. */
static ath_err prepare(const fixture *f, ath_trial *t)
{
    const ath_op *op = t->setup.op;

    ATH_TRY(load_attrs(f, t));
    ATH_TRY(ath_op_infer(op, t->site.attr, t->site.in, t->site.out, t->site.saved));
    for (int i = 0; i < op->n_in; i++)
        if (t->site.in[i].dtype)
            ATH_TRY(ath_guarded_init(&t->in[i], ath_desc_bytes(&t->site.in[i]), "operand"));
    for (int i = 0; i < op->n_out; i++)
        ATH_TRY(ath_guarded_init(&t->out[i], ath_desc_bytes(&t->site.out[i]), "output"));
    for (int i = 0; i < op->n_saved; i++)
        ATH_TRY(ath_guarded_init(&t->saved[i], ath_desc_bytes(&t->site.saved[i]), "saved"));
    return ATH_OK;
}

static ath_err load_operands(const fixture *f, ath_trial *t)
{
    for (int i = 0; i < t->setup.op->n_in; i++)
        if (find(f, "in", i)) t->site.in[i] = desc_of(f, find(f, "in", i));
    ATH_TRY(prepare(f, t));
    for (int i = 0; i < t->setup.op->n_in; i++)
        if (find(f, "in", i)) copy(t->in[i].p, &t->site.in[i], find(f, "in", i), 0);
    return ATH_OK;
}

static ath_err load_gradients(const fixture *f, ath_trial *t)
{
    const ath_st_tensor *dout = find(f, "dout", 0);

    ATH_TRY(ath_guarded_init(&t->dout[0], ath_desc_bytes(&t->site.out[0]), "dout"));
    copy(t->dout[0].p, &t->site.out[0], dout, 0);
    for (int i = 0; i < t->setup.op->n_in; i++) {
        if (!find(f, "din", i)) continue;
        ath_desc d = t->site.in[i];
        if (t->setup.op->weights >> i & 1) d.dtype = ath_full_dtype(&d);
        t->wanted |= 1u << i;
        ATH_TRY(ath_guarded_init(&t->din[i], ath_desc_bytes(&d), "gradient"));
    }
    return ATH_OK;
}

static ath_err run_fwd(const fixture *f, ath_trial *t, uint32_t frozen)
{
    const ath_how how = {.threads = THREADS, .fill = 0xff, .frozen = frozen};

    ATH_TRY(ath_trial_run(t, ATH_FWD, &how));
    check(f, frozen ? "frozen out0" : "out0", find(f, "out", 0), &t->site.out[0], t->out[0].p);
    for (int i = 0; i < t->setup.op->n_saved; i++) {
        char what[32];
        snprintf(what, sizeof what, "%ssaved%d", frozen ? "frozen " : "", i);
        check(f, what, find(f, "saved", i), &t->site.saved[i], t->saved[i].p);
    }
    return ATH_OK;
}

static ath_err run_bwd(const fixture *f, ath_trial *t, uint32_t frozen)
{
    const ath_how how = {
        .threads = THREADS, .fill = 0xff, .wanted = t->wanted & ~frozen, .frozen = frozen};
    ath_ready r;

    if (!how.wanted) return ATH_OK;
    ATH_TRY(ath_ready_init(&r, t, ATH_BWD, &how));
    ath_ready_fill(&r);
    const ath_err err = ath_ready_run(&r);
    for (int i = 0; i < t->setup.op->n_in && !err; i++) {
        char what[32];
        if (!(how.wanted >> i & 1)) continue;
        snprintf(what, sizeof what, "%sdin%d", frozen ? "frozen " : "", i);
        check(f, what, find(f, "din", i), &r.site.din[i], t->din[i].p);
    }
    ath_ready_release(&r);
    return err;
}

static ath_err run_case(const fixture *f, ath_trial *t)
{
    const uint32_t weights = t->setup.op->weights;

    ATH_TRY(load_operands(f, t));
    ATH_TRY(need_desc(f, "out0", find(f, "out", 0), &t->site.out[0]));
    for (int i = 0; i < t->setup.op->n_saved; i++)
        ATH_TRY(need_desc(f, "saved", find(f, "saved", i), &t->site.saved[i]));
    ATH_TRY(run_fwd(f, t, 0));
    if (weights) ATH_TRY(run_fwd(f, t, weights));
    if (!find(f, "dout", 0)) return ATH_OK;
    ATH_NEED(ath_trial_has_bwd(t), ATH_ENOTSUP, "no backward");
    ATH_TRY(load_gradients(f, t));
    ATH_TRY(run_bwd(f, t, 0));
    return weights ? run_bwd(f, t, weights) : ATH_OK;
}

/* Squared norm of row `step` of both buckets' gradients. */
static double norm2(const fixture *f, int b, int64_t step)
{
    const ath_st_tensor *g = find(f, "g", b);
    double sum = 0;

    for (int64_t i = 0; i < g->dim[1]; i++) {
        double x = get(g, step * g->dim[1] + i);
        sum += x * x;
    }
    return sum;
}

static void check_adamw(const fixture *f, const ath_trial *t, int b, int step)
{
    static const char *const out[] = {"p", "m", "v"};
    char what[32];

    for (int i = 0; i < 3; i++) {
        snprintf(what, sizeof what, "%s%d.", out[i], b);
        const ath_st_tensor *want = find(f, what, step);
        snprintf(what, sizeof what, "%s%d.%d", out[i], b, step);
        if (want) check(f, what, want, &t->site.out[i], t->out[i].p);
    }
}

/* One bucket through all steps. */
static ath_err run_adamw(const fixture *f, ath_trial *t, int b)
{
    const ath_dtype f32 = run_dtype(f, ATH_F32);
    const ath_st_tensor *g = find(f, "g", b), *hyper, *start = find(f, b ? "p1." : "p0.", 0);
    char name[2 * NAME];
    ath_err err = ATH_OK;
    ath_ready r;

    snprintf(name, sizeof name, "%s/hyper", f->name);
    ATH_TRY(ath_st_need(f->st, name, &hyper));
    t->site.in[0] = (ath_desc){f32, 1, {g->dim[1]}};
    t->site.in[1] = (ath_desc){f32, 1, {4}};
    t->site.in[2] = (ath_desc){ATH_F64, 1, {2}};
    ATH_TRY(prepare(f, t));
    copy(t->out[0].p, &t->site.out[0], start, 0);
    memset(t->out[1].p, 0, t->out[1].bytes);
    memset(t->out[2].p, 0, t->out[2].bytes);
    ATH_TRY(ath_ready_init(&r, t, ATH_FWD, &(ath_how){.threads = THREADS}));
    for (int step = 0; step < g->dim[0] && !err; step++) {
        copy(t->in[0].p, &t->site.in[0], g, step * g->dim[1]);
        copy(t->in[1].p, &t->site.in[1], hyper, 4 * step);
        for (int k = 0; k < 2; k++) ((double *)t->in[2].p)[k] = norm2(f, k, step);
        err = ath_ready_run(&r);
        if (!err) check_adamw(f, t, b, step + 1);
    }
    ath_ready_release(&r);
    return err;
}

/* Runs the case on one backend; `bucket` is 0 but for adamw. */
static void test(const fixture *f, const ath_op *op, int bucket)
{
    const bool is_adamw = strcmp(op->name, "adamw") == 0;
    char title[2 * NAME];
    ath_trial t = {.setup = {.op = op, .backend = f->backend, .threads = THREADS}};

    t.site = (ath_site){.op = op, .n_threads = THREADS};
    snprintf(title, sizeof title, "%s on %s", f->name, ath_backend_name(f->backend));
    ath_test_begin(title);
    const ath_err err = is_adamw ? run_adamw(f, &t, bucket) : run_case(f, &t);
    ath_test_note(err == ATH_OK, __FILE__, __LINE__, "%s", err ? ath_err_text() : "");
    ath_trial_release(&t);
    ath_test_begin("");
}

static void test_backends(fixture *f, const ath_op *op)
{
    static const ath_backend backends[] = {ATH_REF, ATH_REF64, ATH_CPU};

    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        f->backend = backends[i];
        test(f, op, 0);
        if (strcmp(op->name, "adamw") == 0) test(f, op, 1);
    }
}

/* Every case has one tensor "op/case/out0", or "op/case/hyper" where it is adamw's. */
static bool is_case(const char *name, fixture *f)
{
    const char *slash = strrchr(name, '/');

    if (!slash || (strcmp(slash, "/out0") != 0 && strcmp(slash, "/hyper") != 0)) return false;
    snprintf(f->name, sizeof f->name, "%.*s", (int)(slash - name), name);
    return true;
}

/* noise has vectors of its own; tree_add is held against the host's sums (tests/dist), sample_loss and
 * average against what PyTorch has of whole steps (tests/train). */
static bool is_without(const char *op)
{
    static const char *const without[] = {"noise", "tree_add", "sample_loss", "average"};

    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (strcmp(op, without[i]) == 0) return true;
    return false;
}

static void test_file(const ath_st *st)
{
    bool seen[ATH_N_OPS] = {false};
    fixture f = {.st = st};

    for (int64_t i = 0; i < ath_st_count(st); i++) {
        char name[NAME];
        if (!is_case(ath_st_get(st, i)->name, &f)) continue;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(f.name, "/"), f.name);
        const ath_op *op = ath_op_find(name);
        ath_test_note(op != NULL, __FILE__, __LINE__, "%s: no such op", f.name);
        for (int k = 0; k < ATH_N_OPS; k++) seen[k] |= ath_ops[k] == op;
        if (op) test_backends(&f, op);
    }
    for (int k = 0; k < ATH_N_OPS; k++)
        ath_test_note(seen[k] || is_without(ath_ops[k]->name), __FILE__, __LINE__,
                      "%s has no fixture", ath_ops[k]->name);
}

int main(int argc, char **argv)
{
    ath_st *st = NULL;

    ATH_ASSERT(argc == 2);
    CHECK_OK(ath_st_open(argv[1], &st));
    if (st) test_file(st);
    ath_st_close(&st);
    return ath_test_end();
}
