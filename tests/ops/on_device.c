#include "tests/ops/on_device.h"

#include "core/time.h"

/* Every array of a trial, as the host has it and where its copy lies. */
enum { N_ARRAYS = 3 * ATH_MAX_IN + 2 * ATH_MAX_OUT + ATH_MAX_SAVED + 1 };
typedef struct copies {
    const ath_ready *ready;
    ath_stream *stream;
    const ath_guarded *host[N_ARRAYS];
    ath_buf buf[N_ARRAYS];
    int n;
    ath_call call;
} copies;

static void list(copies *c, const ath_guarded *arrays, int n)
{
    for (int i = 0; i < n; i++)
        if (arrays[i].base) c->host[c->n++] = &arrays[i];
}

/* Where the device has what the host has at `p`; NULL for NULL. */
static void *there(const copies *c, const void *p)
{
    for (int i = 0; i < c->n && p; i++)
        if (c->host[i]->p == p)
            return (char *)c->buf[i].address + ((char *)c->host[i]->p - c->host[i]->base);
    ATH_ASSERT(!p);
    return NULL;
}

static void translate(copies *c)
{
    const ath_call *from = &c->ready->call;

    c->call = *from;
    c->call.stream = c->stream;
    for (int i = 0; i < ATH_MAX_IN; i++) {
        c->call.in[i] = there(c, from->in[i]);
        c->call.din[i] = there(c, from->din[i]);
        c->call.packed[i] = there(c, from->packed[i]);
    }
    for (int i = 0; i < ATH_MAX_OUT; i++) {
        c->call.out[i] = there(c, from->out[i]);
        c->call.dout[i] = there(c, from->dout[i]);
    }
    for (int i = 0; i < ATH_MAX_SAVED; i++) c->call.saved[i] = there(c, from->saved[i]);
    c->call.scratch = there(c, from->scratch);
}

static ath_err fill(copies *c)
{
    const ath_ready *r = c->ready;
    const ath_trial *t = r->trial;
    ath_device *device = t->setup.device;

    list(c, t->in, ATH_MAX_IN);
    list(c, t->out, ATH_MAX_OUT);
    list(c, t->saved, ATH_MAX_SAVED);
    list(c, t->dout, ATH_MAX_OUT);
    list(c, t->din, ATH_MAX_IN);
    list(c, r->packed, ATH_MAX_IN);
    list(c, &r->scratch, 1);
    ATH_TRY(ath_stream_create(device, &c->stream));
    for (int i = 0; i < c->n; i++) {
        const size_t bytes = ath_guarded_span(c->host[i]);
        ATH_TRY(ath_buf_create(device, bytes, "an array of a trial", &c->buf[i]));
        ATH_TRY(ath_buf_write(c->stream, c->buf[i], 0, c->host[i]->base, bytes));
    }
    translate(c);
    return ath_stream_sync(c->stream);
}

static ath_err fetch(const copies *c)
{
    for (int i = 0; i < c->n; i++)
        ATH_TRY(
            ath_buf_read(c->stream, c->buf[i], 0, c->host[i]->base, ath_guarded_span(c->host[i])));
    return ATH_OK;
}

static void release(copies *c)
{
    for (int i = 0; i < c->n; i++) ath_buf_release(&c->buf[i]);
    ath_stream_destroy(&c->stream);
}

static ath_err run_kernel(const void *arg)
{
    const copies *c = arg;
    return c->ready->kernel->run(&c->call);
}

ath_err ath_ready_run_on_device(const ath_ready *r, int n, double *seconds)
{
    copies c = {.ready = r};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(fill(&c));
    const int64_t start = ath_time_mono_ns();
    for (int i = 0; i < n; i++) ATH_TRY_OUT(ath_stream_launch(c.stream, run_kernel, &c));
    ATH_TRY_OUT(ath_stream_sync(c.stream));
    if (seconds) *seconds = (double)(ath_time_mono_ns() - start) * 1e-9 / n;
    ATH_TRY_OUT(fetch(&c));
out:
    release(&c);
    return err;
}

typedef struct pack_job {
    const copies *c;
    int i;
} pack_job;

static ath_err run_pack(const void *arg)
{
    const pack_job *job = arg;
    const ath_ready *r = job->c->ready;

    ath_call call = job->c->call;

    call.in[job->i] = there(job->c, r->trial->in[job->i].p);
    return r->kernel->pack(&call, job->i, there(job->c, r->packed[job->i].p));
}

ath_err ath_ready_pack_on_device(const ath_ready *r, int i)
{
    copies c = {.ready = r};
    const pack_job job = {&c, i};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(fill(&c));
    ATH_TRY_OUT(ath_stream_launch(c.stream, run_pack, &job));
    ATH_TRY_OUT(ath_stream_sync(c.stream));
    ATH_TRY_OUT(fetch(&c));
out:
    release(&c);
    return err;
}
