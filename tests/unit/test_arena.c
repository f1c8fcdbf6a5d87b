/* Arenas: zeroed, aligned, apart from one another; a failed allocation leaves all as it was. */
#include "core/arena.h"
#include "core/mem.h"
#include "tests/harness.h"

/* Objects of all sizes over several blocks, each filled with its own byte: none overlaps another. */
static ath_err fill(ath_arena *arena, char **object, int n)
{
    for (int i = 0; i < n; i++) {
        ATH_TRY(ATH_ARENA_NEW(arena, i * 37 % 4000, &object[i]));
        for (int k = 0; k < i * 37 % 4000; k++) ATH_NEED(!object[i][k], ATH_EINVAL, "not zeroed");
        memset(object[i], i & 0xff, (size_t)(i * 37 % 4000));
    }
    return ATH_OK;
}

static void check_objects(void)
{
    enum { N = 500 };
    static char *object[N];
    ath_arena arena = {0};
    bool is_aligned = true, is_whole = true;

    ath_test_begin("objects");
    for (int round = 0; round < 2; round++) {
        CHECK_OK(fill(&arena, object, N));
        for (int i = 0; i < N; i++) {
            is_aligned = is_aligned && (uintptr_t)object[i] % 16 == 0;
            for (int k = 0; k < i * 37 % 4000; k++)
                is_whole = is_whole && object[i][k] == (char)(i & 0xff);
        }
        CHECK(is_aligned);
        CHECK(is_whole);
        ath_arena_release(&arena);
        CHECK(arena.first == NULL);
    }
    ath_arena_release(&arena);
}

static void check_big(void)
{
    ath_arena arena = {0};
    char *big = NULL, *small = NULL, *p = NULL;

    ath_test_begin("big");
    CHECK_OK(ATH_ARENA_NEW(&arena, 1, &small));
    CHECK_OK(ATH_ARENA_NEW(&arena, 1000 * 1000, &big));
    memset(big, 1, 1000 * 1000);
    CHECK_EQ(*small, 0);
    CHECK_ERR(ath_arena_new(&arena, SIZE_MAX / 2, 4, (void **)&p), ATH_ENOMEM);
    CHECK_ERR(ATH_ARENA_NEW(&arena, -1, &p), ATH_ENOMEM);
    CHECK(p == NULL);
    ath_arena_release(&arena);
}

static void check_print(void)
{
    ath_arena arena = {0};
    const char *a = NULL, *b = NULL;
    char big[5000];

    ath_test_begin("print");
    memset(big, 'y', sizeof big - 1);
    big[sizeof big - 1] = 0;
    CHECK_OK(ath_arena_print(&arena, &a, "%s.%d", "layer", 17));
    CHECK_OK(ath_arena_print(&arena, &b, "%s", big));
    CHECK_STR(a, "layer.17");
    CHECK_STR(b, big);
    CHECK_OK(ath_arena_print(&arena, &b, "%s", ""));
    CHECK_STR(b, "");
    ath_arena_release(&arena);
}

static ath_err build(ath_arena *arena, int *n_printed)
{
    for (int i = 0; i < 40; i++) {
        const char *name = NULL;
        double *numbers = NULL;
        ATH_TRY(ATH_ARENA_NEW(arena, 300, &numbers));
        ATH_TRY(ath_arena_print(arena, &name, "value %d", i));
        ++*n_printed;
    }
    return ATH_OK;
}

/* Every allocation in turn fails; the arena still releases everything and serves again. */
static void check_injection(void)
{
    int64_t n = 0, n_held = ath_mem_get_stats().n_held;
    ath_err err;

    ath_test_begin("injection");
    do {
        ath_arena arena = {0};
        int n_printed = 0;
        ath_mem_fail_from(++n);
        err = build(&arena, &n_printed);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
        CHECK_OK(build(&arena, &n_printed));
        ath_arena_release(&arena);
        CHECK_EQ(ath_mem_get_stats().n_held, n_held);
    } while (err);
    CHECK(n > 3);
}

int main(void)
{
    check_objects();
    check_big();
    check_print();
    check_injection();
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
