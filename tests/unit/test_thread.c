/* Threads: turns that exclude and come in order; order, bounds and ends of the queue; a pool that
 * reports the same failure always. */
#include "core/mem.h"
#include "core/thread.h"
#include "core/time.h"
#include "tests/harness.h"

enum { N_ITEMS = ATH_TORTURE ? 20000 : 5000, MS = 1000 * 1000 };

typedef struct stream {
    ath_queue *queue;
    int64_t first, step, sum, n;
} stream;

static ath_err produce(void *arg, const ath_cancel *cancel)
{
    stream *s = arg;

    (void)cancel;
    for (int64_t i = s->first; i < N_ITEMS; i += s->step) ATH_TRY(ath_queue_put(s->queue, &i));
    return ATH_OK;
}

/* Takes until the queue ends; items of one producer come in its order. */
static ath_err consume(void *arg, const ath_cancel *cancel)
{
    stream *s = arg;
    int64_t i, last[2] = {-1, -1};

    (void)cancel;
    while (ath_queue_take(s->queue, &i) == ATH_OK) {
        ATH_NEED(i > last[i % 2], ATH_EINVAL, "%lld after %lld", (long long)i,
                 (long long)last[i % 2]);
        last[i % 2] = i;
        s->sum += i;
        s->n++;
    }
    return ATH_OK;
}

static void check_queue(int64_t room)
{
    ath_queue *q = NULL;
    ath_pool *makers = NULL, *takers = NULL;

    CHECK_OK(ath_queue_create(room, sizeof(int64_t), &q));
    CHECK_OK(ath_pool_create(2, 2, &makers));
    CHECK_OK(ath_pool_create(2, 2, &takers));
    stream make[2] = {{q, 0, 2, 0, 0}, {q, 1, 2, 0, 0}}, take[2] = {{.queue = q}, {.queue = q}};
    for (int i = 0; i < 2; i++) {
        CHECK_OK(ath_pool_submit(makers, produce, &make[i]));
        CHECK_OK(ath_pool_submit(takers, consume, &take[i]));
    }
    CHECK_OK(ath_pool_wait(makers));
    ath_queue_stop(q);
    CHECK_OK(ath_pool_wait(takers));
    CHECK_EQ(take[0].n + take[1].n, N_ITEMS);
    CHECK_EQ(take[0].sum + take[1].sum, (int64_t)N_ITEMS * (N_ITEMS - 1) / 2);
    ath_pool_destroy(&makers);
    ath_pool_destroy(&takers);
    ath_queue_destroy(&q);
    CHECK(q == NULL);
}

static void check_queue_end(void)
{
    ath_queue *q = NULL;
    int item = 0;

    ath_test_begin("a stopped queue");
    CHECK_OK(ath_queue_create(3, sizeof item, &q));
    for (int i = 1; i <= 3; i++) CHECK_OK(ath_queue_put(q, &i));
    ath_queue_stop(q);
    CHECK_ERR(ath_queue_put(q, &item), ATH_ECANCELED);
    for (int i = 1; i <= 3; i++) {
        CHECK_OK(ath_queue_take(q, &item));
        CHECK_EQ(item, i);
    }
    CHECK_ERR(ath_queue_take(q, &item), ATH_ECANCELED);
    ath_queue_destroy(&q);
    ath_queue_destroy(&q);
    CHECK_ERR(ath_queue_create(0, 4, &q), ATH_EINVAL);
}

/* Those who wait on a full and on an empty queue are woken by its stop. */
static void check_queue_wakes(void)
{
    ath_queue *q = NULL;
    ath_pool *pool = NULL;

    ath_test_begin("stop wakes");
    CHECK_OK(ath_pool_create(2, 2, &pool));
    CHECK_OK(ath_queue_create(1, sizeof(int64_t), &q));
    stream full = {q, 0, 1, 0, 0};
    CHECK_OK(ath_pool_submit(pool, produce, &full));
    ath_time_sleep_ns(20 * MS);
    ath_queue_stop(q);
    CHECK_ERR(ath_pool_wait(pool), ATH_ECANCELED);
    ath_queue_destroy(&q);

    CHECK_OK(ath_queue_create(1, sizeof(int64_t), &q));
    stream empty[2] = {{.queue = q}, {.queue = q}};
    for (int i = 0; i < 2; i++) CHECK_OK(ath_pool_submit(pool, consume, &empty[i]));
    ath_time_sleep_ns(20 * MS);
    ath_queue_stop(q);
    CHECK_OK(ath_pool_wait(pool));
    ath_queue_destroy(&q);
    ath_pool_destroy(&pool);
}

