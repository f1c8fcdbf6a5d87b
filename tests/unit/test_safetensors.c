/*
 * The safetensors reader: gives out what a well-formed file holds, and refuses every malformed one
 * with a sentence that names the file, the key and what is wrong. Files are made here, byte by
 * byte, in blocks of their exact size, so that a read past an end is found by the sanitizer.
 */
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "tests/harness.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct file {
    uint8_t *bytes;
    size_t n;
} file;

/* Length, header, then n_body bytes 0, 1, 2, ... */
static file make(const char *header, size_t n_header, size_t n_body)
{
    file f = {.n = 8 + n_header + n_body};

    f.bytes = malloc(f.n);
    ATH_ASSERT(f.bytes);
    for (size_t i = 0; i < 8; i++) f.bytes[i] = (uint8_t)(n_header >> 8 * i);
    memcpy(f.bytes + 8, header, n_header);
    for (size_t i = 0; i < n_body; i++) f.bytes[8 + n_header + i] = (uint8_t)i;
    return f;
}

static ath_err open_text(const char *header, size_t n_body, ath_st **out)
{
    file f = make(header, strlen(header), n_body);
    ath_st *st = NULL;
    ath_err err = ath_st_open_bytes("t.safetensors", f.bytes, f.n, &st);

    if (out && !err)
        *out = st; /* the caller looks at names and shapes, never at the body */
    else
        ath_st_close(&st);
    free(f.bytes);
    return err;
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\",\"a\":\"\\u00e9\"},"
                           "\"late\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
                           "\"early\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                           "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[20,28]},"
                           "\"none\":{\"dtype\":\"U8\",\"shape\":[4,0],\"data_offsets\":[8,8]}}  ";

static void check_good(const ath_st *st)
{
    static const char *const order[] = {"early", "none", "late", "scalar"};
    const ath_st_tensor *t = NULL;
    const char *value = NULL;

    CHECK_EQ(ath_st_count(st), 4);
    for (int i = 0; i < 4; i++) CHECK_STR(ath_st_get(st, i)->name, order[i]);
    CHECK_OK(ath_st_need(st, "late", &t));
    CHECK(t == ath_st_find(st, "late") && t == ath_st_get(st, 2));
    CHECK_EQ(t->dtype, ATH_ST_BF16);
    CHECK_EQ(t->n_dim, 2);
    CHECK(t->dim[0] == 2 && t->dim[1] == 3);
    CHECK_EQ(t->bytes, 12);
    CHECK_EQ(ath_st_find(st, "scalar")->n_dim, 0);
    CHECK_EQ(ath_st_find(st, "none")->bytes, 0);
    CHECK(ath_st_find(st, "absent") == NULL);
    CHECK_ERR(ath_st_need(st, "absent", &t), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "no tensor \"absent\"");
    CHECK_EQ(ath_st_meta_count(st), 2);
    CHECK_STR(ath_st_meta_get(st, 0, &value), "format");
    CHECK_STR(value, "pt");
    CHECK_STR(ath_st_meta_find(st, "a"), "\xc3\xa9");
    CHECK(ath_st_meta_find(st, "b") == NULL);
}

static void test_good(void)
{
    file f = make(good, sizeof good - 1, 28);
    ath_st *st = NULL;

    ath_test_begin("good");
    CHECK_OK(ath_st_open_bytes("t.safetensors", f.bytes, f.n, &st));
    if (!st) return;
    check_good(st);
    CHECK(ath_st_find(st, "late")->data == f.bytes + 8 + sizeof good - 1 + 8);
    CHECK_EQ(*(const uint8_t *)ath_st_find(st, "scalar")->data, 20);
    ath_st_close(&st);
    CHECK(st == NULL);
    ath_st_close(&st);
    free(f.bytes);
}

