/*
 * Prompts become chunks of 77 with the weights of their brackets, captions become a given number of
 * chunks, and a file of prompt lines becomes what it says or an error with the line.
 */
#include "core/mem.h"
#include "core/text/prompt.h"
#include "core/text/prompt_line.h"
#include "tests/harness.h"

static ath_tokenizer *clip;

enum { BEGIN = 49406, END = 49407 };

/* Puts n times "cat " into `to`. */
static void put_cats(char *to, int n)
{
    for (int i = 0; i < n; i++) memcpy(to + (ptrdiff_t)4 * i, "cat ", 5);
    if (n == 0) *to = 0;
}

/* Chunk k holds begin, `n` cats, and ends to its end. */
static void check_chunk(const ath_chunks *c, int32_t k, int n)
{
    const int32_t *id = c->id + (ptrdiff_t)k * ATH_CHUNK;

    CHECK_EQ(id[0], BEGIN);
    for (int i = 1; i < ATH_CHUNK; i++)
        if (id[i] != (i <= n ? 2368 : END)) CHECK_EQ(id[i], i <= n ? 2368 : END);
}

static void test_captions(void)
{
    static const struct {
        int n_cats, n_chunks;
        int in_chunk[3];
    } rows[] = {
        {0, 1, {0}},
        {0, 3, {0, 0, 0}},
        {75, 1, {75}},
        {76, 1, {75}},
        {100, 2, {75, 25}},
        {150, 2, {75, 75}},
        {151, 2, {75, 75}},
        {149, 3, {75, 74, 0}},
        {225, 3, {75, 75, 75}},
        {300, 3, {75, 75, 75}},
    };
    char text[2048];
    ath_chunks c = {0};
    int64_t n = 0;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ath_test_begin("captions");
        put_cats(text, rows[i].n_cats);
        CHECK_OK(ath_caption_chunks(clip, text, rows[i].n_chunks, &c, &n));
        CHECK_EQ(n, rows[i].n_cats);
        CHECK_EQ(c.n, rows[i].n_chunks);
        for (int k = 0; k < c.n; k++) check_chunk(&c, k, rows[i].in_chunk[k]);
        for (int k = 0; k < c.n * ATH_CHUNK; k++)
            if (c.weight[k] != 1) CHECK_EQ(c.weight[k], 1);
        ath_chunks_release(&c);
    }
    CHECK_ERR(ath_caption_chunks(clip, "", 0, &c, NULL), ATH_EINVAL);
    CHECK_ERR(ath_caption_chunks(clip, "", 4, &c, NULL), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "4 chunks, wanted 1 to 3");
    CHECK_OK(ath_caption_chunks(clip, "(cat:2)", 1, &c, NULL)); /* no syntax in a caption */
    CHECK(c.id && c.id[1] == 263 && c.weight[2] == 1);
    ath_chunks_release(&c);
}

static void test_long_prompts(void)
{
    char text[2048];
    ath_chunks c = {0};

    ath_test_begin("long prompts");
    for (int n = 0; n <= 300; n += 75)
        for (int more = 0; more <= 1; more++) {
            const int n_wanted = n + more <= 75 ? 1 : (n + more + 74) / 75;
            put_cats(text, n + more);
            CHECK_OK(ath_prompt_chunks(clip, text, 0, &c));
            CHECK_EQ(c.n, n_wanted);
            for (int k = 0; k < c.n; k++) {
                const int left = n + more - 75 * k;
                check_chunk(&c, k, left < 75 ? left : 75);
            }
            ath_chunks_release(&c);
        }
    CHECK_OK(ath_prompt_chunks(clip, "cat", 3, &c));
    CHECK_EQ(c.n, 3);
    for (int k = 0; k < c.n; k++) check_chunk(&c, k, k == 0);
    ath_chunks_release(&c);
    CHECK_ERR(ath_prompt_chunks(clip, "cat", -1, &c), ATH_EINVAL);
}

