/* The growing text: appends, latches its first failure, is always terminated. */
#include "core/mem.h"
#include "core/str.h"
#include "tests/harness.h"

static void check_append(void)
{
    ath_str s = {0};

    ath_test_begin("append");
    CHECK_STR(ath_str_text(&s), "");
    CHECK_OK(ath_str_check(&s));
    ath_str_print(&s, "%s %d", "step", 7);
    ath_str_put(&s, ", loss", 6);
    ath_str_put(&s, NULL, 0);
    ath_str_print(&s, "%s", "");
    CHECK_STR(ath_str_text(&s), "step 7, loss");
    CHECK_EQ(s.n, 12);
    ath_str_put(&s, "\0x", 2);
    CHECK_EQ(s.n, 14);
    CHECK_BITS(s.text, "step 7, loss\0x", 15);
    ath_str_release(&s);
    CHECK_STR(ath_str_text(&s), "");
    ath_str_release(&s);
}

static void write_much(ath_str *s)
{
    for (int i = 0; i < 2000; i++) {
        ath_str_print(s, "%04d", i);
        ath_str_put(s, "|", 1);
    }
}

static void check_growth(void)
{
    ath_str s = {0};
    char want[16];
    bool all = true;

    ath_test_begin("growth");
    write_much(&s);
    CHECK_EQ(s.n, 10000);
    for (int i = 0; i < 2000; i++) {
        snprintf(want, sizeof want, "%04d|", i);
        all = all && memcmp(s.text + 5 * i, want, 5) == 0;
    }
    CHECK(all);
    CHECK_EQ(s.text[s.n], 0);
    ath_str_release(&s);
}

/* Every allocation in turn fails: what was written before stays, what comes after is nothing. */
static void check_injection(void)
{
    ath_str whole = {0};
    int64_t n = 0;
    ath_err err;

    ath_test_begin("injection");
    write_much(&whole);
    do {
        ath_str s = {0};
        ath_mem_fail_from(++n);
        write_much(&s);
        ath_mem_fail_from(0);
        size_t n_before = s.n;
        err = ath_str_check(&s);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
        CHECK((err == ATH_OK) == (s.n == whole.n));
        CHECK_BITS(ath_str_text(&s), ath_str_text(&whole), s.n);
        if (err) ath_str_put(&s, "late", 4);
        CHECK_EQ(s.n, n_before);
        CHECK_EQ(ath_str_text(&s)[s.n], 0);
        ath_str_release(&s);
        CHECK_OK(ath_str_check(&s));
    } while (err);
    CHECK(n > 3);
    ath_str_release(&whole);
}

static void check_too_much(void)
{
    ath_str s = {0};

    ath_test_begin("too much");
    ath_str_put(&s, "x", 1);
    ath_str_put(&s, "x", SIZE_MAX - 1);
    CHECK_ERR(ath_str_check(&s), ATH_ENOMEM);
    CHECK_STR(ath_str_text(&s), "x");
    ath_str_release(&s);
}

int main(void)
{
    check_append();
    check_growth();
    check_injection();
    check_too_much();
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
