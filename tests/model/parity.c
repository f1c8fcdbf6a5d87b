#include "tests/model/parity.h"

#include "core/hash.h"
#include "core/mem.h"
#include "worker/graph/exec.h"
#include "worker/graph/layer.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { INPUTS_MAX = 3, SAMPLES = 512 }; /* SAMPLES as in make_models.py */

typedef struct run {
    const parity_opts *opts;
    ath_part part;
    const char *input[INPUTS_MAX];
    ath_desc desc[INPUTS_MAX];
    int n_inputs;
    ath_net *net;
    ath_plan *plan;
    ath_device *device, *own_device;
    ath_weights *weights;
    ath_slab *slab;
    ath_exec *exec;
} run;

static const ath_st_tensor *find(const parity_opts *o, const char *what, const char *name)
{
    char full[2 * PARITY_NAME];

    snprintf(full, sizeof full, "%s/%s%s", o->name, what, name);
    return ath_st_find(o->st, full);
}

static ath_err need(const parity_opts *o, const char *what, const char *name,
                    const ath_st_tensor **out)
{
    *out = find(o, what, name);
    ATH_NEED(*out, ATH_EMISSING, "%s: the fixture has no %s%s", o->name, what, name);
    return ATH_OK;
}

bool parity_has_gradient(const parity_opts *o)
{
    return find(o, "loss", "") != NULL;
}

static double get(const ath_st_tensor *t, int64_t i)
{
    const bool is_half = t->dtype == ATH_ST_BF16;
    const size_t size = is_half ? 2 : 4;
    uint32_t aligned = 0;

    ATH_ASSERT(is_half || t->dtype == ATH_ST_F32 || t->dtype == ATH_ST_I32);
    memcpy(&aligned, (const char *)t->data + (size_t)i * size, size);
    if (t->dtype == ATH_ST_I32) return ath_dtype_get(&aligned, ATH_I32, 0);
    return ath_dtype_get(&aligned, is_half ? ATH_BF16 : ATH_F32, 0);
}

static int64_t count(const ath_st_tensor *t)
{
    int64_t n = 1;

    for (int32_t i = 0; i < t->n_dim; i++) n *= t->dim[i];
    return n;
}

/* The elements of t as d wants them; the caller frees. */
static ath_err convert(const ath_st_tensor *t, const ath_desc *d, void **out)
{
    ATH_NEED(count(t) == ath_desc_count(d), ATH_ESHAPE,
             "%s has %" PRId64 " elements, wanted %" PRId64, t->name, count(t), ath_desc_count(d));
    ATH_TRY(ath_mem_new(ath_desc_bytes(d), 1, "fixture tensor", out));
    for (int64_t i = 0; i < ath_desc_count(d); i++) ath_dtype_put(*out, d->dtype, i, get(t, i));
    return ATH_OK;
}

/* ---- recording ---- */

static ath_dtype full_dtype(const parity_opts *o)
{
    return o->compute == ATH_F64 ? ATH_F64 : ATH_F32;
}

/* An input of the fixture's shape; activations in the dtype of the run. */
static ath_val input(run *r, const char *name)
{
    const ath_st_tensor *t = find(r->opts, "in/", name);
    const bool is_time = strcmp(name, "t") == 0;

    ATH_ASSERT(r->n_inputs < INPUTS_MAX);
    if (!t || t->n_dim > ATH_MAX_DIMS) {
        ath_net_fail(r->net, ATH_EMISSING, "%s: the fixture has no in/%s", r->opts->name, name);
        return (ath_val){0};
    }
    ath_desc d = {is_time ? full_dtype(r->opts) : r->opts->compute, t->n_dim, {0}};
    if (t->dtype == ATH_ST_I32) d.dtype = ATH_I32;
    memcpy(d.dim, t->dim, (size_t)t->n_dim * sizeof *t->dim);
    r->input[r->n_inputs] = name;
    r->desc[r->n_inputs++] = d;
    ath_val x = ath_net_input(r->net, name, d);
    if (d.dtype != ATH_I32 && !is_time && parity_has_gradient(r->opts)) ath_net_want(r->net, x);
    return x;
}

