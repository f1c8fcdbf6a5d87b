#include "kernels/chain_dnnl.h"

#include "core/hash.h"
#include "core/mem.h"
#include "kernels/column_sum.h"
#include "kernels/isa.h"
#include "kernels/par.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#if ATH_OPENMP
#include <omp.h>
#endif

enum { MAX_STEPS = 16, MAX_ARGS = 6, RUN = -1, ALGORITHM_TEXT = 160 };

typedef struct step step;
typedef void own_loop(const step *s, const ath_call *call);

/* A primitive, or a loop of ours that reads at[0] and writes at[1]. */
struct step {
    dnnl_primitive_t primitive;
    own_loop *own;
    int pack; /* RUN, or the operand whose packing this step is part of */
    int n_args;
    dnnl_exec_arg_t arg[MAX_ARGS];
    ath_place place[MAX_ARGS];
    void *at[MAX_ARGS];    /* where the arguments were in the last run */
    dnnl_memory_desc_t md; /* own: of what it writes */
    bool add;              /* own */
};

struct ath_chain {
    ath_site site;
    ath_bound *bound; /* during bind */
    int n_steps;
    step step[MAX_STEPS];
    size_t scratch_bytes, pad_bytes;
    size_t pad_at; /* offset of the library's scratchpad */
    char algorithm[ALGORITHM_TEXT];
};

ath_err ath_dnnl(dnnl_status_t status)
{
    static const char *const texts[] = {"success",       "out of memory", "invalid arguments",
                                        "unimplemented", "iterator ends", "runtime error",
                                        "not required"};
    const char *text = (size_t)status < sizeof texts / sizeof *texts ? texts[status] : "unknown";

    if (status == dnnl_success) return ATH_OK;
    if (status == dnnl_unimplemented) return ath_raise(ATH_ENOTSUP, "oneDNN: %s", text);
    if (status == dnnl_out_of_memory) return ath_raise(ATH_ENOMEM, "oneDNN: %s", text);
    return ath_raise(ATH_EDNNL, "oneDNN: %s", text);
}

static dnnl_engine_t the_engine;
static dnnl_stream_t the_stream;
static dnnl_status_t start_status;

static void start(void)
{
    static const dnnl_cpu_isa_t isa[ATH_N_ISAS] = {dnnl_cpu_isa_sse41, dnnl_cpu_isa_avx2,
                                                   dnnl_cpu_isa_all};

    start_status = dnnl_set_max_cpu_isa(isa[ath_isa_get()]);
    if (start_status == dnnl_unimplemented)
        start_status = dnnl_success; /* nothing to choose from */
    if (start_status == dnnl_success) start_status = dnnl_engine_create(&the_engine, dnnl_cpu, 0);
    if (start_status == dnnl_success)
        start_status = dnnl_stream_create(&the_stream, the_engine, dnnl_stream_default_flags);
}

ath_err ath_dnnl_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, start);
    return ath_dnnl(start_status);
}

dnnl_engine_t ath_dnnl_engine(void)
{
    return the_engine;
}

dnnl_stream_t ath_dnnl_stream(void)
{
    return the_stream;
}

int ath_dnnl_set_threads(int n)
{
#if ATH_OPENMP
    int before = omp_get_max_threads();
    omp_set_num_threads(n);
    return before;
#else
    return n;
#endif
}

