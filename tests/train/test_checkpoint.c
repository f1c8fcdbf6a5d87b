/*
 * Checkpoints: what was written is read, and equal content gives equal bytes. One bit turned over in
 * any byte of either file, either file cut at any block of 512 bytes, a block of 4 KiB zeroed, set to
 * 0xff or swapped with any other: each is noticed, the file is named, where it lies in a tensor that
 * one too, and the checkpoint before is used. Errors have exit code 5, interrupted calls are repeated.
 * Whatever call of the system fails, or is the last before the process is gone, an older checkpoint or
 * the new one is there and whole. The newest are kept and pinned ones; files that are not of this form
 * stay; what cannot be removed costs a warning, not the checkpoint. The same state of the same step, written
 * again, is there at every moment, and keeps its pin; so is another state of the same step, until that which
 * takes its place is whole. What a later version wrote is refused as such and is
 * never removed. The checkpoint in tests/golden was written by an earlier build and reads as it did then.
 *
 *     test_checkpoint GOLDEN_FOLDER          test_checkpoint GOLDEN_FOLDER make
 */
#include "core/io/h5.h"
#include "core/mem.h"
#include "core/str.h"
#include "tests/data_folder.h"
#include "tests/faulty_io.h"
#include "tests/harness.h"
#include "worker/run/checkpoint.h"
#include "worker/run/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { N_SMALL = 12, N_LARGE = 2560, BLOCK = 4096, SECTOR = 512 };

static ath_data_folder data;
static char folder[ATH_TEST_PATH];
static float small[N_SMALL], large[N_LARGE];
static int state; /* which of a step: each has other numbers */
static const char job[] = "a packed job";

/* ---- one to write ---- */

static void fill(int64_t step)
{
    for (int i = 0; i < N_SMALL; i++) small[i] = (float)step + (float)(i + state) / 16;
    for (int i = 0; i < N_LARGE; i++) large[i] = (float)(step * i % 977) * 0.25F;
}

static const ath_checkpoint_tensor tensors[] = {
    {.name = "value/layer.weight", .n_dim = 2, .dim = {3, 4}, .data = small},
    {.name = "moment1/layer.weight", .n_dim = 1, .dim = {N_LARGE}, .data = large}};

static ath_err save(const char *where, int64_t step, bool is_pinned, int64_t keep)
{
    const ath_checkpoint c = {
        .facts = {.n_done = step,
                  .n_updates = step - 1,
                  .n_skipped = 1,
                  .plan = {1, 2},
                  .digest = {3, UINT64_C(0xfedcba9876543210) + (uint64_t)state},
                  .n_losses = 4,
                  .loss_sum = 0.1 * (double)step,
                  .is_pinned = is_pinned,
                  .rate_factor = step == 5 ? 1 : 0.5},
        .job = (const uint8_t *)job,
        .job_bytes = sizeof job,
        .n_tensors = 2,
        .tensor = tensors};
    fill(step);
    return ath_checkpoint_write(where, &c, keep);
}

/* Opens and reads all of it; what is read is what `step` had. */
static ath_err load(const char *where, int64_t step)
{
    static float a[N_SMALL], b[N_LARGE];
    ath_checkpoint_tensor to[2] = {tensors[0], tensors[1]};
    ath_checkpoint_file *f = NULL;
    ath_err err = ATH_OK;
    size_t n = 0;

    to[0].data = a;
    to[1].data = b;
    ATH_TRY_OUT(ath_checkpoint_open(where, step, &f));
    for (int i = 0; i < 2; i++) ATH_TRY_OUT(ath_checkpoint_read(f, &to[i]));
    fill(step);
    const ath_checkpoint_facts *facts = ath_checkpoint_get_facts(f);
    CHECK_BITS(a, small, sizeof a);
    CHECK_BITS(b, large, sizeof b);
    CHECK(facts->n_done == step && facts->n_updates == step - 1 && facts->n_skipped == 1);
    CHECK(facts->rate_factor == (step == 5 ? 1 : 0.5)); /* 5: of a file that does not say */
    CHECK(facts->n_losses == 4 && facts->loss_sum == 0.1 * (double)step);
    CHECK(facts->plan.lo == 1 && facts->plan.hi == 2 && facts->digest.lo == 3);
    CHECK(facts->digest.hi == UINT64_C(0xfedcba9876543210) + (uint64_t)state);
    CHECK_BITS(ath_checkpoint_job(f, &n), job, sizeof job);
    CHECK(n == sizeof job);
out:
    ath_checkpoint_close(&f);
    return err;
}

