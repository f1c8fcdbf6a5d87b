/*
 * Captions: each option by example, and properties over many uses: shuffling keeps all tags and the
 * first ones in place and treats all orders alike, dropout hits as often as asked and never a kept
 * tag, a use depends on its name alone. Failing allocations lose nothing.
 */
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/train/caption.h"

#include <math.h>

static ath_caption_work work;

static const char *make(ath_caption_opts opts, uint32_t epoch, uint32_t sample, const char *caption)
{
    const ath_caption_use use = {{42, epoch, sample}, 0};
    const char *out = NULL;

    if (!opts.separator) opts.separator = ",";
    CHECK_OK(ath_caption_check(&opts));
    CHECK_OK(ath_caption_make(&opts, &use, caption, &work, &out));
    return out ? out : "(nothing)";
}

#define MAKE(caption, ...) make((ath_caption_opts){__VA_ARGS__}, 0, 0, caption)

static void check_examples(void)
{
    ath_test_begin("examples");
    CHECK_STR(MAKE("a cat,dog", 0), "a cat,dog");
    CHECK_STR(MAKE(" a cat \nsecond", 0), " a cat ");
    CHECK_STR(MAKE("", 0), "");
    CHECK_STR(MAKE("b", .prefix = "a", .suffix = "c"), "a b c");
    CHECK_STR(MAKE("b", .prefix = "", .suffix = ""), "b");
    CHECK_STR(MAKE("a,b", .dropout = 1), "");
    /* tags: shuffling one flexible tag changes nothing but the layout */
    CHECK_STR(MAKE(" a ,b,,c\t", .shuffle = true, .keep_tokens = 3), "a, b, , c");
    CHECK_STR(MAKE("\xe3\x80\x80"
                   "a\xe3\x80\x80,\xc2\xa0"
                   "b c",
                   .shuffle = true, .keep_tokens = 9),
              "a, b c");
    CHECK_STR(MAKE("a;b,c", .shuffle = true, .keep_tokens = 2, .separator = ";"), "a, b,c");
    CHECK_STR(MAKE("a, b, c", .tag_dropout = 1, .keep_tokens = 2), "a, b");
    CHECK_STR(MAKE("a, b, c", .tag_dropout = 1), "");
    /* the keep separator goes even where nothing is shuffled */
    CHECK_STR(MAKE("a, b ||| c, d", .keep_separator = "|||"), "a, b, c, d");
    CHECK_STR(MAKE("a, b|||c, d ||| e,,", .keep_separator = "|||", .tag_dropout = 1), "a, b, e");
    CHECK_STR(MAKE("a,b", .keep_separator = "|||"), "a,b");
    CHECK_STR(MAKE("a, b;;;c, d", .secondary_separator = ";;;", .shuffle = true, .keep_tokens = 9),
              "a, b,c, d");
    CHECK_STR(MAKE(";a;", .secondary_separator = ";"), ",a,");
}

static void check_wildcards(void)
{
    ath_test_begin("wildcards");
    CHECK_STR(MAKE("{a}", .wildcards = true), "a");
    CHECK_STR(MAKE("{{a|b}}", .wildcards = true), "{a|b}");
    CHECK_STR(MAKE("{}", .wildcards = true), "{}");
    CHECK_STR(MAKE("{a", .wildcards = true), "{a");
    CHECK_STR(MAKE("a}{b}c", .wildcards = true), "a}bc");
    CHECK_STR(MAKE("{{{a}}}", .wildcards = true), "{a}"); /* a brace, then a choice of "a}" alone */
    CHECK_STR(MAKE("{a|b}", 0), "{a|b}");
    int n[3] = {0}, pairs[2][2] = {{0}}, lines[3] = {0};
    for (uint32_t s = 0; s < 3000; s++) {
        const char *out = make((ath_caption_opts){.wildcards = true}, 0, s, "x {a|bb|} y");
        n[0] += strcmp(out, "x a y") == 0;
        n[1] += strcmp(out, "x bb y") == 0;
        n[2] += strcmp(out, "x  y") == 0;
        out = make((ath_caption_opts){.wildcards = true}, 0, s, "{0|1}{0|1}");
        pairs[out[0] - '0'][out[1] - '0']++;
        out = make((ath_caption_opts){.wildcards = true}, 0, s, "0\n1\n2");
        lines[out[0] - '0']++;
    }
    for (int i = 0; i < 3; i++) CHECK(n[i] > 870 && n[i] < 1130); /* 5 sigma */
    for (int i = 0; i < 3; i++) CHECK(lines[i] > 870 && lines[i] < 1130);
    for (int i = 0; i < 4; i++) CHECK(pairs[i / 2][i % 2] > 630 && pairs[i / 2][i % 2] < 870);
}