static ath_val network(run *r)
{
    const ath_model_spec *spec = r->opts->spec;
    const char *name = r->opts->name;

    if (strncmp(name, "text.", 5) == 0) {
        const ath_st_tensor *skip = find(r->opts, "skip", "");
        r->part = ATH_PART_TEXT;
        return ath_text_encoder(r->net, &spec->text, input(r, "ids"),
                                skip ? (int32_t)get(skip, 0) : 0);
    }
    if (strncmp(name, "unet.", 5) == 0) {
        r->part = ATH_PART_UNET;
        ath_val x = input(r, "x"), t = input(r, "t");
        return ath_unet(r->net, &spec->unet, x, t, input(r, "context"));
    }
    r->part = ATH_PART_VAE;
    return strncmp(name, "vae_encode.", 11) == 0
               ? ath_vae_encode(r->net, &spec->vae, input(r, "picture"))
               : ath_vae_decode(r->net, &spec->vae, input(r, "latent"));
}

static ath_err record(run *r)
{
    ATH_TRY(ath_net_create(r->opts->compute, &r->net));
    ath_net_train(r->net, r->opts->trains);
    ath_val y = network(r);
    if (parity_has_gradient(r->opts)) {
        ath_desc d = ath_net_desc(r->net, y);
        d.dtype = full_dtype(r->opts);
        const ath_desc row = {d.dtype, 1, {d.dim[0]}};
        ath_net_loss(r->net, ath_mse(r->net, y, ath_net_input(r->net, "target", d),
                                     ath_net_input(r->net, "row_weight", row)));
    }
    ath_net_keep(r->net, "out", y);
    return ath_net_check(r->net);
}

/* ---- numbers in ---- */

static ath_err put_weight(run *r, const ath_plan_param *p, bool is_frozen)
{
    const ath_st_tensor *t = NULL;
    char name[2 * PARITY_NAME];
    ath_err err = ATH_OK;
    void *host = NULL;

    snprintf(name, sizeof name, "weight/%s/%s", ath_part_name(r->part), p->name);
    ATH_TRY_OUT(ath_st_need(r->opts->st, name, &t));
    ATH_TRY_OUT(convert(t, &p->desc, &host));
    if (is_frozen)
        ATH_TRY_OUT(ath_weights_put(r->weights, p->name, p->desc, p->desc.dtype, host));
    else
        ATH_TRY_OUT(ath_slab_write(r->slab, ATH_VALUE, p->name, host, ath_desc_bytes(&p->desc)));
out:
    ath_mem_free(&host);
    return err;
}

static ath_err put_weights(run *r)
{
    const ath_plan_param *p = NULL;
    const int32_t n_frozen = ath_plan_frozen(r->plan, &p);

    for (int32_t i = 0; i < n_frozen; i++) ATH_TRY(put_weight(r, &p[i], true));
    const int32_t n = ath_plan_trainables(r->plan, &p);
    for (int32_t i = 0; i < n; i++) ATH_TRY(put_weight(r, &p[i], false));
    return ATH_OK;
}

static ath_err write_input(run *r, const char *what, const char *name, const char *to,
                           ath_dtype dtype)
{
    const ath_st_tensor *t = NULL;
    ath_err err = ATH_OK;
    void *host = NULL;

    ATH_TRY(need(r->opts, what, name, &t));
    const ath_desc d = {dtype, 1, {count(t)}};
    ATH_TRY_OUT(convert(t, &d, &host));
    ATH_TRY_OUT(ath_exec_write(r->exec, to, host, ath_desc_bytes(&d)));
out:
    ath_mem_free(&host);
    return err;
}

