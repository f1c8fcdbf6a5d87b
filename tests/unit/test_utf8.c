/* UTF-8: every code point goes there and back; what RFC 3629 forbids is refused where it begins. */
#include "core/utf8.h"
#include "tests/harness.h"

static size_t encode(uint32_t c, char to[4])
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : (c < 0x10000 ? 3 : 4);
    static const unsigned lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[n] | c);
    return n;
}

static void test_all(void)
{
    int n_wrong = 0;

    ath_test_begin("all");
    for (uint32_t c = 0; c < 0x120000; c++) {
        char text[4];
        uint32_t got = UINT32_MAX;
        const size_t n = encode(c, text);
        const bool is_good = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        const int length = ath_utf8_next(text, n, &got);
        n_wrong += is_good ? length != (int)n || got != c : length != 0;
        n_wrong += n > 1 && ath_utf8_next(text, n - 1, &got) != 0;
    }
    CHECK_EQ(n_wrong, 0);
}

static void test_check(void)
{
    static const struct {
        const char *text;
        size_t n_good;
    } rows[] = {
        {"", 0},
        {"a\xc3\xa9\xe7\x8c\xab\xf0\x9f\x90\x88", 10},
        {"a\x80", 1},
        {"a\xc0\xaf", 1},
        {"\xe0\x80\xaf", 0},
        {"\xf0\x80\x80\xaf", 0},
        {"ab\xed\xa0\x80", 2},
        {"\xf4\x90\x80\x80", 0},
        {"\xf8\x88\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xc3(", 0},
        {"abc\xc3", 3},
    };

    ath_test_begin("check");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_EQ(ath_utf8_check(rows[i].text, strlen(rows[i].text)), rows[i].n_good);
}

int main(void)
{
    test_all();
    test_check();
    return ath_test_end();
}
