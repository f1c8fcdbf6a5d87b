#include "worker/train/optimizer.h"

#include "core/mem.h"
#include "kernels/adamw.h"
#include "kernels/ops.h"
#include "worker/dist/dist.h"
#include "worker/train/network.h"

#include <math.h>
#include <string.h>

/* What the op reads besides gradients, on the device. */
enum { UNET, TEXT, N_GROUPS };
typedef struct step_data {
    float hyper[N_GROUPS][4]; /* rate, decay, c1, c2 */
    double norm2;
} step_data;

typedef struct update_job {
    const ath_kernel *kernel;
    ath_call call;
} update_job;

/* Neighbours in a slice of this rank, or in slices that follow one another, that have one rate; the gaps
 * between parameters hold zeros. */
typedef struct run {
    ath_site site;
    update_job job;        /* of the step */
    int32_t bucket, group; /* the first one's bucket */
    int64_t first, n;      /* in the bucket */
    int64_t moment_at;     /* in this rank's moments */
} run;

struct ath_optimizer {
    ath_trainer_opts opts;
    ath_optimizer_on on;
    ath_stream *stream;
    const ath_kernel *kernel;
    ath_adamw_attr attr;
    run *runs;
    int32_t n_runs;
    int64_t runs_room;
    int64_t n_own; /* numbers in this rank's slices */
    int32_t n_buckets;
    float **values; /* by bucket, on the host */
    ath_buf moment1, moment2, data;
    ath_buf grads; /* a slice's sums, where the host made them for a device */
    float *copy;   /* a slice on its way; NULL where the device is the host */
    int64_t n_done;
};

static void *at(ath_buf buf, int64_t element)
{
    return (float *)buf.address + element;
}

/* The last run of the bucket before, where one launch can take what follows too: on a device all sums are
 * there before the first is used, one bucket behind the other. */
static run *last_run(const ath_optimizer *o)
{
    return ath_reduce_is_on_device(o->on.reduce) && o->n_runs ? &o->runs[o->n_runs - 1] : NULL;
}

/* [first, first + n) of bucket k, cut where the rate changes. */
static ath_err add_runs(ath_optimizer *o, int32_t k, int64_t first, int64_t n)
{
    const ath_plan_param *params = NULL;
    const int32_t n_params = ath_plan_trainables(o->on.plan, &params);
    int64_t begin = 0, last_begin = 0;
    run *last = last_run(o);

    ath_plan_bucket_span(o->on.plan, k, &begin);
    for (int32_t i = 0; i < n_params; i++) {
        const int32_t group = ath_train_is_text(params[i].name) ? TEXT : UNET;
        const bool is_last = i + 1 == n_params || params[i + 1].bucket != k;
        int64_t from = params[i].offset - begin;
        int64_t to = is_last ? first + n : params[i + 1].offset - begin;
        if (from < first) from = first;
        if (to > first + n) to = first + n;
        if (params[i].bucket != k || from >= to) continue;
        if (last && last->group == group) {
            ath_plan_bucket_span(o->on.plan, last->bucket, &last_begin);
            last->n = begin + to - last_begin - last->first;
            continue;
        }
        ATH_TRY(ath_mem_grow(&o->runs, o->n_runs, &o->runs_room, sizeof *o->runs, "runs"));
        last = &o->runs[o->n_runs++];
        *last = (run){.bucket = k,
                      .group = group,
                      .first = from,
                      .n = to - from,
                      .moment_at = o->n_own + from - first};
    }
    o->n_own += n;
    return ATH_OK;
}

static ath_err check_run(const ath_optimizer *o, run *r)
{
    ath_site *s = &r->site;

    *s = (ath_site){.op = &ath_op_adamw, .attr = &o->attr, .n_threads = o->opts.n_threads};
    s->in[0] = (ath_desc){ATH_F32, 1, {r->n}};
    s->in[1] = (ath_desc){ATH_F32, 1, {4}};
    s->in[2] = (ath_desc){ATH_F64, 1, {1}};
    return ath_op_infer(s->op, s->attr, s->in, s->out, s->saved);
}

static ath_err make_buf(ath_optimizer *o, size_t bytes, const char *what, ath_buf *out)
{
    ATH_TRY(ath_buf_create(o->on.device, bytes, what, out));
    return ath_buf_zero(o->stream, *out, 0, bytes);
}

