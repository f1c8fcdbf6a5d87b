/*
 * conv2d, linear and lowrank on the cpu: what opcheck does not say. Numbers are small integers, so
 * that every sum is exact whatever its order, and the cpu must equal the reference bit for bit.
 */
#include "tests/harness.h"

#include "core/mem.h"
#include "kernels/column_sum.h"
#include "kernels/conv2d.h"
#include "kernels/lowrank.h"
#include "kernels/ops.h"
#include "kernels/peak_dnnl.h"
#include <stdlib.h>

enum { THREADS = 2 };

/* A call of one backend with all its memory. */
typedef struct trial {
    ath_site site;
    ath_bound bound;
    ath_call call;
    const ath_kernel *kernel;
    void *memory[32];
    int n_memory;
} trial;

static void *get(trial *t, size_t bytes)
{
    void *p = NULL;
    CHECK_OK(ath_mem_new(bytes, 1, "test", &p));
    return t->memory[t->n_memory++] = p;
}

/* Integers from -2 to 2, the same for the same slot. */
static void *numbers(trial *t, const ath_desc *d, uint32_t slot)
{
    void *p = get(t, ath_desc_bytes(d));
    uint32_t state = slot * 2654435761u + 1;

    for (int64_t i = 0; d->dtype != ATH_NONE && i < ath_desc_count(d); i++) {
        state = state * 1664525u + 1013904223u;
        ath_dtype_put(p, d->dtype, i, (double)((state >> 16) % 5) - 2);
    }
    return p;
}

static void release(trial *t)
{
    ath_bound_release(&t->bound);
    for (int i = 0; i < t->n_memory; i++) ath_mem_free(&t->memory[i]);
}

/* An op with operands; pass, gradients and so on are set in `site` before bind_trial. */
static trial prepare(const ath_op *op, const void *attr, const ath_desc *in)
{
    trial t = {.site = {.op = op, .attr = attr, .n_threads = THREADS}};

    memcpy(t.site.in, in, (size_t)op->n_in * sizeof *in);
    CHECK_OK(ath_op_infer(op, attr, t.site.in, t.site.out, t.site.saved));
    return t;
}

static void want(trial *t, int i)
{
    t->site.pass = ATH_BWD;
    t->site.din[i] = t->site.in[i];
    if (t->site.op->weights >> i & 1) t->site.din[i].dtype = ATH_F32;
}

/* Binds, fills the operands, packs, books what is written. */
static void bind_trial(trial *t, ath_backend backend)
{
    const ath_site *s = &t->site;

    t->kernel = ath_op_kernel(s->op, s->pass, backend);
    ath_err err = ath_site_bind(s, t->kernel, &t->bound);
    CHECK_OK(err);
    if (err) exit(ath_test_end()); /* nothing to run */
    t->call = (ath_call){.site = s, .bound = &t->bound};
    t->call.scratch = get(t, t->bound.scratch_bytes);
    memset(t->call.scratch, 0xff, t->bound.scratch_bytes);
    for (int i = 0; i < s->op->n_in; i++) {
        if (s->in[i].dtype == ATH_NONE) continue;
        void *plain = numbers(t, &s->in[i], (uint32_t)i);
        t->call.in[i] = plain;
        if (s->din[i].dtype != ATH_NONE) t->call.din[i] = numbers(t, &s->din[i], 10 + (uint32_t)i);
        if (t->bound.pack[i].bytes == 0) continue;
        void *packed = get(t, t->bound.pack[i].bytes);
        memset(packed, 0xff, t->bound.pack[i].bytes);
        CHECK_OK(t->kernel->pack(&t->call, i, packed));
        t->call.packed[i] = packed;
        t->call.in[i] = NULL;
    }
    t->call.saved[0] =
        s->pass == ATH_FWD ? get(t, ath_desc_bytes(&s->saved[0])) : numbers(t, &s->saved[0], 20);
    if (s->pass == ATH_FWD)
        t->call.out[0] = get(t, ath_desc_bytes(&s->out[0]));
    else
        t->call.dout[0] = numbers(t, &s->out[0], 21);
}

/* Both ran the same site: whatever they wrote must have the same bits. */
static void check_same(const trial *a, const trial *b)
{
    if (a->site.pass == ATH_FWD) {
        CHECK_BITS(a->call.out[0], b->call.out[0], ath_desc_bytes(&a->site.out[0]));
        CHECK_BITS(a->call.saved[0], b->call.saved[0], ath_desc_bytes(&a->site.saved[0]));
    }
    for (int i = 0; i < a->site.op->n_in; i++)
        if (a->call.din[i])
            CHECK_BITS(a->call.din[i], b->call.din[i], ath_desc_bytes(&a->site.din[i]));
}

