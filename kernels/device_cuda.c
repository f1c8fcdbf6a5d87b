/*
 * GPUs over CUDA's runtime. Streams do not wait for the default stream; a launched function runs at once
 * and launches kernels. What the host writes goes through a ring of pinned pieces, so that a write returns
 * when its bytes are copied, not when they have arrived.
 */
#include "kernels/device_cuda.h"

#include "core/mem.h"
#include "kernels/device_kind.h"
#include <inttypes.h>
#include <string.h>

enum { SLOTS = 4, SLOT_BYTES = 1 << 20 };

typedef struct cuda_device {
    ath_device base;
    int32_t gpu;
} cuda_device;

typedef struct cuda_stream {
    ath_stream base;
    cudaStream_t stream;
    char *staging; /* pinned, SLOTS pieces; made by the first write: most streams never write */
    cudaEvent_t sent[SLOTS]; /* a slot's last copy is over */
    int next;
} cuda_stream;

typedef struct cuda_event {
    ath_event base;
    cudaEvent_t event;
} cuda_event;

typedef struct cuda_graph {
    ath_graph base;
    cudaGraphExec_t exec;
} cuda_graph;

ath_err ath_cuda_check(cudaError_t code, const char *what)
{
    if (code == cudaSuccess) return ATH_OK;
    (void)cudaGetLastError(); /* else the next launch would report it once more */
    return ath_raise(code == cudaErrorMemoryAllocation ? ATH_ENOMEM : ATH_ECUDA, "%s: %s", what,
                     cudaGetErrorString(code));
}

cudaStream_t ath_cuda_stream(const ath_stream *stream)
{
    return stream ? ((const cuda_stream *)stream)->stream : NULL;
}

/* The current device belongs to the thread, and any one thread may use ours. */
static ath_err enter(const ath_device *device)
{
    return ath_cuda_check(cudaSetDevice(((const cuda_device *)device)->gpu), "cudaSetDevice");
}

static void destroy(ath_device *device)
{
    ath_mem_drop(device);
}

/* ---- memory ---- */

static ath_err buf_create(ath_device *device, size_t bytes, const char *what, void **out)
{
    size_t n_free = 0, n_all = 0;

    ATH_TRY(enter(device));
    const cudaError_t code = cudaMalloc(out, bytes ? bytes : 1);
    if (code != cudaErrorMemoryAllocation) return ath_cuda_check(code, what);
    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&n_free, &n_all);
    return ath_raise(ATH_ENOMEM, "%s: no GPU memory for %zu bytes, %zu of %zu are free", what,
                     bytes, n_free, n_all);
}

static void buf_release(ath_device *device, void *address)
{
    (void)device;
    (void)cudaFree(address);
}

static ath_err make_pinned(size_t bytes, const char *what, void **out)
{
    const cudaError_t code = cudaHostAlloc(out, bytes ? bytes : 1, cudaHostAllocDefault);

    if (code != cudaErrorMemoryAllocation) return ath_cuda_check(code, what);
    (void)cudaGetLastError();
    return ath_raise(ATH_ENOMEM, "%s: no pinned memory for %zu bytes", what, bytes);
}

static ath_err mirror_create(ath_device *device, void *address, size_t bytes, const char *what,
                             void **out)
{
    (void)address;
    ATH_TRY(enter(device));
    return make_pinned(bytes, what, out);
}

static void mirror_release(ath_device *device, void *host)
{
    (void)device;
    (void)cudaFreeHost(host);
}

/* ---- streams ---- */

static void stream_destroy(ath_stream *stream)
{
    cuda_stream *s = (cuda_stream *)stream;

    if (s->stream) (void)cudaStreamSynchronize(s->stream);
    for (int i = 0; i < SLOTS; i++)
        if (s->sent[i]) (void)cudaEventDestroy(s->sent[i]);
    if (s->staging) (void)cudaFreeHost(s->staging);
    if (s->stream) (void)cudaStreamDestroy(s->stream);
    ath_mem_drop(s);
}

static ath_err stream_create(ath_device *device, ath_stream **out)
{
    cuda_stream *s = NULL;

    ATH_TRY(enter(device));
    ATH_TRY(ATH_NEW(1, "stream", &s));
    ath_err err = ath_cuda_check(cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking),
                                 "cudaStreamCreate");
    if (err)
        stream_destroy(&s->base);
    else
        *out = &s->base;
    return err;
}

