/*
 * curve.log: what was put is read, by steps, with replays in place of what they repeat and a ledger
 * that adds up. Cut anywhere, the file loses at most its last record, and goes on. A bit turned over
 * anywhere but in the last record is refused with its place. Whatever call of the system fails, what
 * was put before stands, and nothing follows a torn record. Records are put without allocating.
 * TensorBoard's events hold every step in frames whose checksums are right; curve.h5 holds every number
 * with its unit, NaN where a share had no samples.
 */
#include "coordinator/curve.h"
#include "coordinator/curve_private.h"
#include "core/crc32c.h"
#include "core/io/file.h"
#include "core/io/h5.h"
#include "core/mem.h"
#include "proto/event.pb-c.h"
#include "proto/message.h"
#include "tests/data_folder.h"
#include "tests/faulty_io.h"
#include "tests/harness.h"
#include <errno.h>
#include <math.h>
#include <unistd.h>

static ath_data_folder data;
static char path[ATH_TEST_PATH];

/* ---- records ---- */

static ath_err put_start(ath_curve_log *log)
{
    char *concepts[] = {(char[]){"train/10_red fox"}, (char[]){"train/dogs"}};
    char *images[] = {(char[]){"a.png"}, (char[]){"b.png"}, (char[]){"c.png"}};
    Athanor__Start start = ATHANOR__START__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;

    start.name = (char[]){"test"};
    start.has_steps = true;
    start.steps = 100;
    start.n_concept = 2;
    start.concept = concepts;
    start.n_image = 3;
    start.image = images;
    record.is_case = ATHANOR__RECORD__IS_START;
    record.start = &start;
    return ath_curve_log_put(log, &record);
}

static ath_err put_step(ath_curve_log *log, uint64_t i, double loss)
{
    Athanor__Step step = ATHANOR__STEP__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;
    Athanor__Share shares[2] = {ATHANOR__SHARE__INIT, ATHANOR__SHARE__INIT};
    Athanor__Share *share[2] = {&shares[0], &shares[1]};
    Athanor__RankPart part = ATHANOR__RANK_PART__INIT, *rank = &part;
    uint32_t images[] = {(uint32_t)(i % 3), 2};

    shares[0].has_samples = shares[0].has_loss = true;
    shares[0].samples = 2;
    shares[0].loss = loss;
    part.has_seconds = part.has_wait_seconds = true;
    part.seconds = 2;
    part.wait_seconds = 0.5;
    step.has_step = step.has_loss = step.has_samples = step.has_wall_ns = true;
    step.step = i;
    step.loss = loss;
    step.samples = 2;
    step.wall_ns = 1700000000000000000 + (int64_t)i * 1000000000;
    step.has_unet_rate = true;
    step.unet_rate = 1e-4;
    step.n_concept = step.n_band = 2;
    step.concept = step.band = share;
    step.n_rank = 1;
    step.rank = &rank;
    step.n_image = 2;
    step.image = images;
    record.is_case = ATHANOR__RECORD__IS_STEP;
    record.step = &step;
    return ath_curve_log_put(log, &record);
}

static ath_err put_mark(ath_curve_log *log, uint64_t i, const char *what)
{
    Athanor__Mark mark = ATHANOR__MARK__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;
    char text[32];

    snprintf(text, sizeof text, "%s", what);
    mark.has_step = true;
    mark.step = i;
    mark.what = text;
    record.is_case = ATHANOR__RECORD__IS_MARK;
    record.mark = &mark;
    return ath_curve_log_put(log, &record);
}

/* A start and `n` steps. */
static ath_err write_steps(int n)
{
    ath_curve_log *log = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_curve_log_open(path, &log));
    ATH_TRY_OUT(put_start(log));
    for (int i = 0; i < n; i++) ATH_TRY_OUT(put_step(log, (uint64_t)i, 0.5 + i));
    ATH_TRY_OUT(ath_curve_log_sync(log));
out:
    ath_curve_log_close(&log);
    return err;
}

/* ---- what is promised ---- */

