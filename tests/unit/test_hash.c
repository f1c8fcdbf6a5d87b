/* Hashes: the published values of XXH3-128; pieces give what the whole gives. */
#include "core/hash.h"
#include "core/mem.h"
#include "tests/harness.h"

static void check_text(void)
{
    char text[ATH_HASH_TEXT];

    ath_test_begin("text");
    CHECK_STR(ath_hash_print(ath_hash_of("", 0), text), "99aa06d3014798d86001c324468d497f");
    CHECK_STR(ath_hash_print((ath_hash){.lo = 1, .hi = 0x8000000000000000u}, text),
              "80000000000000000000000000000001");
    ath_hash read = {0};
    CHECK(ath_hash_parse(text, &read) && read.lo == 1 && read.hi == 0x8000000000000000u);
    CHECK(!ath_hash_parse("8000000000000000000000000000000", &read)); /* a digit short */
    CHECK(!ath_hash_parse("8000000000000000000000000000000G", &read));
}

/* Any cut into three pieces gives the hash of the whole, of any length around the library's own
 * boundaries (16, 128, 240, 1024). */
static void check_pieces(void)
{
    static unsigned char bytes[5000];
    static const size_t lengths[] = {0, 1, 16, 17, 128, 240, 241, 1024, 1025, 4999, 5000};
    ath_hasher *h = NULL;

    ath_test_begin("pieces");
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * i >> 3);
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        size_t n = lengths[k], a = n / 3, b = n / 2;
        CHECK_OK(ath_hasher_create(&h));
        ath_hasher_put(h, bytes, a);
        ath_hasher_put(h, bytes + a, b - a);
        ath_hasher_put(h, bytes + b, n - b);
        CHECK(ath_hash_is_equal(ath_hasher_get(h), ath_hash_of(bytes, n)));
        CHECK(ath_hash_is_equal(ath_hasher_get(h), ath_hasher_get(h)));
        ath_hasher_destroy(&h);
        CHECK(h == NULL);
    }
    ath_hash before = ath_hash_of(bytes, sizeof bytes);
    bytes[2500] ^= 1;
    CHECK(!ath_hash_is_equal(before, ath_hash_of(bytes, sizeof bytes)));
    ath_hasher_destroy(&h);
}

static void check_injection(void)
{
    ath_hasher *h = NULL;

    ath_test_begin("injection");
    ath_mem_fail_from(1);
    CHECK_ERR(ath_hasher_create(&h), ATH_ENOMEM);
    ath_mem_fail_from(0);
    CHECK(h == NULL);
}

int main(void)
{
    check_text();
    check_pieces();
    check_injection();
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
