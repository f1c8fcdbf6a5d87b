/*
 * The CUDA device over a runtime that does work as late as it may (fake_runtime_cuda.h). Promised: writes
 * take copies and arrive in order, however many and large; errors come back once and drop what follows;
 * graphs read their mirror at each launch; a capture whose work was refused gives none; what lacks is said;
 * everything is given back.
 */
#include "core/mem.h"
#include "kernels/device_cuda.h"
#include "tests/cuda/fake_runtime_cuda.h"
#include "tests/harness.h"

typedef struct bench {
    ath_device *device;
    ath_stream *a, *b;
    ath_event *fork, *join;
    ath_buf buf;
} bench;

static ath_err bench_init(size_t bytes, bench *t)
{
    *t = (bench){0};
    ATH_TRY(ath_cuda_device_create(0, &t->device));
    ATH_TRY(ath_stream_create(t->device, &t->a));
    ATH_TRY(ath_stream_create(t->device, &t->b));
    ATH_TRY(ath_event_create(t->device, &t->fork));
    ATH_TRY(ath_event_create(t->device, &t->join));
    return ath_buf_create(t->device, bytes, "cells", &t->buf);
}

static void bench_release(bench *t)
{
    ath_buf_release(&t->buf);
    ath_event_destroy(&t->fork);
    ath_event_destroy(&t->join);
    ath_stream_destroy(&t->a);
    ath_stream_destroy(&t->b);
    ath_device_destroy(&t->device);
    CHECK_EQ(ath_fake_n_live(), 0);
}

/* A kernel of the tests: cell[to] = cell[from] + plus; as launched work, and as what runs later. */
typedef struct move {
    ath_stream *stream;
    int32_t *cell;
    int from, to, plus;
} move;

static void kernel(void *arg)
{
    const move *m = arg;
    m->cell[m->to] = m->cell[m->from] + m->plus;
}

static ath_err run_move(const void *arg)
{
    const move *m = arg;
    ath_fake_kernel(ath_cuda_stream(m->stream), kernel, (void *)(uintptr_t)m);
    return ATH_OK;
}

static ath_err run_failure(const void *arg)
{
    return ath_raise(ATH_ENOTSUP, "the %s is not for GPUs", (const char *)arg);
}

static int32_t cell_of(bench *t, int i)
{
    int32_t value = 0;
    CHECK_OK(ath_buf_read(t->a, t->buf, (size_t)i * sizeof value, &value, sizeof value));
    return value;
}

/* More than the ring holds, and from host memory that changes as soon as the call is back. */
static void test_writes(void)
{
    enum { N = 10 * 1000 * 1000, SMALL = 1000 };
    char *host = NULL, *wanted = NULL;
    bench t;

    CHECK_OK(ATH_NEW(N, "host", &host));
    CHECK_OK(ATH_NEW(N, "wanted", &wanted));
    CHECK_OK(bench_init(N, &t));
    for (int i = 0; i < N; i++) host[i] = wanted[i] = (char)(i * 31 + i / 1000);
    CHECK_OK(ath_buf_write(t.a, t.buf, 0, host, N));
    memset(host, 0, N);
    CHECK_OK(ath_buf_read(t.a, t.buf, 0, host, N));
    CHECK_BITS(host, wanted, N);
    for (int32_t i = 0; i < SMALL; i++)
        CHECK_OK(ath_buf_write(t.a, t.buf, (size_t)i * sizeof i, &i, sizeof i));
    CHECK_OK(ath_buf_zero(t.a, t.buf, 4, 4));
    for (int32_t i = 0; i < SMALL; i++) CHECK_EQ(cell_of(&t, i), i == 1 ? 0 : i);
    bench_release(&t);
    ath_mem_free(&host);
    ath_mem_free(&wanted);
}

static void test_streams(void)
{
    const int32_t one = 1;
    bench t;

    CHECK_OK(bench_init(64, &t));
    const move in_b = {t.b, t.buf.address, 0, 1, 1}, in_a = {t.a, t.buf.address, 1, 2, 1};
    CHECK_OK(ath_buf_write(t.a, t.buf, 0, &one, sizeof one));
    CHECK_OK(ath_event_record(t.fork, t.a));
    CHECK_OK(ath_stream_wait(t.b, t.fork));
    CHECK_OK(ath_stream_launch(t.b, run_move, &in_b));
    CHECK_OK(ath_event_record(t.join, t.b));
    CHECK_OK(ath_stream_wait(t.a, t.join));
    CHECK_OK(ath_stream_launch(t.a, run_move, &in_a));
    CHECK_EQ(cell_of(&t, 2), 3);
    bench_release(&t);
}

static void test_errors(void)
{
    const int32_t one = 1;
    ath_buf huge = {0};
    bench t;

    CHECK_OK(bench_init(64, &t));
    const move set = {t.a, t.buf.address, 0, 1, 5};
    CHECK_OK(ath_buf_zero(t.a, t.buf, 0, 64));
    CHECK_OK(ath_stream_launch(t.a, run_failure, "lead"));
    CHECK_OK(ath_stream_launch(t.a, run_failure, "tin"));
    CHECK_OK(ath_stream_launch(t.a, run_move, &set));
    CHECK_OK(ath_buf_write(t.a, t.buf, 8, &one, sizeof one));
    CHECK_OK(ath_stream_sync(t.b));
    CHECK_ERR(ath_stream_sync(t.a), ATH_ENOTSUP);
    CHECK_HAS(ath_err_text(), "the lead is not for GPUs");
    CHECK_EQ(cell_of(&t, 1), 0);
    CHECK_EQ(cell_of(&t, 2), 0);
    CHECK_ERR(ath_buf_create(t.device, (size_t)1 << 40, "the moon", &huge), ATH_ENOMEM);
    CHECK_HAS(ath_err_text(), "the moon: no GPU memory for 1099511627776 bytes, 67108864 of");
    bench_release(&t);
}

