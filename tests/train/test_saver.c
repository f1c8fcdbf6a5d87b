/*
 * Checkpoints written beside the training: while the disk takes its time, at whichever call, the caller
 * goes on and the checkpoint before counts; also with HDF5 files of its own, byte for byte as if it were
 * alone. The files are those that the same checkpoint written in the foreground has; what went wrong is
 * told when it is taken, and the next one is as if nothing had been; what was begun is written though
 * nobody takes it.
 */
#include "core/io/h5.h"
#include "core/mem.h"
#include "core/time.h"
#include "tests/data_folder.h"
#include "tests/faulty_io.h"
#include "tests/harness.h"
#include "worker/run/saver.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { N = 5000, N_TENSORS = 40, MS = 1000000, LIMIT = 1 << 24 };

static ath_data_folder data;
static float numbers[N];
static ath_checkpoint_tensor tensors[N_TENSORS];
static char names[N_TENSORS][32];

static void fill(void)
{
    for (int i = 0; i < N; i++) numbers[i] = (float)(i % 977) * 0.25F;
    for (int i = 0; i < N_TENSORS; i++) {
        snprintf(names[i], sizeof names[i], "value/layer.%d", i);
        tensors[i] = (ath_checkpoint_tensor){
            .name = names[i], .n_dim = 1, .dim = {N - i}, .data = numbers + i};
    }
}

static ath_checkpoint checkpoint_of(int64_t step)
{
    return (ath_checkpoint){.facts = {.n_done = step, .plan = {1, 2}, .digest = {3, 4}},
                            .job = (const uint8_t *)"a job",
                            .job_bytes = 6,
                            .n_tensors = N_TENSORS,
                            .tensor = tensors};
}

/* ---- a disk that waits ---- */

static ath_io slow;
static _Atomic bool may_sync;
static _Atomic int n_waiting;

/* The first to sync waits until it may. */
static int sync_late(void *user, int fd)
{
    if (atomic_fetch_add(&n_waiting, 1) == 0)
        while (!atomic_load(&may_sync)) ath_time_sleep_ns(MS);
    return ath_io_machine.sync(user, fd);
}

static void let_wait(void)
{
    slow = ath_io_machine;
    slow.sync = sync_late;
    atomic_store(&n_waiting, 0);
    atomic_store(&may_sync, false);
    ath_io_replace(&slow);
}

/* As curve.h5 is written: many small datasets. */
static ath_err write_other(const char *path)
{
    ath_h5 *h = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_h5_create(path, &h));
    for (int i = 0; i < N_TENSORS; i++) {
        const ath_h5_array a = {ATH_H5_F32, 1, {i + 1}};
        ATH_TRY_OUT(ath_h5_write(h, names[i], &a, numbers));
        ATH_TRY_OUT(ath_h5_note_int(h, names[i], "i", i));
    }
    ATH_TRY_OUT(ath_h5_commit(&h));
out:
    ath_h5_close(&h);
    return err;
}

static void check_equal(const char *a, const char *b)
{
    char path[2][ATH_TEST_PATH], *text[2] = {NULL, NULL};
    size_t n[2] = {0};

    CHECK_OK(ath_file_read(ath_data_path(&data, a, path[0]), LIMIT, &text[0], &n[0]));
    CHECK_OK(ath_file_read(ath_data_path(&data, b, path[1]), LIMIT, &text[1], &n[1]));
    CHECK(n[0] == n[1] && n[0] > 0);
    if (n[0] == n[1] && n[0] > 0) CHECK_BITS(text[0], text[1], n[0]);
    ath_mem_free(&text[0]);
    ath_mem_free(&text[1]);
}

static void check_beside(ath_saver *s, const char *folder)
{
    const ath_checkpoint c = checkpoint_of(7);
    char path[ATH_TEST_PATH];

    let_wait();
    CHECK_OK(ath_saver_begin(s, folder, &c, 2));
    while (atomic_load(&n_waiting) == 0) ath_time_sleep_ns(MS);
    CHECK_OK(write_other(ath_data_path(&data, "beside.h5", path)));
    CHECK(ath_saver_is_pending(s) && !ath_saver_is_done(s));
    atomic_store(&may_sync, true);
    CHECK_OK(ath_saver_take(s));
    CHECK(!ath_saver_is_pending(s) && !ath_saver_is_done(s));
    CHECK_OK(ath_saver_take(s));
    ath_io_replace(NULL);
    CHECK_OK(write_other(ath_data_path(&data, "alone.h5", path)));
    check_equal("beside.h5", "alone.h5");
}