static ath_err fill(ath_optimizer *o)
{
    const size_t element = sizeof(float);
    int64_t most = 0; /* numbers in a slice */

    o->n_buckets = ath_plan_get_stats(o->on.plan).n_buckets;
    o->attr = (ath_adamw_attr){.rest1 = (float)(1 - o->opts.beta1),
                               .rest2 = (float)(1 - o->opts.beta2),
                               .eps = (float)o->opts.eps,
                               .max_norm = (float)o->opts.max_norm};
    o->kernel = ath_op_kernel(&ath_op_adamw, ATH_FWD, o->opts.backend);
    ATH_NEED(o->kernel, ATH_ENOTSUP, "optimizer: no kernel adamw for backend %s",
             ath_backend_name(o->opts.backend));
    ATH_TRY(ath_stream_create(o->on.device, &o->stream));
    ATH_TRY(ATH_NEW(o->n_buckets, "buckets", &o->values));
    for (int32_t k = 0; k < o->n_buckets; k++) {
        int64_t first = 0, n = 0, begin = 0;
        ath_plan_bucket_span(o->on.plan, k, &begin);
        o->values[k] = o->on.values + begin;
        ath_reduce_slice(o->on.reduce, k, ath_dist_rank(), &first, &n);
        if (n > 0) ATH_TRY(add_runs(o, k, first, n));
        if (most < n) most = n;
    }
    for (int32_t i = 0; i < o->n_runs; i++) ATH_TRY(check_run(o, &o->runs[i]));
    ATH_TRY(make_buf(o, (size_t)(o->n_own + 1) * element, "first moments", &o->moment1));
    ATH_TRY(make_buf(o, (size_t)(o->n_own + 1) * element, "second moments", &o->moment2));
    ATH_TRY(make_buf(o, sizeof(step_data), "step data", &o->data));
    if (!ath_device_is_host(o->on.device)) {
        if (!ath_reduce_is_on_device(o->on.reduce))
            ATH_TRY(make_buf(o, (size_t)(most + 1) * element, "summed gradients", &o->grads));
        ATH_TRY(ATH_NEW(most, "a slice", &o->copy));
    }
    return ath_stream_sync(o->stream);
}

ath_err ath_optimizer_create(const ath_trainer_opts *opts, const ath_optimizer_on *on,
                             ath_optimizer **out)
{
    ath_optimizer *o = NULL;

    ATH_TRY(ATH_NEW(1, "optimizer", &o));
    o->opts = *opts;
    o->on = *on;
    ath_err err = fill(o);
    if (err)
        ath_optimizer_destroy(&o);
    else
        *out = o;
    return err;
}

void ath_optimizer_destroy(ath_optimizer **optimizer)
{
    ath_optimizer *o = *optimizer;

    if (!o) return;
    ath_stream_destroy(&o->stream);
    ath_buf_release(&o->moment1);
    ath_buf_release(&o->moment2);
    ath_buf_release(&o->data);
    ath_buf_release(&o->grads);
    ath_mem_free(&o->copy);
    ath_mem_free(&o->values);
    ath_mem_free(&o->runs);
    ath_mem_free(optimizer);
}

static ath_err run_kernel(const void *arg)
{
    const update_job *job = arg;

    return job->kernel->run(&job->call);
}

/* Numbers [first, first + n) of a bucket, on the device. */
static float *value_at(const ath_optimizer *o, int32_t bucket, int64_t first)
{
    int64_t begin = 0;

    ath_plan_bucket_span(o->on.plan, bucket, &begin);
    return at(ath_slab_part_of(o->on.slab, ATH_VALUE), begin + first);
}

/* `grad` is on the device. */
static ath_err update_run(ath_optimizer *o, run *r, const float *grad)
{
    static const ath_bound bound = {0};
    const char *data = o->data.address;

    r->job = (update_job){
        o->kernel,
        {.site = &r->site,
         .bound = &bound,
         .stream = o->stream,
         .in = {grad, data + offsetof(step_data, hyper) + (size_t)r->group * 4 * sizeof(float),
                data + offsetof(step_data, norm2)},
         .out = {value_at(o, r->bucket, r->first), at(o->moment1, r->moment_at),
                 at(o->moment2, r->moment_at)}}};
    return ath_stream_launch(o->stream, run_kernel, &r->job);
}

/* A slice between the slab and the host's values of it. */
typedef enum direction { FETCH, STORE } direction;
static ath_err move_values(const ath_optimizer *o, int32_t bucket, int64_t first, int64_t n,
                           direction d)
{
    const ath_buf slab = ath_slab_part_of(o->on.slab, ATH_VALUE);
    const size_t offset =
        (size_t)(value_at(o, bucket, first) - (float *)slab.address) * sizeof(float);
    float *host = o->values[bucket] + first;

    return d == FETCH ? ath_buf_read(o->stream, slab, offset, host, (size_t)n * sizeof *host)
                      : ath_buf_write(o->stream, slab, offset, host, (size_t)n * sizeof *host);
}