static void test_file(void)
{
    char path[] = "/tmp/test_safetensors.XXXXXX";
    file f = make(good, sizeof good - 1, 28);
    int fd = mkstemp(path);
    ath_st *st = NULL;

    ath_test_begin("file");
    CHECK_ERR(ath_st_open(path, &st), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "0 bytes");
    CHECK(write(fd, f.bytes, f.n) == (ssize_t)f.n);
    CHECK_OK(ath_st_open(path, &st));
    CHECK(close(fd) == 0 && unlink(path) == 0);
    if (st) check_good(st);
    ath_st_close(&st);
    CHECK_ERR(ath_st_open(path, &st), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), path);
    CHECK_ERR(ath_st_open("/tmp", &st), ATH_EIO);
    CHECK(st == NULL);
    free(f.bytes);
}

/* Odd, but the format allows it. */
static void test_allowed(void)
{
    static const struct {
        const char *header;
        size_t n_body;
        int n_tensors;
    } rows[] = {
        {"{}", 0, 0},
        {"{\"__metadata__\":null}", 0, 0},
        {"{\"__metadata__\":{}}", 0, 0},
        {"{\"\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, 1},
        {"{\"a\":{\"x\":[{}],\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, 1},
        {"{\"a\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[0,3]}}", 3, 1},
        {"{\"a\":{\"dtype\":\"C64\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,8]}}", 8, 1},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,9223372036854775807,8],\"data_offsets\":[0,0]}}",
         0, 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ath_st *st = NULL;
        ath_test_begin(rows[i].header);
        CHECK_OK(open_text(rows[i].header, rows[i].n_body, &st));
        if (st) CHECK_EQ(ath_st_count(st), rows[i].n_tensors);
        ath_st_close(&st);
    }
}

static void test_dtypes(void)
{
    char header[128];

    for (int i = 0; i < ATH_N_ST_DTYPES; i++) {
        const ath_st_dtype dtype = (ath_st_dtype)i;
        const int bits = ath_st_dtype_bits(dtype);
        ath_st *st = NULL;

        ath_test_begin(ath_st_dtype_name(dtype));
        snprintf(header, sizeof header,
                 "{\"a\":{\"dtype\":\"%s\",\"shape\":[8],\"data_offsets\":[0,%d]}}",
                 ath_st_dtype_name(dtype), bits);
        CHECK_OK(open_text(header, (size_t)bits, &st));
        if (st) CHECK_EQ(ath_st_get(st, 0)->dtype, dtype);
        ath_st_close(&st);
    }
}

#define ONE(dtype, shape, offsets) \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(a, b)                                                     \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" a "}," \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" b "}}"

static const struct {
    const char *header;
    size_t n_body;
    const char *says;
} attacks[] = {
    {"", 0, "does not begin with {"},
    {" {}", 0, "does not begin with {"},
    {"[]", 0, "does not begin with {"},
    {"{", 0, "header: "},
    {"{}x", 0, "header: "},
    {"{\"a\":1}", 0, "\"a\": "},
    {"{\"a\":null}", 0, "\"a\": is not an object"},
    {"{\"\xff\":1}", 0, "header: "},
    {"{\"\xc0\xaf\":1}", 0, "header: "},
    {"{\"\xed\xa0\x80\":1}", 0, "header: "},
    {"{\"a\\u0000b\":1}", 0, "header: "},
    {"{\"__metadata__\":[]}", 0, "__metadata__"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "\"k\" is not a string"},
    {"{\"__metadata__\":{\"k\":null}}", 0, "\"k\" is not a string"},
    {"{\"__metadata__\":{\"k\":{\"l\":\"m\"}}}", 0, "\"k\" is not a string"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
     4, "duplicate"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4,
     "duplicate"},
    {"{\"a\":{\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "dtype is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}}", 4, "shape is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, "data_offsets is missing"},
    {ONE("7", "[4]", "[0,4]"), 4, "dtype is missing or not a string"},
    {ONE("\"u8\"", "[4]", "[0,4]"), 4, "dtype is \"u8\""},
    {ONE("\"F128\"", "[4]", "[0,64]"), 64, "dtype is \"F128\""},
    {ONE("\"U8\"", "4", "[0,4]"), 4, "shape"},
    {ONE("\"U8\"", "[-4]", "[0,4]"), 4, "shape[0] is -4"},
    {ONE("\"U8\"", "[4.0]", "[0,4]"), 4, "shape[0] is not a whole number"},
    {ONE("\"U8\"", "[\"4\"]", "[0,4]"), 4, "shape[0] is not a whole number"},
    {ONE("\"U8\"", "[2,null]", "[0,4]"), 4, "shape[1] is not a whole number"},
    {ONE("\"U8\"", "[18446744073709551616]", "[0,4]"), 4, "header: "},
    {ONE("\"U8\"", "[4]", "[0,4.0]"), 4, "data_offsets[1] is not a whole number"},
    {ONE("\"U8\"", "[4]", "[0,true]"), 4, "data_offsets[1] is not a whole number"},
    {ONE("\"U8\"", "[4]", "[-4,0]"), 4, "data_offsets[0] is -4"},
    {ONE("\"U8\"", "[4]", "[0]"), 4, "data_offsets has 1 numbers"},
    {ONE("\"U8\"", "[4]", "[0,4,4]"), 4, "data_offsets has 3 numbers"},
    {ONE("\"U8\"", "[4]", "{\"0\":0}"), 4, "data_offsets is missing or not an array"},
    {ONE("\"U8\"", "[4]", "[4,8]"), 8, "begins at byte 4, wanted 0: there is a hole"},
    {TWO("[0,4]", "[5,9]"), 9, "\"b\": begins at byte 5, wanted 4: there is a hole"},
    {TWO("[0,4]", "[3,7]"), 7, "\"b\": begins at byte 3, wanted 4: it overlaps"},
    {TWO("[0,4]", "[0,4]"), 4, "begins at byte 0, wanted 4: it overlaps"},
    {TWO("[0,4]", "[4,0]"), 8, "ends at byte 0, before its begin 4"},
    {TWO("[0,4]", "[4,8]"), 9, "tensors end at byte 8 of the body, which has 9"},
    {TWO("[0,4]", "[4,8]"), 7, "tensors end at byte 8 of the body, which has 7"},
    {"{}", 1, "tensors end at byte 0 of the body, which has 1"},
    {ONE("\"U8\"", "[5]", "[0,4]"), 4, "span 4 bytes, the shape wants 5"},
    {ONE("\"F32\"", "[4]", "[0,4]"), 4, "span 4 bytes, the shape wants 16"},
    {ONE("\"U8\"", "[4]", "[0,9223372036854775807]"), 4, "span 9223372036854775807 bytes"},
    {ONE("\"F4\"", "[3]", "[0,1]"), 1, "do not end on a whole byte"},
    {ONE("\"F6_E3M2\"", "[2]", "[0,1]"), 1, "do not end on a whole byte"},
    {ONE("\"U8\"", "[4294967296,4294967296]", "[0,0]"), 0, "shape overflows at axis 1"},
    {ONE("\"U8\"", "[4294967296,4294967296,0]", "[0,0]"), 0, "shape overflows at axis 1"},
    {ONE("\"F64\"", "[2305843009213693952]", "[0,0]"), 0, "overflow a byte count"},
};

