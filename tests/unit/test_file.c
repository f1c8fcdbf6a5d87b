/* Files: whole in, whole out; at every failing, short, interrupted or torn call the published path
 * holds the old content or the new one, whole, and no temporary name is left behind. */
#include "core/io/file.h"
#include "core/mem.h"
#include "tests/faulty_io.h"
#include "tests/harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64] = "/tmp/ath_test_file_XXXXXX";
static char path[128];

static const char old_text[] = "the old content";
static const char new_text[] = "the new content, which is longer";

static void write_old(void)
{
    CHECK_OK(ath_file_publish(path, old_text, sizeof old_text));
}

static bool holds(const char *text, size_t n)
{
    char *bytes = NULL;
    size_t n_read = 0;
    bool is_same = ath_file_read(path, 1000, &bytes, &n_read) == ATH_OK && n_read == n &&
                   memcmp(bytes, text, n) == 0;
    ath_mem_free(&bytes);
    return is_same;
}

static int count_files(void)
{
    DIR *dir = opendir(folder);
    int n = 0;
    for (const struct dirent *e; (e = readdir(dir));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static void remove_all(void)
{
    DIR *dir = opendir(folder);
    char name[512];
    for (const struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.' && (!e->d_name[1] || e->d_name[1] == '.')) continue;
        snprintf(name, sizeof name, "%s/%s", folder, e->d_name);
        unlink(name);
    }
    closedir(dir);
}

static void check_read(void)
{
    static const size_t lengths[] = {0, 1, 22, 23, 65535, 65536, 200000};
    static char bytes[200000];

    ath_test_begin("read");
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i % 251);
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        char *got = NULL;
        size_t n = 0, want = lengths[k];
        CHECK_OK(ath_file_publish(path, bytes, want));
        CHECK_OK(ath_file_read(path, want, &got, &n));
        CHECK_EQ(n, want);
        CHECK_BITS(got, bytes, want);
        CHECK_EQ(got[want], 0);
        ath_mem_free(&got);
        if (!want) continue;
        CHECK_ERR(ath_file_read(path, want - 1, &got, &n), ATH_ELIMIT);
        CHECK_HAS(ath_err_text(), "longer than");
        CHECK(got == NULL);
    }
    char *got = NULL;
    size_t n = 0;
    CHECK_ERR(ath_file_read("/tmp/no/such/file", 10, &got, &n), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "/tmp/no/such/file: there is no such file");
    CHECK_ERR(ath_file_read(folder, 10, &got, &n), ATH_EIO);
}

/* Every call of a read fails, is cut short or interrupted; every allocation fails. */
static void check_read_faults(void)
{
    char *got = NULL;
    size_t n = 0;
    enum { N_CALLS = 4 }; /* open, read, read of nothing, close */

    ath_test_begin("read with faults");
    write_old();
    for (int at = 1; at <= N_CALLS; at++) {
        faulty_io f = {.fail_at = at, .code = EIO};
        faulty_io_install(&f);
        ath_err err = ath_file_read(path, 100, &got, &n);
        ath_io_replace(NULL);
        CHECK_ERR(err, strcmp(f.failed, "close") == 0 ? ATH_OK : ATH_EIO);
        CHECK_EQ(f.n_open, 0);
        ath_mem_free(&got);

        fault_kind mild[] = {FAULT_ERROR, FAULT_SHORT};
        for (int k = 0; k < 2; k++) {
            f = (faulty_io){.fail_at = at, .kind = mild[k], .code = EINTR};
            faulty_io_install(&f);
            CHECK_OK(ath_file_read(path, 100, &got, &n));
            ath_io_replace(NULL);
            CHECK_EQ(n, sizeof old_text);
            CHECK_BITS(got, old_text, sizeof old_text);
            if (mild[k] == FAULT_ERROR) CHECK_EQ(f.n_calls, N_CALLS + (at < N_CALLS));
            CHECK_EQ(f.n_open, 0);
            ath_mem_free(&got);
        }
    }
    faulty_io f = {0};
    faulty_io_install(&f);
    ath_mem_fail_from(1);
    CHECK_ERR(ath_file_read(path, 100, &got, &n), ATH_ENOMEM);
    ath_mem_fail_from(0);
    ath_io_replace(NULL);
    CHECK_EQ(f.n_open, 0);
}

static ath_err publish_in_pieces(void)
{
    ath_publish p;
    ath_err err = ATH_OK;

    ATH_TRY(ath_publish_begin(&p, path));
    ATH_TRY_OUT(ath_publish_put(&p, new_text, 10));
    ATH_TRY_OUT(ath_publish_put(&p, new_text + 10, sizeof new_text - 10));
    ATH_TRY_OUT(ath_publish_commit(&p));
out:
    ath_publish_discard(&p);
    return err;
}

