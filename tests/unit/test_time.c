/* Clocks: the machine's goes on, a test's stands where it is put; UTC in print. */
#include "core/time.h"
#include "tests/harness.h"

typedef struct hand {
    int64_t now_ns, slept_ns;
} hand;

static int64_t hand_mono_ns(void *user)
{
    return ((hand *)user)->now_ns;
}

static int64_t hand_wall_ns(void *user)
{
    return 1000 + ((hand *)user)->now_ns;
}

static void hand_sleep_ns(void *user, int64_t ns)
{
    ((hand *)user)->slept_ns += ns;
}

static void check_machine(void)
{
    ath_test_begin("machine");
    int64_t before = ath_time_mono_ns(), wall = ath_time_wall_ns();
    ath_time_sleep_ns(2 * 1000 * 1000);
    ath_time_sleep_ns(-1);
    CHECK(ath_time_mono_ns() - before >= 2 * 1000 * 1000);
    CHECK(wall > 1700000000 * INT64_C(1000000000));
}

static void check_replaced(void)
{
    hand h = {.now_ns = 5};
    const ath_clock clock = {hand_mono_ns, hand_wall_ns, hand_sleep_ns, &h};

    ath_test_begin("replaced");
    ath_time_replace(&clock);
    CHECK_EQ(ath_time_mono_ns(), 5);
    CHECK_EQ(ath_time_wall_ns(), 1005);
    ath_time_sleep_ns(99);
    CHECK_EQ(h.slept_ns, 99);
    ath_time_replace(NULL);
    CHECK(ath_time_wall_ns() > 1005);
}

static void check_print(void)
{
    char text[ATH_TIME_TEXT];

    ath_test_begin("print");
    CHECK_STR(ath_time_print(0, text), "1970-01-01T00:00:00.000Z");
    CHECK_STR(ath_time_print(INT64_C(951782399999999999), text), "2000-02-28T23:59:59.999Z");
    CHECK_STR(ath_time_print(INT64_C(951782400000000000), text), "2000-02-29T00:00:00.000Z");
    CHECK_STR(ath_time_print(INT64_MAX, text), "2262-04-11T23:47:16.854Z");
}

int main(void)
{
    check_machine();
    check_replaced();
    check_print();
    return ath_test_end();
}