static void test_attacks(void)
{
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        ath_test_begin(attacks[i].header);
        CHECK_ERR(open_text(attacks[i].header, attacks[i].n_body, NULL), ATH_EFORMAT);
        CHECK_HAS(ath_err_text(), attacks[i].says);
        CHECK_HAS(ath_err_text(), "t.safetensors: ");
    }
}

/* Zero bytes in the header, and nesting that would exhaust the stack. */
static void test_bytes(void)
{
    static const char key[] = "{\"a\0b\":1}", padded[] = "{}\0";
    static const char number[] =
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4\0],\"data_offsets\":[0,4]}}";
    static char deep[1000000] = "{\"a\":";
    const struct {
        const char *header;
        size_t n;
        const char *says;
    } rows[] = {
        {key, sizeof key - 1, "t: a zero byte in the header"},
        {padded, sizeof padded - 1, "t: a zero byte in the header"},
        {number, sizeof number - 1, "t: a zero byte in the header"},
        {deep, sizeof deep, "t: header: maximum parsing depth"},
    };

    ath_test_begin("bytes");
    memset(deep + 5, '[', sizeof deep - 5);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file f = make(rows[i].header, rows[i].n, 4);
        ath_st *st = NULL;
        CHECK_ERR(ath_st_open_bytes("t", f.bytes, f.n, &st), ATH_EFORMAT);
        CHECK_HAS(ath_err_text(), rows[i].says);
        CHECK(st == NULL);
        free(f.bytes);
    }
}

