#include "worker/train/ema.h"

#include "core/mem.h"
#include "kernels/ops.h"

#include <math.h>

double ath_ema_decay(const ath_ema_opts *o, int64_t step)
{
    const double n = (double)(step - o->after - 1);

    if (n <= 0) return 0;
    double decay = o->warmup ? 1 - pow(1 + n / o->inv_gamma, -o->power) : (1 + n) / (10 + n);
    if (decay > o->decay) decay = o->decay;
    return decay > o->min_decay ? decay : o->min_decay;
}

struct ath_ema {
    ath_stream *stream;
    ath_buf average, rest;
    float *copy; /* NULL where the host sees the average itself */
    bool is_fetched;
    const ath_kernel *kernel;
    ath_site site;
    ath_bound bound;
    ath_call call;
};

static ath_err fill(ath_ema *e, const ath_ema_on *on, const float *first)
{
    const size_t bytes = on->value.bytes;
    ath_device *device = on->value.device;

    e->kernel = ath_op_kernel(&ath_op_average, ATH_FWD, on->backend);
    ATH_NEED(e->kernel, ATH_ENOTSUP, "average: no kernel for backend %s",
             ath_backend_name(on->backend));
    e->site =
        (ath_site){.op = &ath_op_average,
                   .n_threads = on->n_threads,
                   .in = {{ATH_F32, 1, {(int64_t)(bytes / sizeof(float))}}, {ATH_F32, 1, {1}}}};
    ATH_TRY(ath_op_infer(e->site.op, NULL, e->site.in, e->site.out, e->site.saved));
    ATH_TRY(ath_site_bind(&e->site, e->kernel, &e->bound));
    ATH_TRY(ath_stream_create(device, &e->stream));
    ATH_TRY(ath_buf_create(device, bytes, "average of the parameters", &e->average));
    ATH_TRY(ath_buf_create(device, sizeof(float), "rest of the average", &e->rest));
    if (!ath_device_is_host(device))
        ATH_TRY(ath_mem_new(bytes, 1, "average on the host", (void **)&e->copy));
    e->call = (ath_call){.site = &e->site,
                         .bound = &e->bound,
                         .stream = e->stream,
                         .in = {on->value.address, e->rest.address},
                         .out = {e->average.address}};
    ATH_TRY(ath_buf_write(e->stream, e->average, 0, first, bytes));
    return ath_stream_sync(e->stream);
}

ath_err ath_ema_create(const ath_ema_on *on, const float *first, ath_ema **out)
{
    ath_ema *e = NULL;

    ATH_TRY(ATH_NEW(1, "average", &e));
    ath_err err = fill(e, on, first);
    if (err)
        ath_ema_destroy(&e);
    else
        *out = e;
    return err;
}

void ath_ema_destroy(ath_ema **ema)
{
    ath_ema *e = *ema;

    if (!e) return;
    ath_stream_destroy(&e->stream);
    ath_buf_release(&e->average);
    ath_buf_release(&e->rest);
    ath_bound_release(&e->bound);
    ath_mem_free(&e->copy);
    ath_mem_free(ema);
}

static ath_err run(const void *arg)
{
    const ath_ema *e = arg;

    return e->kernel->run(&e->call);
}

ath_err ath_ema_update(ath_ema *e, double decay)
{
    const float rest = (float)(1 - decay);

    e->is_fetched = false;
    ATH_TRY(ath_buf_write(e->stream, e->rest, 0, &rest, sizeof rest));
    ATH_TRY(ath_stream_launch(e->stream, run, e));
    return ath_stream_sync(e->stream);
}

ath_err ath_ema_fetch(ath_ema *e, float **out)
{
    if (e->copy && !e->is_fetched)
        ATH_TRY(ath_buf_read(e->stream, e->average, 0, e->copy, e->average.bytes));
    e->is_fetched = true;
    *out = e->copy ? e->copy : e->average.address;
    return ATH_OK;
}

ath_err ath_ema_store(ath_ema *e)
{
    if (!e->copy) return ATH_OK;
    ATH_TRY(ath_buf_write(e->stream, e->average, 0, e->copy, e->average.bytes));
    return ath_stream_sync(e->stream);
}