dnnl_data_type_t ath_dnnl_type(ath_dtype dtype)
{
    return dtype == ATH_BF16 && ath_isa_get() == ATH_ISA_V4 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_data_type_t stored_type(ath_dtype dtype)
{
    ATH_ASSERT(dtype == ATH_F32 || dtype == ATH_BF16);
    return dtype == ATH_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* Arrays */

static ath_array strided(ath_place place, ath_dtype dtype, int n_dim, const int64_t *dim,
                         const int64_t *stride)
{
    ath_array a = {.place = place};
    dnnl_dims_t dims = {0}, strides = {0}; /* the library declares all of them as read */

    memcpy(dims, dim, (size_t)n_dim * sizeof *dim);
    memcpy(strides, stride, (size_t)n_dim * sizeof *stride);
    dnnl_status_t status =
        dnnl_memory_desc_init_by_strides(&a.md, n_dim, dims, stored_type(dtype), strides);
    ATH_ASSERT(status == dnnl_success);
    return a;
}

static ath_array dense(ath_place place, ath_dtype dtype, int n_dim, const int64_t *dim)
{
    int64_t stride[ATH_MAX_DIMS], length = 1;

    for (int i = n_dim - 1; i >= 0; i--) {
        stride[i] = length;
        length *= dim[i];
    }
    return strided(place, dtype, n_dim, dim, stride);
}

ath_array ath_array_at(ath_place_kind kind, int i, ath_dtype dtype, int n_dim, const int64_t *dim)
{
    return dense((ath_place){kind, (size_t)i}, dtype, n_dim, dim);
}

ath_array ath_array_rows(ath_place_kind kind, int i, const ath_desc *d)
{
    const int64_t dim[2] = {ath_desc_rows(d), ath_desc_last(d)};
    return ath_array_at(kind, i, d->dtype, 2, dim);
}

ath_array ath_array_swap(const ath_array *a)
{
    ath_array swapped = *a;
    dnnl_status_t status =
        dnnl_memory_desc_permute_axes(&swapped.md, &a->md, (const int[]){1, 0, 2, 3});
    ATH_ASSERT(status == dnnl_success);
    return swapped;
}

dnnl_memory_desc_t ath_md_any(const dnnl_memory_desc_t *md, dnnl_data_type_t type)
{
    dnnl_memory_desc_t any;
    dnnl_status_t status =
        dnnl_memory_desc_init_by_tag(&any, md->ndims, md->dims, type, dnnl_format_tag_any);
    ATH_ASSERT(status == dnnl_success);
    return any;
}

static bool is_at(ath_place a, ath_place b)
{
    return a.kind == b.kind && a.i == b.i;
}

/* Life */

static void destroy(void *handle)
{
    ath_chain *chain = handle;

    for (int i = 0; i < chain->n_steps; i++) {
        step *s = &chain->step[i];
        for (int k = 0; k < s->n_args; k++) dnnl_memory_destroy(s->arg[k].memory);
        dnnl_primitive_destroy(s->primitive);
    }
    ath_mem_free(&chain);
}

ath_err ath_chain_create(const ath_site *site, ath_bound *bound, ath_chain **out)
{
    ath_chain *chain = NULL;
    ath_dtype dtype = site->in[0].dtype;

    ATH_NEED(dtype == ATH_F32 || dtype == ATH_BF16, ATH_ENOTSUP, "%s: cpu has no %s",
             site->op->name, ath_dtype_name(dtype));
    ATH_TRY(ath_dnnl_start());
    ATH_TRY(ATH_NEW(1, "a chain of primitives", &chain));
    chain->site = *site;
    chain->bound = bound;
    bound->handle = chain;
    bound->destroy = destroy;
    *out = chain;
    return ATH_OK;
}

void ath_chain_seal(ath_chain *chain)
{
    chain->pad_at = chain->scratch_bytes;
    chain->bound->scratch_bytes = chain->scratch_bytes + chain->pad_bytes;
    chain->bound->algorithm = chain->algorithm;
    chain->bound = NULL;
}

static ath_place book(ath_chain *chain, size_t bytes)
{
    ath_place place = {ATH_AT_SCRATCH, chain->scratch_bytes};
    chain->scratch_bytes += (bytes + ATH_MEM_ALIGN - 1) / ATH_MEM_ALIGN * ATH_MEM_ALIGN;
    return place;
}

static step *next_step(ath_chain *chain, int pack)
{
    ATH_ASSERT(chain->bound && chain->n_steps < MAX_STEPS);
    step *s = &chain->step[chain->n_steps++];
    s->pack = pack;
    return s;
}

static ath_err put_arg(step *s, int id, ath_place place, const dnnl_memory_desc_t *md)
{
    dnnl_memory_t memory = NULL;

    ATH_ASSERT(s->n_args < MAX_ARGS);
    ATH_TRY(ath_dnnl(dnnl_memory_create(&memory, md, the_engine, DNNL_MEMORY_NONE)));
    s->place[s->n_args] = place;
    s->arg[s->n_args++] = (dnnl_exec_arg_t){id, memory};
    return ATH_OK;
}

static void put_own(step *s, own_loop *own, ath_place from, const ath_array *to)
{
    s->own = own;
    s->place[0] = from;
    s->place[1] = to->place;
    s->n_args = 2;
    s->md = to->md;
}

static void name_algorithm(ath_chain *chain, const_dnnl_primitive_desc_t pd)
{
    const char *text = "";
    size_t used = strlen(chain->algorithm);

    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &text);
    snprintf(chain->algorithm + used, ALGORITHM_TEXT - used, "%s%s", used ? " " : "", text);
}

/* Borrows `pd`. */
static ath_err put(ath_chain *chain, int pack, dnnl_primitive_desc_t pd, int n,
                   const ath_chain_arg *arg)
{
    step *s = next_step(chain, pack);
    const dnnl_memory_desc_t *pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    const size_t pad_bytes = dnnl_memory_desc_get_size(pad);

    ATH_TRY(ath_dnnl(dnnl_primitive_create(&s->primitive, pd)));
    for (int i = 0; i < n; i++)
        ATH_TRY(put_arg(s, arg[i].id, arg[i].array->place, &arg[i].array->md));
    if (pad_bytes) ATH_TRY(put_arg(s, DNNL_ARG_SCRATCHPAD, (ath_place){ATH_AT_PAD, 0}, pad));
    if (pad_bytes > chain->pad_bytes) chain->pad_bytes = pad_bytes;
    if (pack == RUN) name_algorithm(chain, pd);
    return ATH_OK;
}

ath_err ath_chain_attr(float scale, const ath_array *factor, bool add, dnnl_primitive_attr_t *out)
{
    ath_err err = ATH_OK;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t post = NULL;

    ATH_TRY_OUT(ath_dnnl(dnnl_primitive_attr_create(&attr)));
    ATH_TRY_OUT(ath_dnnl(dnnl_post_ops_create(&post)));
    ATH_TRY_OUT(ath_dnnl(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user)));
    if (scale != 1.0f)
        ATH_TRY_OUT(ath_dnnl(dnnl_primitive_attr_set_output_scales(attr, 1, 0, &scale)));
    if (factor)
        ATH_TRY_OUT(ath_dnnl(dnnl_post_ops_append_binary(post, dnnl_binary_mul, &factor->md)));
    if (add) ATH_TRY_OUT(ath_dnnl(dnnl_post_ops_append_sum(post, 1.0f)));
    ATH_TRY_OUT(ath_dnnl(dnnl_primitive_attr_set_post_ops(attr, post)));
    *out = attr;
    attr = NULL;
out:
    dnnl_post_ops_destroy(post);
    dnnl_primitive_attr_destroy(attr);
    return err;
}