/* The order that makes it safe: the file is synced before the name is moved, the folder after. */
static void check_publish(void)
{
    faulty_io f = {0};

    ath_test_begin("publish");
    write_old();
    faulty_io_install(&f);
    ath_mem_freeze(); /* saving during a run allocates nothing */
    CHECK_OK(publish_in_pieces());
    ath_mem_thaw();
    ath_io_replace(NULL);
    CHECK_EQ(f.n_calls, 9); /* open write write sync close rename, open sync close of the folder */
    CHECK_EQ(f.n_open, 0);
    CHECK(holds(new_text, sizeof new_text));
    CHECK_EQ(count_files(), 1);
}

static void check_publish_faults(int code)
{
    ath_test_begin("publish with faults");
    for (int at = 1; at <= 9; at++) {
        faulty_io f = {.fail_at = at, .kind = FAULT_ERROR, .code = code};
        write_old();
        faulty_io_install(&f);
        ath_err err = publish_in_pieces();
        ath_io_replace(NULL);
        /* interrupted calls are repeated; closing the folder can lose nothing */
        CHECK_ERR(err, code == EINTR || at == 9 ? ATH_OK : ATH_EIO);
        bool is_new = at > 6 || code == EINTR; /* the name was moved */
        CHECK(is_new ? holds(new_text, sizeof new_text) : holds(old_text, sizeof old_text));
        CHECK_EQ(count_files(), 1);
        CHECK_EQ(f.n_open, 0);
    }
}

static void check_publish_short(void)
{
    ath_test_begin("short writes");
    for (int at = 1; at <= 10; at++) {
        faulty_io f = {.fail_at = at, .kind = FAULT_SHORT};
        write_old();
        faulty_io_install(&f);
        CHECK_OK(publish_in_pieces());
        ath_io_replace(NULL);
        CHECK_EQ(f.n_calls, at == 2 || at == 3 ? 10 : 9);
        CHECK(holds(new_text, sizeof new_text));
    }
}

/* The process is gone at call n, a write torn in half: what a next process finds. */
static void check_publish_crash(void)
{
    ath_test_begin("crash");
    for (int at = 1; at <= 9; at++) {
        faulty_io f = {.fail_at = at, .kind = FAULT_CRASH};
        write_old();
        faulty_io_install(&f);
        ath_err err = publish_in_pieces();
        ath_io_replace(NULL);
        CHECK((err == ATH_OK) == (at == 9));
        CHECK(at > 6 ? holds(new_text, sizeof new_text) : holds(old_text, sizeof old_text));
        CHECK_EQ(count_files(), at == 1 || at > 6 ? 1 : 2); /* a dead process leaves its own name */
        CHECK_OK(publish_in_pieces());                      /* which is in nobody's way */
        CHECK(holds(new_text, sizeof new_text));
        remove_all();
    }
}

/* A folder that cannot be synced is not an error where the file system does not know how. */
static void check_folder_sync(void)
{
    faulty_io f = {.fail_at = 8, .kind = FAULT_ERROR, .code = EINVAL};

    ath_test_begin("folder");
    faulty_io_install(&f);
    CHECK_OK(publish_in_pieces());
    ath_io_replace(NULL);
    CHECK_STR(f.failed ? f.failed : "none", "sync");
}

static void check_names(void)
{
    char big[2 * ATH_PATH_BYTES], here[256];
    ath_publish p;

    ath_test_begin("names");
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = 0;
    CHECK_ERR(ath_publish_begin(&p, big), ATH_ELIMIT);
    CHECK_ERR(ath_path_print(p.path, "%s/%d", big, 7), ATH_ELIMIT);
    CHECK_OK(ath_path_print(p.path, "%s/%d", "x", 7));
    CHECK_STR(p.path, "x/7");
    ath_publish_discard(&p);
    CHECK_ERR(ath_publish_begin(&p, ""), ATH_EINVAL);
    CHECK_ERR(ath_file_publish("/tmp/no/such/folder/x", "x", 1), ATH_EIO);
    CHECK(getcwd(here, sizeof here) && chdir(folder) == 0);
    big[256] = 0;
    CHECK_ERR(ath_file_publish(big, "x", 1), ATH_EIO);
    CHECK_EQ(count_files(), 1);
    big[255] = 0;
    CHECK_OK(ath_file_publish(big, "x", 1)); /* the longest name, in the working folder */
    CHECK(chdir(here) == 0);
    CHECK_EQ(count_files(), 2);
    remove_all();

    ath_publish zero = {0};
    ath_publish_discard(&zero);
    CHECK_OK(ath_publish_begin(&p, path));
    struct stat info;
    CHECK(stat(p.temp, &info) == 0 && info.st_size == 0);
    ath_publish_discard(&p);
    ath_publish_discard(&p);
    CHECK_EQ(count_files(), 0);
}