static ath_err stream_sync(ath_stream *stream)
{
    return ath_cuda_check(cudaStreamSynchronize(ath_cuda_stream(stream)), "the GPU's work");
}

static ath_err stream_launch(ath_stream *stream, ath_work run, const void *arg)
{
    ATH_TRY(enter(stream->device));
    ath_stream_run(stream, run, arg);
    return ATH_OK;
}

static void event_destroy(ath_event *event)
{
    cuda_event *e = (cuda_event *)event;

    if (e->event) (void)cudaEventDestroy(e->event);
    ath_mem_drop(e);
}

static ath_err make_event(cudaEvent_t *out)
{
    return ath_cuda_check(cudaEventCreateWithFlags(out, cudaEventDisableTiming), "cudaEventCreate");
}

static ath_err event_create(ath_device *device, ath_event **out)
{
    cuda_event *e = NULL;

    ATH_TRY(enter(device));
    ATH_TRY(ATH_NEW(1, "event", &e));
    ath_err err = make_event(&e->event);
    if (err)
        event_destroy(&e->base);
    else
        *out = &e->base;
    return err;
}

static ath_err event_record(ath_event *event, ath_stream *stream)
{
    return ath_cuda_check(cudaEventRecord(((cuda_event *)event)->event, ath_cuda_stream(stream)),
                          "cudaEventRecord");
}

static ath_err stream_wait(ath_stream *stream, ath_event *event)
{
    return ath_cuda_check(
        cudaStreamWaitEvent(ath_cuda_stream(stream), ((cuda_event *)event)->event, 0),
        "cudaStreamWaitEvent");
}

/* ---- copies ---- */

static ath_err make_staging(cuda_stream *s)
{
    ATH_TRY(enter(s->base.device));
    for (int i = 0; i < SLOTS; i++)
        if (!s->sent[i]) ATH_TRY(make_event(&s->sent[i]));
    return make_pinned((size_t)SLOTS * SLOT_BYTES, "staging", (void **)&s->staging);
}

/* The oldest slot, as soon as its bytes are on the GPU. */
static ath_err write_piece(cuda_stream *s, void *to, const void *host, size_t bytes)
{
    char *slot = s->staging + (size_t)s->next * SLOT_BYTES;

    ATH_TRY(ath_cuda_check(cudaEventSynchronize(s->sent[s->next]), "a write to the GPU"));
    memcpy(slot, host, bytes);
    ATH_TRY(ath_cuda_check(cudaMemcpyAsync(to, slot, bytes, cudaMemcpyHostToDevice, s->stream),
                           "a write to the GPU"));
    ATH_TRY(ath_cuda_check(cudaEventRecord(s->sent[s->next], s->stream), "cudaEventRecord"));
    s->next = (s->next + 1) % SLOTS;
    return ATH_OK;
}

static ath_err buf_write(ath_stream *stream, void *to, const void *host, size_t bytes)
{
    cuda_stream *s = (cuda_stream *)stream;

    if (stream->err) return ATH_OK;
    if (!s->staging) ATH_TRY(make_staging(s));
    for (size_t at = 0; at < bytes; at += SLOT_BYTES) {
        const size_t n = bytes - at < SLOT_BYTES ? bytes - at : SLOT_BYTES;
        ATH_TRY(write_piece(s, (char *)to + at, (const char *)host + at, n));
    }
    return ATH_OK;
}

static ath_err buf_read(ath_stream *stream, const void *from, void *host, size_t bytes)
{
    const cudaStream_t s = ath_cuda_stream(stream);

    ATH_TRY(ath_cuda_check(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, s),
                           "a read from the GPU"));
    return stream_sync(stream);
}

static ath_err buf_fill(ath_stream *stream, void *to, int byte, size_t bytes)
{
    if (stream->err) return ATH_OK;
    return ath_cuda_check(cudaMemsetAsync(to, byte, bytes, ath_cuda_stream(stream)),
                          "cudaMemsetAsync");
}

static ath_err mirror_upload(ath_stream *stream, void *to, const void *host, size_t bytes)
{
    if (stream->err) return ATH_OK;
    return ath_cuda_check(
        cudaMemcpyAsync(to, host, bytes, cudaMemcpyHostToDevice, ath_cuda_stream(stream)),
        "a write to the GPU");
}