/* Number types */

static bool is_widened(const dnnl_memory_desc_t *md)
{
    return md->data_type == dnnl_bf16 && ath_dnnl_type(ATH_BF16) == dnnl_f32;
}

static int64_t count(const dnnl_memory_desc_t *md)
{
    int64_t n = 1;
    for (int i = 0; i < md->ndims; i++) n *= md->dims[i];
    return n;
}

/* These run only below level v4, where BF16 is a matter of memory, not of speed. */
static void widen(const step *s, const ath_call *call)
{
    const int64_t n = count(&s->md);
    const uint16_t *from = s->at[0];
    float *to = s->at[1];

    (void)call;
    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t i = 0; i < n; i++) to[i] = ath_f32_from_bf16(from[i]);
}

static void narrow(const step *s, const ath_call *call)
{
    const int64_t n = count(&s->md);
    const float *from = s->at[0];
    uint16_t *to = s->at[1];

    (void)call;
    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t i = 0; i < n; i++)
        to[i] = ath_bf16_from_f32(s->add ? ath_f32_from_bf16(to[i]) + from[i] : from[i]);
}

static ath_array as_f32(const ath_array *a)
{
    return strided(a->place, ATH_F32, a->md.ndims, a->md.dims, a->md.format_desc.blocking.strides);
}