/* A library that writes by name into the temporary file. */
static void check_by_name(void)
{
    ath_publish p;

    ath_test_begin("by name");
    CHECK_OK(ath_publish_begin(&p, path));
    FILE *file = fopen(p.temp, "w");
    CHECK(file && fwrite(new_text, 1, sizeof new_text, file) == sizeof new_text && !fclose(file));
    CHECK_OK(ath_publish_commit(&p));
    CHECK(holds(new_text, sizeof new_text));
}

static ath_err count_name(void *n, const char *name)
{
    CHECK(strcmp(name, "a") == 0 || strcmp(name, "b") == 0);
    if (++*(int *)n == 3) return ath_raise(ATH_ECANCELED, "enough");
    return ATH_OK;
}

/* A folder is made, and that it is there is synced; every call of it fails. */
static void check_folders(void)
{
    char sub[160], name[192];
    int64_t bytes = 0;
    int n = 0;

    ath_test_begin("folders");
    snprintf(sub, sizeof sub, "%s/sub", folder);
    CHECK_ERR(ath_folder_each(sub, count_name, &n), ATH_EMISSING);
    for (int at = 1; at <= 4; at++) { /* make, open, sync, close */
        faulty_io f = {.fail_at = at, .code = EIO};
        faulty_io_install(&f);
        CHECK_ERR(ath_folder_make(sub), at == 4 ? ATH_OK : ATH_EIO);
        ath_io_replace(NULL);
        CHECK_EQ(f.n_open, 0);
        f = (faulty_io){.fail_at = at, .code = EINTR};
        faulty_io_install(&f);
        CHECK_OK(ath_folder_make(sub));
        ath_io_replace(NULL);
    }
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%c", sub, 'a' + i);
        CHECK_ERR(ath_file_size(name, &bytes), ATH_EMISSING);
        CHECK_OK(ath_file_publish(name, new_text, sizeof new_text));
        CHECK_OK(ath_file_size(name, &bytes));
        CHECK_EQ(bytes, sizeof new_text);
    }
    faulty_io f = {.fail_at = 1, .code = EINTR};
    faulty_io_install(&f);
    CHECK_OK(ath_folder_each(sub, count_name, &n));
    CHECK_EQ(n, 2);
    f.fail_at = f.n_calls + 1;
    f.code = EACCES;
    CHECK_ERR(ath_folder_each(sub, count_name, &n), ATH_EIO);
    f.fail_at = f.n_calls + 1;
    CHECK_ERR(ath_file_size(name, &bytes), ATH_EIO);
    CHECK_ERR(ath_folder_each(sub, count_name, &n), ATH_ECANCELED);
    ath_io_replace(NULL);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%c", sub, 'a' + i);
        CHECK_OK(ath_file_remove(name));
    }
    CHECK(rmdir(sub) == 0);
    CHECK_ERR(ath_folder_make("/tmp/no/such/folder"), ATH_EIO);
}

/* Those above it, too, each with its name synced; every call fails. */
static void check_all_folders(void)
{
    static const char *const made[] = {"a/b/c", "a/b", "a"};
    char path_of[3][ATH_PATH_BYTES];

    ath_test_begin("all folders");
    for (int i = 0; i < 3; i++) CHECK_OK(ath_path_print(path_of[i], "%s/%s", folder, made[i]));
    /* two that are there; make, open, sync, close of three */
    for (int at = 1; at <= 15; at++) {
        faulty_io f = {.fail_at = at, .code = EIO};
        const bool is_close = at > 2 && at % 4 == 2;
        faulty_io_install(&f);
        CHECK_ERR(ath_folders_make(path_of[0]), is_close || at == 15 ? ATH_OK : ATH_EIO);
        ath_io_replace(NULL);
        CHECK_EQ(f.n_open, 0);
        CHECK_OK(ath_folders_make(path_of[0]));
        for (int i = 0; i < 3; i++) CHECK(rmdir(path_of[i]) == 0);
    }
}

int main(void)
{
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/state", folder);
    check_read();
    check_read_faults();
    check_publish();
    check_publish_faults(ENOSPC);
    check_publish_faults(EIO);
    check_publish_faults(EINTR);
    check_publish_short();
    check_publish_crash();
    check_folder_sync();
    check_names();
    check_by_name();
    check_folders();
    check_all_folders();
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    remove_all();
    CHECK(rmdir(folder) == 0);
    return ath_test_end();
}