static void check_round(void)
{
    ath_curve c = {0};
    ath_curve_log *log = NULL;

    ath_test_begin("put and read");
    CHECK_ERR(ath_curve_read(path, &c), ATH_EMISSING);
    CHECK_OK(write_steps(6));
    CHECK_OK(ath_curve_log_open(path, &log));
    ath_mem_freeze();
    CHECK_OK(put_mark(log, 3, "saved"));
    CHECK_OK(put_mark(log, 4, "sampled"));
    CHECK_OK(put_mark(log, 5, "saved"));
    CHECK_OK(put_step(log, 4, 9)); /* again, after a resume */
    CHECK_OK(put_mark(log, 4, "resumed"));
    ath_mem_thaw();
    ath_curve_log_close(&log);
    ath_curve_log_close(&log);
    CHECK_OK(ath_curve_read(path, &c));
    CHECK_EQ(c.n_steps, 5);
    for (int64_t i = 0; i < c.n_steps; i++) {
        CHECK_EQ(c.step[i]->step, i);
        CHECK_NEAR(c.step[i]->loss, i == 4 ? 9 : 0.5 + (double)i, 0);
    }
    CHECK_EQ(c.n_marks, 3); /* that of step 5 was before the replay */
    CHECK_STR(c.mark[1]->what, "sampled");
    CHECK_STR(c.mark[2]->what, "resumed");
    CHECK(c.start && c.start->n_image == 3);
    CHECK_STR(ath_curve_concept(&c, 0), "red fox");
    CHECK_STR(ath_curve_concept(&c, 1), "dogs");
    CHECK_STR(ath_curve_concept(&c, 2), "");
    CHECK_EQ(c.n_images, 3); /* steps 0 to 4 used 0 1 2 0 1, and each of them 2 */
    CHECK_EQ(c.uses[0], 2);
    CHECK_EQ(c.uses[1], 2);
    CHECK_EQ(c.uses[2], 6);
    CHECK_EQ(c.n_cut, 0);
    ath_curve_release(&c);
    ath_curve_release(&c);
}

static void check_average(void)
{
    ath_curve c = {0};
    double average[6];
    int64_t n = 0;

    ath_test_begin("averages");
    unlink(path);
    CHECK_OK(write_steps(6)); /* 0.5 1.5 ... 5.5 */
    CHECK_OK(ath_curve_read(path, &c));
    CHECK_EQ(ath_curve_window(&c), 10);
    ath_curve_smooth(&c, 2, average);
    CHECK_NEAR(average[0], 0.5, 1e-12);
    CHECK_NEAR(average[5], 5, 1e-12);
    c.step[5]->loss = (double)NAN; /* does not count, and is gone later on */
    ath_curve_smooth(&c, 1, average);
    CHECK_NEAR(average[4], 4.5, 1e-12);
    CHECK(isnan(average[5]));
    CHECK_NEAR(ath_curve_part_loss(&c, ATH_CURVE_CONCEPT, 0, 3, &n), 4.5, 1e-12);
    CHECK_EQ(n, 6);
    CHECK(isnan(ath_curve_part_loss(&c, ATH_CURVE_BAND, 1, 3, &n)));
    CHECK_EQ(n, 0);
    ath_curve_release(&c);
}

/* The file's bytes with a change; how many steps are read, or -1 where it is refused. */
static int64_t steps_in(const char *bytes, size_t n, int64_t *n_cut)
{
    ath_curve c = {0};
    int64_t steps = -1;

    CHECK_OK(ath_file_publish(path, bytes, n));
    const ath_err err = ath_curve_read(path, &c);
    if (!err) steps = c.n_steps;
    *n_cut = c.n_cut;
    CHECK(!err || err == ATH_EFORMAT);
    ath_curve_release(&c);
    return steps;
}

static void check_damage(void)
{
    char *bytes = NULL;
    size_t n = 0, ends[5] = {0};
    int64_t n_cut = 0;

    ath_test_begin("torn and damaged");
    unlink(path);
    CHECK_OK(write_steps(3));
    CHECK_OK(ath_file_read(path, 1 << 20, &bytes, &n));
    const uint8_t *at = (const uint8_t *)bytes;
    for (int i = 0; i < 4; i++) ends[i + 1] = ends[i] + 8 + ath_curve_u32(at + ends[i]);
    CHECK_EQ(ends[4], n);
    for (size_t cut = 0; cut < n; cut++) {
        int whole = 0;
        while (ends[whole + 1] <= cut) whole++;
        CHECK_EQ(steps_in(bytes, cut, &n_cut), whole > 1 ? whole - 1 : 0);
        CHECK_EQ(n_cut, cut - ends[whole]);
    }
    for (size_t i = 0; i < n; i += 5) {
        bytes[i] = (char)(bytes[i] ^ 1 << i % 8);
        CHECK_EQ(steps_in(bytes, n, &n_cut), i < ends[3] ? -1 : 2);
        if (i < ends[3]) CHECK_HAS(ath_err_text(), "the record at byte ");
        bytes[i] = (char)(bytes[i] ^ 1 << i % 8);
    }
    /* a torn end is cut when the run goes on */
    ath_curve_log *log = NULL;
    ath_curve c = {0};
    CHECK_EQ(steps_in(bytes, n - 1, &n_cut), 2);
    CHECK_OK(ath_curve_log_open(path, &log));
    CHECK_OK(put_step(log, 2, 7));
    ath_curve_log_close(&log);
    CHECK_OK(ath_curve_read(path, &c));
    CHECK_EQ(c.n_steps, 3);
    CHECK_EQ(c.n_cut, 0);
    ath_curve_release(&c);
    bytes[20] ^= 1;
    CHECK_EQ(steps_in(bytes, n, &n_cut), -1);
    CHECK_ERR(ath_curve_log_open(path, &log), ATH_EFORMAT);
    CHECK(log == NULL);
    ath_mem_free(&bytes);
}

