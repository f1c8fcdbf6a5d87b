/* Memory: zeroed, aligned, counted; every n-th allocation can fail; nothing after the freeze. */
#include "core/mem.h"
#include "core/thread.h"
#include "tests/harness.h"

static void check_new(void)
{
    ath_mem_stats before = ath_mem_get_stats();
    double *x = NULL;
    char *none = NULL;

    ath_test_begin("new");
    CHECK_OK(ATH_NEW(1001, "numbers", &x));
    CHECK_EQ((uintptr_t)x % ATH_MEM_ALIGN, 0);
    double sum = 0;
    for (int i = 0; i < 1001; i++) sum += x[i];
    CHECK(sum == 0);
    CHECK_OK(ATH_NEW(0, "nothing", &none));
    CHECK(none != NULL);

    ath_mem_stats held = ath_mem_get_stats();
    CHECK_EQ(held.n_asked - before.n_asked, 2);
    CHECK_EQ(held.n_held - before.n_held, 2);
    CHECK(held.bytes_held - before.bytes_held >= 1001 * sizeof *x);
    CHECK(held.bytes_most >= held.bytes_held);
    ath_mem_free(&x);
    ath_mem_free(&none);
    CHECK(x == NULL && none == NULL);
    ath_mem_free(&x);
    CHECK_EQ(ath_mem_get_stats().n_held, before.n_held);
    CHECK_EQ(ath_mem_get_stats().bytes_held, before.bytes_held);
}

static void check_too_much(void)
{
    char mark = 0, *p = &mark;

    ath_test_begin("too much");
    CHECK_ERR(ath_mem_new(SIZE_MAX, 1, "bytes", (void **)&p), ATH_ENOMEM);
    CHECK_ERR(ath_mem_new(SIZE_MAX / 2, 3, "bytes", (void **)&p), ATH_ENOMEM);
    CHECK_ERR(ATH_NEW(-1, "bytes", &p), ATH_ENOMEM);
    CHECK_HAS(ath_err_text(), "bytes: 18446744073709551615 x 1 bytes");
    CHECK(p == &mark);
}

static void check_grow(void)
{
    int *array = NULL;
    int64_t room = 0;

    ath_test_begin("grow");
    for (int i = 0; i < 1000; i++) {
        if (i == 500) {
            int *same = array;
            int64_t same_room = room;
            ath_mem_fail_from(1);
            CHECK_ERR(ath_mem_grow(&array, room, &room, sizeof *array, "list"), ATH_ENOMEM);
            ath_mem_fail_from(0);
            CHECK(array == same && room == same_room);
        }
        CHECK_OK(ath_mem_grow(&array, i, &room, sizeof *array, "list"));
        CHECK_EQ(array[i], 0);
        array[i] = i;
    }
    bool all = true;
    for (int i = 0; i < 1000; i++) all = all && array[i] == i;
    CHECK(all);
    ath_mem_free(&array);
}

static void check_injection(void)
{
    enum { N = 5 };
    char *p[N] = {0};

    ath_test_begin("injection");
    for (int n = 1; n <= N; n++) {
        ath_mem_fail_from(n);
        for (int i = 0; i < N; i++)
            CHECK_ERR(ATH_NEW(1, "x", &p[i]), i + 1 < n ? ATH_OK : ATH_ENOMEM);
        ath_mem_fail_from(0);
        for (int i = 0; i < N; i++) ath_mem_free(&p[i]);
    }
}

static void check_freeze(void)
{
    char *p = NULL;

    ath_test_begin("freeze");
    ath_mem_freeze();
    CHECK_ERR(ATH_NEW(3, "late", &p), ATH_EFROZEN);
    ath_mem_thaw();
    CHECK_HAS(ath_err_text(), "late: 3 x 1 bytes");
    CHECK_OK(ATH_NEW(3, "in time", &p));
    ath_mem_freeze();
    ath_mem_free(&p);
    ath_mem_thaw();
}

static ath_err allocate(void *arg, const ath_cancel *cancel)
{
    _Atomic int64_t *n_failed = arg;

    (void)cancel;
    for (int i = 0; i < 100; i++) {
        char *p = NULL;
        if (ATH_NEW(i, "piece", &p)) atomic_fetch_add(n_failed, 1);
        ath_mem_free(&p);
    }
    return ATH_OK;
}

/* Of 400 allocations on four threads exactly those from the 101st fail. */
static void check_threads(void)
{
    _Atomic int64_t n_failed = 0;
    ath_pool *pool = NULL;

    ath_test_begin("threads");
    CHECK_OK(ath_pool_create(4, 4, &pool));
    int64_t n_held = ath_mem_get_stats().n_held;
    ath_mem_fail_from(101);
    for (int i = 0; i < 4; i++) CHECK_OK(ath_pool_submit(pool, allocate, &n_failed));
    CHECK_OK(ath_pool_wait(pool));
    ath_mem_fail_from(0);
    CHECK_EQ(n_failed, 300);
    CHECK_EQ(ath_mem_get_stats().n_held, n_held);
    ath_pool_destroy(&pool);
}

int main(void)
{
    check_new();
    check_too_much();
    check_grow();
    check_injection();
    check_freeze();
    check_threads();
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    CHECK_EQ(ath_mem_get_stats().bytes_held, 0);
    return ath_test_end();
}