/* A prompt is what `plain` is without syntax, with these weights; the rest weighs 1. */
static void test_weights(void)
{
    static const struct {
        const char *prompt, *plain;
        double weight[10]; /* up to a zero */
    } rows[] = {
        {"a (cat) dog", "a cat dog", {1, 1.1, 1}},
        {"a ((cat)) dog", "a cat dog", {1, 1.1 * 1.1, 1}},
        {"a [cat] dog", "a cat dog", {1, 1 / 1.1, 1}},
        {"a ([cat]) dog", "a cat dog", {1, 1, 1}},
        {"a (cat:1.5) dog", "a cat dog", {1, 1.5, 1}},
        {"a (cat:-.5)(dog:+2.)", "a cat dog", {1, -.5, 2}},
        {"a (cat (dog:2) man:3)", "a cat dog man", {1, 3, 6, 3}},
        {"a (cat [dog:2) man]", "a cat dog man", {1, 2, 2 / 1.1, 1 / 1.1}},
        {"a (cat dog", "a cat dog", {1, 1.1, 1.1}},
        {"a (cat [dog", "a cat dog", {1, 1.1, 1.1 / 1.1}},
        {"(a (cat dog", "a cat dog", {1.1, 1.1 * 1.1, 1.1 * 1.1}},
        {"a) cat] dog:2)", "a ) cat ] dog : 2 )", {1, 1, 1, 1, 1, 1, 1, 1}},
        {"[cat:2]", "cat:2", {1 / 1.1, 1 / 1.1, 1 / 1.1}},
        {"\\(cat\\) \\[", "(cat) [", {1, 1, 1, 1}},
        {"(c\\at)", "cat", {1.1}},
        {"(cat\\\\:2)", "cat\\", {2, 2}},
        {"(cat: 2)", "cat: 2", {1.1, 1.1, 1.1}},
        {"(cat:2.1.2)", "cat:2.1.2", {1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1}},
        {"(cat:.)", "cat:.", {1.1, 1.1, 1.1}},
        {"(cat:)", "cat:", {1.1, 1.1}},
        {"cat\\", "cat", {1}},
        {"(cat:0.5)s", "cat s", {0.5, 1}}, /* two pieces, two words */
        {"(cat:1)s", "cats", {1}},         /* one piece, one word */
        {"(c:2)(a:2)(t:2)", "cat", {2}},
        {"((((", "", {0}},
        {"()[](:3)", "", {0}},
        {"", "", {0}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ath_chunks c = {0}, plain = {0};
        int n = 0;
        ath_test_begin(rows[i].prompt);
        CHECK_OK(ath_prompt_chunks(clip, rows[i].prompt, 0, &c));
        CHECK_OK(ath_caption_chunks(clip, rows[i].plain, 1, &plain, NULL));
        if (!c.id || !plain.id) continue;
        CHECK_EQ(c.n, 1);
        while (n < 10 && rows[i].weight[n] != 0) n++;
        CHECK_EQ(c.id[n + 1], END);
        for (int k = 0; k < ATH_CHUNK; k++) {
            const double want = k > 0 && k <= n ? rows[i].weight[k - 1] : 1;
            if (c.id[k] != plain.id[k]) CHECK_EQ(c.id[k], plain.id[k]);
            if (c.weight[k] != (float)want) CHECK_NEAR(c.weight[k], want, 0);
        }
        ath_chunks_release(&c);
        ath_chunks_release(&plain);
    }
}

/* Prompts that are too much: refused, and none takes long. */
static void test_limits(void)
{
    enum { N = 300000 };
    static char text[N + 1];
    ath_chunks c = {0};

    ath_test_begin("limits");
    CHECK_OK(ath_prompt_chunks(clip, "(cat:1000000)", 0, &c));
    ath_chunks_release(&c);
    CHECK_ERR(ath_prompt_chunks(clip, "a ((cat:1000000):2)", 0, &c), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "the weight of \"cat\" is 2e+06, wanted 1e+06 at most");
    memset(text, '(', ATH_PROMPT_DEPTH);
    CHECK_OK(ath_prompt_chunks(clip, text, 0, &c));
    ath_chunks_release(&c);
    memset(text, '[', ATH_PROMPT_DEPTH + 1);
    CHECK_ERR(ath_prompt_chunks(clip, text, 0, &c), ATH_ELIMIT);
    CHECK_HAS(ath_err_text(), "more than 100 brackets open");
    for (int i = 0; i < N; i++) text[i] = "(a)b[c]\\"[i % 8];
    CHECK_OK(ath_prompt_chunks(clip, text, 0, &c));
    ath_chunks_release(&c);
    for (int i = 0; i < N; i++) text[i] = "([a b"[i < 80 ? i % 2 : 2 + i % 3];
    CHECK_OK(ath_prompt_chunks(clip, text, 0, &c));
    ath_chunks_release(&c);
}

static ath_err parse(const char *text, ath_arena *arena, ath_prompt_lines *out)
{
    const ath_prompt_line initial = ath_prompt_line_initial();

    return ath_prompt_lines_parse("p.txt", text, strlen(text), &initial, arena, out);
}

static void test_lines(void)
{
    ath_arena arena = {0};
    ath_prompt_lines lines = {0};
    const ath_prompt_line *l;

    ath_test_begin("prompt lines");
    CHECK_OK(parse("\xef\xbb\xbf# the first\r\n"
                   "  a cat, (big:1.2) \r\n"
                   "\n   \t\n"
                   "a dog --n  bad, worse  --W 513 --h 768 --L 0.5 --s 1 --d 18446744073709551615\n"
                   "x-- y --ss euler_a --n --w 64 --w 72\n"
                   " # text",
                   &arena, &lines));
    CHECK_EQ(lines.n, 4);
    if (lines.n != 4) return;
    l = lines.line;
    CHECK_STR(l[0].prompt, "a cat, (big:1.2)");
    CHECK_STR(l[0].negative, "");
    CHECK(l[0].i_line == 2 && l[0].width == 512 && l[0].height == 512 && l[0].steps == 30);
    CHECK(l[0].scale == 7.5 && !l[0].has_seed && !l[0].sampler);
    CHECK_STR(l[1].prompt, "a dog");
    CHECK_STR(l[1].negative, "bad, worse");
    CHECK(l[1].i_line == 5 && l[1].width == 512 && l[1].height == 768 && l[1].steps == 1);
    CHECK(l[1].scale == 0.5 && l[1].has_seed && l[1].seed == UINT64_MAX);
    CHECK_STR(l[2].prompt, "x-- y");
    CHECK_STR(l[2].sampler, "euler_a");
    CHECK_STR(l[2].negative, "");
    CHECK(l[2].i_line == 6 && l[2].width == 72);
    CHECK_STR(l[3].prompt, "# text");
    CHECK_OK(parse("", &arena, &lines));
    CHECK_EQ(lines.n, 0);
    ath_arena_release(&arena);
}

static void test_bad_lines(void)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"a\n\nb --x 5", "p.txt, line 3: no option --x; there are --n"},
        {"a -- b", "line 1: no option --;"},
        {"a --w=5", "no option --w=5"},
        {"--n bad", "line 1: \"--n bad\": options stand behind a prompt"},
        {"a --w", "--w is \"\", wanted a whole number, 64 to 8192"},
        {"a --w 63", "--w is \"63\""},
        {"a --h 8193", "--h is \"8193\""},
        {"a --h 5 12", "--h is \"5 12\""},
        {"a --s 0", "--s is \"0\", wanted a whole number, 1 to 1000"},
        {"a --s 1001", "--s is \"1001\""},
        {"a --s -5", "--s is \"-5\""},
        {"a --d 18446744073709551616", "--d is \"18446744073709551616\""},
        {"a --d 99999999999999999999999", "--d is \"9999"},
        {"a --d 1x", "--d is \"1x\""},
        {"a --l 1.2.3", "--l is \"1.2.3\", wanted a number, 0 to 1000"},
        {"a --l", "--l is \"\""},
        {"a --l 1e3", "--l is \"1e3\""},
        {"a --l 1001", "--l is \"1001\""},
        {"a --l .", "--l is \".\""},
        {"a --l 000000000000000000000000000000000000000000000000000000000000000001", "--l is"},
        {"a --ss", "--ss has no value"},
        {"a --CN x.png", "--cn is for models of another kind"},
        {"a --g 3", "--g is for models"},
    };
    const ath_prompt_line initial = ath_prompt_line_initial();
    ath_arena arena = {0};
    ath_prompt_lines lines = {0};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ath_test_begin(rows[i].text);
        CHECK_ERR(parse(rows[i].text, &arena, &lines), ATH_EFORMAT);
        CHECK_HAS(ath_err_text(), rows[i].says);
    }
    CHECK_ERR(ath_prompt_lines_parse("p.txt", "a\0b", 3, &initial, &arena, &lines), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "p.txt, line 1: there is a zero byte");
    CHECK(lines.line == NULL);
    ath_arena_release(&arena);
}

