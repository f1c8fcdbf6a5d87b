#include "worker/dist/device_sums.h"

#include "core/mem.h"
#include "kernels/ops.h"
#include "kernels/tree_add.h"
#include "worker/dist/tree.h"

/* The work of a bucket. */
typedef struct job {
    const ath_kernel *kernel;
    ath_tree_add_attr attr;
    ath_site site;
    ath_bound bound;
    ath_call call;
} job;

struct ath_device_sums {
    bool is_fast;
    int32_t n_buckets, room;
    job *jobs;
    ath_stream *stream;
    ath_buf parts; /* by bucket: `room` nodes of it */
    ath_buf turn, norm2, scratch;
    ath_mirror mirror; /* of turn */
    /* of the step */
    int32_t n_leaves, n_added, n_put;
};

/* The most nodes that stand before the last leaf. */
static int32_t most_nodes(int32_t n_leaves_max)
{
    int32_t most = 0;

    for (int32_t n = 1; n <= n_leaves_max; n++) {
        const int32_t room = ath_tree_room(n, 0, n - 1);
        if (most < room) most = room;
    }
    return most;
}

static ath_err make_job(ath_device_sums *s, const ath_reduce_opts *opts, int32_t i)
{
    job *j = &s->jobs[i];

    j->kernel = ath_op_kernel(&ath_op_tree_add, ATH_FWD, opts->on.backend);
    ATH_NEED(j->kernel, ATH_ENOTSUP, "reduction: no kernel tree_add for backend %s",
             ath_backend_name(opts->on.backend));
    j->attr = (ath_tree_add_attr){.room = s->room, .block = ATH_REDUCE_BLOCK, .is_first = i == 0};
    j->site = (ath_site){.op = &ath_op_tree_add,
                         .attr = &j->attr,
                         .n_threads = opts->on.n_threads,
                         .in = {{ATH_F32, 1, {opts->counts[i]}}, {ATH_I32, 1, {ATH_N_TURN}}}};
    ATH_TRY(ath_op_infer(j->site.op, &j->attr, j->site.in, j->site.out, j->site.saved));
    ATH_TRY(ath_site_bind(&j->site, j->kernel, &j->bound));
    j->call = (ath_call){.site = &j->site, .bound = &j->bound};
    return ATH_OK;
}

static ath_err make_memory(ath_device_sums *s, ath_device *device)
{
    size_t parts = 0, scratch = 0;

    for (int32_t i = 0; i < s->n_buckets; i++) {
        parts += ath_desc_bytes(&s->jobs[i].site.out[0]);
        if (scratch < s->jobs[i].bound.scratch_bytes) scratch = s->jobs[i].bound.scratch_bytes;
    }
    if (parts) ATH_TRY(ath_buf_create(device, parts, "sums of micro-batches", &s->parts));
    if (scratch) ATH_TRY(ath_buf_create(device, scratch, "squares", &s->scratch));
    ATH_TRY(ath_buf_create(device, ATH_N_TURN * sizeof(int32_t), "a micro-batch's turn", &s->turn));
    ATH_TRY(ath_mirror_create(s->turn, "a micro-batch's turn", &s->mirror));
    ATH_TRY(ath_buf_create(device, sizeof(double), "squared norm", &s->norm2));
    parts = 0;
    for (int32_t i = 0; i < s->n_buckets; i++) {
        ath_call *c = &s->jobs[i].call;
        c->in[1] = s->turn.address;
        c->out[0] = s->room ? (char *)s->parts.address + parts : NULL;
        c->out[2] = s->norm2.address;
        c->scratch = s->scratch.address;
        parts += ath_desc_bytes(&s->jobs[i].site.out[0]);
    }
    return ath_stream_create(device, &s->stream);
}

static ath_err fill(ath_device_sums *s, const ath_reduce_opts *opts)
{
    s->is_fast = opts->is_fast;
    s->n_buckets = opts->n_buckets;
    s->room = opts->is_fast ? opts->n_leaves_max > 1 : most_nodes(opts->n_leaves_max);
    ATH_TRY(ATH_NEW(s->n_buckets, "buckets", &s->jobs));
    for (int32_t i = 0; i < s->n_buckets; i++) ATH_TRY(make_job(s, opts, i));
    return make_memory(s, opts->on.device);
}

ath_err ath_device_sums_create(const ath_reduce_opts *opts, ath_device_sums **out)
{
    ath_device_sums *s = NULL;

    ATH_TRY(ATH_NEW(1, "sums on the device", &s));
    ath_err err = fill(s, opts);
    if (err)
        ath_device_sums_destroy(&s);
    else
        *out = s;
    return err;
}

void ath_device_sums_destroy(ath_device_sums **sums)
{
    ath_device_sums *s = *sums;

    if (!s) return;
    ath_stream_destroy(&s->stream);
    ath_mirror_release(&s->mirror);
    ath_buf_release(&s->norm2);
    ath_buf_release(&s->turn);
    ath_buf_release(&s->scratch);
    ath_buf_release(&s->parts);
    for (int32_t i = 0; s->jobs && i < s->n_buckets; i++) ath_bound_release(&s->jobs[i].bound);
    ath_mem_free(&s->jobs);
    ath_mem_free(sums);
}

size_t ath_device_sums_bytes(const ath_device_sums *s)
{
    return s->parts.bytes + s->turn.bytes + s->scratch.bytes + s->norm2.bytes;
}

void ath_device_sums_begin(ath_device_sums *s, int32_t n_leaves)
{
    s->n_leaves = n_leaves;
    s->n_added = 0;
}

ath_err ath_device_sums_set_leaf(ath_device_sums *s, int32_t leaf)
{
    ath_tree_node nodes[ATH_TREE_NODES];
    int32_t *turn = s->mirror.host;

    ATH_NEED(leaf == s->n_added && leaf < s->n_leaves, ATH_EINVAL,
             "reduction: micro-batch %d, wanted %d of %d", leaf, s->n_added, s->n_leaves);
    turn[ATH_TURN_BEFORE] = s->is_fast ? leaf > 0 : ath_tree_nodes(s->n_leaves, 0, leaf, nodes);
    turn[ATH_TURN_AT] = s->is_fast ? 0 : ath_tree_nodes(s->n_leaves, 0, leaf + 1, nodes) - 1;
    turn[ATH_TURN_LAST] = leaf + 1 == s->n_leaves;
    s->n_added++;
    s->n_put = 0;
    return ATH_OK;
}

static ath_err run(const void *arg)
{
    const job *j = arg;

    return j->kernel->run(&j->call);
}

ath_err ath_device_sums_put(ath_device_sums *s, int32_t bucket, float *grads, ath_stream *stream)
{
    job *j = &s->jobs[bucket];

    ATH_NEED(bucket == s->n_put, ATH_EINVAL, "reduction: bucket %d, wanted %d", bucket, s->n_put);
    s->n_put++;
    if (bucket == 0) ATH_TRY(ath_mirror_upload(&s->mirror, stream));
    j->call.in[0] = j->call.out[1] = grads;
    j->call.stream = stream;
    return ath_stream_launch(stream, run, j);
}

ath_err ath_device_sums_read(ath_device_sums *s, double *norm2)
{
    ATH_NEED(s->n_added == s->n_leaves, ATH_EINVAL, "reduction: %d of %d micro-batches were added",
             s->n_added, s->n_leaves);
    return ath_buf_read(s->stream, s->norm2, 0, norm2, sizeof *norm2);
}

float *ath_device_sums_of(const ath_device_sums *s, int32_t bucket)
{
    return s->jobs[bucket].call.out[1];
}