/* Tags t00 .. t11, of which two are kept. */
static void check_shuffle(void)
{
    static const char caption[] = "t00, t01, t02, t03, t04, t05, t06, t07, t08, t09, t10, t11";
    const ath_caption_opts opts = {.shuffle = true, .keep_tokens = 2};
    int orders[6] = {0}, n_changed = 0;
    char before[sizeof caption] = "";

    ath_test_begin("shuffle");
    for (uint32_t s = 0; s < 500; s++) {
        const char *out = make(opts, s % 3, s, caption);
        int seen[12] = {0};
        CHECK_EQ(strlen(out), sizeof caption - 1);
        CHECK(strncmp(out, "t00, t01, ", 10) == 0);
        for (int i = 0; i < 12; i++) seen[(out[5 * i + 1] - '0') * 10 + out[5 * i + 2] - '0']++;
        for (int i = 0; i < 12; i++) CHECK(seen[i] == 1);
        n_changed += strcmp(out, before) != 0;
        snprintf(before, sizeof before, "%s", out);
        CHECK_STR(make(opts, s % 3, s, caption), before); /* the same name, the same caption */
    }
    CHECK(n_changed > 495);
    for (uint32_t s = 0; s < 6000; s++) {
        const char *out = make((ath_caption_opts){.shuffle = true}, 1, s, "a,b,c");
        static const char *const all[] = {"a, b, c", "a, c, b", "b, a, c",
                                          "b, c, a", "c, a, b", "c, b, a"};
        for (int i = 0; i < 6; i++) orders[i] += strcmp(out, all[i]) == 0;
    }
    for (int i = 0; i < 6; i++) CHECK(orders[i] > 855 && orders[i] < 1145); /* 5 sigma */
    /* another epoch shuffles anew */
    snprintf(before, sizeof before, "%s", make(opts, 0, 1, caption));
    CHECK(strcmp(make(opts, 1, 1, caption), before) != 0);
}

static void check_dropout(void)
{
    int n_empty = 0, n_tags[4] = {0}, n_both = 0;

    ath_test_begin("dropout");
    for (uint32_t s = 0; s < 10000; s++) {
        n_empty += *make((ath_caption_opts){.dropout = 0.1}, 0, s, "a") == 0;
        const char *out =
            make((ath_caption_opts){.tag_dropout = 0.3, .keep_tokens = 1}, 0, s, "a,b,c,d");
        for (int i = 0; i < 4; i++) n_tags[i] += strchr(out, 'a' + i) != NULL;
        n_both += strstr(out, "c") && strstr(out, "d");
        /* what is dropped does not depend on whether tags are shuffled */
        char plain[32];
        snprintf(plain, sizeof plain, "%s", out);
        out = make((ath_caption_opts){.tag_dropout = 0.3, .keep_tokens = 1, .shuffle = true}, 0, s,
                   "a,b,c,d");
        CHECK_EQ(strlen(out), strlen(plain));
        for (int i = 0; i < 4; i++)
            CHECK((strchr(out, 'a' + i) == NULL) == (strchr(plain, 'a' + i) == NULL));
    }
    CHECK(n_empty > 850 && n_empty < 1150);
    CHECK_EQ(n_tags[0], 10000);
    for (int i = 1; i < 4; i++) CHECK(n_tags[i] > 6770 && n_tags[i] < 7230);
    CHECK(n_both > 4650 && n_both < 5150); /* tags fall apart from each other */
    for (uint32_t epoch = 0; epoch < 6; epoch++)
        CHECK_STR(make((ath_caption_opts){.dropout_every_epochs = 3}, epoch, 0, "a"),
                  epoch % 3 == 2 ? "" : "a");
}

