/*
 * Devices. Promised: streams keep their order; a wait holds and a missing one is seen by some seed;
 * the simulated device runs nothing before it must, hides its memory from the host, starts it as NaN,
 * and allocates nothing after its streams were made; errors of work come back once, with their text.
 */
#include "tests/harness.h"

#include "core/mem.h"
#include "kernels/device.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_SEEDS = 64 };

/* A device with two streams, an event and a buffer of 16 numbers. */
typedef struct bench {
    ath_device *device;
    ath_stream *a, *b;
    ath_event *event;
    ath_buf buf;
} bench;

enum { N_CELLS = 16 };

static void bench_release(bench *t)
{
    ath_event_destroy(&t->event);
    ath_stream_destroy(&t->a);
    ath_stream_destroy(&t->b);
    ath_buf_release(&t->buf);
    ath_device_destroy(&t->device);
}

/* seed 0: the host device */
static ath_err bench_init(uint64_t seed, bench *t)
{
    *t = (bench){0};
    ATH_TRY(seed ? ath_device_create_sim(seed, &t->device) : ath_device_create_host(&t->device));
    ATH_TRY(ath_stream_create(t->device, &t->a));
    ATH_TRY(ath_stream_create(t->device, &t->b));
    ATH_TRY(ath_event_create(t->device, &t->event));
    return ath_buf_create(t->device, N_CELLS * sizeof(int32_t), "cells", &t->buf);
}

/* Work of the tests: cell[to] = cell[from] + plus */
typedef struct move {
    int32_t *cell;
    int from, to, plus;
} move;

static ath_err run_move(const void *arg)
{
    const move *m = arg;
    m->cell[m->to] = m->cell[m->from] + m->plus;
    return ATH_OK;
}

static ath_err run_failure(const void *arg)
{
    return ath_raise(ATH_ENAN, "the %s melted", (const char *)arg);
}

static int32_t cell_of(bench *t, ath_stream *stream, int i)
{
    int32_t value = 0;
    CHECK_OK(ath_buf_read(stream, t->buf, (size_t)i * sizeof value, &value, sizeof value));
    return value;
}

static void test_memory(uint64_t seed)
{
    bench t;
    int32_t out[N_CELLS], in[3] = {7, 8, 9};

    CHECK_OK(bench_init(seed, &t));
    CHECK_EQ((uintptr_t)t.buf.address % 64, 0);
    if (ath_device_is_poisoned(t.device)) CHECK_EQ(cell_of(&t, t.a, N_CELLS - 1), -1);
    CHECK_OK(ath_buf_zero(t.a, t.buf, 0, t.buf.bytes));
    CHECK_OK(ath_buf_write(t.a, t.buf, 4, in, sizeof in));
    in[0] = 1; /* write took a copy */
    CHECK_OK(ath_buf_write(t.a, t.buf, 20, in, 4));
    CHECK_OK(ath_buf_poison(t.a, t.buf, 8, 4));
    CHECK_OK(ath_buf_read(t.a, t.buf, 0, out, sizeof out));
    CHECK_EQ(out[0], 0);
    CHECK_EQ(out[1], 7);
    CHECK_EQ(out[2], ath_device_is_poisoned(t.device) ? -1 : 8);
    CHECK_EQ(out[3], 9);
    CHECK_EQ(out[4], 0);
    CHECK_EQ(out[5], 1);

    CHECK_ERR(ath_buf_read(t.a, t.buf, 61, out, 4), ATH_EINVAL);
    CHECK_ERR(ath_buf_write(t.a, t.buf, 65, in, 0), ATH_EINVAL);
    CHECK_ERR(ath_buf_zero(t.a, t.buf, 4, SIZE_MAX), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "of a buffer of 64");
    CHECK_OK(ath_buf_write(t.a, t.buf, 64, in, 0));
    bench_release(&t);
}

/* Far more work and bytes than queue and staging hold, after the freeze. */
static void test_order(uint64_t seed)
{
    enum { N_MOVES = 5000, N_BYTES = ATH_TORTURE ? 5000 : 600 * 1000 };
    static char host[N_BYTES], back[N_BYTES];
    static move moves[N_MOVES];
    bench t;
    ath_buf large = {0};
    int32_t one = 1;

    CHECK_OK(bench_init(seed, &t));
    CHECK_OK(ath_buf_create(t.device, N_BYTES, "large", &large));
    ath_mem_freeze();
    CHECK_OK(ath_buf_write(t.a, t.buf, 0, &one, sizeof one));
    for (int i = 0; i < N_MOVES; i++) {
        moves[i] = (move){t.buf.address, i % N_CELLS, (i + 1) % N_CELLS, 1};
        CHECK_OK(ath_stream_launch(t.a, run_move, &moves[i]));
    }
    for (int i = 0; i < N_BYTES; i++) host[i] = (char)(i * 31);
    CHECK_OK(ath_buf_write(t.a, large, 0, host, N_BYTES));
    CHECK_OK(ath_buf_read(t.a, large, 0, back, N_BYTES));
    ath_mem_thaw();
    CHECK_BITS(host, back, N_BYTES);
    CHECK_EQ(cell_of(&t, t.a, N_MOVES % N_CELLS), N_MOVES + 1);
    CHECK_EQ(ath_device_n_run(t.device), N_MOVES);
    ath_buf_release(&large);
    bench_release(&t);
}

