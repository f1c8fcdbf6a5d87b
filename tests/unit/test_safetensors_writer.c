/*
 * The safetensors writer: byte for byte the reference library's file; what is written is read back;
 * what is converted on the way is (test_floats says how); at every failing call and allocation the old
 * file stands.
 */
#include "core/half.h"
#include "core/io/file.h"
#include "core/io/safetensors_writer.h"
#include "core/mem.h"
#include "tests/faulty_io.h"
#include "tests/harness.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64] = "/tmp/ath_test_writer_XXXXXX";
static char path[128];

/* The tensors of make_safetensors.py. */
#define DIM(...)      \
    (const int64_t[]) \
    {                 \
        __VA_ARGS__   \
    }
static const struct {
    const char *name;
    ath_st_dtype dtype;
    int32_t n_dim;
    int64_t dim[3];
} rows[] = {
    {"b.weight", ATH_ST_F16, 2, {3, 5}},
    {"a.alpha", ATH_ST_I64, 0, {0}},
    {"quote\"back\\slash\ttab\x01\x7f", ATH_ST_F32, 1, {7}},
    {"caf\xc3\xa9", ATH_ST_BF16, 2, {2, 3}},
    {"a.weight", ATH_ST_F32, 3, {2, 2, 2}},
    {"none", ATH_ST_F32, 2, {0, 4}},
    {"B", ATH_ST_F64, 1, {3}},
    {"a", ATH_ST_U8, 1, {5}},
    {"flag", ATH_ST_I32, 2, {3, 1}},
};
enum { N_ROWS = sizeof rows / sizeof *rows, MOST = 16 };

static const ath_st_meta metadata[] = {{"format", "pt \xc3\xbc\n\"x\""}};

static int64_t count(int k)
{
    int64_t n = 1;
    for (int i = 0; i < rows[k].n_dim; i++) n *= rows[k].dim[i];
    return n;
}

/* All values are exact in all float types. */
static void put_value(ath_st_dtype dtype, int value, char *to)
{
    const double d = value / 8.0;
    const float f = (float)d;
    const uint16_t h = dtype == ATH_ST_F16 ? ath_f16_of_f32(f) : ath_bf16_of_f32(f);
    const int64_t i = value;
    const uint8_t u = (uint8_t)(value + 100);

    if (dtype == ATH_ST_F64) memcpy(to, &d, 8);
    if (dtype == ATH_ST_F32) memcpy(to, &f, 4);
    if (dtype == ATH_ST_F16 || dtype == ATH_ST_BF16) memcpy(to, &h, 2);
    if (dtype == ATH_ST_I64) memcpy(to, &i, 8);
    if (dtype == ATH_ST_I32) memcpy(to, &(int32_t){value}, 4);
    if (dtype == ATH_ST_U8) memcpy(to, &u, 1);
}

static bool is_float(ath_st_dtype dtype)
{
    return dtype == ATH_ST_F64 || dtype == ATH_ST_F32 || dtype == ATH_ST_F16 ||
           dtype == ATH_ST_BF16;
}

/* Data of every tensor, one byte off any alignment; floats as `from` where it is one. */
static void fill(ath_st_out out[N_ROWS], ath_st_dtype from, char data[N_ROWS][8 * MOST + 1])
{
    for (int k = 0; k < N_ROWS; k++) {
        const ath_st_dtype dtype = is_float(rows[k].dtype) && is_float(from) ? from : rows[k].dtype;
        const size_t bytes = (size_t)ath_st_dtype_bits(dtype) / 8;
        for (int i = 0; i < count(k); i++)
            put_value(dtype, (i * 37 + k * 11) % 251 - 100, data[k] + 1 + (size_t)i * bytes);
        out[k] = (ath_st_out){.name = rows[k].name,
                              .dtype = rows[k].dtype,
                              .from = dtype,
                              .n_dim = rows[k].n_dim,
                              .dim = rows[k].dim,
                              .data = data[k] + 1};
    }
}