static void check_warmup(void)
{
    const ath_caption_opts opts = {
        .separator = ",", .warmup_min = 1, .warmup_steps = 100, .keep_tokens = 1};
    static const struct {
        int64_t step;
        const char *want;
    } rows[] = {
        {0, "k, a"}, {32, "k, a"}, {34, "k, a, b"}, {99, "k, a, b, c"}, {100, "k, a, b, c, d"}};

    ath_test_begin("token warm-up");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *out = NULL;
        CHECK_OK(ath_caption_make(&opts, &(ath_caption_use){{1, 0, 0}, rows[i].step}, "k,a,b,c,d",
                                  &work, &out));
        CHECK_STR(out ? out : "", rows[i].want);
        CHECK_OK(
            ath_caption_make(&opts, &(ath_caption_use){{1, 0, 0}, rows[i].step}, "k", &work, &out));
        CHECK_STR(out ? out : "", "k");
    }
}

static void check_refusals(void)
{
    const ath_caption_opts bad[] = {{0},
                                    {.separator = ""},
                                    {.separator = ",", .dropout = 1.5},
                                    {.separator = ",", .dropout = (double)NAN},
                                    {.separator = ",", .tag_dropout = -0.1},
                                    {.separator = ",", .keep_tokens = -1},
                                    {.separator = ",", .dropout_every_epochs = -1},
                                    {.separator = ",", .warmup_steps = -1}};
    const ath_caption_opts good = {.separator = ","};
    const char *out = "untouched";

    ath_test_begin("refusals");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERR(ath_caption_check(&bad[i]), ATH_EJOB);
    CHECK_ERR(ath_caption_make(&good, &(ath_caption_use){0}, "ab\xff", &work, &out), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "byte 2 is not UTF-8");
    CHECK_STR(out, "untouched");
}

static void check_memory(void)
{
    const ath_caption_opts opts = {.separator = ",",
                                   .prefix = "p",
                                   .shuffle = true,
                                   .secondary_separator = ";",
                                   .wildcards = true};
    const char *out = NULL;
    int n_failed = 0;

    ath_test_begin("memory");
    ath_caption_release(&work);
    const int64_t n_held = ath_mem_get_stats().n_held;
    for (int64_t k = 1; k < 50 && !out; k++) {
        ath_mem_fail_from(k);
        ath_err err = ath_caption_make(&opts, &(ath_caption_use){0}, "a,b;c,{d|e}", &work, &out);
        ath_mem_fail_from(0);
        n_failed += err == ATH_ENOMEM;
        if (err) ath_caption_release(&work);
    }
    CHECK(out != NULL);
    CHECK(n_failed >= 3);
    /* what was asked for once is kept */
    const int64_t n_asked = ath_mem_get_stats().n_asked;
    CHECK_OK(ath_caption_make(&opts, &(ath_caption_use){0}, "a,b;c,{d|e}", &work, &out));
    CHECK(ATH_TORTURE || ath_mem_get_stats().n_asked == n_asked);
    ath_caption_release(&work);
    CHECK_EQ(ath_mem_get_stats().n_held, n_held);
}

int main(void)
{
    check_examples();
    check_wildcards();
    check_shuffle();
    check_dropout();
    check_warmup();
    check_refusals();
    check_memory();
    return ath_test_end();
}
