/*
 * Devices. Promised: streams keep their order; a wait holds and a missing one is seen by some seed;
 * the simulated device runs nothing before it must, hides its memory from the host, starts it as NaN,
 * and allocates nothing after its streams were made; errors of work come back once, with their text; what
 * is captured is done by each launch and not before, with its own waits, and reads the mirror anew.
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

/* Work of the graphs: *to = *from + plus */
typedef struct take {
    const int32_t *from;
    int32_t *to;
    int plus;
} take;

static ath_err run_take(const void *arg)
{
    const take *t = arg;
    *t->to = *t->from + t->plus;
    return ATH_OK;
}

/* A number in a mirror goes to the device, stream b takes it from there to cell 1, a from cell 1 to
 * cell 3; cell 2 counts. */
typedef struct rig {
    bench t;
    ath_event *joined;
    ath_buf given;
    ath_mirror mirror;
    ath_graph *graph;
    take take[3];
} rig;

static ath_err rig_init(uint64_t seed, rig *r)
{
    *r = (rig){0};
    ATH_TRY(bench_init(seed, &r->t));
    ATH_TRY(ath_event_create(r->t.device, &r->joined));
    ATH_TRY(ath_buf_create(r->t.device, sizeof(int32_t), "given", &r->given));
    ATH_TRY(ath_mirror_create(r->given, "given", &r->mirror));
    int32_t *cell = r->t.buf.address;
    r->take[0] = (take){r->given.address, cell + 1, 1};
    r->take[1] = (take){cell + 2, cell + 2, 1};
    r->take[2] = (take){cell + 1, cell + 3, 10};
    ATH_TRY(ath_buf_zero(r->t.a, r->t.buf, 0, r->t.buf.bytes));
    return ath_stream_sync(r->t.a);
}

static void rig_release(rig *r)
{
    ath_graph_destroy(&r->graph);
    ath_mirror_release(&r->mirror);
    ath_buf_release(&r->given);
    ath_event_destroy(&r->joined);
    bench_release(&r->t);
}

/* The waits: b for the upload, or for the capture's beginning alone; a for b's end. */
static ath_err put_rig(rig *r, bool waits)
{
    bench *t = &r->t;

    if (!waits) ATH_TRY(ath_event_record(t->event, t->a));
    ATH_TRY(ath_mirror_upload(&r->mirror, t->a));
    if (waits) ATH_TRY(ath_event_record(t->event, t->a));
    ATH_TRY(ath_stream_wait(t->b, t->event));
    ATH_TRY(ath_stream_launch(t->b, run_take, &r->take[0]));
    ATH_TRY(ath_event_record(r->joined, t->b));
    ATH_TRY(ath_stream_launch(t->a, run_take, &r->take[1]));
    ATH_TRY(ath_stream_wait(t->a, r->joined));
    return ath_stream_launch(t->a, run_take, &r->take[2]);
}

static ath_err capture_rig(rig *r, bool waits)
{
    ATH_TRY(ath_capture_begin(r->t.a));
    ath_err err = put_rig(r, waits);
    if (!err) return ath_capture_end(r->t.a, &r->graph);
    ath_capture_discard(r->t.a);
    return err;
}

/* True where each launch took the number that it was given. */
static bool is_replayed(uint64_t seed, bool waits)
{
    bool is_right = true;
    rig r;

    CHECK_OK(rig_init(seed, &r));
    CHECK_OK(capture_rig(&r, waits));
    CHECK_EQ(ath_device_n_run(r.t.device), 0);
    for (int32_t i = 1; i <= 3; i++) {
        *(int32_t *)r.mirror.host = 100 * i;
        CHECK_OK(ath_graph_launch(r.graph, r.t.a));
        CHECK_EQ(ath_device_n_run(r.t.device), 3 * (i - 1));
        is_right = is_right && cell_of(&r.t, r.t.a, 3) == 100 * i + 11;
        CHECK_EQ(cell_of(&r.t, r.t.a, 2), i);
    }
    rig_release(&r);
    return is_right;
}

/* Launched again and again without a look, each waits for the one before. */
static void test_launches(uint64_t seed)
{
    enum { N = 300 }; /* more pieces than a queue holds */
    rig r;

    CHECK_OK(rig_init(seed, &r));
    CHECK_OK(capture_rig(&r, true));
    ath_mem_freeze();
    for (int i = 0; i < N; i++) CHECK_OK(ath_graph_launch(r.graph, r.t.a));
    CHECK_EQ(cell_of(&r.t, r.t.a, 2), N);
    ath_mem_thaw();
    rig_release(&r);
}

static void test_graph(void)
{
    int n_right = 0;

    for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
        CHECK(is_replayed(seed, true));
        n_right += is_replayed(seed, false);
        test_launches(seed);
    }
    CHECK(0 < n_right && n_right < N_SEEDS); /* the missing wait is found */
}

