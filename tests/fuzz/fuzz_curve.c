/* Any records as a curve.log: the input is records of up to 255 bytes, each behind a byte of length; what
 * is left over is the log's end. What is read is averaged and judged. */
#include "coordinator/curve.h"
#include "coordinator/curve_private.h"
#include "core/crc32c.h"
#include "core/io/file.h"
#include "core/mem.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* A disk of one file, in memory. */
typedef struct disk {
    ath_str file;
    size_t at;
} disk;

static int disk_open(void *user, const char *path, int flags)
{
    (void)path, (void)flags;
    ((disk *)user)->at = 0;
    return 1000;
}

static int64_t disk_read(void *user, int fd, void *to, size_t n)
{
    disk *d = user;
    const size_t left = d->file.n - d->at, k = n < left ? n : left;

    (void)fd;
    if (k) memcpy(to, d->file.text + d->at, k);
    d->at += k;
    return (int64_t)k;
}

static int disk_close(void *user, int fd)
{
    (void)user, (void)fd;
    return 0;
}

static void put_record(ath_str *file, const uint8_t *bytes, size_t n)
{
    uint8_t frame[8];

    ath_curve_put_u32(frame, (uint32_t)n);
    ath_curve_put_u32(frame + 4, ath_crc32c(ath_crc32c(0, frame, 4), bytes, n));
    ath_str_put(file, frame, sizeof frame);
    ath_str_put(file, bytes, n);
}

static void use(ath_curve *c)
{
    double *average = NULL;
    ath_judgement j;
    uint64_t uses = 0, listed = 0;

    ATH_ASSERT(!ATH_NEW(c->n_steps, "average", &average));
    ath_curve_smooth(c, ath_curve_window(c), average);
    ath_curve_judge(c, &j);
    ATH_ASSERT(strlen(j.text) > 0);
    for (int64_t i = 0; i < c->n_steps; i++) {
        ATH_ASSERT(i == 0 || c->step[i - 1]->step < c->step[i]->step);
        listed += c->step[i]->n_image;
    }
    for (int64_t i = 0; i < c->n_images; i++) uses += c->uses[i];
    ATH_ASSERT(uses == listed);
    ath_mem_free(&average);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    disk d = {0};
    const ath_io io = {.open = disk_open, .read = disk_read, .close = disk_close, .user = &d};
    ath_curve curve = {0};
    size_t at = 0;

    for (; at < n && bytes[at] && at + 1 + bytes[at] <= n; at += 1 + bytes[at])
        put_record(&d.file, bytes + at + 1, bytes[at]);
    if (at < n) ath_str_put(&d.file, bytes + at, n - at);
    ath_io_replace(&io);
    const ath_err err = ath_curve_read("input", &curve);
    ath_io_replace(NULL);
    if (!err) use(&curve);
    ath_curve_release(&curve);
    ath_str_release(&d.file);
    return 0;
}