ath_err ath_chain_read(ath_chain *chain, ath_array a, ath_array *out)
{
    *out = a;
    if (!is_widened(&a.md)) return ATH_OK;
    *out = ath_chain_target(chain, &a, true);
    put_own(next_step(chain, RUN), widen, a.place, out);
    return ATH_OK;
}

ath_array ath_chain_target(ath_chain *chain, const ath_array *a, bool aside)
{
    ath_array target = *a;

    if (is_widened(&a->md))
        target = as_f32(a);
    else if (!aside)
        return target;
    target.place = book(chain, dnnl_memory_desc_get_size(&target.md));
    return target;
}

/* Layouts */

static ath_err put_reorder(ath_chain *chain, int pack, const ath_array *from, const ath_array *to,
                           bool add)
{
    ath_err err = ATH_OK;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    const ath_chain_arg arg[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};

    /* packing has no scratch of the call: there the library keeps its own */
    if (pack == RUN) ATH_TRY_OUT(ath_chain_attr(1.0f, NULL, add, &attr));
    ATH_TRY_OUT(ath_dnnl(
        dnnl_reorder_primitive_desc_create(&pd, &from->md, the_engine, &to->md, the_engine, attr)));
    ATH_TRY_OUT(put(chain, pack, pd, 2, arg));
out:
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
    return err;
}

/* Exchanges two stretches of `bytes` bytes. */
static void exchange(char *a, char *b, size_t bytes)
{
    char held[256];

    while (bytes > 0) {
        size_t n = bytes < sizeof held ? bytes : sizeof held;
        memcpy(held, a, n);
        memcpy(a, b, n);
        memcpy(b, held, n);
        a += n;
        b += n;
        bytes -= n;
    }
}

/* Turns all filters by half a turn, in place: taps are exchanged pairwise, each a stretch of the
 * innermost block of channels. */
static void turn(const step *s, const ath_call *call)
{
    const dnnl_memory_desc_t *md = &s->md;
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    const int64_t n_taps = md->dims[2] * md->dims[3];
    int64_t block[2] = {1, 1};

    (void)call;
    for (int i = 0; i < b->inner_nblks; i++) block[b->inner_idxs[i]] *= b->inner_blks[i];
    const int64_t rows = md->padded_dims[0] / block[0], cols = md->padded_dims[1] / block[1];
    const size_t item = dnnl_data_type_size(md->data_type);
    const size_t bytes = (size_t)(block[0] * block[1]) * item;

    ATH_PAR_FOR(call->site->n_threads)
    for (int64_t k = 0; k < rows * (n_taps / 2); k++) {
        const int64_t row = k % rows, tap = k / rows, other = n_taps - 1 - tap;
        char *base = (char *)s->at[1] + (size_t)(row * b->strides[0]) * item;
        const int64_t to = tap / md->dims[3] * b->strides[2] + tap % md->dims[3] * b->strides[3];
        const int64_t from =
            other / md->dims[3] * b->strides[2] + other % md->dims[3] * b->strides[3];
        for (int64_t col = 0; col < cols; col++)
            exchange(base + (size_t)(to + col * b->strides[1]) * item,
                     base + (size_t)(from + col * b->strides[1]) * item, bytes);
    }
}