/* The newest that is whole, as a run goes on from it; 0: none. */
static int64_t newest(const char *where)
{
    int64_t *steps = NULL, n = 0, found = 0;

    CHECK_OK(ath_checkpoint_list(where, &steps, &n));
    for (int64_t i = 0; i < n && !found; i++) {
        const ath_err err = load(where, steps[i]);
        if (!err) found = steps[i];
        CHECK(!err || err == ATH_EFORMAT);
        ath_err_clear();
    }
    ath_mem_free(&steps);
    return found;
}

static void check_round_trip(void)
{
    ath_checkpoint_tensor other = tensors[0];
    ath_checkpoint_file *f = NULL;

    CHECK(newest(folder) == 0);
    CHECK_OK(save(folder, 6, false, 2));
    CHECK_OK(save(folder, 7, false, 2));
    CHECK_OK(load(folder, 7));
    CHECK_OK(ath_checkpoint_open(folder, 7, &f));
    if (!f) return;
    other.dim[0] = 4;
    CHECK_ERR(ath_checkpoint_read(f, &other), ATH_ESHAPE);
    other.name = "value/none";
    CHECK_ERR(ath_checkpoint_read(f, &other), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "value/none");
    ath_checkpoint_close(&f);
}

static bool is_there(const char *name)
{
    char path[ATH_TEST_PATH];

    return access(ath_data_path(&data, name, path), F_OK) == 0;
}

static void check_keeping(void)
{
    CHECK_OK(ath_data_put_text(&data, "kept/notes.txt", "mine"));
    CHECK_OK(ath_data_put_text(&data, "kept/step-00000002.h5", "torn"));
    CHECK_OK(ath_data_put_text(&data, "kept/.step-00000002.h5.77.1.tmp", "torn"));
    char kept[ATH_TEST_PATH];
    ath_data_path(&data, "kept", kept);
    CHECK_OK(save(kept, 10, true, 2));
    for (int64_t step = 11; step < 15; step++) CHECK_OK(save(kept, step, false, 2));
    CHECK(is_there("kept/step-00000010.manifest") && is_there("kept/step-00000010.h5"));
    CHECK(!is_there("kept/step-00000012.manifest") && !is_there("kept/step-00000012.h5"));
    CHECK(is_there("kept/step-00000013.h5") && is_there("kept/step-00000014.h5"));
    CHECK(is_there("kept/notes.txt"));
    CHECK(!is_there("kept/step-00000002.h5") && !is_there("kept/.step-00000002.h5.77.1.tmp"));
    /* going on from an earlier one gives up those after it, but for pinned ones */
    CHECK_OK(save(kept, 16, true, 2));
    CHECK_OK(ath_data_put_text(&data, "kept/.step-notes.tmp", "mine"));
    CHECK_OK(ath_data_put_text(&data, "kept/step-000000013.manifest", "mine"));
    CHECK_OK(save(kept, 13, false, 2));
    CHECK(!is_there("kept/step-00000014.manifest") && is_there("kept/step-00000016.manifest"));
    CHECK(is_there("kept/.step-notes.tmp") && is_there("kept/step-000000013.manifest"));
    CHECK(newest(kept) == 16);
    /* in another way it gives up those, too */
    CHECK_OK(ath_checkpoint_drop_later(kept, 13));
    CHECK(newest(kept) == 13 && !is_there("kept/step-00000016.h5"));
    CHECK(is_there("kept/step-00000010.manifest"));
}

/* ---- damage ---- */

typedef struct bytes {
    char path[ATH_TEST_PATH];
    const char *name;
    char *byte;
    size_t n;
} bytes;

static void take(bytes *b, const char *name)
{
    b->name = name;
    ath_data_path(&data, name, b->path);
    CHECK_OK(ath_file_read(b->path, 1 << 20, &b->byte, &b->n));
}

static void check_refusal(const bytes *b, size_t at)
{
    const ath_err err = load(folder, 7);
    const bool is_named = err == ATH_EFORMAT && strstr(ath_err_text(), b->name);
    if (!is_named) printf("%s, byte %zu of %zu: %s\n", b->name, at, b->n, ath_err_text());
    CHECK(is_named);
    ath_err_clear();
    if (at % 61 == 0) CHECK(newest(folder) == 6); /* the one before is used */
}

/* Put as it is now, it is refused. */
static void check_refused(const bytes *b, size_t n, size_t at)
{
    CHECK_OK(ath_data_put(&data, b->name, b->byte, n));
    check_refusal(b, at);
}