/* A site run by cpu and by ref, or frozen and not: equal. */
static void compare(trial *a, ath_backend of_a, trial *b, ath_backend of_b)
{
    bind_trial(a, of_a);
    bind_trial(b, of_b);
    const int64_t n_asked = ath_mem_get_stats().n_asked;
    CHECK_OK(a->kernel->run(&a->call));
    CHECK_OK(b->kernel->run(&b->call));
    CHECK_OK(a->kernel->run(&a->call)); /* a second time: nothing may be left over of the first */
    if (b->site.add) CHECK_OK(b->kernel->run(&b->call));
    CHECK_EQ(ath_mem_get_stats().n_asked, n_asked);
    check_same(a, b);
    release(a);
    release(b);
}

typedef struct example {
    const char *name;
    const ath_op *op;
    const void *attr;
    ath_desc in[4];
} example;

static const ath_conv2d_attr same = {1, 1, 1, 1, 1}, down = {2, 0, 0, 1, 1}, point = {.stride = 1};
static const ath_lowrank_attr half = {0.5f};

#define CONV(name, attr, n, h, w, c, o, k)                          \
    {                                                               \
        name, &ath_op_conv2d, attr,                                 \
        {                                                           \
            {ATH_F32, 4, {n, h, w, c}}, {ATH_F32, 4, {o, c, k, k}}, \
            {                                                       \
                ATH_F32, 1,                                         \
                {                                                   \
                    o                                               \
                }                                                   \
            }                                                       \
        }                                                           \
    }
static const example examples[] = {
    CONV("3x3", &same, 2, 17, 16, 5, 19, 3),
    CONV("3x3, few pixels", &same, 2, 3, 5, 32, 48, 3),
    CONV("3x3, stride 2, bottom and right", &down, 2, 8, 6, 16, 33, 3),
    CONV("1x1", &point, 2, 4, 3, 24, 7, 1),
    {"linear",
     &ath_op_linear,
     NULL,
     {{ATH_F32, 3, {2, 9, 40}}, {ATH_F32, 2, {17, 40}}, {ATH_F32, 1, {17}}}},
    {"linear, one row",
     &ath_op_linear,
     NULL,
     {{ATH_F32, 2, {1, 64}}, {ATH_F32, 2, {33, 64}}, {ATH_F32, 1, {33}}}},
    {"lowrank",
     &ath_op_lowrank,
     &half,
     {{ATH_F32, 3, {2, 7, 20}}, {ATH_F32, 2, {4, 20}}, {ATH_F32, 2, {11, 4}}, {ATH_F32, 1, {4}}}},
};
enum { N_EXAMPLES = sizeof examples / sizeof *examples };

static trial start(const example *e, ath_dtype dtype)
{
    ath_desc in[ATH_MAX_IN] = {0};

    for (int i = 0; i < e->op->n_in; i++) in[i] = e->in[i];
    for (int i = 0; i < e->op->n_in; i++)
        if (in[i].n_dim > 1) in[i].dtype = dtype;
    return prepare(e->op, e->attr, in);
}

static void test_equals_reference(const example *e, ath_dtype dtype)
{
    trial a = start(e, dtype), b = start(e, dtype);
    compare(&a, ATH_CPU, &b, ATH_REF);
    for (int added = 0; added < 2; added++)
        for (int i = 0; i < e->op->n_in; i++) {
            if (e->op->no_grad >> i & 1) continue;
            trial c = start(e, dtype), d = start(e, dtype);
            want(&c, i);
            want(&d, i);
            c.site.add = d.site.add = added ? 1u << i : 0;
            compare(&c, ATH_CPU, &d, ATH_REF);
        }
}

/* A packed operand gives the bits of the plain one, which run need not see. */
static void test_packing(const example *e, ath_dtype dtype)
{
    for (int pass = 0; pass < 2; pass++) {
        trial a = start(e, dtype), b = start(e, dtype);
        if (pass == ATH_BWD) want(&a, 0);
        if (pass == ATH_BWD) want(&b, 0);
        a.site.frozen = e->op->weights;
        compare(&a, ATH_CPU, &b, ATH_CPU);
    }
}

static void test_examples(void)
{
    for (int k = 0; k < N_EXAMPLES; k++) {
        ath_test_begin(examples[k].name);
        test_equals_reference(&examples[k], ATH_F32);
        test_equals_reference(&examples[k], ATH_BF16);
        test_packing(&examples[k], ATH_F32);
        test_packing(&examples[k], ATH_BF16);
    }
}