/* Both at the library at once, all the time. */
static void check_together(ath_saver *s, const char *folder)
{
    char path[ATH_TEST_PATH];

    for (int64_t step = 10; step < 14; step++) {
        const ath_checkpoint c = checkpoint_of(step);
        CHECK_OK(ath_saver_begin(s, folder, &c, 2));
        do CHECK_OK(write_other(ath_data_path(&data, "beside.h5", path)));
        while (!ath_saver_is_done(s));
        CHECK_OK(ath_saver_take(s));
        check_equal("beside.h5", "alone.h5");
    }
    const ath_checkpoint c = checkpoint_of(13);
    CHECK_OK(ath_checkpoint_write(ath_data_path(&data, "front", path), &c, 2));
    check_equal("back/step-00000013.h5", "front/step-00000013.h5");
    check_equal("back/step-00000013.manifest", "front/step-00000013.manifest");
}

static int64_t newest(const char *folder)
{
    int64_t *steps = NULL, n = 0;

    CHECK_OK(ath_checkpoint_list(folder, &steps, &n));
    const int64_t step = n ? steps[0] : 0;
    ath_mem_free(&steps);
    return step;
}

static void check_failing(ath_saver *s, const char *folder)
{
    faulty_io f = {.fail_at = 20, .kind = FAULT_ERROR, .code = ENOSPC};
    const ath_checkpoint c = checkpoint_of(20);

    faulty_io_install(&f);
    CHECK_OK(ath_saver_begin(s, folder, &c, 2));
    const ath_err err = ath_saver_take(s);
    ath_io_replace(NULL);
    CHECK(ath_err_exit_code(err) == 5);
    CHECK_HAS(ath_err_text(), "step-00000020");
    ath_err_clear();
    CHECK(newest(folder) == 13);
    CHECK_OK(ath_saver_begin(s, folder, &c, 2));
    CHECK_OK(ath_saver_take(s));
    CHECK(newest(folder) == 20);
}

/* Each call of a save in turn takes for ever: the caller goes on, and the checkpoint before counts. */
static void check_late(ath_saver *s, const char *folder)
{
    bool has_waited = true;

    for (int k = 1; has_waited; k += ATH_TORTURE ? 17 : 1) { /* which reads 23 bytes at a time */
        faulty_io f = {.fail_at = k, .kind = FAULT_WAIT};
        const ath_checkpoint c = checkpoint_of(20 + k);
        const int64_t before = newest(folder);
        faulty_io_install(&f);
        CHECK_OK(ath_saver_begin(s, folder, &c, 1));
        while (!atomic_load(&f.is_waiting) && !ath_saver_is_done(s)) ath_time_sleep_ns(MS / 10);
        has_waited = atomic_load(&f.is_waiting);
        ath_io_replace(NULL); /* no other call waits */
        const int64_t now = newest(folder);
        CHECK(now == 20 + k || (has_waited && now == before));
        CHECK(ath_saver_is_done(s) == !has_waited);
        atomic_store(&f.may_go_on, true);
        CHECK_OK(ath_saver_take(s));
        CHECK(newest(folder) == 20 + k);
    }
}

static void check_making(void)
{
    ath_saver *s = NULL;
    const int64_t n_held = ath_mem_get_stats().n_held;

    for (int n = 1; !s && n < 20; n++) {
        ath_mem_fail_from(n);
        const ath_err err = ath_saver_create(&s);
        ath_mem_fail_from(0);
        CHECK(!err || err == ATH_ENOMEM);
        CHECK(!err || ath_mem_get_stats().n_held == n_held);
    }
    CHECK(s != NULL);
    ath_saver_destroy(&s);
    CHECK_EQ(ath_mem_get_stats().n_held, n_held);
    ath_err_clear();
}

int main(void)
{
    const ath_checkpoint last = checkpoint_of(9000);
    char folder[ATH_TEST_PATH];
    ath_saver *s = NULL;

    ATH_ASSERT(!ath_data_folder_make(&data));
    ath_data_path(&data, "back", folder);
    fill();
    ath_test_begin("making one");
    check_making();
    ath_test_begin("going on beside it");
    CHECK_OK(ath_saver_create(&s));
    if (!s) return ath_test_end();
    check_beside(s, folder);
    ath_test_begin("both at once");
    check_together(s, folder);
    ath_test_begin("a full disk");
    check_failing(s, folder);
    ath_test_begin("each call late");
    check_late(s, folder);
    ath_test_begin("nobody takes it");
    CHECK_OK(ath_saver_begin(s, folder, &last, 2));
    ath_saver_destroy(&s);
    CHECK(newest(folder) == 9000);
    ath_data_folder_remove(&data);
    return ath_test_end();
}