/* Zeros in the middle are an end where nothing behind them had been on the disk for sure. */
static void check_holes(void)
{
    enum { BLOCK = 512 };
    ath_curve_log *log = NULL;
    char *bytes = NULL;
    size_t n = 0;
    int64_t n_cut = 0;

    ath_test_begin("holes");
    unlink(path);
    CHECK_OK(write_steps(20));
    CHECK_OK(ath_file_read(path, 1 << 20, &bytes, &n));
    CHECK(n > 3 * BLOCK);
    memset(bytes + BLOCK, 0, BLOCK - 1); /* no disk loses that */
    CHECK_EQ(steps_in(bytes, n, &n_cut), -1);
    memset(bytes + BLOCK, 0, BLOCK);
    const int64_t n_steps = steps_in(bytes, n, &n_cut);
    CHECK(n_steps > 2 && n_steps < 18 && n_cut > BLOCK);
    const int64_t marks[] = {n_steps, n_steps + 1};
    for (int i = 0; i < 2; i++) { /* a checkpoint of what is there, and of what would be lost */
        unlink(path);
        CHECK_OK(write_steps(20));
        CHECK_OK(ath_curve_log_open(path, &log));
        CHECK_OK(put_mark(log, (uint64_t)marks[i], "checkpoint"));
        ath_curve_log_close(&log);
        ath_mem_free(&bytes);
        CHECK_OK(ath_file_read(path, 1 << 20, &bytes, &n));
        memset(bytes + BLOCK, 0, BLOCK);
        CHECK_EQ(steps_in(bytes, n, &n_cut), i ? -1 : n_steps);
    }
    ath_mem_free(&bytes);
}

/* A record whose checksum is right and whose content is not ours, and a picture that is not there. */
static void check_content(void)
{
    uint8_t bytes[11] = {3, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x7f, 0x00};
    ath_curve c = {0};
    ath_curve_log *log = NULL;

    ath_test_begin("content");
    ath_curve_put_u32(bytes + 4, ath_crc32c(ath_crc32c(0, bytes, 4), bytes + 8, 3));
    CHECK_OK(ath_file_publish(path, bytes, sizeof bytes));
    CHECK_ERR(ath_curve_read(path, &c), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "the record at byte 0 is whole, but");
    unlink(path);
    CHECK_OK(ath_curve_log_open(path, &log));
    CHECK_OK(put_step(log, 7, 1)); /* without a start there are no pictures */
    ath_curve_log_close(&log);
    CHECK_ERR(ath_curve_read(path, &c), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "step 7 used picture 1, and the run has 0");
    const Athanor__Record nothing = ATHANOR__RECORD__INIT;
    CHECK_OK(ath_curve_log_open(path, &log));
    CHECK_ERR(ath_curve_log_put(log, &nothing), ATH_ELIMIT);
    ath_curve_log_close(&log);
}

/* Each call of the system fails in turn; then the run goes on, and no step is lost or torn. */
static void check_faults(fault_kind kind, int code)
{
    ath_test_begin(kind == FAULT_CRASH ? "crashes" : "faults and short writes");
    for (int at = 1;; at++) {
        faulty_io f = {.fail_at = at, .kind = kind, .code = code};
        ath_curve_log *log = NULL;
        ath_curve c = {0};
        int n_put = 0;
        unlink(path);
        faulty_io_install(&f);
        ath_err err = ath_curve_log_open(path, &log);
        if (!err) err = put_start(log);
        const bool is_begun = !err;
        for (; !err && n_put < 3; n_put += !err) err = put_step(log, (uint64_t)n_put, 1);
        const ath_err synced = log ? ath_curve_log_sync(log) : ATH_OK;
        if (log && is_begun && n_put < 3 && !f.is_crashed) /* a full disk has room again */
            for (; n_put < 3; n_put++) CHECK_OK(put_step(log, (uint64_t)n_put, 1));
        ath_curve_log_close(&log);
        ath_io_replace(NULL);
        CHECK_EQ(f.n_open, 0);
        if (!f.failed) break;
        if (code == EINTR)
            CHECK(!err && !synced);
        else if (kind == FAULT_ERROR && strcmp(f.failed, "sync") == 0)
            CHECK(err || synced);
        err = ath_curve_read(path, &c);
        CHECK(err == ATH_OK || (err == ATH_EMISSING && !is_begun));
        CHECK_EQ(c.n_steps, n_put);
        CHECK(kind == FAULT_CRASH || c.n_cut == 0);
        ath_curve_release(&c);
    }
}