static void test_length(void)
{
    static const struct {
        uint64_t length;
        const char *says;
    } rows[] = {
        {3, "the header's length is 3, but the file has 10 bytes"},
        {ATH_ST_HEADER_MAX, "but the file has 10 bytes"},
        {ATH_ST_HEADER_MAX + 1, "wanted at most 100000000"},
        {UINT64_C(1) << 63, "wanted at most 100000000"},
        {UINT64_MAX, "wanted at most 100000000"},
        {UINT64_MAX - 7, "wanted at most 100000000"},
    };
    file f = make("{}", 2, 0);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ath_st *st = NULL;
        ath_test_begin(rows[i].says);
        for (int k = 0; k < 8; k++) f.bytes[k] = (uint8_t)(rows[i].length >> 8 * k);
        CHECK_ERR(ath_st_open_bytes("t", f.bytes, f.n, &st), ATH_EFORMAT);
        CHECK_HAS(ath_err_text(), rows[i].says);
    }
    free(f.bytes);
}

/* No beginning of a file is a file; no flipped bit leads past its bytes. */
static void test_damage(void)
{
    file whole = make(good, sizeof good - 1, 28);
    int n_refused = 0;

    ath_test_begin("damage");
    for (size_t n = 0; n < whole.n; n++) {
        uint8_t *cut = malloc(n ? n : 1);
        ath_st *st = NULL;
        ATH_ASSERT(cut);
        memcpy(cut, whole.bytes, n);
        CHECK_ERR(ath_st_open_bytes("t", cut, n, &st), ATH_EFORMAT);
        free(cut);
    }
    for (size_t bit = 0; bit < 8 * (8 + sizeof good - 1); bit++) {
        ath_st *st = NULL;
        whole.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        n_refused += ath_st_open_bytes("t", whole.bytes, whole.n, &st) != ATH_OK;
        for (int64_t i = 0; st && i < ath_st_count(st); i++) {
            const ath_st_tensor *t = ath_st_get(st, i);
            const uint8_t *data = t->data;
            CHECK(data >= whole.bytes && data + t->bytes <= whole.bytes + whole.n);
        }
        ath_st_close(&st);
        whole.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    CHECK(n_refused > 1000);
    free(whole.bytes);
}

static void test_no_memory(void)
{
    file f = make(good, sizeof good - 1, 28);
    const int64_t held = ath_mem_get_stats().n_held;
    ath_err err = ATH_ENOMEM;
    int64_t n = 0;

    ath_test_begin("no memory");
    while (err != ATH_OK && n < 100) {
        ath_st *st = NULL;
        ath_mem_fail_from(++n);
        err = ath_st_open_bytes("t", f.bytes, f.n, &st);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || (err == ATH_ENOMEM && st == NULL));
        ath_st_close(&st);
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK(err == ATH_OK && n > 2);
    free(f.bytes);
}

int main(void)
{
    test_good();
    test_file();
    test_allowed();
    test_dtypes();
    test_attacks();
    test_bytes();
    test_length();
    test_damage();
    test_no_memory();
    return ath_test_end();
}
