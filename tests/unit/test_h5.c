/*
 * HDF5 files: what was written is read, by us and where its bytes lie; equal content gives equal bytes,
 * without the time of day; a file appears under its name whole or not at all; what is cut, missing, of
 * another type or in another file is refused by name. h5dump opens it.
 */
#include "core/io/file.h"
#include "core/io/h5.h"
#include "core/io/map.h"
#include "core/mem.h"
#include "core/str.h"
#include "tests/data_folder.h"
#include "tests/harness.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static ath_data_folder data;
static char path[ATH_TEST_PATH], other[ATH_TEST_PATH];

static const float floats[6] = {1, -2.5f, 3e-30f, 4, 5, 1e30f};
static const double doubles[3] = {1, -2.25, 1e-300};
static const int64_t integers[2] = {INT64_MIN, 7};
static const uint8_t octets[5] = {1, 2, 3, 250, 255};
static const char *const texts[3] = {"a", "", "gr\xc3\xbc\xc3\x9f"};

static ath_err fill(ath_h5 *h)
{
    ATH_TRY(ath_h5_write(h, "a/deep/floats", &(ath_h5_array){ATH_H5_F32, 2, {2, 3}}, floats));
    ATH_TRY(ath_h5_write(h, "a/doubles", &(ath_h5_array){ATH_H5_F64, 1, {3}}, doubles));
    ATH_TRY(ath_h5_write(h, "a/integers", &(ath_h5_array){ATH_H5_I64, 1, {2}}, integers));
    ATH_TRY(ath_h5_write(h, "octets", &(ath_h5_array){ATH_H5_U8, 1, {5}}, octets));
    ATH_TRY(ath_h5_write(h, "nothing", &(ath_h5_array){ATH_H5_F32, 2, {0, 4}}, floats));
    ATH_TRY(ath_h5_write(h, "one", &(ath_h5_array){.type = ATH_H5_F64}, doubles + 1));
    ATH_TRY(ath_h5_write_texts(h, "texts", 3, texts));
    ATH_TRY(ath_h5_note_text(h, "", "program", texts[2]));
    ATH_TRY(ath_h5_note_text(h, "a", "empty", ""));
    ATH_TRY(ath_h5_note_int(h, "only/notes", "steps", -400));
    ATH_TRY(ath_h5_note_real(h, "a/deep/floats", "loss", 0.125));
    return ATH_OK;
}

static ath_err write_file(const char *to)
{
    ath_h5 *h = NULL;

    ATH_TRY(ath_h5_create(to, &h));
    ath_err err = fill(h);
    if (!err) err = ath_h5_commit(&h);
    ath_h5_close(&h);
    return err;
}

static ath_err gather(void *context, const char *name)
{
    ath_str_print(context, "%s ", name);
    return ATH_OK;
}

static ath_err stop(void *context, const char *name)
{
    ++*(int *)context;
    return ath_raise(ATH_ECANCELED, "enough at %s", name);
}

static void check_texts(ath_h5 *h)
{
    char *text = NULL;
    ath_str names = {0};
    int n = 0;

    ath_test_begin("attributes and names");
    CHECK_OK(ath_h5_get_text(h, "", "program", &text));
    CHECK_STR(text, texts[2]);
    ath_mem_free(&text);
    CHECK_OK(ath_h5_get_text(h, "a", "empty", &text));
    CHECK_STR(text, "");
    ath_mem_free(&text);
    int64_t whole = 0;
    double real = 0;
    CHECK_OK(ath_h5_get_int(h, "only/notes", "steps", &whole));
    CHECK_EQ(whole, -400);
    CHECK_OK(ath_h5_get_real(h, "a/deep/floats", "loss", &real));
    CHECK_NEAR(real, 0.125, 0);
    CHECK_OK(ath_h5_each(h, "", gather, &names));
    CHECK_OK(ath_h5_each(h, "a", gather, &names));
    CHECK_STR(ath_str_text(&names), "a nothing octets one only texts deep doubles integers ");
    ath_str_release(&names);
    CHECK_ERR(ath_h5_each(h, "", stop, &n), ATH_ECANCELED);
    CHECK_HAS(ath_err_text(), "enough at a");
    CHECK_EQ(n, 1);
}