static void test_reference(ath_st_dtype from)
{
    static char data[N_ROWS][8 * MOST + 1];
    ath_st_out out[N_ROWS];
    char *ours = NULL, *theirs = NULL;
    size_t n_ours = 0, n_theirs = 0;

    ath_test_begin(ath_st_dtype_name(from));
    fill(out, from, data);
    CHECK_OK(ath_st_write(path, N_ROWS, out, 1, metadata));
    CHECK_OK(ath_file_read(path, 100000, &ours, &n_ours));
    CHECK_OK(ath_file_read("tests/reference/safetensors_writer.safetensors", 100000, &theirs,
                           &n_theirs));
    CHECK_EQ(n_ours, n_theirs);
    if (n_ours == n_theirs) CHECK_BITS(ours, theirs, n_ours);
    ath_mem_free(&ours);
    ath_mem_free(&theirs);
}

static void test_back(void)
{
    static char data[N_ROWS][8 * MOST + 1];
    ath_st_out out[N_ROWS];
    ath_st *st = NULL;

    ath_test_begin("read back");
    fill(out, ATH_ST_U8, data);
    CHECK_OK(ath_st_write(path, N_ROWS, out, 1, metadata));
    CHECK_OK(ath_st_open(path, &st));
    if (!st) return;
    CHECK_EQ(ath_st_count(st), N_ROWS);
    CHECK_STR(ath_st_meta_find(st, "format"), metadata[0].value);
    for (int k = 0; k < N_ROWS; k++) {
        const ath_st_tensor *t = ath_st_find(st, rows[k].name);
        CHECK(t && t->dtype == rows[k].dtype && t->n_dim == rows[k].n_dim);
        if (t) CHECK_BITS(t->data, data[k] + 1, t->bytes);
    }
    CHECK_EQ((uintptr_t)ath_st_get(st, 0)->data % 8, 0);
    ath_st_close(&st);
    CHECK_OK(ath_st_write(path, 0, NULL, 0, NULL));
    CHECK_OK(ath_st_open(path, &st));
    if (st) CHECK_EQ(ath_st_count(st), 0);
    ath_st_close(&st);
    CHECK_OK(ath_st_write(path, 0, NULL, 1, metadata));
    CHECK_OK(ath_st_open(path, &st));
    if (st) CHECK_EQ(ath_st_meta_count(st), 1);
    ath_st_close(&st);
}

/* One tensor of n elements of `from` written as `dtype`; its bytes into `to`. */
static void through(ath_st_dtype dtype, ath_st_dtype from, int64_t n, const void *data, void *to)
{
    const ath_st_out out = {
        .name = "x", .dtype = dtype, .from = from, .n_dim = 1, .dim = &n, .data = data};
    ath_st *st = NULL;

    CHECK_OK(ath_st_write(path, 1, &out, 0, NULL));
    CHECK_OK(ath_st_open(path, &st));
    if (st) memcpy(to, ath_st_get(st, 0)->data, ath_st_get(st, 0)->bytes);
    ath_st_close(&st);
}

static void test_cross(void)
{
    static const float f32[] = {1, -65519, 65520, 1e-8f, 3e38f, 1.00390625f};
    const double f64[] = {1e300, -1e-300, 0.1, (double)NAN};
    uint16_t half[6], from_bf16[2];
    float single[4];

    ath_test_begin("cross");
    through(ATH_ST_F16, ATH_ST_F32, 6, f32, half);
    CHECK(half[0] == 0x3c00 && half[1] == 0xfbff && half[2] == 0x7c00 && half[3] == 0);
    CHECK(half[4] == 0x7c00 && half[5] == 0x3c04);
    through(ATH_ST_F32, ATH_ST_F64, 4, f64, single);
    CHECK(single[0] == INFINITY && single[1] == 0 && signbit(single[1]) && single[2] == 0.1f);
    CHECK(single[3] != single[3]);
    const uint16_t bf16[] = {0x3f81, 0x7f00};
    through(ATH_ST_F16, ATH_ST_BF16, 2, bf16, from_bf16);
    CHECK(from_bf16[0] == 0x3c08 && from_bf16[1] == 0x7c00);
}