/* Where the host made the sums for a device, they go there, and the values come back. */
static ath_err update_slice(void *context, int32_t bucket, int64_t first, int64_t n, float *grad)
{
    ath_optimizer *o = context;
    const bool is_staged = o->grads.device != NULL;
    const float *summed = is_staged ? o->grads.address : grad;

    if (is_staged) ATH_TRY(ath_buf_write(o->stream, o->grads, 0, grad, (size_t)n * sizeof *grad));
    for (int32_t i = 0; i < o->n_runs; i++) {
        run *r = &o->runs[i];
        if (r->bucket != bucket) continue;
        ATH_ASSERT(r->first >= first);
        ATH_TRY(update_run(o, r, summed + (r->first - first)));
    }
    if (is_staged) return move_values(o, bucket, first, n, FETCH);
    return ath_device_is_host(o->on.device) ? ath_stream_sync(o->stream) : ATH_OK;
}

/* What the other ranks updated. */
static ath_err store_others(const ath_optimizer *o)
{
    const int32_t n_ranks = o->copy ? ath_dist_size() : 0;

    for (int32_t k = 0; k < o->n_buckets; k++)
        for (int32_t rank = 0; rank < n_ranks; rank++) {
            int64_t first = 0, n = 0;
            ath_reduce_slice(o->on.reduce, k, rank, &first, &n);
            if (rank != ath_dist_rank() && n > 0) ATH_TRY(move_values(o, k, first, n, STORE));
        }
    return ath_stream_sync(o->stream);
}

ath_err ath_optimizer_step(ath_optimizer *o, double norm, const ath_trainer_rates *rates)
{
    const double step = (double)(o->n_done + 1), each[N_GROUPS] = {rates->unet, rates->text};
    step_data data = {.norm2 = norm * norm};

    for (int g = 0; g < N_GROUPS; g++) {
        data.hyper[g][0] = (float)each[g];
        data.hyper[g][1] = (float)o->opts.weight_decay;
        data.hyper[g][2] = (float)(1 - pow(o->opts.beta1, step));
        data.hyper[g][3] = (float)(1 - pow(o->opts.beta2, step));
    }
    ath_err err = ath_buf_write(o->stream, o->data, 0, &data, sizeof data);
    ATH_TRY(ath_dist_agree(err));
    ATH_TRY(ath_reduce_update(o->on.reduce, update_slice, o, o->values));
    ATH_TRY(store_others(o));
    o->n_done++;
    return ATH_OK;
}

/* ---- the moments as a whole ---- */

/* Between this rank's slices, one behind the other, and rank 0's whole, bucket by bucket. */
static ath_err move_moments(const ath_optimizer *o, ath_buf own, float *all, bool is_collected)
{
    size_t at_own = 0;

    for (int32_t k = 0; k < o->n_buckets; k++) {
        const int *first = NULL, *n = NULL;
        int64_t begin = 0;
        ath_plan_bucket_span(o->on.plan, k, &begin);
        ath_reduce_slices(o->on.reduce, k, &first, &n);
        const size_t bytes = (size_t)n[ath_dist_rank()] * sizeof(float);
        float *there = all ? all + begin : NULL;
        float *here = o->copy ? o->copy : (float *)((char *)own.address + at_own);
        if (o->copy && is_collected) ATH_TRY(ath_buf_read(o->stream, own, at_own, here, bytes));
        ATH_TRY(is_collected ? ath_dist_collect(here, there, n, first)
                             : ath_dist_spread(there, here, n, first));
        if (o->copy && !is_collected) ATH_TRY(ath_buf_write(o->stream, own, at_own, here, bytes));
        at_own += bytes;
    }
    return ath_stream_sync(o->stream);
}

ath_err ath_optimizer_collect(const ath_optimizer *o, const ath_moments *out)
{
    ATH_TRY(move_moments(o, o->moment1, out->first, true));
    return move_moments(o, o->moment2, out->second, true);
}

ath_err ath_optimizer_restore(ath_optimizer *o, const ath_moments *in, int64_t n_done)
{
    ATH_TRY(move_moments(o, o->moment1, in->first, false));
    ATH_TRY(move_moments(o, o->moment2, in->second, false));
    o->n_done = n_done;
    return ATH_OK;
}

int64_t ath_optimizer_n_done(const ath_optimizer *o)
{
    return o->n_done;
}

size_t ath_optimizer_bytes(const ath_optimizer *o)
{
    return o->moment1.bytes + o->moment2.bytes + o->data.bytes + o->grads.bytes;
}