/* What decides the bytes of a packed operand, field by field: descriptors have padding. */
static uint64_t packing_key(const ath_chain_weight *w, const dnnl_memory_desc_t *to)
{
    const dnnl_memory_desc_t *from = &w->array->md;
    int64_t word[64] = {w->turned, to->ndims, to->data_type};
    int n = 3;

    for (int i = 0; i < to->ndims; i++) {
        word[n++] = from->format_desc.blocking.strides[i];
        word[n++] = to->dims[i];
        word[n++] = to->padded_dims[i];
        word[n++] = to->format_desc.blocking.strides[i];
    }
    for (int i = 0; i < to->format_desc.blocking.inner_nblks; i++) {
        word[n++] = to->format_desc.blocking.inner_blks[i];
        word[n++] = to->format_desc.blocking.inner_idxs[i];
    }
    return ath_hash_of(word, sizeof word).lo;
}

static bool is_frozen(const ath_chain *chain, const ath_array *a)
{
    return a->place.kind == ATH_AT_IN && chain->site.frozen >> a->place.i & 1;
}

/* `w` in the layout `want`: as it is, packed where it is frozen, or reordered in each run. */
static ath_err lay_out(ath_chain *chain, const ath_chain_weight *w, const dnnl_memory_desc_t *want,
                       ath_array *out)
{
    const ath_place at = w->array->place;
    const size_t bytes = dnnl_memory_desc_get_size(want);
    int pack = RUN;

    *out = *w->array;
    if (dnnl_memory_desc_equal(&out->md, want) && !w->turned) return ATH_OK;
    out->md = *want;
    if (is_frozen(chain, w->array)) {
        pack = (int)at.i;
        out->place.kind = ATH_AT_PACKED;
        chain->bound->pack[pack] = (ath_packing){bytes, packing_key(w, want)};
    } else {
        out->place = book(chain, bytes);
    }
    ATH_TRY(put_reorder(chain, pack, w->array, out, false));
    if (w->turned) put_own(next_step(chain, pack), turn, out->place, out);
    return ATH_OK;
}

ath_err ath_chain_put(ath_chain *chain, dnnl_primitive_desc_t pd, const ath_chain_weight *weight,
                      int n, const ath_chain_arg *arg)
{
    ath_err err = ATH_OK;
    ath_array ready;
    ath_chain_arg all[MAX_ARGS];

    ATH_ASSERT(n < MAX_ARGS);
    memcpy(all, arg, (size_t)n * sizeof *arg);
    if (weight) {
        const dnnl_memory_desc_t *want = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        ATH_TRY_OUT(lay_out(chain, weight, want, &ready));
        all[n++] = (ath_chain_arg){DNNL_ARG_WEIGHTS, &ready};
    }
    ATH_TRY_OUT(put(chain, RUN, pd, n, all));
out:
    dnnl_primitive_desc_destroy(pd);
    return err;
}

ath_err ath_chain_settle(ath_chain *chain, const ath_array *from, const ath_array *to, bool add)
{
    if (is_at(from->place, to->place)) return ATH_OK;
    if (!is_widened(&to->md)) return put_reorder(chain, RUN, from, to, add);
    step *s = next_step(chain, RUN);
    s->add = add;
    put_own(s, narrow, from->place, to);
    return ATH_OK;
}

/* Products */

static ath_err product_desc(const ath_product *p, const ath_array *a, const ath_array *b,
                            const ath_array *c, bool add, dnnl_primitive_desc_t *out)
{
    ath_err err = ATH_OK;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_matmul_desc_t desc;

    ATH_TRY_OUT(ath_chain_attr(p->scale, p->factor, add, &attr));
    ATH_TRY_OUT(ath_dnnl(
        dnnl_matmul_desc_init(&desc, &a->md, &b->md, p->bias ? &p->bias->md : NULL, &c->md)));
    ATH_TRY_OUT(ath_dnnl(dnnl_primitive_desc_create(out, &desc, attr, the_engine, NULL)));
out:
    dnnl_primitive_attr_destroy(attr);
    return err;
}