static ath_bound bound_of(const example *e, int pass, uint32_t frozen, ath_err *err)
{
    trial t = start(e, ATH_F32);
    ath_bound bound;

    if (pass == ATH_BWD) want(&t, 0);
    t.site.frozen = frozen;
    *err = ath_site_bind(&t.site, ath_op_kernel(t.site.op, t.site.pass, ATH_CPU), &bound);
    return bound;
}

/* Packings are shared by key: equal for equal sites, different for different bytes. */
static void test_keys(void)
{
    ath_err err;

    ath_test_begin("keys");
    ath_bound a = bound_of(&examples[0], ATH_FWD, 2, &err),
              b = bound_of(&examples[0], ATH_FWD, 2, &err);
    ath_bound back = bound_of(&examples[0], ATH_BWD, 2, &err);
    ath_bound live = bound_of(&examples[0], ATH_FWD, 0, &err);
    CHECK(a.pack[1].bytes > 0 && back.pack[1].bytes > 0);
    CHECK(a.pack[1].key == b.pack[1].key);
    CHECK(a.pack[1].key != back.pack[1].key);
    CHECK_EQ(live.pack[1].bytes, 0);
    CHECK(a.algorithm && *a.algorithm);
    ath_bound_release(&a);
    ath_bound_release(&b);
    ath_bound_release(&back);
    ath_bound_release(&live);
}

/* The encoder's downsampling: a weight that is 1 at one tap makes y a shifted copy of x. */
static void test_uneven_padding(void)
{
    enum { H = 6, P = 3, C = 2 };
    const ath_desc in[ATH_MAX_IN] = {{ATH_F32, 4, {1, H, H, C}}, {ATH_F32, 4, {C, C, 3, 3}}};

    ath_test_begin("padding of bottom and right");
    for (int tap = 0; tap < 9; tap++) {
        trial t = prepare(&ath_op_conv2d, &down, in);
        float weight[C * C * 9] = {0};
        bind_trial(&t, ATH_CPU);
        const float *x = t.call.in[0], *y = t.call.out[0];
        for (int c = 0; c < C; c++) weight[(c * C + c) * 9 + tap] = 1;
        t.call.in[1] = weight;
        CHECK_OK(t.kernel->run(&t.call));
        CHECK_EQ(t.site.out[0].dim[1], P);
        for (int k = 0; k < P * P * C; k++) {
            const int h = k / C / P * 2 + tap / 3, w = k / C % P * 2 + tap % 3;
            CHECK(y[k] == (h < H && w < H ? x[(h * H + w) * C + k % C] : 0));
        }
        release(&t);
    }
}

static ath_err infer(const ath_op *op, const void *attr, const ath_desc *in)
{
    ath_desc out[ATH_MAX_OUT], saved[ATH_MAX_SAVED];
    return ath_op_infer(op, attr, in, out, saved);
}

static void test_refusals(void)
{
    const ath_desc x = {ATH_F32, 4, {1, 4, 4, 8}}, weight = {ATH_F32, 4, {6, 8, 3, 3}};
    const ath_desc bias = {ATH_F32, 1, {6}}, rows = {ATH_F32, 2, {5, 8}};

    ath_test_begin("refusals");
    CHECK_ERR(
        infer(&ath_op_conv2d, &(ath_conv2d_attr){.stride = 0}, (ath_desc[5]){x, weight, bias}),
        ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "conv2d: stride is 0");
    CHECK_ERR(infer(&ath_op_conv2d, &(ath_conv2d_attr){1, 0, -1, 0, 0}, (ath_desc[5]){x, weight}),
              ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "conv2d: padding is 0 -1 0 0");
    CHECK_ERR(infer(&ath_op_conv2d, &point, (ath_desc[5]){x, {ATH_F32, 4, {6, 8, 5, 3}}}),
              ATH_ESHAPE);
    CHECK_HAS(ath_err_text(), "conv2d: weight f32[6,8,5,3] is larger than x f32[1,4,4,8]");
    CHECK_ERR(infer(&ath_op_conv2d, &same, (ath_desc[5]){x, {ATH_F32, 4, {6, 7, 3, 3}}}),
              ATH_ESHAPE);
    CHECK_HAS(ath_err_text(), "conv2d: weight is f32[6,7,3,3], wanted f32[-1,8,-1,-1]");
    CHECK_ERR(infer(&ath_op_conv2d, &same, (ath_desc[5]){x, {ATH_BF16, 4, {6, 8, 3, 3}}}),
              ATH_EDTYPE);
    CHECK_ERR(infer(&ath_op_conv2d, &same, (ath_desc[5]){rows, weight}), ATH_ESHAPE);
    CHECK_ERR(infer(&ath_op_linear, NULL, (ath_desc[5]){rows, {ATH_F32, 2, {3, 9}}}), ATH_ESHAPE);
    CHECK_HAS(ath_err_text(), "linear: weight is f32[3,9], wanted f32[-1,8]");
    CHECK_ERR(
        infer(&ath_op_linear, NULL, (ath_desc[5]){rows, {ATH_F32, 2, {3, 8}}, {ATH_BF16, 1, {3}}}),
        ATH_EDTYPE);
    CHECK_HAS(ath_err_text(), "linear: bias is bf16, wanted f32");
    CHECK_ERR(infer(&ath_op_lowrank, &half,
                    (ath_desc[5]){rows, {ATH_F32, 2, {4, 8}}, {ATH_F32, 2, {6, 3}}}),
              ATH_ESHAPE);
    CHECK_HAS(ath_err_text(), "lowrank: up is f32[6,3], wanted f32[-1,4]");
    CHECK_ERR(
        infer(&ath_op_lowrank, &half,
              (ath_desc[5]){rows, {ATH_F32, 2, {4, 8}}, {ATH_F32, 2, {6, 4}}, {ATH_F32, 1, {3}}}),
        ATH_ESHAPE);
    CHECK_HAS(ath_err_text(), "lowrank: mask is f32[3]");
}