static void check_read(void)
{
    ath_h5 *h = NULL;
    ath_h5_array shape;
    float f[6] = {0};
    double d[6] = {0};
    uint8_t u[5];
    int64_t i[2], at = 0, bytes = 0;
    ath_map map = {0};

    ath_test_begin("written and read");
    CHECK_OK(write_file(path));
    CHECK_OK(ath_h5_open(path, &h));
    CHECK_OK(ath_h5_shape(h, "a/deep/floats", &shape));
    CHECK(shape.type == ATH_H5_F32 && shape.n_dim == 2 && shape.dim[0] == 2 && shape.dim[1] == 3);
    CHECK_OK(ath_h5_read(h, "a/deep/floats", ATH_H5_F32, f, sizeof f));
    CHECK_BITS(f, floats, sizeof f);
    CHECK_OK(ath_h5_read(h, "a/deep/floats", ATH_H5_F64, d, sizeof d));
    for (int k = 0; k < 6; k++) CHECK_NEAR(d[k], floats[k], 0);
    CHECK_OK(ath_h5_read(h, "a/integers", ATH_H5_I64, i, sizeof i));
    CHECK_BITS(i, integers, sizeof i);
    CHECK_OK(ath_h5_read(h, "octets", ATH_H5_U8, u, sizeof u));
    CHECK_BITS(u, octets, sizeof u);
    CHECK_OK(ath_h5_shape(h, "one", &shape));
    CHECK_EQ(shape.n_dim, 0);
    CHECK_OK(ath_h5_read(h, "one", ATH_H5_F64, d, 8));
    CHECK_NEAR(d[0], -2.25, 0);
    CHECK_OK(ath_h5_read(h, "nothing", ATH_H5_F32, NULL, 0));
    CHECK_OK(ath_h5_place(h, "nothing", &at, &bytes));
    CHECK_EQ(bytes, 0);
    CHECK_OK(ath_h5_place(h, "a/doubles", &at, &bytes));
    CHECK_EQ(bytes, sizeof doubles);
    CHECK_EQ(at % 8, 0);
    check_texts(h);
    ath_h5_close(&h);
    CHECK_OK(ath_map_open(path, &map));
    CHECK_BITS(map.bytes + at, doubles, sizeof doubles);
    ath_map_close(&map);
}

static bool holds_word(const char *bytes, size_t n, uint32_t word)
{
    for (size_t k = 0; k + 4 <= n; k++)
        if (memcmp(bytes + k, &word, 4) == 0) return true;
    return false;
}

static void check_bytes(void)
{
    char *a = NULL, *b = NULL;
    size_t n_a = 0, n_b = 0;
    const time_t begun = time(NULL);

    ath_test_begin("equal bytes");
    CHECK_OK(write_file(path));
    CHECK_OK(write_file(other));
    CHECK_OK(ath_file_read(path, 1 << 20, &a, &n_a));
    CHECK_OK(ath_file_read(other, 1 << 20, &b, &n_b));
    CHECK(n_a == n_b && memcmp(a, b, n_a) == 0);
    for (time_t t = begun; t <= time(NULL); t++) CHECK(!holds_word(a, n_a, (uint32_t)t));
    ath_mem_free(&a);
    ath_mem_free(&b);
}

static void check_refused(void)
{
    ath_h5 *h = NULL;
    ath_h5_array shape;
    float f[6];
    char *text = NULL;
    int64_t whole = 0, at = 0;
    double real = 0;

    ath_test_begin("refused");
    CHECK_ERR(ath_h5_open("/tmp/no/such.h5", &h), ATH_EMISSING);
    CHECK_OK(ath_h5_open(path, &h));
    CHECK_ERR(ath_h5_read(h, "a/none/x", ATH_H5_F32, f, sizeof f), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), path);
    CHECK_HAS(ath_err_text(), "there is no \"a/none\" in it");
    CHECK_ERR(ath_h5_read(h, "a", ATH_H5_F32, f, sizeof f), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "\"a\" is no dataset");
    CHECK_ERR(ath_h5_read(h, "octets/x", ATH_H5_F32, f, sizeof f), ATH_EMISSING);
    CHECK_ERR(ath_h5_each(h, "octets", gather, NULL), ATH_EFORMAT);
    CHECK_ERR(ath_h5_read(h, "/a", ATH_H5_F32, f, sizeof f), ATH_EINVAL);
    CHECK_ERR(ath_h5_read(h, "a/deep/floats", ATH_H5_F32, f, 20), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "has another size: 24 bytes, wanted 20");
    CHECK_ERR(ath_h5_read(h, "texts", ATH_H5_F32, f, 12), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "does not hold numbers");
    CHECK_ERR(ath_h5_shape(h, "texts", &shape), ATH_EFORMAT);
    CHECK_ERR(ath_h5_get_int(h, "", "program", &whole), ATH_EFORMAT);
    CHECK_ERR(ath_h5_get_real(h, "only/notes", "steps", &real), ATH_EFORMAT);
    CHECK_ERR(ath_h5_get_text(h, "only/notes", "steps", &text), ATH_EFORMAT);
    CHECK_ERR(ath_h5_get_text(h, "only/notes", "none", &text), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "\"only/notes\" has no attribute \"none\"");
    CHECK_ERR(ath_h5_place(h, "texts/x", &at, &whole), ATH_EMISSING);
    ath_h5_close(&h);
}