ath_err ath_chain_product(ath_chain *chain, const ath_product *p)
{
    /* An F32 sum of BF16 products: adding it within the primitive changes on some machines how K is cut. */
    const bool is_sum = p->add && p->c.md.data_type == dnnl_f32 && p->a.md.data_type == dnnl_bf16;
    ath_array a, b, any, c = ath_chain_target(chain, &p->c, is_sum);
    const bool add = p->add && is_at(c.place, p->c.place);
    const ath_chain_weight weight = {&b, false};
    dnnl_primitive_desc_t pd = NULL;
    ath_chain_arg arg[4] = {{DNNL_ARG_SRC, &a}, {DNNL_ARG_DST, &c}};
    int n = 2;

    ATH_TRY(ath_chain_read(chain, p->a, &a));
    ATH_TRY(ath_chain_read(chain, p->b, &b));
    any = b;
    if (is_frozen(chain, &b)) any.md = ath_md_any(&b.md, b.md.data_type);
    ATH_TRY(product_desc(p, &a, &any, &c, add, &pd));
    if (p->bias) arg[n++] = (ath_chain_arg){DNNL_ARG_BIAS, p->bias};
    if (p->factor)
        arg[n++] = (ath_chain_arg){DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, p->factor};
    ATH_TRY(ath_chain_put(chain, pd, &weight, n, arg));
    return ath_chain_settle(chain, &c, &p->c, p->add);
}

static void bias_grad(const step *s, const ath_call *call)
{
    ath_column_sum(&call->site->out[0], s->at[0], s->add, call->site->n_threads, s->at[1]);
}

ath_err ath_chain_bias_grad(ath_chain *chain, int i)
{
    const ath_desc *d = &chain->site.din[i];

    if (d->dtype == ATH_NONE) return ATH_OK;
    ath_array to = ath_array_rows(ATH_AT_DIN, i, d);
    step *s = next_step(chain, RUN);
    s->add = chain->site.add >> i & 1;
    put_own(s, bias_grad, (ath_place){ATH_AT_DOUT, 0}, &to);
    return ATH_OK;
}

/* Run */

static void *locate(const ath_chain *chain, ath_place place, const ath_call *call)
{
    switch (place.kind) {
    case ATH_AT_IN:
        return (void *)(uintptr_t)call->in[place.i];
    case ATH_AT_OUT:
        return call->out[place.i];
    case ATH_AT_SAVED:
        return call->saved[place.i];
    case ATH_AT_DOUT:
        return (void *)(uintptr_t)call->dout[place.i];
    case ATH_AT_DIN:
        return call->din[place.i];
    case ATH_AT_PACKED:
        return (void *)(uintptr_t)call->packed[place.i];
    case ATH_AT_SCRATCH:
        return (char *)call->scratch + place.i;
    case ATH_AT_PAD:
        return (char *)call->scratch + chain->pad_at;
    }
    return NULL;
}

static ath_err run_step(const ath_chain *chain, step *s, const ath_call *call)
{
    for (int i = 0; i < s->n_args; i++) {
        void *at = locate(chain, s->place[i], call);
        /* setting a handle rewrites the zeros between blocks: only when it moved */
        if (s->arg[i].memory && at != s->at[i])
            ATH_TRY(ath_dnnl(dnnl_memory_set_data_handle(s->arg[i].memory, at)));
        s->at[i] = at;
    }
    if (s->own)
        s->own(s, call);
    else
        ATH_TRY(ath_dnnl(dnnl_primitive_execute(s->primitive, the_stream, s->n_args, s->arg)));
    return ATH_OK;
}

static ath_err run_steps(const ath_call *call, int pack)
{
    ath_err err = ATH_OK;
    ath_chain *chain = call->bound->handle;
    const int before = ath_dnnl_set_threads(call->site->n_threads);

    for (int i = 0; i < chain->n_steps; i++)
        if (chain->step[i].pack == pack) ATH_TRY_OUT(run_step(chain, &chain->step[i], call));
    ATH_TRY_OUT(ath_dnnl(dnnl_stream_wait(the_stream)));
out:
    ath_dnnl_set_threads(before);
    return err;
}

ath_err ath_chain_run(const ath_call *call)
{
    return run_steps(call, RUN);
}

ath_err ath_chain_pack(const ath_call *call, int i, void *packed)
{
    ath_call own = *call;

    own.packed[i] = packed;
    return run_steps(&own, i);
}
