/*
 * The tokenizer gives the ids of transformers' CLIPTokenizer for 20,000 texts in all scripts, and the
 * vectors known by heart; it takes any bytes, long words in little time, and every failing allocation.
 */
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "core/text/blobs.h"
#include "core/text/bpe.h"
#include "core/text/clean.h"
#include "core/text/entity.h"
#include "tests/harness.h"
#include <time.h>

static ath_tokenizer *clip;

static void check_ids(const char *text, size_t n, const int32_t *want, int64_t n_want)
{
    ath_ids ids = {0};
    int64_t i = 0;

    CHECK_OK(ath_tokenize(clip, text, n, &ids));
    while (i < ids.n && i < n_want && ids.id[i] == want[i]) i++;
    ath_test_note(ids.n == n_want && i == n_want, __FILE__, __LINE__,
                  "\"%.*s\": %" PRId64 " ids, wanted %" PRId64 "; at %" PRId64 ": %d, wanted %d",
                  (int)(n < 100 ? n : 100), text, ids.n, n_want, i, i < ids.n ? ids.id[i] : -1,
                  i < n_want ? want[i] : -1);
    ath_ids_release(&ids);
}

static void test_known(void)
{
    static const struct {
        const char *text;
        int32_t id[16]; /* up to a zero */
    } rows[] = {
        {"a photo of a cat", {320, 1125, 539, 320, 2368}},
        {"1girl, solo, long_hair, looking at viewer",
         {272, 1611, 267, 5797, 267, 1538, 318, 2225, 267, 1312, 536, 15061}},
        {"masterpiece, best quality", {12066, 267, 949, 3027}},
        {"sks dog", {48136, 1929}},
        {"it's 2024!", {585, 568, 273, 271, 273, 275, 256}},
        {"(masterpiece:1.2)", {263, 12066, 281, 272, 269, 273, 264}},
        {"a  B\tc\n", {320, 321, 322}},
        {"", {0}},
        {" \n\t ", {0}},
        {"<|startoftext|>a<|endoftext|>", {49406, 320, 49407}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t n = 0;
        while (rows[i].id[n]) n++;
        ath_test_begin(rows[i].text);
        check_ids(rows[i].text, strlen(rows[i].text), rows[i].id, n);
    }
}

static void test_reference(void)
{
    const ath_st_tensor *text = NULL, *text_end = NULL, *id = NULL, *id_end = NULL;
    ath_st *st = NULL;
    int64_t n = 0;

    ath_test_begin("the ids of transformers");
    CHECK_OK(ath_st_open("tests/reference/tokens.safetensors", &st));
    if (!st) return;
    CHECK_OK(ath_st_need(st, "text", &text));
    CHECK_OK(ath_st_need(st, "text_end", &text_end));
    CHECK_OK(ath_st_need(st, "id", &id));
    CHECK_OK(ath_st_need(st, "id_end", &id_end));
    for (int32_t from = 0, at = 0; n < text_end->dim[0]; n++) {
        static int32_t want[1 << 14];
        int32_t end, last;
        memcpy(&end, (const char *)text_end->data + 4 * n, 4);
        memcpy(&last, (const char *)id_end->data + 4 * n, 4);
        for (int32_t i = at; i < last; i++) {
            uint16_t one;
            memcpy(&one, (const char *)id->data + 2 * i, 2);
            want[i - at] = one;
        }
        check_ids((const char *)text->data + from, (size_t)(end - from), want, last - at);
        from = end;
        at = last;
    }
    CHECK_EQ(n, 20000);
    ath_st_close(&st);
}

static void test_small(void)
{
    ath_tokenizer *small = NULL;
    ath_ids ids = {0};

    ath_test_begin("small vocabularies");
    CHECK_ERR(ath_tokenizer_create(513, &small), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "513 entries, wanted 514 to 49408");
    CHECK_ERR(ath_tokenizer_create(49409, &small), ATH_EINVAL);
    CHECK(small == NULL);
    CHECK_OK(ath_tokenizer_create(514, &small));
    CHECK_EQ(ath_tokenizer_begin(small), 512);
    CHECK_EQ(ath_tokenizer_end(small), 513);
    CHECK_OK(ath_tokenize(small, "in <|endoftext|>", 16, &ids));
    CHECK(ids.n == 3 && ids.id[0] == 'i' - 33 && ids.id[1] == 256 + 'n' - 33 && ids.id[2] == 513);
    ath_tokenizer_destroy(&small);
    CHECK(small == NULL);
    ath_tokenizer_destroy(&small);

    CHECK_OK(ath_tokenizer_create(515, &small)); /* one merge: "i n" */
    ids.n = 0;
    CHECK_OK(ath_tokenize(small, "ing", 3, &ids));
    CHECK(ids.n == 2 && ids.id[0] == 512 && ids.id[1] == 256 + 'g' - 33);
    ath_tokenizer_destroy(&small);
    ath_ids_release(&ids);
}

static void test_bad_lists(void)
{
    static const struct {
        const char *list;
        int32_t n;
        const char *says;
    } rows[] = {
        {"i n\n", 2, "1 lines, wanted 2"},
        {"i n\nt h", 2, "1 lines, wanted 2"},
        {"in\n", 1, "line 1 is \"in\", wanted a pair"},
        {"i n\ni nx\n", 2, "line 2, \"i nx\": no line before makes its right part"},
        {"\xff i\n", 1, "makes its left part"},
        {"i n\ni n\n", 2, "line 2, \"i n\": a line before makes the same"},
    };
    ath_bpe *bpe = NULL;

    ath_test_begin("merge lists that are none");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ERR(ath_bpe_create(rows[i].list, strlen(rows[i].list), rows[i].n, &bpe), ATH_EFORMAT);
        CHECK_HAS(ath_err_text(), rows[i].says);
    }
    CHECK_ERR(ath_bpe_create("", 0, -1, &bpe), ATH_EINVAL);
    CHECK(bpe == NULL);
}

