#include "worker/graph/exec.h"

#include "core/mem.h"
#include "core/pulse.h"
#include "worker/graph/exec_private.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct run_step {
    ath_call call;
    const ath_kernel *kernel;
} run_step;

typedef struct reduce_job {
    const ath_exec *exec;
    int32_t bucket;
} reduce_job;

struct ath_exec {
    const ath_plan *plan;
    ath_exec_opts opts;
    ath_stream *compute, *comm;
    ath_event **ready, **done; /* by bucket: gradients complete; reduced */
    ath_event *fork, *join;    /* of a capture */
    reduce_job *jobs;          /* by bucket */
    run_step *run;             /* by step; empty for steps that run no kernel */
    ath_buf inputs, norms, own_arena;
    ath_mirror mirror; /* of the inputs: what the host writes */
    ath_buf *packs;    /* by plan->packs; borrowed from the weights */
    int32_t *frozen;   /* by plan->frozen: index in the weights */
    bool *is_written;  /* by buffer: inputs that the host has written */
    bool is_poisoned, is_attached;
    bool captures;
    bool was_run[ATH_PHASE_ALL + 1]; /* by phase */
    ath_graph *graph[ATH_PHASE_ALL + 1];
    int32_t n_waits; /* so far: for drop_wait */
};

/* ---- making one ---- */

static ath_buf block_of(const ath_exec *e, const buf *b)
{
    switch (b->home) {
    case IN_ARENA:
        return e->opts.arena;
    case IN_INPUT:
        return e->inputs;
    case IN_FROZEN:
        return ath_weights_plain(e->opts.weights, e->frozen[b->index]);
    case IN_PACKED:
        return e->packs[b->index];
    case IN_VALUE:
        return ath_slab_part_of(e->opts.slab, ATH_VALUE);
    case IN_GRAD:
        return ath_slab_part_of(e->opts.slab, ATH_GRAD);
    case IN_MOMENT1:
        return ath_slab_part_of(e->opts.slab, ATH_MOMENT1);
    case IN_MOMENT2:
        return ath_slab_part_of(e->opts.slab, ATH_MOMENT2);
    case IN_NORMS:
        return e->norms;
    case N_HOMES:
        break;
    }
    ATH_ASSERT(!"a place");
}

static void *address(const ath_exec *e, int32_t b)
{
    if (b == NONE) return NULL;
    const buf *x = &e->plan->bufs[b];
    return (char *)block_of(e, x).address + x->offset;
}

static void resolve(ath_exec *e, int32_t i)
{
    const step *s = &e->plan->steps[i];
    const binding *b = &e->plan->bounds[s->bound];
    ath_call *c = &e->run[i].call;

    e->run[i].kernel = b->kernel;
    c->site = &b->site;
    c->bound = &b->bound;
    c->stream = e->compute;
    for (int k = 0; k < ATH_MAX_IN; k++) {
        if (s->pack[k] == NONE)
            c->in[k] = address(e, s->in[k]);
        else
            c->packed[k] = address(e, s->pack[k]);
        c->din[k] = address(e, s->din[k]);
    }
    for (int k = 0; k < ATH_MAX_OUT; k++) {
        c->out[k] = address(e, s->out[k]);
        c->dout[k] = address(e, s->dout[k]);
    }
    for (int k = 0; k < ATH_MAX_SAVED; k++) c->saved[k] = address(e, s->saved[k]);
    c->scratch = address(e, s->scratch);
}

static ath_err need_weights(ath_exec *e)
{
    const ath_plan *p = e->plan;

    ATH_TRY(ATH_NEW(p->n_frozen, "weights", &e->frozen));
    ATH_TRY(ATH_NEW(p->n_packs, "packed weights", &e->packs));
    ATH_TRY(ath_weights_attach(e->opts.weights, p, e->frozen, e->packs));
    e->is_attached = true;
    return ATH_OK;
}

static ath_err make_streams(ath_exec *e, ath_device *device)
{
    const int32_t n = e->plan->n_buckets;

    ATH_TRY(ath_stream_create(device, &e->compute));
    ATH_TRY(ath_stream_create(device, &e->comm));
    ATH_TRY(ath_event_create(device, &e->fork));
    ATH_TRY(ath_event_create(device, &e->join));
    ATH_TRY(ATH_NEW(n, "events", &e->ready));
    ATH_TRY(ATH_NEW(n, "events", &e->done));
    ATH_TRY(ATH_NEW(n, "bucket jobs", &e->jobs));
    for (int32_t k = 0; k < n; k++) {
        ATH_TRY(ath_event_create(device, &e->ready[k]));
        ATH_TRY(ath_event_create(device, &e->done[k]));
        e->jobs[k] = (reduce_job){e, k};
    }
    return ATH_OK;
}