static void check_torn_put(void)
{
    faulty_io f = {0};
    ath_curve_log *log = NULL;

    ath_test_begin("nothing follows a torn record");
    unlink(path);
    faulty_io_install(&f);
    CHECK_OK(ath_curve_log_open(path, &log));
    f.fail_at = f.n_calls + 1;
    f.kind = FAULT_CRASH; /* the write is torn, and truncating fails */
    CHECK_ERR(put_start(log), ATH_EIO);
    ath_io_replace(NULL);
    CHECK_ERR(put_start(log), ATH_EIO);
    CHECK_HAS(ath_err_text(), "nothing more is appended");
    ath_curve_log_close(&log);
}

static void check_memory(void)
{
    ath_test_begin("no memory");
    unlink(path);
    CHECK_OK(write_steps(3));
    for (int64_t n = 1;; n++) {
        ath_curve c = {0};
        ath_curve_log *log = NULL;
        ath_mem_fail_from(n);
        ath_err err = ath_curve_read(path, &c);
        ath_mem_fail_from(n);
        ath_err opened = ath_curve_log_open(path, &log);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
        CHECK(opened == ATH_OK || opened == ATH_ENOMEM);
        ath_curve_log_close(&log);
        ath_curve_release(&c);
        if (!err && !opened) break;
    }
}

/* ---- TensorBoard ---- */