static void test_late(void)
{
    bench host, sim;

    CHECK_OK(bench_init(0, &host));
    CHECK_OK(bench_init(1, &sim));
    move on_host = {host.buf.address, 0, 1, 1}, on_sim = {sim.buf.address, 0, 1, 1};
    CHECK_OK(ath_stream_launch(host.a, run_move, &on_host));
    CHECK_EQ(ath_device_n_run(host.device), 1);
    CHECK_OK(ath_stream_launch(sim.a, run_move, &on_sim));
    CHECK_OK(ath_stream_launch(sim.b, run_move, &on_sim));
    CHECK_OK(ath_event_record(sim.event, sim.a));
    CHECK_EQ(ath_device_n_run(sim.device), 0);
    CHECK_OK(ath_stream_wait(sim.b, sim.event));
    CHECK_OK(ath_stream_sync(sim.b));
    CHECK_EQ(ath_device_n_run(sim.device), 2);
    bench_release(&host);
    bench_release(&sim);
}

/* The writer's last of `n_before` + 1 moves sets cell 1 to 5; the reader copies it to cell 2 after
 * `n_behind` moves of its own. True if the reader saw the 5. */
static bool is_seen(uint64_t seed, int n_before, int n_behind, bool waits)
{
    bench t;
    CHECK_OK(bench_init(seed, &t));
    move idle_a = {t.buf.address, 3, 3, 0}, idle_b = {t.buf.address, 4, 4, 0};
    move set = {t.buf.address, 0, 1, 5}, copy = {t.buf.address, 1, 2, 0};

    CHECK_OK(ath_buf_zero(t.a, t.buf, 0, t.buf.bytes));
    CHECK_OK(ath_stream_sync(t.a));
    for (int i = 0; i < n_before; i++) CHECK_OK(ath_stream_launch(t.a, run_move, &idle_a));
    CHECK_OK(ath_stream_launch(t.a, run_move, &set));
    CHECK_OK(ath_event_record(t.event, t.a));
    for (int i = 0; i < n_behind; i++) CHECK_OK(ath_stream_launch(t.b, run_move, &idle_b));
    if (waits) CHECK_OK(ath_stream_wait(t.b, t.event));
    CHECK_OK(ath_stream_launch(t.b, run_move, &copy));
    bool seen = cell_of(&t, t.b, 2) == 5;
    bench_release(&t);
    return seen;
}

static void test_races(void)
{
    static const struct {
        int n_before, n_behind;
    } cases[] = {{0, 0}, {2, 2}, {100, 0}, {0, ATH_TORTURE ? 3 : 20}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int n_seen = 0, n_held = 0;
        for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
            n_seen += is_seen(seed, cases[i].n_before, cases[i].n_behind, false);
            n_held += is_seen(seed, cases[i].n_before, cases[i].n_behind, true);
        }
        CHECK_EQ(n_held, N_SEEDS);
        CHECK(n_seen < N_SEEDS); /* the missing wait is found */
        if (cases[i].n_before == 0) CHECK(n_seen > 0);
    }
}

/* A wait means the last mark before it: neither an earlier one nor one made afterwards. */
static void test_marks(void)
{
    int n_first = 0, n_both = 0;

    for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
        bench t;
        CHECK_OK(bench_init(seed, &t));
        move one = {t.buf.address, 0, 1, 1}, two = {t.buf.address, 1, 1, 10};
        move copy = {t.buf.address, 1, 2, 0};
        CHECK_OK(ath_buf_zero(t.a, t.buf, 0, t.buf.bytes));
        CHECK_OK(ath_stream_wait(t.b, t.event)); /* never recorded */
        CHECK_OK(ath_stream_sync(t.b));
        CHECK_OK(ath_event_record(t.event, t.b)); /* replaced by the next */
        CHECK_OK(ath_stream_launch(t.a, run_move, &one));
        CHECK_OK(ath_event_record(t.event, t.a));
        CHECK_OK(ath_stream_wait(t.b, t.event));
        CHECK_OK(ath_stream_launch(t.a, run_move, &two));
        CHECK_OK(ath_event_record(t.event, t.a)); /* too late for the wait above */
        CHECK_OK(ath_stream_launch(t.b, run_move, &copy));
        int32_t seen = cell_of(&t, t.b, 2);
        CHECK(seen == 1 || seen == 11);
        n_first += seen == 1;
        n_both += seen == 11;
        bench_release(&t);
    }
    CHECK(n_first > 0);
    CHECK(n_both > 0);
}