static ath_err make_memory(ath_exec *e, ath_device *device)
{
    const ath_plan *p = e->plan;
    ath_buf *arena = &e->opts.arena;

    if (!arena->device && p->stats.arena_bytes) {
        ATH_TRY(ath_buf_create(device, p->stats.arena_bytes, "arena", &e->own_arena));
        *arena = e->own_arena;
    }
    ATH_NEED(arena->bytes >= p->stats.arena_bytes, ATH_EINVAL,
             "exec: the arena has %zu bytes, the plan wants %zu", arena->bytes,
             p->stats.arena_bytes);
    ATH_TRY(ATH_NEW(p->n_bufs, "inputs", &e->is_written));
    if (p->input_bytes) {
        ATH_TRY(ath_buf_create(device, p->input_bytes, "step data", &e->inputs));
        ATH_TRY(ath_mirror_create(e->inputs, "step data", &e->mirror));
    }
    if (p->opts.update && p->n_buckets)
        ATH_TRY(ath_buf_create(device, (size_t)p->n_buckets * sizeof(double), "norms", &e->norms));
    return ATH_OK;
}

static ath_err write_loss_seed(ath_exec *e)
{
    const float one = 1;
    const double one64 = 1;

    if (e->plan->loss_seed == NONE) return ATH_OK;
    const bool is64 = e->plan->bufs[e->plan->loss_seed].desc.dtype == ATH_F64;
    return ath_exec_write(e, "dloss", is64 ? (const void *)&one64 : &one, is64 ? 8 : 4);
}

static ath_err fill(ath_exec *e, ath_device *device)
{
    const ath_plan *p = e->plan;

    if (p->n_trainables) ATH_TRY(ath_slab_fit(e->opts.slab, p));
    ATH_TRY(make_streams(e, device));
    ATH_TRY(make_memory(e, device));
    ATH_TRY(need_weights(e));
    ATH_TRY(ATH_NEW(p->n_steps, "calls", &e->run));
    for (int32_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].kind == STEP_RUN) resolve(e, i);
    e->is_poisoned = ath_device_is_poisoned(device);
    e->captures = ath_device_captures(device) && !e->opts.reduce && !e->opts.check_nan;
    return write_loss_seed(e);
}

ath_err ath_exec_create(const ath_plan *plan, ath_device *device, const ath_exec_opts *opts,
                        ath_exec **out)
{
    ath_exec *e = NULL;

    ATH_TRY(ATH_NEW(1, "exec", &e));
    e->plan = plan;
    e->opts = *opts;
    ath_err err = fill(e, device);
    if (err)
        ath_exec_destroy(&e);
    else
        *out = e;
    return err;
}

void ath_exec_destroy(ath_exec **exec)
{
    ath_exec *e = *exec;

    if (!e) return;
    for (int32_t k = 0; k < e->plan->n_buckets; k++) {
        if (e->ready) ath_event_destroy(&e->ready[k]);
        if (e->done) ath_event_destroy(&e->done[k]);
    }
    for (int i = 0; i <= ATH_PHASE_ALL; i++) ath_graph_destroy(&e->graph[i]);
    ath_event_destroy(&e->fork);
    ath_event_destroy(&e->join);
    ath_stream_destroy(&e->compute);
    ath_stream_destroy(&e->comm);
    if (e->is_attached) ath_weights_detach(e->opts.weights, e->plan);
    ath_mirror_release(&e->mirror);
    ath_buf_release(&e->inputs);
    ath_buf_release(&e->norms);
    ath_buf_release(&e->own_arena);
    ath_mem_free(&e->ready);
    ath_mem_free(&e->done);
    ath_mem_free(&e->jobs);
    ath_mem_free(&e->run);
    ath_mem_free(&e->packs);
    ath_mem_free(&e->frozen);
    ath_mem_free(&e->is_written);
    ath_mem_free(exec);
}

/* ---- step data in, results out ---- */

static int32_t find_input(const ath_plan *p, const char *name)
{
    for (int32_t b = 0; b < p->n_bufs; b++)
        if (p->bufs[b].home == IN_INPUT && strcmp(p->bufs[b].name, name) == 0) return b;
    return NONE;
}