typedef struct piece {
    int64_t i, result;
    bool fails, is_slow, ran;
} piece;

static ath_err square(void *arg, const ath_cancel *cancel)
{
    piece *p = arg;

    (void)cancel;
    if (p->is_slow) ath_time_sleep_ns(5 * MS);
    p->ran = true;
    p->result = p->i * p->i;
    ATH_NEED(!p->fails, ATH_EFORMAT, "piece %lld is bad", (long long)p->i);
    return ATH_OK;
}

static void check_pool(int n_threads)
{
    enum { N = 300 };
    static piece piece_of[N];
    ath_pool *pool = NULL;

    CHECK_OK(ath_pool_create(n_threads, 4, &pool));
    CHECK_OK(ath_pool_wait(pool)); /* nothing to wait for */
    for (int round = 0; round < 3; round++) {
        bool is_right = true;
        for (int i = 0; i < N; i++) {
            piece_of[i] = (piece){.i = i};
            CHECK_OK(ath_pool_submit(pool, square, &piece_of[i]));
        }
        CHECK_OK(ath_pool_wait(pool));
        for (int i = 0; i < N; i++) is_right = is_right && piece_of[i].result == (int64_t)i * i;
        CHECK(is_right);
    }
    ath_pool_destroy(&pool);
    CHECK(pool == NULL);
}

/* Piece 20 is slow and fails, pieces from 21 on fail at once: 20 is reported, all before it ran, and
 * the pool serves again. */
static void check_failure(int n_threads)
{
    enum { N = 200, BAD = 20 };
    static piece piece_of[N];
    ath_pool *pool = NULL;

    CHECK_OK(ath_pool_create(n_threads, 4, &pool));
    for (int i = 0; i < N; i++) {
        piece_of[i] = (piece){.i = i, .fails = i >= BAD, .is_slow = i == BAD};
        CHECK_OK(ath_pool_submit(pool, square, &piece_of[i]));
    }
    CHECK_ERR(ath_pool_wait(pool), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "piece 20 is bad");
    bool all_ran = true;
    for (int i = 0; i <= BAD; i++) all_ran = all_ran && piece_of[i].ran;
    CHECK(all_ran);
    CHECK(!piece_of[N - 1].ran);
    piece_of[0] = (piece){.i = 9};
    CHECK_OK(ath_pool_submit(pool, square, &piece_of[0]));
    CHECK_OK(ath_pool_wait(pool));
    CHECK_EQ(piece_of[0].result, 81);
    ath_pool_destroy(&pool);
}

static ath_err wait_for_cancel(void *arg, const ath_cancel *cancel)
{
    atomic_store((_Atomic bool *)arg, true);
    while (!ath_cancel_is_set(cancel)) ath_time_sleep_ns(MS / 10);
    return ath_raise(ATH_ECANCELED, "asked to end");
}

static void check_cancel(void)
{
    ath_pool *pool = NULL;
    _Atomic bool has_begun = false;
    piece late = {.i = 1}, bad = {.fails = true};

    ath_test_begin("cancel");
    CHECK_OK(ath_pool_create(1, 4, &pool));
    CHECK_OK(ath_pool_submit(pool, wait_for_cancel, &has_begun));
    CHECK_OK(ath_pool_submit(pool, square, &late));
    while (!atomic_load(&has_begun)) ath_time_sleep_ns(MS / 10);
    ath_pool_cancel(pool);
    CHECK_ERR(ath_pool_wait(pool), ATH_ECANCELED);
    CHECK_HAS(ath_err_text(), "asked to end");
    CHECK(!late.ran);
    ath_pool_destroy(&pool);

    /* a failure asks an earlier job to end, and is reported before its ECANCELED */
    CHECK_OK(ath_pool_create(2, 4, &pool));
    CHECK_OK(ath_pool_submit(pool, wait_for_cancel, &has_begun));
    CHECK_OK(ath_pool_submit(pool, square, &bad));
    CHECK_ERR(ath_pool_wait(pool), ATH_EFORMAT);

    /* destroying cancels what runs and drops what waits */
    has_begun = false;
    CHECK_OK(ath_pool_submit(pool, wait_for_cancel, &has_begun));
    CHECK_OK(ath_pool_submit(pool, wait_for_cancel, &has_begun));
    CHECK_OK(ath_pool_submit(pool, square, &late));
    while (!atomic_load(&has_begun)) ath_time_sleep_ns(MS / 10);
    ath_pool_destroy(&pool);
    CHECK(!late.ran);
}

