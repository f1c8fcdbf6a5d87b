/*
 * The vocabulary as files for transformers: every id once and in order, the known ids of some words,
 * quotes escaped, and merges that end where the vocabulary says.
 */
#include "core/text/blobs.h"
#include "core/text/vocab.h"
#include "tests/harness.h"

static int64_t count(const char *text, char c)
{
    int64_t n = 0;

    for (; *text; text++) n += *text == c;
    return n;
}

/* strstr, which under a sanitizer measures the whole text at each call. */
static const char *find(const char *text, const char *part)
{
    const size_t n = strlen(part);

    while (*text && strncmp(text, part, n) != 0) text++;
    return *text ? text : NULL;
}

static void test_whole(void)
{
    ath_str text = {0};

    ath_test_begin("CLIP's");
    ath_vocab_print(ATH_VOCAB_MAX, &text);
    CHECK_OK(ath_str_check(&text));
    const char *at = ath_str_text(&text);
    for (int32_t id = 0; id < ATH_VOCAB_MAX && at; id++) {
        char entry[32];
        snprintf(entry, sizeof entry, "\": %d%s", id, id + 1 < ATH_VOCAB_MAX ? ", " : "}\n");
        at = find(at, entry);
    }
    CHECK(at != NULL);
    CHECK(strstr(ath_str_text(&text), "{\"!\": 0, \"\\\"\": 1, \"#\": 2, ") == ath_str_text(&text));
    CHECK_HAS(ath_str_text(&text), "\"\\\\\": 59, ");
    CHECK_HAS(ath_str_text(&text), "\"!</w>\": 256, ");
    CHECK_HAS(ath_str_text(&text), "\"a</w>\": 320, ");
    CHECK_HAS(ath_str_text(&text), "\"photo</w>\": 1125, ");
    CHECK_HAS(ath_str_text(&text), "\"astronaut</w>\": 18376, ");
    CHECK_HAS(ath_str_text(&text), "\"<|startoftext|>\": 49406, \"<|endoftext|>\": 49407}");
    ath_str_release(&text);
    ath_merges_print(ATH_VOCAB_MAX, &text);
    CHECK_OK(ath_str_check(&text));
    CHECK_EQ(count(ath_str_text(&text), '\n'), 1 + 48894);
    CHECK_EQ(text.n, strlen("#version: 0.2\n") + (size_t)(ath_merges_end - ath_merges));
    ath_str_release(&text);
}

static void test_cut(void)
{
    ath_str text = {0};

    ath_test_begin("cut");
    ath_vocab_print(ATH_VOCAB_MIN, &text);
    CHECK_HAS(ath_str_text(&text),
              "</w>\": 511, \"<|startoftext|>\": 512, \"<|endoftext|>\": 513}");
    ath_str_release(&text);
    ath_vocab_print(ATH_VOCAB_MIN + 2, &text);
    CHECK_HAS(ath_str_text(&text), "\"in\": 512, \"th\": 513, \"<|startoftext|>\": 514, ");
    ath_str_release(&text);
    ath_merges_print(ATH_VOCAB_MIN + 2, &text);
    CHECK_STR(ath_str_text(&text), "#version: 0.2\ni n\nt h\n");
    ath_str_release(&text);
}

int main(void)
{
    test_whole();
    test_cut();
    return ath_test_end();
}