/* ---- graphs ---- */

static bool stream_is_captured(const ath_stream *stream)
{
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;

    (void)cudaStreamIsCapturing(ath_cuda_stream(stream), &status);
    return status != cudaStreamCaptureStatusNone;
}

/* Of this thread: others (who save, who load) may call what a capture forbids. */
static ath_err capture_begin(ath_stream *stream)
{
    return ath_cuda_check(
        cudaStreamBeginCapture(ath_cuda_stream(stream), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
}

static void graph_destroy(ath_graph *graph)
{
    cuda_graph *g = (cuda_graph *)graph;

    if (g->exec) (void)cudaGraphExecDestroy(g->exec); /* CUDA waits for its last launch */
    ath_mem_drop(g);
}

static ath_err instantiate(cudaGraph_t graph, ath_graph **out)
{
    cuda_graph *g = NULL;

    ATH_TRY(ATH_NEW(1, "graph", &g));
    ath_err err = ath_cuda_check(cudaGraphInstantiate(&g->exec, graph, 0), "cudaGraphInstantiate");
    if (err)
        graph_destroy(&g->base);
    else
        *out = &g->base;
    return err;
}

/* What a launched function refused while it was captured is the capture's own failure. */
static ath_err capture_end(ath_stream *stream, ath_graph **out)
{
    cudaGraph_t graph = NULL;
    const cudaError_t code = cudaStreamEndCapture(ath_cuda_stream(stream), &graph);
    ath_err err = ATH_OK;

    if (!out)
        (void)cudaGetLastError();
    else if (stream->err)
        err = ath_err_restore(stream->err, stream->text);
    else
        err = ath_cuda_check(code, "cudaStreamEndCapture");
    if (out && !err) err = instantiate(graph, out);
    if (graph) (void)cudaGraphDestroy(graph);
    return err;
}

static ath_err graph_launch(ath_graph *graph, ath_stream *stream)
{
    if (stream->err) return ATH_OK;
    return ath_cuda_check(cudaGraphLaunch(((cuda_graph *)graph)->exec, ath_cuda_stream(stream)),
                          "cudaGraphLaunch");
}

/* ---- the device ---- */

static const ath_device_kind cuda = {
    .name = "cuda",
    .destroy = destroy,
    .buf_create = buf_create,
    .buf_release = buf_release,
    .stream_create = stream_create,
    .stream_destroy = stream_destroy,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .stream_wait = stream_wait,
    .stream_sync = stream_sync,
    .stream_launch = stream_launch,
    .buf_write = buf_write,
    .buf_read = buf_read,
    .buf_fill = buf_fill,
    .mirror_create = mirror_create,
    .mirror_release = mirror_release,
    .mirror_upload = mirror_upload,
    .stream_is_captured = stream_is_captured,
    .capture_begin = capture_begin,
    .capture_end = capture_end,
    .graph_launch = graph_launch,
    .graph_destroy = graph_destroy,
};

/* Major and minor, as people write them: 13000 is 13.0. */
static ath_err refuse_driver(void)
{
    int version = 0;

    (void)cudaDriverGetVersion(&version);
    ATH_NEED(version, ATH_ENOTSUP, "no NVIDIA driver on this machine");
    return ath_raise(ATH_ENOTSUP, "the NVIDIA driver is too old: it knows CUDA %d.%d, wanted %d.%d",
                     version / 1000, version % 1000 / 10, CUDART_VERSION / 1000,
                     CUDART_VERSION % 1000 / 10);
}

ath_err ath_cuda_count(int32_t *n_gpus)
{
    int n = 0;
    const cudaError_t code = cudaGetDeviceCount(&n);

    if (code == cudaErrorInsufficientDriver) return refuse_driver();
    if (code != cudaErrorNoDevice) ATH_TRY(ath_cuda_check(code, "GPUs"));
    *n_gpus = code == cudaSuccess ? n : 0;
    return ATH_OK;
}

ath_err ath_cuda_device_create(int32_t gpu, ath_device **out)
{
    cuda_device *d = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(1, "device", &d));
    d->base.kind = &cuda;
    d->gpu = gpu;
    ATH_TRY_OUT(enter(&d->base)); /* makes CUDA's context of the GPU */
    *out = &d->base;
    d = NULL;
out:
    ath_mem_free(&d);
    return err;
}