static void check_injection(void)
{
    ath_pool *pool = NULL;
    int64_t n = 0;
    ath_err err;

    ath_test_begin("injection");
    do {
        ath_mem_fail_from(++n);
        err = ath_pool_create(2, 4, &pool);
        ath_mem_fail_from(0);
        CHECK((pool == NULL) == (err != ATH_OK));
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
        ath_pool_destroy(&pool);
        CHECK_EQ(ath_mem_get_stats().n_held, 0);
    } while (err);
    CHECK_EQ(n, 4);
    CHECK_ERR(ath_pool_create(0, 4, &pool), ATH_EINVAL);
    CHECK_ERR(ath_pool_create(2, 0, &pool), ATH_EINVAL);
}

/* ---- turns ---- */

enum { N_TURNS = 2000, N_TAKERS = 4 };

static ath_turns turns = ATH_TURNS_INIT;
static int64_t n_in, n_crowded, n_turns; /* not atomic: only who has the turn touches them */
static _Atomic int64_t n_waits;
static int64_t order[N_TAKERS];

static ath_err take_turns(void *arg, const ath_cancel *cancel)
{
    (void)arg;
    (void)cancel;
    for (int i = 0; i < N_TURNS; i++) {
        ath_turns_begin(&turns);
        if (++n_in > 1) n_crowded++;
        n_turns++;
        n_in--;
        ath_turns_end(&turns);
    }
    return ATH_OK;
}

static ath_err take_one(void *arg, const ath_cancel *cancel)
{
    const int64_t *i = arg;

    (void)cancel;
    atomic_fetch_add(&n_waits, 1);
    ath_turns_begin(&turns);
    order[n_turns++] = *i;
    ath_turns_end(&turns);
    return ATH_OK;
}

static void check_turns(void)
{
    static const int64_t number[N_TAKERS] = {0, 1, 2, 3};
    ath_pool *pool = NULL;

    CHECK_OK(ath_pool_create(N_TAKERS, N_TAKERS, &pool));
    for (int i = 0; i < N_TAKERS; i++) CHECK_OK(ath_pool_submit(pool, take_turns, NULL));
    CHECK_OK(ath_pool_wait(pool));
    CHECK(n_crowded == 0 && n_turns == N_TAKERS * (int64_t)N_TURNS);
    /* those who wait go in as they came, and who has just left comes last */
    n_turns = 0;
    ath_turns_begin(&turns);
    for (int i = 0; i < N_TAKERS; i++) {
        CHECK_OK(ath_pool_submit(pool, take_one, (void *)(uintptr_t)&number[i]));
        while (atomic_load(&n_waits) <= i) ath_time_sleep_ns(MS / 10);
        ath_time_sleep_ns(5 * MS); /* from there into the line */
    }
    ath_turns_end(&turns);
    ath_turns_begin(&turns);
    CHECK_EQ(n_turns, N_TAKERS);
    ath_turns_end(&turns);
    CHECK_OK(ath_pool_wait(pool));
    for (int i = 0; i < N_TAKERS; i++) CHECK_EQ(order[i], i);
    ath_pool_destroy(&pool);
}

int main(void)
{
    ath_test_begin("turns");
    check_turns();
    ath_test_begin("queue");
    check_queue(1);
    check_queue(7);
    check_queue_end();
    check_queue_wakes();
    ath_test_begin("pool");
    for (int n_threads = 1; n_threads <= 5; n_threads += 2) check_pool(n_threads);
    ath_test_begin("first failure");
    for (int n_threads = 1; n_threads <= 5; n_threads += 2) check_failure(n_threads);
    check_cancel();
    check_injection();
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