static void check_bits(const bytes *b)
{
    const int fd = open(b->path, O_WRONLY);

    for (size_t i = 0; i < b->n; i += ATH_TORTURE ? 13 : 1) { /* which reads 23 bytes at a time */
        const char bad = (char)(b->byte[i] ^ 1 << i % 8);
        CHECK(pwrite(fd, &bad, 1, (off_t)i) == 1);
        check_refusal(b, i);
        CHECK(pwrite(fd, &b->byte[i], 1, (off_t)i) == 1);
    }
    close(fd);
}

static void check_cuts(const bytes *b)
{
    for (size_t n = 0; n < b->n; n += SECTOR) check_refused(b, n, n);
    check_refused(b, b->n - 1, b->n - 1);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void exchange(char *a, char *b, size_t n)
{
    char was[BLOCK];

    memcpy(was, a, n);
    memcpy(a, b, n);
    memcpy(b, was, n);
}

static void check_blocks(bytes *b)
{
    char was[BLOCK];

    for (size_t at = 0; at < b->n; at += BLOCK) {
        const size_t n = least(BLOCK, b->n - at);
        memcpy(was, b->byte + at, n);
        for (int how = 0; how < 2; how++) {
            memset(b->byte + at, how ? 0xff : 0, n);
            if (memcmp(was, b->byte + at, n) != 0) check_refused(b, b->n, at);
            memcpy(b->byte + at, was, n);
        }
        for (size_t with = 0; with < at; with += BLOCK) {
            exchange(b->byte + at, b->byte + with, n);
            if (memcmp(was, b->byte + at, n) != 0) check_refused(b, b->n, at);
            exchange(b->byte + at, b->byte + with, n);
        }
    }
}

static void check_damage(const char *name)
{
    bytes b = {0};

    take(&b, name);
    CHECK(b.n > 200);
    check_bits(&b);
    check_cuts(&b);
    check_blocks(&b);
    CHECK_OK(ath_data_put(&data, name, b.byte, b.n));
    CHECK_OK(load(folder, 7));
    ath_mem_free(&b.byte);
}

/* The numbers of `large` are found by their bytes. */
static void check_naming(void)
{
    bytes b = {0};
    size_t at = 0;

    take(&b, "run/step-00000007.h5");
    fill(7);
    while (at + sizeof large < b.n && memcmp(b.byte + at, large, sizeof large) != 0) at++;
    b.byte[at + 100] ^= 4;
    CHECK_OK(ath_data_put(&data, b.name, b.byte, b.n));
    CHECK_ERR(load(folder, 7), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "run/step-00000007.h5: tensor moment1/layer.weight is damaged");
    b.byte[at + 100] ^= 4;
    b.byte[8] ^= 1;
    CHECK_OK(ath_data_put(&data, b.name, b.byte, b.n));
    CHECK_ERR(load(folder, 7), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "between its tensors");
    CHECK(unlink(b.path) == 0);
    CHECK_ERR(load(folder, 7), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "missing");
    ath_mem_free(&b.byte);
}

/* ---- calls that fail ---- */

static bool is_mild(const faulty_io *f)
{
    return f->kind == FAULT_SHORT || (f->kind == FAULT_ERROR && f->code == EINTR);
}

/* A save over an older one, with a fault at its k-th call; false: it has no k-th call. */
static bool save_with(faulty_io *f, char where[ATH_TEST_PATH])
{
    char name[32];
    static int n_made;

    snprintf(name, sizeof name, "fault-%d", n_made++);
    ath_data_path(&data, name, where);
    CHECK_OK(save(where, 20, false, 1));
    const int64_t n_held = ath_mem_get_stats().n_held;
    faulty_io_install(f);
    const ath_err err = save(where, 21, false, 1);
    ath_io_replace(NULL);
    const bool is_right = !err || (!is_mild(f) && ath_err_exit_code(err) == 5);
    if (!is_right) printf("call %d, %s: %s\n", f->fail_at, f->failed, ath_err_text());
    CHECK(is_right);
    CHECK_EQ(ath_mem_get_stats().n_held, n_held);
    const int64_t is = newest(where);
    CHECK(is == 21 || (err && is == 20));
    CHECK(f->kind == FAULT_CRASH || f->n_open == 0);
    ath_err_clear();
    return f->n_calls >= f->fail_at;
}

static ath_err refuse_leftover(void *context, const char *name)
{
    (void)context;
    ATH_NEED(name[0] != '.', ATH_EIO, "%s was left", name);
    return ATH_OK;
}

/* What was left is gone after the next save, and what an error that lasts left was none. */
static void check_after(const faulty_io *f, const char *where)
{
    if (f->kind == FAULT_FULL) CHECK_OK(ath_folder_each(where, refuse_leftover, NULL));
    CHECK_OK(save(where, 22, false, 1));
    CHECK(newest(where) == 22);
    CHECK_OK(ath_folder_each(where, refuse_leftover, NULL));
}

static void check_faults(void)
{
    static const struct {
        fault_kind kind;
        int code;
    } faults[] = {{FAULT_ERROR, ENOSPC}, {FAULT_ERROR, EIO}, {FAULT_ERROR, EDQUOT},
                  {FAULT_ERROR, EINTR},  {FAULT_SHORT, 0},   {FAULT_FULL, ENOSPC},
                  {FAULT_CRASH, 0}};
    char where[ATH_TEST_PATH];

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int k = 1;
        for (;; k += ATH_TORTURE ? 17 : 1) { /* which reads 23 bytes at a time */
            faulty_io f = {.fail_at = k, .kind = faults[i].kind, .code = faults[i].code};
            if (!save_with(&f, where)) break;
            if (k % 4 == 1) check_after(&f, where);
        }
        CHECK(k > 40);
    }
}