/* Cut anywhere, or turned into something else, a file is refused when it is opened or read. */
static void check_broken(void)
{
    char *bytes = NULL;
    size_t n = 0;

    ath_test_begin("broken files");
    CHECK_OK(ath_file_read(path, 1 << 20, &bytes, &n));
    for (size_t keep = 0; keep < n; keep += n / 29 + 1) {
        ath_h5 *h = NULL;
        CHECK_OK(ath_file_publish(other, bytes, keep));
        CHECK_ERR(ath_h5_open(other, &h), ATH_EFORMAT);
        CHECK_HAS(ath_err_text(), "is no good HDF5 file: HDF5 says");
    }
    ath_mem_free(&bytes);
}

static int count_files(void)
{
    char text[ATH_TEST_PATH + 40];
    int n = -1;

    snprintf(text, sizeof text, "ls -A %s | wc -l", data.path);
    FILE *f = popen(text, "r");
    if (f && fscanf(f, "%d", &n) != 1) n = -1;
    if (f) pclose(f);
    return n;
}

/* What is not committed, or could not be written, is not there, and what was there stays. */
static void check_unpublished(void)
{
    ath_h5 *h = NULL;
    const int n_files = count_files();
    const struct rlimit old = {RLIM_INFINITY, RLIM_INFINITY}, tight = {20000, RLIM_INFINITY};
    float *large = NULL;

    ath_test_begin("not published");
    CHECK_OK(ath_h5_create(path, &h));
    CHECK_OK(ath_h5_note_int(h, "", "x", 1));
    ath_h5_close(&h);
    CHECK_EQ(count_files(), n_files);
    CHECK_ERR(ath_h5_create("/tmp/no/such/folder/x.h5", &h), ATH_EIO);
    CHECK_OK(ath_h5_create(path, &h));
    CHECK_OK(ath_h5_note_int(h, "", "x", 1));
    CHECK_ERR(ath_h5_note_int(h, "", "x", 2), ATH_EHDF5);
    CHECK_HAS(ath_err_text(), "already exists");
    ath_h5_close(&h);
    CHECK_OK(ATH_NEW(100000, "test", &large));
    CHECK_OK(ath_h5_create(path, &h));
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tight);
    CHECK_ERR(ath_h5_write(h, "x", &(ath_h5_array){ATH_H5_F32, 1, {100000}}, large), ATH_EIO);
    ath_h5_close(&h);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK_HAS(ath_err_text(), "File too large");
    CHECK_EQ(count_files(), n_files);
    CHECK_OK(ath_h5_open(path, &h)); /* the old one */
    ath_h5_close(&h);
    ath_mem_free(&large);
}

static void check_memory(void)
{
    char *text = NULL;
    ath_h5 *h = NULL;

    ath_test_begin("no memory");
    ath_mem_fail_from(1);
    CHECK_ERR(ath_h5_create(other, &h), ATH_ENOMEM);
    CHECK_ERR(ath_h5_open(path, &h), ATH_ENOMEM);
    ath_mem_fail_from(0);
    CHECK_OK(ath_h5_open(path, &h));
    ath_mem_fail_from(1);
    CHECK_ERR(ath_h5_get_text(h, "", "program", &text), ATH_ENOMEM);
    ath_mem_fail_from(0);
    ath_h5_close(&h);
}

static void check_tools(void)
{
    char text[2 * ATH_TEST_PATH];

    ath_test_begin("h5dump");
    snprintf(text, sizeof text, "h5dump -d /a/doubles %s | grep -q '1, -2.25, 1e-300'", path);
    CHECK_EQ(system(text), 0);
}

int main(void)
{
    CHECK_OK(ath_data_folder_make(&data));
    ath_data_path(&data, "a.h5", path);
    ath_data_path(&data, "b.h5", other);
    check_read();
    check_bytes();
    check_refused();
    check_broken();
    check_unpublished();
    check_memory();
    check_tools();
    ath_data_folder_remove(&data);
    return ath_test_end();
}