/* Destroying a stream finishes its work, and its marks are over for those who wait for them. */
static void test_event_outlives_stream(uint64_t seed)
{
    bench t;
    CHECK_OK(bench_init(seed, &t));
    move set = {t.buf.address, 0, 1, 5}, copy = {t.buf.address, 1, 2, 0};

    CHECK_OK(ath_buf_zero(t.a, t.buf, 0, t.buf.bytes));
    CHECK_OK(ath_stream_launch(t.a, run_move, &set));
    CHECK_OK(ath_event_record(t.event, t.a));
    ath_stream_destroy(&t.a);
    CHECK_OK(ath_stream_wait(t.b, t.event));
    CHECK_OK(ath_stream_launch(t.b, run_move, &copy));
    CHECK_EQ(cell_of(&t, t.b, 2), 5);
    bench_release(&t);
}

static void test_errors(uint64_t seed)
{
    bench t;
    int32_t value = 3;
    CHECK_OK(bench_init(seed, &t));
    move set = {t.buf.address, 0, 1, 5};

    CHECK_OK(ath_buf_zero(t.a, t.buf, 0, t.buf.bytes));
    CHECK_OK(ath_stream_launch(t.a, run_failure, "lead"));
    CHECK_OK(ath_stream_launch(t.a, run_failure, "tin"));
    CHECK_OK(ath_stream_launch(t.a, run_move, &set));
    CHECK_OK(ath_buf_write(t.a, t.buf, 4, &value, sizeof value));
    CHECK_OK(ath_stream_sync(t.b)); /* the other stream has none */
    CHECK_ERR(ath_buf_read(t.a, t.buf, 0, &value, sizeof value), ATH_ENAN);
    CHECK_HAS(ath_err_text(), "the lead melted");
    CHECK_EQ(value, 3);

    CHECK_EQ(cell_of(&t, t.a, 1), 0); /* told once; the rest was dropped */
    CHECK_OK(ath_stream_launch(t.a, run_move, &set));
    CHECK_EQ(cell_of(&t, t.a, 1), 5);
    bench_release(&t);
}

static void test_two_devices(void)
{
    bench t, u;
    char byte = 0;

    CHECK_OK(bench_init(0, &t));
    CHECK_OK(bench_init(1, &u));
    CHECK_STR(ath_device_name(t.device), "host");
    CHECK_STR(ath_device_name(u.device), "sim");
    CHECK_ERR(ath_stream_wait(t.a, u.event), ATH_EINVAL);
    CHECK_ERR(ath_event_record(t.event, u.a), ATH_EINVAL);
    CHECK_ERR(ath_buf_write(t.a, u.buf, 0, &byte, 1), ATH_EINVAL);
    bench_release(&t);
    bench_release(&u);
}

/* The signal that ends a child which reads `address`; 0 where it may. */
static int signal_of_reading(const void *address)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* not the sanitizer's report */
        _exit(*(const volatile char *)address & 0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Work that reads one byte past a buffer, in a child. */
static ath_err run_overrun(const void *arg)
{
    CHECK_EQ(signal_of_reading(arg), 0);
    CHECK_EQ(signal_of_reading((const char *)arg + 64), SIGSEGV);
    return ATH_OK;
}

static void test_hidden(void)
{
    bench t;

    CHECK_OK(bench_init(5, &t));
    CHECK_EQ(signal_of_reading(t.buf.address), SIGSEGV);
    CHECK_OK(ath_stream_launch(t.a, run_overrun, t.buf.address));
    CHECK_OK(ath_stream_sync(t.a));
    CHECK_EQ(signal_of_reading(t.buf.address), SIGSEGV);
    bench_release(&t);
}

static void test_no_memory(uint64_t seed)
{
    int64_t n_held = ath_mem_get_stats().n_held;
    ath_err err = ATH_ENOMEM;
    int n = 0;
    bench t;

    while (err == ATH_ENOMEM && n < 100) {
        ath_mem_fail_from(++n);
        err = bench_init(seed, &t);
        ath_mem_fail_from(0);
        bench_release(&t);
        CHECK_EQ(ath_mem_get_stats().n_held, n_held);
    }
    CHECK_OK(err);
    CHECK_EQ(n, 6); /* device, two streams, event, buffer; then nothing fails */

    CHECK_OK(bench_init(seed, &t));
    ath_buf huge = {0};
    CHECK_ERR(ath_buf_create(t.device, SIZE_MAX / (seed ? 4 : 1), "the moon", &huge), ATH_ENOMEM);
    CHECK_HAS(ath_err_text(), "the moon");
    CHECK(!huge.device);
    bench_release(&t);
}

int main(void)
{
    for (uint64_t seed = 0; seed < 3; seed++) {
        ath_test_begin(seed ? "sim" : "host");
        test_memory(seed);
        test_order(seed);
        test_event_outlives_stream(seed);
        test_errors(seed);
        test_no_memory(seed);
    }
    ath_test_begin("late");
    test_late();
    ath_test_begin("races");
    test_races();
    ath_test_begin("marks");
    test_marks();
    ath_test_begin("hidden");
    test_hidden();
    ath_test_begin("two devices");
    test_two_devices();
    return ath_test_end();
}