static void check_refusal(const ath_st_out *out, int64_t n, const char *says)
{
    CHECK_ERR(ath_st_write(path, n, out, 1, metadata), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), says);
    CHECK_HAS(ath_err_text(), path);
}

static void test_refusals(void)
{
    const float x[4] = {0};
    const ath_st_out good = {
        .name = "a", .dtype = ATH_ST_F32, .from = ATH_ST_F32, .n_dim = 1, .dim = DIM(4), .data = x};
    ath_st_out out[2] = {good, good};
    const ath_st_meta twice[] = {{"k", "1"}, {"k", "2"}}, bad[] = {{"k", "\xff"}};

    ath_test_begin("refusals");
    check_refusal(out, 2, "\"a\": occurs twice");
    out[1].dtype = ATH_ST_BF16;
    check_refusal(out, 2, "\"a\": occurs twice");
    out[0] = good;
    out[0].dtype = ATH_ST_I32;
    check_refusal(out, 1, "F32 cannot be written as I32");
    out[0] = good;
    out[0].dim = DIM(-1);
    check_refusal(out, 1, "length -1 of axis 0");
    out[0].n_dim = 2;
    out[0].dim = DIM(INT64_C(1) << 40, INT64_C(1) << 40);
    check_refusal(out, 1, "shape overflows at axis 1");
    out[0] = good;
    out[0].data = NULL;
    check_refusal(out, 1, "4 elements but no data");
    out[0] = good;
    out[0].name = "__metadata__";
    check_refusal(out, 1, "no name for a tensor");
    out[0].name = "a\xc3";
    check_refusal(out, 1, "is not UTF-8 at byte 1");
    out[0] = good;
    out[0].dtype = out[0].from = ATH_ST_F4;
    out[0].dim = DIM(3);
    check_refusal(out, 1, "do not end on a whole byte");
    CHECK_ERR(ath_st_write(path, 1, &good, 2, twice), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "\"k\": occurs twice in the metadata");
    CHECK_ERR(ath_st_write(path, 1, &good, 1, bad), ATH_EINVAL);
}

static bool holds(const char *bytes, size_t n)
{
    char *got = NULL;
    size_t n_got = 0;
    bool is_same = ath_file_read(path, 100000, &got, &n_got) == ATH_OK && n_got == n &&
                   memcmp(got, bytes, n) == 0;
    ath_mem_free(&got);
    return is_same;
}

static void test_faults(void)
{
    static char data[N_ROWS][8 * MOST + 1];
    ath_st_out out[N_ROWS];
    ath_err err = ATH_OK;

    ath_test_begin("faults");
    fill(out, ATH_ST_F64, data);
    for (int at = 1; at < 60; at++) {
        faulty_io f = {.fail_at = at, .code = ENOSPC};
        CHECK_OK(ath_file_publish(path, "old", 3));
        faulty_io_install(&f);
        err = ath_st_write(path, N_ROWS, out, 1, metadata);
        ath_io_replace(NULL);
        CHECK(err == ATH_OK || err == ATH_EIO);
        CHECK_EQ(f.n_open, 0);
        if (!f.failed) break;
        if (strcmp(f.failed, "write") == 0) CHECK(err == ATH_EIO && holds("old", 3));
    }
    CHECK_OK(err);
    CHECK_OK(ath_file_publish(path, "old", 3));
    const int64_t held = ath_mem_get_stats().n_held;
    err = ATH_ENOMEM;
    for (int64_t n = 1; err != ATH_OK && n < 10000; n++) {
        ath_mem_fail_from(n);
        err = ath_st_write(path, N_ROWS, out, 1, metadata);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || (err == ATH_ENOMEM && holds("old", 3)));
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK_OK(err);
}

int main(void)
{
    ATH_ASSERT(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    test_reference(ATH_ST_U8); /* each as what it is */
    test_reference(ATH_ST_F64);
    test_reference(ATH_ST_F32);
    test_reference(ATH_ST_F16);
    test_reference(ATH_ST_BF16);
    test_back();
    test_cross();
    test_refusals();
    test_faults();
    unlink(path);
    CHECK(rmdir(folder) == 0);
    return ath_test_end();
}