static void fill(char *to, size_t n, const char *with)
{
    for (size_t i = 0; i < n; i++) to[i] = with[i % strlen(with)];
}

/* A million bytes that would take hours if any part took quadratic time. */
static void test_long(void)
{
    static const char *const with[] = {"a",
                                       "abcdefghijklmnopqrstuvwxyz",
                                       "!?",
                                       "\xcc\x81\xcc\xa3",
                                       "&amp;amp;",
                                       "&amp",
                                       "amp;&",
                                       "\x1b[1;",
                                       "<|startoftext|",
                                       "\xce\xa3'",
                                       "\xff",
                                       "\xef\xbc\xa1",
                                       "&#1;\n"};
    enum { BYTES = 1000000 };
    char *text = NULL;

    ath_test_begin("a million bytes");
    CHECK_OK(ATH_NEW(BYTES, "test", &text));
    for (size_t i = 0; text && i < sizeof with / sizeof *with; i++) {
        ath_ids ids = {0};
        fill(text, BYTES, with[i]);
        const clock_t begin = clock(); /* of the processor: a busy machine is no fault */
        CHECK_OK(ath_tokenize(clip, text, BYTES, &ids));
        const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        ath_test_note(seconds < 30, __FILE__, __LINE__, "\"%s\" over and over: %.1f s", with[i],
                      seconds);
        ath_ids_release(&ids);
    }
    ath_mem_free(&text);
}

static void test_memory(void)
{
    static const char text[] = "caf\xc3\xa9 &amp; e\xcc\x81, <|endoftext|> it's 12 o'clock";
    const ath_mem_stats before = ath_mem_get_stats();
    ath_ids ids = {0};
    ath_err err = ATH_ENOMEM;
    int64_t n = 0;

    ath_test_begin("failing allocations");
    for (n = 1; err && n < 1000; n++) {
        ath_mem_fail_from(n);
        err = ath_tokenize(clip, text, sizeof text - 1, &ids);
        ath_mem_fail_from(0);
        if (err) CHECK_ERR(err, ATH_ENOMEM);
        if (err) CHECK_EQ(ids.n, 0);
        ath_ids_release(&ids);
    }
    CHECK(n > 10 && err == ATH_OK);
    for (n = 1, err = ATH_ENOMEM; err && n < 10; n++) {
        ath_tokenizer *t = NULL;
        ath_mem_fail_from(n);
        err = ath_tokenizer_create(514, &t);
        ath_mem_fail_from(0);
        CHECK(err ? t == NULL : t != NULL);
        ath_tokenizer_destroy(&t);
    }
    CHECK_EQ(n, 5); /* three allocations */
    CHECK_EQ(ath_mem_get_stats().n_held, before.n_held);
}

int main(void)
{
    ath_test_begin("create");
    CHECK_OK(ath_tokenizer_create(49408, &clip));
    if (!clip) return ath_test_end();
    CHECK_EQ(ath_tokenizer_begin(clip), 49406);
    CHECK_EQ(ath_tokenizer_end(clip), 49407);
    test_known();
    test_reference();
    test_small();
    test_bad_lists();
    test_long();
    test_memory();
    ath_tokenizer_destroy(&clip);
    return ath_test_end();
}