ath_err ath_exec_write(ath_exec *exec, const char *input, const void *host, size_t bytes)
{
    const int32_t b = find_input(exec->plan, input);
    char text[ATH_DESC_TEXT];

    ATH_NEED(b != NONE, ATH_EINVAL, "exec: the plan has no input %s", input);
    const buf *x = &exec->plan->bufs[b];
    ATH_NEED(bytes == x->bytes, ATH_ESHAPE, "exec: input %s is %s: %zu bytes given, wanted %zu",
             input, ath_desc_print(&x->desc, text), bytes, x->bytes);
    memcpy((char *)exec->mirror.host + x->offset, host, bytes);
    exec->is_written[b] = true;
    return ATH_OK;
}

static ath_err read_kept(ath_exec *e, const char *name, bool is_grad, void *host, size_t bytes)
{
    for (int32_t b = 0; b < e->plan->n_bufs; b++) {
        const buf *x = &e->plan->bufs[b];
        if (!x->keep || x->is_grad != is_grad || strcmp(x->keep, name) != 0) continue;
        ATH_NEED(bytes == x->bytes, ATH_ESHAPE, "exec: %s has %zu bytes, %zu wanted", name,
                 x->bytes, bytes);
        return ath_buf_read(e->compute, block_of(e, x), x->offset, host, bytes);
    }
    return ath_raise(ATH_EMISSING, "exec: nothing is kept as %s%s", is_grad ? "gradient of " : "",
                     name);
}

ath_err ath_exec_read(ath_exec *exec, const char *kept, void *host, size_t bytes)
{
    return read_kept(exec, kept, false, host, bytes);
}

ath_err ath_exec_read_grad(ath_exec *exec, const char *input, void *host, size_t bytes)
{
    return read_kept(exec, input, true, host, bytes);
}

ath_err ath_exec_read_norm(ath_exec *exec, double *out)
{
    double sum = 0, part = 0;

    for (int32_t k = 0; exec->norms.device && k < exec->plan->n_buckets; k++) {
        ATH_TRY(
            ath_buf_read(exec->compute, exec->norms, (size_t)k * sizeof part, &part, sizeof part));
        sum += part;
    }
    *out = sqrt(sum);
    return ATH_OK;
}

/* ---- running ---- */

static ath_err run_kernel(const void *arg)
{
    const run_step *r = arg;
    return r->kernel->run(&r->call);
}

static void *grads_of(const ath_exec *e, int32_t k)
{
    char *grads = ath_slab_part_of(e->opts.slab, ATH_GRAD).address;

    return grads + (size_t)e->plan->buckets[k].first * ath_dtype_bytes(e->plan->full);
}

static ath_err run_reduce(const void *arg)
{
    const reduce_job *job = arg;
    const ath_exec *e = job->exec;

    return e->opts.reduce(e->opts.reduce_context, job->bucket, grads_of(e, job->bucket),
                          e->plan->buckets[job->bucket].count);
}

/* A wait between streams, unless a test wants this one left out. */
static ath_err wait_for(ath_exec *e, ath_stream *stream, ath_event *event)
{
    return ++e->n_waits == e->opts.drop_wait ? ATH_OK : ath_stream_wait(stream, event);
}

static ath_err start_reduce(ath_exec *e, int32_t k)
{
    ATH_TRY(ath_event_record(e->ready[k], e->compute));
    ATH_TRY(wait_for(e, e->comm, e->ready[k]));
    if (e->opts.reduce) ATH_TRY(ath_stream_launch(e->comm, run_reduce, &e->jobs[k]));
    if (e->opts.reduce_put)
        ATH_TRY(e->opts.reduce_put(e->opts.reduce_context, k, grads_of(e, k),
                                   e->plan->buckets[k].count, e->comm));
    return ath_event_record(e->done[k], e->comm);
}

/* On a device that poisons: fresh buffers before their first step, dead ones after their last. */
static ath_err poison(ath_exec *e, int32_t i, bool is_before)
{
    for (int32_t b = 0; e->is_poisoned && b < e->plan->n_bufs; b++) {
        const buf *x = &e->plan->bufs[b];
        if (x->home == IN_ARENA && (is_before ? x->first : x->last) == i)
            ATH_TRY(ath_buf_poison(e->compute, e->opts.arena, x->offset, x->bytes));
    }
    return ATH_OK;
}