static uint32_t masked(const uint8_t *bytes, size_t n)
{
    const uint32_t crc = ath_crc32c(0, bytes, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static double scalar(const Athanor__Event *e, const char *tag)
{
    for (size_t i = 0; e->summary && i < e->summary->n_value; i++)
        if (strcmp(e->summary->value[i]->tag, tag) == 0)
            return (double)e->summary->value[i]->simple_value;
    return (double)NAN;
}

static void check_events(void)
{
    ath_curve c = {0};
    ath_str name = {0};
    char folder[ATH_TEST_PATH], *bytes = NULL;
    size_t n = 0, at = 0;
    int64_t n_events = 0;

    ath_test_begin("events");
    unlink(path);
    CHECK_OK(write_steps(4));
    CHECK_OK(ath_curve_read(path, &c));
    ath_data_path(&data, "events", folder);
    CHECK_OK(ath_curve_write_events(&c, folder, NULL));
    CHECK_OK(ath_curve_write_events(&c, folder, &name));
    CHECK_HAS(ath_str_text(&name), "/events/events.out.tfevents.1700000000.athanor");
    CHECK_OK(ath_file_read(ath_str_text(&name), 1 << 20, &bytes, &n));
    for (; at + 12 <= n; n_events++) {
        const uint8_t *frame = (const uint8_t *)bytes + at;
        const uint32_t k = ath_curve_u32(frame);
        ProtobufCMessage *m = NULL;
        CHECK_EQ(ath_curve_u32(frame + 4), 0);
        CHECK_EQ(ath_curve_u32(frame + 8), masked(frame, 8));
        CHECK_EQ(ath_curve_u32(frame + 12 + k), masked(frame + 12, k));
        CHECK_OK(ath_message_unpack(&athanor__event__descriptor, frame + 12, k, &m));
        const Athanor__Event *e = (const Athanor__Event *)(const void *)m;
        if (n_events == 0) {
            CHECK_STR(e->file_version, "brain.Event:2");
        } else {
            CHECK_EQ(e->step, n_events);
            CHECK_NEAR(e->wall_time, 1700000000.0 + (double)(n_events - 1), 0);
            CHECK_NEAR(scalar(e, "loss/current"), (double)n_events - 0.5, 1e-6);
            CHECK_NEAR(scalar(e, "loss/average"), 0.5 * (double)n_events, 1e-6);
            CHECK_NEAR(scalar(e, "lr/unet"), 1e-4, 1e-10);
            CHECK_NEAR(scalar(e, "time/wait_seconds"), 0.5, 0);
            CHECK_NEAR(scalar(e, "loss_concept/0_red fox"), (double)n_events - 0.5, 1e-6);
            CHECK_NEAR(scalar(e, "loss_band/000"), (double)n_events - 0.5, 1e-6);
            CHECK(isnan(scalar(e, "lr/textencoder")) && isnan(scalar(e, "loss_band/100")));
        }
        ath_message_drop(m);
        at += 16 + k;
    }
    CHECK_EQ(n_events, 5);
    CHECK_EQ(at, n);
    ath_mem_free(&bytes);
    ath_str_release(&name);
    CHECK_ERR(ath_curve_write_events(&c, "/proc/none", NULL), ATH_EIO);
    for (int64_t k = 1;; k++) {
        ath_mem_fail_from(k);
        const ath_err err = ath_curve_write_events(&c, folder, NULL);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
        if (!err) break;
    }
    ath_curve_release(&c);
}

/* ---- HDF5 ---- */

static void check_h5(void)
{
    const char *names[] = {"step",          "epoch",           "samples",      "wall_time",
                           "loss",          "loss_average",    "unet_rate",    "text_encoder_rate",
                           "gradient_norm", "rank/loss",       "rank/seconds", "rank/wait_seconds",
                           "concept/loss",  "concept/samples", "band/loss",    "band/samples",
                           "skipped",       "digest"};
    ath_curve c = {0};
    ath_curve_log *log = NULL;
    ath_h5 *h5 = NULL;
    char file[ATH_TEST_PATH], *unit = NULL;
    double loss[6], shares[4][2];
    uint64_t uses[3];
    ath_h5_array shape;

    ath_test_begin("HDF5");
    unlink(path);
    CHECK_OK(write_steps(4));
    CHECK_OK(ath_curve_log_open(path, &log));
    for (uint64_t i = 0; i < 6; i++) CHECK_OK(put_mark(log, i, "saved")); /* more than steps */
    ath_curve_log_close(&log);
    CHECK_OK(ath_curve_read(path, &c));
    ath_data_path(&data, "curve.h5", file);
    CHECK_OK(ath_curve_write_h5(&c, file));
    CHECK_OK(ath_h5_open(file, &h5));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_OK(ath_h5_shape(h5, names[i], &shape));
        CHECK_EQ(shape.dim[0], 4);
        CHECK_OK(ath_h5_get_text(h5, names[i], "unit", &unit));
        ath_mem_free(&unit);
    }
    CHECK_OK(ath_h5_shape(h5, "mark/step", &shape));
    CHECK_EQ(shape.dim[0], 6);
    CHECK_OK(ath_h5_shape(h5, "digest", &shape));
    CHECK_EQ(shape.dim[1], 16);
    CHECK_OK(ath_h5_read(h5, "loss", ATH_H5_F64, loss, 4 * sizeof *loss));
    CHECK_NEAR(loss[3], 3.5, 0);
    CHECK_OK(ath_h5_read(h5, "rank/loss", ATH_H5_F64, loss, 4 * sizeof *loss));
    CHECK(isnan(loss[0]) && isnan(loss[3]));
    CHECK_OK(ath_h5_read(h5, "band/loss", ATH_H5_F64, shares, sizeof shares));
    CHECK_NEAR(shares[2][0], 2.5, 0);
    CHECK(isnan(shares[2][1]));
    CHECK_OK(ath_h5_read(h5, "ledger/uses", ATH_H5_U64, uses, sizeof uses));
    CHECK_EQ(uses[0] + uses[1] + uses[2], 8); /* two samples a step */
    CHECK_BITS(uses, c.uses, sizeof uses);
    ath_h5_close(&h5);
    CHECK_ERR(ath_curve_write_h5(&c, "/proc/none/curve.h5"), ATH_EIO);
    ath_curve_release(&c);
    CHECK_OK(ath_curve_write_h5(&c, file)); /* of nothing */
}

int main(void)
{
    if (ath_data_folder_make(&data)) return 1;
    ath_data_path(&data, "curve.log", path);
    check_round();
    check_average();
    check_damage();
    check_holes();
    check_content();
    check_faults(FAULT_ERROR, ENOSPC);
    check_faults(FAULT_ERROR, EIO);
    check_faults(FAULT_ERROR, EDQUOT);
    check_faults(FAULT_ERROR, EINTR);
    check_faults(FAULT_SHORT, 0);
    check_faults(FAULT_CRASH, 0);
    check_torn_put();
    check_memory();
    check_events();
    check_h5();
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    ath_data_folder_remove(&data);
    return ath_test_end();
}
