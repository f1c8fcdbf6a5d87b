/* The log: one line per event whatever is in it, levels by topic, nothing allocated. */
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "core/time.h"
#include "tests/harness.h"

static char last[2 * ATH_LOG_BYTES];
static int n_lines;

static void keep(void *user, ath_log_level level, const char *line, size_t n)
{
    (void)user;
    (void)level;
    CHECK_EQ(strlen(line), n);
    snprintf(last, sizeof last, "%s", line);
    n_lines++;
}

static int64_t stand_still(void *user)
{
    (void)user;
    return INT64_C(951782399123456789);
}

static void check_line(void)
{
    const char *path = "run/step-400.h5";
    char *text = last + sizeof last - 1;

    ath_test_begin("line");
    ath_log(ATH_LOG_ERROR, "ckpt", ATH_KV("early", 1));
    CHECK_EQ(n_lines, 0); /* nowhere to go yet */
    ath_log_to_sink(keep, NULL);
    ath_mem_freeze();
    ath_log(ATH_LOG_INFO, "ckpt", ATH_KV("saved", path), ATH_KV("bytes", (int64_t)1 << 40),
            ATH_KV("loss", 0.125f), ATH_KV("rate", 1e-4), ATH_KV("ok", true), ATH_KV("none", text));
    ath_mem_thaw();
    CHECK_STR(last, "2000-02-28T23:59:59.123Z info ckpt saved=run/step-400.h5 bytes=1099511627776 "
                    "loss=0.125 rate=0.0001 ok=1 none=\"\"\n");
    ath_log(ATH_LOG_WARN, "x", ATH_KV("a", "two words"), ATH_KV("b", "k=v"), ATH_KV("c", "q\"\\"),
            ATH_KV("d", "1\n2\x1b\x7f"), ATH_KV("e", "\xc3\xa4"), ATH_KV("f", (const char *)NULL));
    CHECK_STR(last, "2000-02-28T23:59:59.123Z warn x a=\"two words\" b=\"k=v\" c=\"q\\\"\\\\\" "
                    "d=\"1\\n2\\033\\177\" e=\xc3\xa4 f=(null)\n");
}

static void check_cut(void)
{
    char big[ATH_LOG_BYTES];

    ath_test_begin("cut");
    for (size_t n = ATH_LOG_BYTES - 60; n < ATH_LOG_BYTES; n++) {
        memset(big, 'z', n);
        big[n] = 0;
        ath_log(ATH_LOG_INFO, "t", ATH_KV("big", big), ATH_KV("n", 5));
        size_t got = strlen(last);
        CHECK(got < ATH_LOG_BYTES);
        CHECK(strcmp(last + got - 5, " n=5\n") == 0 || strcmp(last + got - 4, "...\n") == 0);
        CHECK(memchr(last, '\n', got - 1) == NULL);
    }
}

static int64_t count_up(int64_t *n)
{
    return ++*n;
}

static void check_rules(void)
{
    int64_t n_computed = 0;

    ath_test_begin("rules");
    CHECK(ath_log_is_on(ATH_LOG_INFO, "plan") && !ath_log_is_on(ATH_LOG_DEBUG, "plan"));
    CHECK_OK(ath_log_set("warn,plan=debug,io=error"));
    CHECK(ath_log_is_on(ATH_LOG_DEBUG, "plan"));
    CHECK(ath_log_is_on(ATH_LOG_ERROR, "io") && !ath_log_is_on(ATH_LOG_WARN, "io"));
    CHECK(ath_log_is_on(ATH_LOG_WARN, "other") && !ath_log_is_on(ATH_LOG_INFO, "other"));
    n_lines = 0;
    ath_log(ATH_LOG_INFO, "other", ATH_KV("n", count_up(&n_computed)));
    CHECK_EQ(n_lines, 0);
    CHECK_EQ(n_computed, 0);
    ath_log(ATH_LOG_INFO, "plan", ATH_KV("n", count_up(&n_computed)));
    CHECK_EQ(n_lines, 1);
    CHECK_EQ(n_computed, 1);

    static const char *const bad[] = {
        "",      "loud",      "info,",      "plan=",
        "=info", "plan=loud", "info,,warn", "a_topic_with_far_too_long_a_name=info"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERR(ath_log_set(bad[i]), ATH_EINVAL);
    CHECK_ERR(ath_log_set("a=info,a=info,a=info,a=info,a=info,a=info,a=info,a=info,a=info,a=info,"
                          "a=info,a=info,a=info,a=info,a=info,a=info,a=info"),
              ATH_ELIMIT);
    CHECK(ath_log_is_on(ATH_LOG_DEBUG, "plan")); /* as it was */
    CHECK_OK(ath_log_set("info"));
}

static ath_err log_much(void *arg, const ath_cancel *cancel)
{
    (void)cancel;
    for (int i = 0; i < 200; i++)
        ath_log(ATH_LOG_INFO, "many", ATH_KV("who", (const char *)arg), ATH_KV("i", i));
    return ATH_OK;
}

/* Lines of four threads in one file: whole, and none lost. */
static void check_file(bool colour)
{
    FILE *file = tmpfile();
    ath_pool *pool = NULL;
    char who[] = "one of four", line[200];
    int n = 0, n_whole = 0;

    ath_log_to_file(file, colour);
    CHECK_OK(ath_pool_create(4, 4, &pool));
    for (int i = 0; i < 4; i++) CHECK_OK(ath_pool_submit(pool, log_much, who));
    CHECK_OK(ath_pool_wait(pool));
    ath_pool_destroy(&pool);
    rewind(file);
    const char *start = colour ? "\x1b[32m2000-02-28T23:59:59.123Z info many who=\"one of four\" i="
                               : "2000-02-28T23:59:59.123Z info many who=\"one of four\" i=";
    while (fgets(line, sizeof line, file)) {
        n++;
        n_whole += strncmp(line, start, strlen(start)) == 0 && !strstr(line + 10, "2000-") &&
                   !strstr(line, "\x1b[0m\n") == !colour;
    }
    CHECK_EQ(n, 800);
    CHECK_EQ(n_whole, 800);
    fclose(file);
}

int main(void)
{
    const ath_clock clock = {.mono_ns = stand_still, .wall_ns = stand_still};

    ath_time_replace(&clock);
    check_line();
    check_cut();
    check_rules();
    ath_test_begin("file");
    check_file(false);
    check_file(true);
    return ath_test_end();
}