static ath_err prepare(run *r)
{
    const parity_opts *o = r->opts;
    const ath_plan_opts plan = {
        .backend = o->backend, .n_threads = o->n_threads, .recompute = o->recompute};

    ATH_TRY(record(r));
    ATH_TRY(ath_plan_create(r->net, &plan, &r->plan));
    r->device = o->device;
    if (!r->device) {
        ATH_TRY(ath_device_create_host(&r->own_device));
        r->device = r->own_device;
    }
    ATH_TRY(ath_weights_create(r->device, &r->weights));
    ATH_TRY(ath_slab_create(r->device, r->plan, &r->slab));
    ATH_TRY(put_weights(r));
    const ath_exec_opts exec = {.weights = r->weights, .slab = r->slab};
    ATH_TRY(ath_exec_create(r->plan, r->device, &exec, &r->exec));
    for (int i = 0; i < r->n_inputs; i++)
        ATH_TRY(write_input(r, "in/", r->input[i], r->input[i], r->desc[i].dtype));
    if (!parity_has_gradient(o)) return ATH_OK;
    ATH_TRY(write_input(r, "target", "", "target", full_dtype(o)));
    return write_input(r, "row_weight", "", "row_weight", full_dtype(o));
}

static void release(run *r)
{
    ath_exec_destroy(&r->exec);
    ath_slab_destroy(&r->slab);
    ath_weights_destroy(&r->weights);
    ath_device_destroy(&r->own_device);
    ath_plan_destroy(&r->plan);
    ath_net_destroy(&r->net);
}

/* ---- numbers out ---- */

/* Errors that are not finite count as 1e30, so that no comparison hides them. */
static double relative(double error, double size)
{
    const double rel = error / (size > 0 ? size : 1);

    return isfinite(rel) ? rel : 1e30;
}

/* Keeps the worse of two and whose it was. */
static void worst(double rel, const char *name, double *most, char most_name[PARITY_NAME])
{
    if (rel < *most) return;
    *most = rel;
    snprintf(most_name, PARITY_NAME, "%s", name);
}

static double compare(const ath_st_tensor *want, const void *got, ath_dtype dtype)
{
    double error = 0, size = 0;

    for (int64_t i = 0; i < count(want); i++) {
        const double w = get(want, i), d = ath_dtype_get(got, dtype, i) - w;
        error += d * d;
        size += w * w;
    }
    return relative(sqrt(error), sqrt(size));
}

/* Both are read the same way: a kept value and an input's gradient. */
static ath_err measure_array(run *r, const char *what, const char *name, ath_dtype dtype,
                             double *rel, double *mark)
{
    const bool is_gradient = strcmp(what, "din/") == 0;
    const ath_st_tensor *want = NULL;
    ath_err err = ATH_OK;
    void *host = NULL;

    ATH_TRY(need(r->opts, what, is_gradient ? name : "", &want));
    const ath_desc d = {dtype, 1, {count(want)}};
    const size_t bytes = ath_desc_bytes(&d);
    ATH_TRY(ath_mem_new(bytes, 1, "result", &host));
    if (is_gradient)
        ATH_TRY_OUT(ath_exec_read_grad(r->exec, name, host, bytes));
    else
        ATH_TRY_OUT(ath_exec_read(r->exec, name, host, bytes));
    *rel = compare(want, host, dtype);
    if (mark)
        for (int64_t i = 0; i < d.dim[0]; i++)
            *mark += ath_dtype_get(host, dtype, i) * (double)(i % 97);
out:
    ath_mem_free(&host);
    return err;
}

/* The root mean square of the elements of all gradients, as torch has them. */
static double typical(const run *r)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_plan_trainables(r->plan, &p);
    double squares = 0, elements = 0;

    for (int32_t i = 0; i < n; i++) {
        const ath_st_tensor *want = find(r->opts, "dw/", p[i].name);
        const double norm = want ? get(want, count(want) - 1) : 0;
        squares += norm * norm;
        elements += (double)ath_desc_count(&p[i].desc);
    }
    return sqrt(squares / elements);
}