/* ---- the same step again ---- */

static bool is_text_in(const char *name, const char *text)
{
    char path[ATH_TEST_PATH], *is = NULL;
    size_t n = 0;

    CHECK_OK(ath_file_read(ath_data_path(&data, name, path), 1 << 20, &is, &n));
    const bool has = is && strstr(is, text);
    ath_mem_free(&is);
    return has;
}

static void check_again(void)
{
    char where[ATH_TEST_PATH];
    int k = 0;
    bool has_failed = true;

    ath_data_path(&data, "again", where);
    CHECK_OK(save(where, 21, false, 1));
    for (k = 1; has_failed; k += ATH_TORTURE ? 13 : 1) { /* which reads 23 bytes at a time */
        faulty_io f = {.fail_at = k, .kind = k % 2 ? FAULT_CRASH : FAULT_ERROR, .code = EIO};
        faulty_io_install(&f);
        if (save(where, 21, true, 1)) ath_err_clear();
        ath_io_replace(NULL);
        CHECK(newest(where) == 21);
        has_failed = f.n_calls >= k;
    }
    CHECK(k > 10 && is_text_in("again/step-00000021.manifest", "pinned 1"));
    CHECK_OK(save(where, 21, false, 1));
    CHECK(is_text_in("again/step-00000021.manifest", "pinned 1") && newest(where) == 21);
}

static int state_in(const char *where)
{
    ath_checkpoint_file *f = NULL;

    CHECK_OK(ath_checkpoint_open(where, 21, &f));
    if (!f) return -1;
    const uint64_t high = ath_checkpoint_get_facts(f)->digest.hi;
    ath_checkpoint_close(&f);
    return (int)(high - UINT64_C(0xfedcba9876543210));
}

static ath_err count_name(void *n, const char *name)
{
    (void)name;
    ++*(int *)n;
    return ATH_OK;
}

/* The only one there is, replaced by another of its step: one of both is whole after any call. */
static void check_replacing(void)
{
    char where[ATH_TEST_PATH];
    bool has_failed = true;
    int n_kept = 0, n_new = 0, n_files = 0;

    ath_data_path(&data, "replaced", where);
    CHECK_OK(save(where, 21, true, 1));
    for (int k = 1; has_failed; k += ATH_TORTURE ? 17 : 1) { /* which reads 23 bytes at a time */
        const int was = state;
        faulty_io f = {.fail_at = k, .kind = k % 2 ? FAULT_CRASH : FAULT_ERROR, .code = EIO};
        state++;
        faulty_io_install(&f);
        const ath_err err = save(where, 21, true, 1);
        ath_io_replace(NULL);
        ath_err_clear();
        const int is = state_in(where);
        CHECK(is == state || (err && is == was));
        n_kept += is == was;
        n_new += is == state;
        state = is;
        CHECK_OK(load(where, 21));
        has_failed = f.n_calls >= k;
    }
    CHECK(n_kept > 3 && n_new > 1);
    CHECK_OK(ath_folder_each(where, count_name, &n_files));
    CHECK_EQ(n_files, 2); /* of the last, which nothing kept from clearing up */
    state = 0;
}

/* ---- later versions, other files ---- */