static ath_err check_finite(ath_exec *e, const step *s, int32_t b, const char *what)
{
    const buf *x = b == NONE ? NULL : &e->plan->bufs[b];
    void *host = NULL;
    ath_err err = ATH_OK;

    if (!x || x->desc.dtype == ATH_I32) return ATH_OK;
    ATH_TRY(ath_mem_new(x->bytes, 1, "finite check", &host));
    ATH_TRY_OUT(ath_buf_read(e->compute, block_of(e, x), x->offset, host, x->bytes));
    for (int64_t i = 0; i < ath_desc_count(&x->desc); i++) {
        const double value = ath_dtype_get(host, x->desc.dtype, i);
        if (isfinite(value)) continue;
        err = ath_raise(ATH_ENAN,
                        "%s: %s %s: %s of %s is %g at element %" PRId64 " (recorded at %s:%d)",
                        s->path, s->site.op->name, s->site.pass == ATH_FWD ? "forward" : "backward",
                        what, x->name, value, i, s->file, s->line);
        goto out;
    }
out:
    ath_mem_free(&host);
    return err;
}

static ath_err check_step(ath_exec *e, int32_t i)
{
    const step *s = &e->plan->steps[i];

    ATH_TRY(ath_stream_sync(e->compute));
    for (int k = 0; s->site.pass == ATH_FWD && k < ATH_MAX_OUT; k++)
        ATH_TRY(check_finite(e, s, s->out[k], "the value"));
    for (int k = 0; k < ATH_MAX_IN; k++) ATH_TRY(check_finite(e, s, s->din[k], "the gradient"));
    return ATH_OK;
}

static ath_err put_step(ath_exec *e, int32_t i, ath_phase phase)
{
    const step *s = &e->plan->steps[i];

    switch (s->kind) {
    case STEP_REDUCE:
        return start_reduce(e, s->bucket);
    case STEP_WAIT: /* what an earlier run reduced is over: each run drains the streams */
        return phase & ATH_PHASE_GRAD ? wait_for(e, e->compute, e->done[s->bucket]) : ATH_OK;
    case STEP_RUN:
        break;
    }
    ATH_TRY(poison(e, i, true));
    ATH_TRY(ath_stream_launch(e->compute, run_kernel, &e->run[i]));
    if (e->opts.check_nan) ATH_TRY(check_step(e, i));
    return poison(e, i, false);
}

static ath_err check_inputs(const ath_exec *e)
{
    for (int32_t b = 0; b < e->plan->n_bufs; b++)
        ATH_NEED(e->plan->bufs[b].home != IN_INPUT || e->plan->bufs[b].first == NONE ||
                     e->is_written[b],
                 ATH_EMISSING, "exec: input %s was not written", e->plan->bufs[b].name);
    return ATH_OK;
}

/* All that a phase is, into the streams. */
static ath_err put_phase(ath_exec *e, ath_phase phase)
{
    if (e->mirror.host) ATH_TRY(ath_mirror_upload(&e->mirror, e->compute));
    for (int32_t i = 0; i < e->plan->n_steps; i++) {
        const ath_phase part = e->plan->steps[i].is_update ? ATH_PHASE_UPDATE : ATH_PHASE_GRAD;
        ath_pulse();
        if (phase & part) ATH_TRY(put_step(e, i, phase));
    }
    return ATH_OK;
}

/* The communication stream leaves the compute stream at the beginning and is back at the end. */
static ath_err put_forked(ath_exec *e, ath_phase phase)
{
    ATH_TRY(ath_event_record(e->fork, e->compute));
    ATH_TRY(ath_stream_wait(e->comm, e->fork));
    ATH_TRY(put_phase(e, phase));
    ATH_TRY(ath_event_record(e->join, e->comm));
    return ath_stream_wait(e->compute, e->join);
}

static ath_err capture(ath_exec *e, ath_phase phase)
{
    ATH_TRY(ath_capture_begin(e->compute));
    ath_err err = put_forked(e, phase);
    if (!err) return ath_capture_end(e->compute, &e->graph[phase]);
    ath_capture_discard(e->compute);
    return err;
}

static ath_err start(ath_exec *e, ath_phase phase)
{
    ATH_TRY(check_inputs(e));
    if (!e->captures || !e->was_run[phase]) return put_phase(e, phase);
    if (!e->graph[phase]) ATH_TRY(capture(e, phase));
    ath_pulse();
    return ath_graph_launch(e->graph[phase], e->compute);
}

ath_err ath_exec_run(ath_exec *exec, ath_phase phase)
{
    ath_err err = start(exec, phase);
    /* both streams are drained even after an error, so that nothing runs behind our back */
    ath_err compute = ath_stream_sync(exec->compute);
    if (!err) err = compute;
    ath_err comm = ath_stream_sync(exec->comm);
    if (!err) err = comm;
    if (err) ath_graph_destroy(&exec->graph[phase]); /* it may lack what failed while captured */
    exec->was_run[phase] = exec->was_run[phase] || !err;
    return err;
}