static void compare_gradient(const ath_plan_param *p, const ath_st_tensor *want, const void *got,
                             double typical_size, parity_result *out)
{
    const int64_t n = ath_desc_count(&p->desc), n_samples = count(want) - 1;
    const double norm = get(want, n_samples), typical_norm = typical_size * sqrt((double)n);
    double error = 0, size = 0, squares = 0;

    for (int64_t i = 0; i < n; i++) {
        const double x = ath_dtype_get(got, p->desc.dtype, i);
        squares += x * x;
    }
    for (int64_t i = 0; i < n_samples; i++) {
        const uint32_t spread = (uint32_t)i * 2654435761u;
        const int64_t at = n == n_samples ? i : (int64_t)((uint64_t)spread * (uint64_t)n >> 32);
        const double w = get(want, i), d = ath_dtype_get(got, p->desc.dtype, at) - w;
        error += d * d;
        size += w * w;
    }
    out->n_dw++;
    if (norm < PARITY_FLOOR * typical_norm) {
        out->n_zero++;
        const double typical_part = typical_size * sqrt((double)n_samples);
        out->zero = fmax(out->zero, relative(sqrt(error), typical_part));
        return;
    }
    out->norm = fmax(out->norm, relative(fabs(sqrt(squares) - norm), norm));
    const double rel = relative(sqrt(error), sqrt(size));
    out->dw_mean += rel * rel; /* the sum until all are seen */
    worst(rel, p->name, &out->dw, out->dw_name);
}

static ath_err measure_parameters(run *r, parity_result *out)
{
    const ath_plan_param *p = NULL;
    const int32_t n = ath_plan_trainables(r->plan, &p);
    const double typical_size = n ? typical(r) : 0;
    ath_err err = ATH_OK;
    void *host = NULL;

    for (int32_t i = 0; i < n; i++) {
        const ath_st_tensor *want = NULL;
        const size_t bytes = ath_desc_bytes(&p[i].desc);
        const int64_t elements = ath_desc_count(&p[i].desc);
        ATH_TRY_OUT(need(r->opts, "dw/", p[i].name, &want));
        if (count(want) - 1 != (elements < SAMPLES ? elements : SAMPLES))
            ATH_TRY_OUT(ath_raise(ATH_ESHAPE, "%s: has not as many elements as ours", want->name));
        ATH_TRY_OUT(ath_mem_new(bytes, 1, "gradient", &host));
        ATH_TRY_OUT(ath_slab_read(r->slab, ATH_GRAD, p[i].name, host, bytes));
        compare_gradient(&p[i], want, host, typical_size, out);
        ath_mem_free(&host);
    }
    if (out->n_dw > out->n_zero) out->dw_mean = sqrt(out->dw_mean / (out->n_dw - out->n_zero));
out:
    ath_mem_free(&host);
    return err;
}

static ath_err measure(run *r, parity_result *out)
{
    const ath_dtype full = full_dtype(r->opts), compute = r->opts->compute;

    ATH_TRY(ath_exec_run(r->exec, ATH_PHASE_GRAD));
    ATH_TRY(measure_array(r, "out", "out", compute, &out->out, NULL));
    if (!parity_has_gradient(r->opts)) return ATH_OK;
    ATH_TRY(measure_array(r, "loss", "loss", full, &out->loss, NULL));
    for (int i = 0; i < r->n_inputs; i++) {
        double rel = 0;
        if (!find(r->opts, "din/", r->input[i])) continue;
        ATH_TRY(measure_array(r, "din/", r->input[i], compute, &rel, &out->mark));
        worst(rel, r->input[i], &out->din, out->din_name);
    }
    return measure_parameters(r, out);
}

ath_err parity_measure(const parity_opts *opts, parity_result *out)
{
    parity_result result = {0};
    run r = {.opts = opts};
    ath_err err = prepare(&r);

    if (!err) err = measure(&r, &result);
    release(&r);
    if (!err) *out = result;
    return err;
}