static void test_networks(void)
{
    static const struct {
        const char *prompt, *found;
    } rows[] = {{"a fox", NULL},
                {"a <lora fox>", NULL},
                {"<lora:fox:0.8> a fox", "<lora:fox:0.8>"},
                {"a <hypernet:b:1>, <lora:fox>", "<hypernet:b:1>"},
                {"a <lyco:c", "<lyco:c"}};
    int n = 0;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *wanted = rows[i].found;
        ath_test_begin(rows[i].prompt);
        const char *at = ath_prompt_find_network(rows[i].prompt, &n);
        CHECK(wanted ? at && n == (int)strlen(wanted) && !memcmp(at, wanted, strlen(wanted)) : !at);
    }
}

static void test_memory(void)
{
    const ath_mem_stats before = ath_mem_get_stats();
    ath_err err = ATH_ENOMEM;
    ath_chunks c = {0};
    ath_arena arena = {0};
    ath_prompt_lines lines = {0};
    int64_t n = 0;

    ath_test_begin("failing allocations");
    for (n = 1; err && n < 1000; n++) {
        ath_mem_fail_from(n);
        err = ath_prompt_chunks(clip, "a (cat:1.2) [on a caf\xc3\xa9]", 2, &c);
        ath_mem_fail_from(0);
        CHECK(err ? err == ATH_ENOMEM && !c.id : c.n == 2);
        ath_chunks_release(&c);
    }
    CHECK(n > 10 && err == ATH_OK);
    for (n = 1, err = ATH_ENOMEM; err && n < 100; n++) {
        ath_mem_fail_from(n);
        err = ath_caption_chunks(clip, "cat", 1, &c, NULL);
        ath_mem_fail_from(0);
        ath_chunks_release(&c);
    }
    CHECK(n > 5 && err == ATH_OK);
    ath_mem_fail_from(1);
    CHECK_ERR(parse("a --n b", &arena, &lines), ATH_ENOMEM);
    ath_mem_fail_from(0);
    ath_arena_release(&arena);
    CHECK_EQ(ath_mem_get_stats().n_held, before.n_held);
}

int main(void)
{
    ath_test_begin("create");
    CHECK_OK(ath_tokenizer_create(49408, &clip));
    if (!clip) return ath_test_end();
    test_captions();
    test_long_prompts();
    test_weights();
    test_limits();
    test_lines();
    test_bad_lines();
    test_networks();
    test_memory();
    ath_tokenizer_destroy(&clip);
    return ath_test_end();
}
