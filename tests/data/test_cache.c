/*
 * The cache: what was put is found, bit for bit, in the files of all writers and by kind alone; a
 * flipped bit is found at first use and named, and a good copy beside a broken one is taken; a file
 * that was cut is left out; nothing put is no file.
 */
#include "core/io/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "tests/data_folder.h"
#include "tests/harness.h"
#include "worker/data/cache.h"

#include <dirent.h>

enum { N = 1000 };

static ath_data_folder data;
static char folder[ATH_TEST_PATH];
static float values[N];
static char logged[ATH_LOG_BYTES + 1];

static ath_hash key_of(uint64_t i)
{
    return ath_hash_of(&i, sizeof i);
}

static void keep_line(void *user, ath_log_level level, const char *line, size_t n)
{
    (void)user;
    (void)level;
    snprintf(logged, sizeof logged, "%.*s", (int)n, line);
}

static ath_err write_keys(const char *kind, uint64_t first, uint64_t end)
{
    ath_cache_writer *w = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_cache_write(folder, kind, &w));
    for (uint64_t i = first; i < end; i++)
        ATH_TRY_OUT(ath_cache_put(w, key_of(i), (int64_t)(N - i), values + i));
    ATH_TRY_OUT(ath_cache_publish(&w));
out:
    ath_cache_discard(&w);
    return err;
}

/* The path of the only file of a kind; the number of all files. */
static int find_file(const char *kind, char path[2 * ATH_TEST_PATH])
{
    DIR *dir = opendir(folder);
    int n = 0;

    path[0] = 0;
    for (const struct dirent *d; dir && (d = readdir(dir));) {
        n += d->d_name[0] != '.';
        if (strncmp(d->d_name, kind, strlen(kind)) == 0)
            snprintf(path, 2 * ATH_TEST_PATH, "%s/%.200s", folder, d->d_name);
    }
    if (dir) closedir(dir);
    return n;
}

static void check_found(void)
{
    ath_cache *c = NULL;
    const float *found = NULL;
    ath_cache_writer *w = NULL;
    char path[2 * ATH_TEST_PATH];

    ath_test_begin("two writers, two kinds");
    CHECK_OK(ath_cache_open(folder, "latents", &c)); /* no such folder */
    CHECK(!ath_cache_has(c, key_of(0)));
    CHECK_ERR(ath_cache_find(c, key_of(0), N, &found), ATH_EMISSING);
    ath_cache_close(&c);
    CHECK_OK(ath_cache_write(folder, "latents", &w));
    CHECK_OK(ath_cache_publish(&w));
    CHECK_EQ(find_file("latents", path), 0);
    CHECK_OK(write_keys("latents", 0, 20));
    CHECK_OK(write_keys("latents", 20, 40));
    CHECK_OK(write_keys("text", 40, 41));
    CHECK_EQ(find_file("latents", path), 3);
    CHECK_OK(ath_cache_open(folder, "latents", &c));
    for (uint64_t i = 0; i < 40; i++) {
        CHECK(ath_cache_has(c, key_of(i)));
        CHECK_OK(ath_cache_find(c, key_of(i), (int64_t)(N - i), &found));
        CHECK_BITS(found, values + i, (N - i) * sizeof(float));
    }
    CHECK(!ath_cache_has(c, key_of(40)));
    CHECK_ERR(ath_cache_find(c, key_of(3), N, &found), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "has 997 numbers, wanted 1000");
    ath_cache_close(&c);
}

/* In the array of key 1; that of key 0, which holds the same numbers behind its first, lies before. */
static void flip_bit(const char *path)
{
    char *bytes = NULL;
    size_t n = 0, last = 0;

    CHECK_OK(ath_file_read(path, 1 << 20, &bytes, &n));
    for (size_t at = 0; at + N * 4 <= n; at++)
        if (memcmp(bytes + at, values + 1, 400) == 0) last = at;
    CHECK(last > 0);
    bytes[last + 100] ^= 4;
    CHECK_OK(ath_file_publish(path, bytes, n));
    ath_mem_free(&bytes);
}

static void check_flipped(void)
{
    ath_cache *c = NULL;
    const float *found = NULL;
    char path[2 * ATH_TEST_PATH];

    ath_test_begin("a flipped bit");
    CHECK_OK(write_keys("other", 0, 3));
    find_file("other", path);
    flip_bit(path);
    CHECK_OK(ath_cache_open(folder, "other", &c));
    CHECK_OK(ath_cache_find(c, key_of(0), N, &found));
    CHECK(ath_cache_has(c, key_of(1)));
    for (int twice = 0; twice < 2; twice++) {
        CHECK_ERR(ath_cache_find(c, key_of(1), N - 1, &found), ATH_EFORMAT);
        CHECK_HAS(ath_err_text(), path);
        CHECK_HAS(ath_err_text(), "is not what was written");
    }
    CHECK(!ath_cache_has(c, key_of(1)));
    ath_cache_close(&c);
    CHECK_OK(write_keys("other", 1, 2)); /* made again */
    CHECK_OK(ath_cache_open(folder, "other", &c));
    CHECK_OK(ath_cache_find(c, key_of(1), N - 1, &found));
    CHECK_BITS(found, values + 1, (N - 1) * sizeof(float));
    ath_cache_close(&c);
}

static void check_cut(void)
{
    ath_cache *c = NULL;
    char path[2 * ATH_TEST_PATH], *bytes = NULL;
    size_t n = 0;

    ath_test_begin("a file that was cut");
    CHECK_OK(write_keys("cut", 0, 3));
    find_file("cut", path);
    CHECK_OK(ath_file_read(path, 1 << 20, &bytes, &n));
    CHECK_OK(ath_file_publish(path, bytes, n / 2));
    ath_log_to_sink(keep_line, NULL);
    CHECK_OK(ath_cache_open(folder, "cut", &c));
    ath_log_to_sink(NULL, NULL);
    CHECK_HAS(logged, path);
    CHECK(!ath_cache_has(c, key_of(0)));
    ath_cache_close(&c);
    ath_mem_free(&bytes);
}

static void check_memory(void)
{
    ath_cache *c = NULL;
    ath_err err = ATH_ENOMEM;

    ath_test_begin("no memory");
    for (int n = 1; n < 100 && err; n++) {
        ath_mem_fail_from(n);
        err = write_keys("memory", 0, 2);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
    }
    CHECK_EQ(err, ATH_OK);
    err = ATH_ENOMEM;
    for (int n = 1; n < 100 && err; n++) {
        ath_mem_fail_from(n);
        err = ath_cache_open(folder, "memory", &c);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || (err == ATH_ENOMEM && !c));
    }
    CHECK_EQ(err, ATH_OK);
    ath_cache_close(&c);
}

int main(void)
{
    CHECK_OK(ath_data_folder_make(&data));
    snprintf(folder, sizeof folder, "%s/deep/cache", data.path);
    for (int i = 0; i < N; i++) values[i] = (float)i * 1.25f;
    check_found();
    check_flipped();
    check_cut();
    check_memory();
    ath_data_folder_remove(&data);
    return ath_test_end();
}