static void test_capture_refusals(void)
{
    ath_graph *graph = NULL;
    int32_t value = 0;
    rig r;

    CHECK_OK(rig_init(1, &r));
    bench *t = &r.t;
    CHECK_ERR(ath_capture_end(t->a, &graph), ATH_EINVAL);
    CHECK_OK(ath_event_record(t->event, t->b));
    CHECK_OK(ath_capture_begin(t->a));
    CHECK_ERR(ath_capture_begin(t->b), ATH_EINVAL);
    CHECK_OK(ath_stream_sync(t->b)); /* takes no part */
    CHECK_ERR(ath_stream_sync(t->a), ATH_EINVAL);
    CHECK_ERR(ath_buf_write(t->a, t->buf, 0, &value, sizeof value), ATH_EINVAL);
    CHECK_ERR(ath_buf_read(t->a, t->buf, 0, &value, sizeof value), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "while its work is captured");
    CHECK_ERR(ath_stream_wait(t->a, t->event), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "outside of the capture");
    CHECK_OK(ath_event_record(t->event, t->a));
    CHECK_OK(ath_stream_wait(t->b, t->event));
    CHECK_ERR(ath_capture_end(t->a, &graph), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "before its first stream waits for all others");
    CHECK_ERR(ath_stream_wait(t->b, t->event), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "a capture that is over");
    CHECK_OK(ath_capture_begin(t->a));
    CHECK_OK(ath_event_record(t->event, t->a));
    CHECK_OK(ath_stream_wait(t->b, t->event));
    CHECK_ERR(ath_capture_end(t->b, &graph), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "in another stream");
    CHECK(!graph);
    CHECK_OK(ath_capture_begin(t->a));
    ath_capture_discard(t->a);
    CHECK_OK(ath_stream_sync(t->a));
    rig_release(&r);

    CHECK_OK(rig_init(0, &r));
    CHECK(!ath_device_captures(r.t.device));
    CHECK_ERR(ath_capture_begin(r.t.a), ATH_ENOTSUP);
    rig_release(&r);
}

/* Whoever launches a graph gets the errors of all its work. */
static void test_graph_errors(void)
{
    rig r;

    CHECK_OK(rig_init(1, &r));
    CHECK_OK(ath_capture_begin(r.t.a));
    CHECK_OK(ath_event_record(r.t.event, r.t.a));
    CHECK_OK(ath_stream_wait(r.t.b, r.t.event));
    CHECK_OK(ath_stream_launch(r.t.b, run_failure, "lead"));
    CHECK_OK(ath_event_record(r.joined, r.t.b));
    CHECK_OK(ath_stream_wait(r.t.a, r.joined));
    CHECK_OK(ath_capture_end(r.t.a, &r.graph));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(ath_graph_launch(r.graph, r.t.a));
        CHECK_OK(ath_stream_sync(r.t.b));
        CHECK_ERR(ath_stream_sync(r.t.a), ATH_ENAN);
        CHECK_HAS(ath_err_text(), "the lead melted");
    }
    rig_release(&r);
}

static void test_graph_no_memory(void)
{
    ath_err err = ATH_ENOMEM;
    int n = 0;
    rig r;

    CHECK_OK(rig_init(1, &r));
    const int64_t n_held = ath_mem_get_stats().n_held;
    while (err == ATH_ENOMEM && n < 100) {
        ath_mem_fail_from(++n);
        err = capture_rig(&r, true);
        ath_mem_fail_from(0);
        if (err) CHECK_EQ(ath_mem_get_stats().n_held, n_held);
    }
    CHECK_OK(err);
    CHECK(n > 4); /* graph, its list, two lanes; then nothing fails */
    rig_release(&r);
}

/* Uploads come in the stream's order, from what lies in the mirror by then. */
static void test_mirror(uint64_t seed)
{
    rig r;

    CHECK_OK(rig_init(seed, &r));
    for (int32_t i = 1; i <= 3; i++) {
        *(int32_t *)r.mirror.host = i;
        CHECK_OK(put_rig(&r, true));
        CHECK_EQ(cell_of(&r.t, r.t.a, 3), i + 11);
        CHECK_EQ(cell_of(&r.t, r.t.a, 2), i);
    }
    rig_release(&r);
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
        test_mirror(seed);
    }
    ath_test_begin("late");
    test_late();
    ath_test_begin("races");
    test_races();
    ath_test_begin("marks");
    test_marks();
    ath_test_begin("hidden");
    test_hidden();
    ath_test_begin("graphs");
    test_graph();
    test_capture_refusals();
    test_graph_errors();
    test_graph_no_memory();
    ath_test_begin("two devices");
    test_two_devices();
    return ath_test_end();
}
