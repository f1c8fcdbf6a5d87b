#include "tests/cuda/fake_runtime_cuda.h"

#include "core/err.h"
#include "core/mem.h"
#include <stdio.h>
#include <string.h>

enum { QUEUE = 4096, BLOCKS = 64, STREAMS = 4, MOST_BYTES = 64 << 20 };

typedef struct op {
    void (*run)(void *arg);
    void *arg;
    void *to;
    const void *from;
    size_t bytes;
    int byte;
    cudaStream_t after; /* a wait for its first n pieces */
    int n;
} op;

struct CUgraph_st {
    op ops[QUEUE];
    int n;
    cudaStream_t streams[STREAMS]; /* that take part */
    int n_streams;
};

struct CUgraphExec_st {
    struct CUgraph_st graph;
};

struct CUstream_st {
    op queue[QUEUE];
    int n, n_done;
    cudaGraph_t graph; /* of the capture that it takes part in */
    bool is_first;
};

struct CUevent_st {
    cudaStream_t stream; /* NULL: never recorded */
    int n;
    cudaGraph_t graph; /* recorded in this capture */
};

/* Pinned memory. */
static struct {
    char *at;
    size_t bytes;
} pinned[BLOCKS];

static cudaError_t last, count_code;
static int gpus = 1, driver = 13000;
static int64_t n_live;

static cudaError_t fail(cudaError_t code)
{
    return last = code;
}

void ath_fake_set_gpus(cudaError_t code, int n_gpus, int version)
{
    count_code = code;
    gpus = n_gpus;
    driver = version;
}

int64_t ath_fake_n_live(void)
{
    return n_live;
}

static cudaError_t make(size_t bytes, void **out)
{
    if (ath_mem_new(bytes, 1, "fake", out)) return fail(cudaErrorMemoryAllocation);
    n_live++;
    return cudaSuccess;
}

static cudaError_t drop(void *p)
{
    n_live--;
    ath_mem_drop(p);
    return cudaSuccess;
}

/* ---- work ---- */

static void run_until(cudaStream_t s, int n)
{
    while (s->n_done < n && s->n_done < s->n) {
        const op o = s->queue[s->n_done++];
        if (o.after) run_until(o.after, o.n);
        if (o.run) o.run(o.arg);
        if (o.to && o.from) memcpy(o.to, o.from, o.bytes);
        if (o.to && !o.from) memset(o.to, o.byte, o.bytes);
    }
    if (s->n_done == s->n && s->n > QUEUE / 2)
        s->n = s->n_done = 0; /* older events wait too long */
}

static void put(cudaStream_t s, op o)
{
    ATH_ASSERT(s); /* the default stream is nobody's */
    if (s->graph) {
        ATH_ASSERT(s->graph->n < QUEUE);
        s->graph->ops[s->graph->n++] = o;
        return;
    }
    ATH_ASSERT(s->n < QUEUE);
    s->queue[s->n++] = o;
}

void ath_fake_kernel(cudaStream_t stream, void (*run)(void *arg), void *arg)
{
    put(stream, (op){.run = run, .arg = arg});
}

static bool is_pinned(const char *p, size_t bytes)
{
    for (int i = 0; i < BLOCKS; i++)
        if (pinned[i].at && pinned[i].at <= p && p + bytes <= pinned[i].at + pinned[i].bytes)
            return true;
    return false;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    ATH_ASSERT(kind == cudaMemcpyDeviceToHost || is_pinned(from, bytes));
    put(stream, (op){.to = to, .from = from, .bytes = bytes});
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream)
{
    put(stream, (op){.to = to, .byte = byte, .bytes = bytes});
    return cudaSuccess;
}

/* ---- streams and events ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    ATH_ASSERT(flags == cudaStreamNonBlocking);
    return make(sizeof **stream, (void **)stream);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    run_until(stream, stream->n);
    return drop(stream);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (stream->graph) return fail(cudaErrorStreamCaptureUnsupported);
    run_until(stream, stream->n);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    ATH_ASSERT(flags == cudaEventDisableTiming);
    return make(sizeof **event, (void **)event);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    return drop(event);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    *event =
        (struct CUevent_st){stream, stream->graph ? stream->graph->n : stream->n, stream->graph};
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (event->graph) return fail(cudaErrorCapturedEvent);
    if (event->stream) run_until(event->stream, event->n);
    return cudaSuccess;
}

static cudaError_t join(cudaGraph_t graph, cudaStream_t stream)
{
    ATH_ASSERT(graph->n_streams < STREAMS);
    graph->streams[graph->n_streams++] = stream;
    stream->graph = graph;
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    ATH_ASSERT(flags == 0);
    if (!event->stream) return cudaSuccess;
    if (stream->graph && stream->graph != event->graph)
        return fail(cudaErrorStreamCaptureIsolation);
    if (event->graph) /* captured pieces stand in one list, in an order that all waits allow */
        return stream->graph ? cudaSuccess : join(event->graph, stream);
    put(stream, (op){.after = event->stream, .n = event->n});
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    ATH_ASSERT(mode == cudaStreamCaptureModeThreadLocal && !stream->graph);
    cudaGraph_t graph = NULL;
    const cudaError_t code = make(sizeof *graph, (void **)&graph);
    stream->is_first = code == cudaSuccess;
    return code == cudaSuccess ? join(graph, stream) : code;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    *status = stream->graph ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    if (!stream->is_first) return fail(cudaErrorStreamCaptureUnmatched);
    *graph = stream->graph;
    for (int i = 0; i < (*graph)->n_streams; i++) (*graph)->streams[i]->graph = NULL;
    stream->is_first = false;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    ATH_ASSERT(flags == 0);
    const cudaError_t code = make(sizeof **exec, (void **)exec);
    if (code == cudaSuccess) (*exec)->graph = *graph;
    return code;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    for (int i = 0; i < exec->graph.n; i++) put(stream, exec->graph.ops[i]);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    return drop(graph);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    return drop(exec);
}

/* ---- memory and devices ---- */

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    if (bytes > MOST_BYTES) return fail(cudaErrorMemoryAllocation);
    return make(bytes, p);
}

cudaError_t cudaFree(void *p)
{
    return drop(p);
}

cudaError_t cudaMemGetInfo(size_t *n_free, size_t *n_all)
{
    *n_free = *n_all = MOST_BYTES;
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags)
{
    ATH_ASSERT(flags == cudaHostAllocDefault);
    const cudaError_t code = make(bytes, p);
    for (int i = 0; code == cudaSuccess; i++) {
        ATH_ASSERT(i < BLOCKS);
        if (pinned[i].at) continue;
        pinned[i].at = *p;
        pinned[i].bytes = bytes;
        break;
    }
    return code;
}

cudaError_t cudaFreeHost(void *p)
{
    for (int i = 0; i < BLOCKS; i++)
        if (pinned[i].at == p) pinned[i].at = NULL;
    return drop(p);
}

cudaError_t cudaSetDevice(int device)
{
    return device < gpus ? cudaSuccess : fail(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = gpus;
    return count_code == cudaSuccess ? cudaSuccess : fail(count_code);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = driver;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    const cudaError_t code = last;

    last = cudaSuccess;
    return code;
}

const char *cudaGetErrorString(cudaError_t code)
{
    static char text[32];

    snprintf(text, sizeof text, "error %d", (int)code);
    return text;
}