/* Binding: what it refuses, and what an allocation that fails leaves behind. */
static void test_bind_fails(void)
{
    ath_err err;
    ath_bound bound;

    ath_test_begin("bind fails");
    ath_mem_fail_from(1);
    bound = bound_of(&examples[0], ATH_FWD, 0, &err);
    ath_mem_fail_from(0);
    CHECK_EQ(err, ATH_ENOMEM);
    CHECK(!bound.handle && !bound.destroy);

    const ath_desc in[ATH_MAX_IN] = {{ATH_F64, 2, {3, 4}}, {ATH_F64, 2, {5, 4}}};
    trial t = prepare(&ath_op_linear, NULL, in);
    CHECK_ERR(ath_site_bind(&t.site, &ath_op_linear.fwd[ATH_CPU], &bound), ATH_ENOTSUP);
    CHECK_HAS(ath_err_text(), "linear: cpu has no f64");
}

static void test_column_sum(void)
{
    ath_test_begin("column sum");
    for (int64_t rows = 1; rows < 1100; rows = rows * 3 + 1)
        for (int64_t cols = 1; cols < 400; cols = cols * 2 + 1) {
            trial t = {0};
            const ath_desc d = {ATH_BF16, 2, {rows, cols}}, row = {ATH_F32, 1, {cols}};
            const uint16_t *x = numbers(&t, &d, 1);
            float *sum = get(&t, ath_desc_bytes(&row)), *twice = get(&t, ath_desc_bytes(&row));
            bool exact = true;
            ath_column_sum(&d, x, false, 1, sum);
            ath_column_sum(&d, x, false, 3, twice);
            ath_column_sum(&d, x, true, 3, twice);
            for (int64_t j = 0; j < cols; j++) {
                float expected = 0;
                for (int64_t i = 0; i < rows; i++) expected += ath_f32_from_bf16(x[i * cols + j]);
                exact = exact && sum[j] == expected && twice[j] == 2 * expected;
            }
            CHECK(exact);
            release(&t);
        }
}

static void test_peak(void)
{
    double rate = 0;
    trial silu = prepare(&ath_op_silu, NULL, (ath_desc[5]){{ATH_F32, 1, {8}}});

    ath_test_begin("peak");
    for (int k = 0; k < N_EXAMPLES; k++)
        for (int i = -1; i < 2; i++) {
            trial t = start(&examples[k], ATH_BF16);
            if (t.site.op == &ath_op_lowrank) continue;
            if (i >= 0) want(&t, i);
            rate = 0;
            CHECK_OK(ath_peak_dnnl(&t.site, &rate));
            CHECK(rate > 0);
        }
    CHECK_ERR(ath_peak_dnnl(&silu.site, &rate), ATH_ENOTSUP);
}

int main(void)
{
    test_examples();
    test_keys();
    test_uneven_padding();
    test_refusals();
    test_bind_fails();
    test_column_sum();
    test_peak();
    CHECK_EQ(ath_mem_get_stats().bytes_held, 0);
    return ath_test_end();
}