/* A manifest of that version, with the digest that it must have. */
static void put_version(const char *name, const char *version)
{
    char hash[ATH_HASH_TEXT];
    ath_str s = {0};
    bytes b = {0};

    take(&b, name);
    const char *rest = strchr(b.byte, '\n'), *end = strstr(b.byte, "\nend ");
    ATH_ASSERT(rest && end);
    ath_str_print(&s, "athanor checkpoint %s%.*s\n", version, (int)(end - rest), rest);
    ath_hash_print(ath_hash_of(ath_str_text(&s), s.n), hash);
    ath_str_print(&s, "end %s\n", hash);
    CHECK_OK(ath_str_check(&s));
    CHECK_OK(ath_data_put(&data, name, ath_str_text(&s), s.n));
    ath_str_release(&s);
    ath_mem_free(&b.byte);
}

/* An HDF5 file with a manifest that fits it. */
static void put_other(const char *where, const char *kind, int64_t version)
{
    char h5[ATH_TEST_PATH + 32], manifest[ATH_TEST_PATH + 32];
    ath_manifest *m = NULL;
    ath_h5 *h = NULL;

    snprintf(h5, sizeof h5, "%s/step-00000040.h5", where);
    snprintf(manifest, sizeof manifest, "%s/step-00000040.manifest", where);
    CHECK_OK(ath_h5_create(h5, &h));
    CHECK_OK(ath_h5_note_text(h, "", "format", kind));
    CHECK_OK(ath_h5_note_int(h, "", "version", version));
    CHECK_OK(ath_h5_commit(&h));
    CHECK_OK(ath_manifest_create(&m));
    CHECK_OK(ath_manifest_measure(m, h5));
    CHECK_OK(ath_manifest_publish(m, manifest));
    ath_manifest_destroy(&m);
}

static void check_versions(void)
{
    char where[ATH_TEST_PATH];

    ath_data_path(&data, "later", where);
    CHECK_OK(save(where, 30, false, 1));
    put_version("later/step-00000030.manifest", "1");
    CHECK_OK(load(where, 30));
    put_version("later/step-00000030.manifest", "2");
    CHECK_ERR(load(where, 30), ATH_ENOTSUP);
    CHECK_HAS(ath_err_text(), "a checkpoint of version 2, but this program knows up to 1");
    CHECK_OK(save(where, 31, false, 1));
    CHECK_OK(save(where, 32, false, 1));
    CHECK(is_there("later/step-00000030.manifest") && is_there("later/step-00000030.h5"));
    CHECK(!is_there("later/step-00000031.manifest"));
    CHECK_ERR(save(where, 30, false, 1), ATH_ENOTSUP); /* in its place there is none */
    put_version("later/step-00000030.manifest", "0");
    CHECK_ERR(load(where, 30), ATH_EFORMAT);
    put_version("later/step-00000030.manifest", "1");
    CHECK_OK(load(where, 30));
    put_other(where, "athanor checkpoint", 2);
    CHECK_ERR(load(where, 40), ATH_ENOTSUP);
    put_other(where, "athanor cache", 1);
    CHECK_ERR(load(where, 40), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "no checkpoint of athanor");
    ath_err_clear();
}

/* ---- what cannot be removed ---- */

static int keep_old(void *user, const char *path)
{
    if (strstr(path, "step-00000050.h5")) {
        errno = EACCES;
        return -1;
    }
    return ath_io_machine.unlink(user, path);
}

static void check_removing(void)
{
    ath_io io = ath_io_machine;
    char where[ATH_TEST_PATH];

    ath_data_path(&data, "stuck", where);
    CHECK_OK(save(where, 50, false, 1));
    io.unlink = keep_old;
    ath_io_replace(&io);
    CHECK_OK(save(where, 51, false, 1));
    ath_io_replace(NULL);
    CHECK(newest(where) == 51 && is_there("stuck/step-00000050.h5"));
    CHECK_OK(save(where, 52, false, 1));
    CHECK(!is_there("stuck/step-00000050.h5") && !is_there("stuck/step-00000051.h5"));
}

int main(int argc, char **argv)
{
    ATH_ASSERT(argc == 2 || argc == 3);
    ATH_ASSERT(!ath_data_folder_make(&data));
    ath_data_path(&data, "run", folder);
    if (argc == 3) return save(argv[1], 5, false, 1) != ATH_OK;
    ath_test_begin("golden");
    CHECK_OK(load(argv[1], 5));
    ath_test_begin("round trip");
    check_round_trip();
    ath_test_begin("keeping");
    check_keeping();
    ath_test_begin("damage");
    check_damage("run/step-00000007.h5");
    check_damage("run/step-00000007.manifest");
    check_naming();
    ath_test_begin("faults");
    check_faults();
    ath_test_begin("the same step again");
    check_again();
    check_replacing();
    ath_test_begin("versions");
    check_versions();
    ath_test_begin("what cannot be removed");
    check_removing();
    ath_data_folder_remove(&data);
    return ath_test_end();
}