static void test_graph(void)
{
    ath_mirror mirror = {0};
    ath_graph *graph = NULL;
    int32_t value = 0;
    bench t;

    CHECK_OK(bench_init(64, &t));
    CHECK_OK(ath_mirror_create(t.buf, "cells", &mirror));
    const move in_b = {t.b, t.buf.address, 0, 1, 1}, in_a = {t.a, t.buf.address, 1, 2, 1};
    CHECK_OK(ath_capture_begin(t.a));
    CHECK_OK(ath_mirror_upload(&mirror, t.a));
    CHECK_OK(ath_event_record(t.fork, t.a));
    CHECK_OK(ath_stream_wait(t.b, t.fork));
    CHECK_OK(ath_stream_launch(t.b, run_move, &in_b));
    CHECK_ERR(ath_buf_write(t.b, t.buf, 0, &value, sizeof value), ATH_EINVAL);
    CHECK_ERR(ath_stream_sync(t.a), ATH_EINVAL);
    CHECK_OK(ath_event_record(t.join, t.b));
    CHECK_OK(ath_stream_wait(t.a, t.join));
    CHECK_OK(ath_stream_launch(t.a, run_move, &in_a));
    CHECK_OK(ath_capture_end(t.a, &graph));
    for (int32_t i = 1; graph && i <= 3; i++) {
        *(int32_t *)mirror.host = 100 * i;
        CHECK_OK(ath_graph_launch(graph, t.a));
        CHECK_EQ(cell_of(&t, 2), 100 * i + 2);
    }
    ath_graph_destroy(&graph);
    ath_mirror_release(&mirror);
    bench_release(&t);
}

static void test_refused_capture(void)
{
    ath_graph *graph = NULL;
    bench t;

    CHECK_OK(bench_init(64, &t));
    CHECK_OK(ath_capture_begin(t.a));
    CHECK_OK(ath_stream_launch(t.a, run_failure, "lead"));
    CHECK_ERR(ath_capture_end(t.a, &graph), ATH_ENOTSUP);
    CHECK_HAS(ath_err_text(), "the lead is not for GPUs");
    CHECK(!graph);
    CHECK_ERR(ath_stream_sync(t.a), ATH_ENOTSUP);
    CHECK_OK(ath_capture_begin(t.a));
    ath_capture_discard(t.a);
    CHECK_OK(ath_stream_sync(t.a));
    bench_release(&t);
}

static void test_count(void)
{
    ath_device *device = NULL;
    int32_t n = -1;

    ath_fake_set_gpus(cudaSuccess, 3, 13000);
    CHECK_OK(ath_cuda_count(&n));
    CHECK_EQ(n, 3);
    CHECK_ERR(ath_cuda_device_create(3, &device), ATH_ECUDA);
    ath_fake_set_gpus(cudaErrorNoDevice, 0, 13000);
    CHECK_OK(ath_cuda_count(&n));
    CHECK_EQ(n, 0);
    ath_fake_set_gpus(cudaErrorInsufficientDriver, 0, 0);
    CHECK_ERR(ath_cuda_count(&n), ATH_ENOTSUP);
    CHECK_HAS(ath_err_text(), "no NVIDIA driver");
    ath_fake_set_gpus(cudaErrorInsufficientDriver, 0, 12040);
    CHECK_ERR(ath_cuda_count(&n), ATH_ENOTSUP);
    CHECK_HAS(ath_err_text(), "too old: it knows CUDA 12.4, wanted 13.");
    ath_fake_set_gpus(cudaErrorSystemDriverMismatch, 0, 13000);
    CHECK_ERR(ath_cuda_count(&n), ATH_ECUDA);
    ath_fake_set_gpus(cudaSuccess, 1, 13000);
}

static void test_no_memory(void)
{
    const int64_t n_held = ath_mem_get_stats().n_held;
    ath_err err = ATH_ENOMEM;
    int n = 0;
    bench t;

    while (err == ATH_ENOMEM && n < 100) {
        ath_mem_fail_from(++n);
        err = bench_init(64, &t);
        ath_mem_fail_from(0);
        bench_release(&t);
        CHECK_EQ(ath_mem_get_stats().n_held, n_held);
    }
    CHECK_OK(err);
    CHECK_EQ(n, 11); /* device; two each of streams and events, theirs and CUDA's; a buffer */
}

int main(void)
{
    ath_test_begin("writes");
    test_writes();
    ath_test_begin("streams");
    test_streams();
    ath_test_begin("errors");
    test_errors();
    ath_test_begin("graphs");
    test_graph();
    test_refused_capture();
    ath_test_begin("what lacks");
    test_count();
    ath_test_begin("no memory");
    test_no_memory();
    return ath_test_end();
}
