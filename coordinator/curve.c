#include "coordinator/curve.h"

#include "coordinator/curve_private.h"
#include "core/crc32c.h"
#include "core/io/file.h"
#include "core/mem.h"
#include "proto/message.h"
#include <inttypes.h>
#include <string.h>

/* Before each record: bytes of the record, CRC-32C of these four bytes and the record. */
enum { FRAME_BYTES = 8, RECORD_BYTES_MAX = 1 << 28, ROOM_BYTES = 1 << 16, BLOCK_BYTES = 512 };
static const size_t file_bytes_max = (size_t)1 << 36;

/* ---- frames ---- */

static uint32_t checksum(const uint8_t *frame, size_t n)
{
    return ath_crc32c(ath_crc32c(0, frame, 4), frame + FRAME_BYTES, n);
}

/* Bytes of the whole record at the front of `n` bytes, without its frame; 0: there is none. */
static size_t whole_record(const uint8_t *at, size_t n)
{
    if (n <= FRAME_BYTES) return 0;
    const size_t bytes = ath_curve_u32(at);
    if (bytes == 0 || bytes > n - FRAME_BYTES || bytes > RECORD_BYTES_MAX) return 0;
    return checksum(at, bytes) == ath_curve_u32(at + 4) ? bytes : 0;
}

/* The first whole record from `at` on; n: none. A record begins with the tag of one of its three kinds,
 * so few places are summed up. */
static size_t next_record(const uint8_t *bytes, size_t at, size_t n)
{
    for (; at + FRAME_BYTES < n; at++) {
        const uint8_t tag = bytes[at + FRAME_BYTES];
        if ((tag == 0x0a || tag == 0x12 || tag == 0x1a) && whole_record(bytes + at, n - at))
            return at;
    }
    return n;
}

/* Whether a block of a disk lacks in what begins at `at`: the rest of its first one or a whole one. */
static bool has_gap(const uint8_t *bytes, size_t at, size_t end)
{
    for (size_t i = at, next = 0; i < end; i = next) {
        size_t n_zeros = 0;
        next = (i / BLOCK_BYTES + 1) * BLOCK_BYTES;
        while (i + n_zeros < next && i + n_zeros < end && !bytes[i + n_zeros]) n_zeros++;
        if (i + n_zeros == next) return true;
    }
    return false;
}

/* From `at` to `n`: the steps done after the last record of a step, or the most that a checkpoint was
 * made of. */
static ath_err count_steps(const uint8_t *bytes, size_t at, size_t n, bool is_saved, uint64_t *out)
{
    *out = 0;
    for (size_t k = 0; (at = next_record(bytes, at, n)) < n; at += FRAME_BYTES + k) {
        ProtobufCMessage *m = NULL;
        k = whole_record(bytes + at, n - at);
        ATH_TRY(ath_message_unpack(&athanor__record__descriptor, bytes + at + FRAME_BYTES, k, &m));
        const Athanor__Record *r = (const Athanor__Record *)(const void *)m;
        if (!is_saved && r->is_case == ATHANOR__RECORD__IS_STEP) *out = r->step->step + 1;
        if (is_saved && r->is_case == ATHANOR__RECORD__IS_MARK && r->mark->what &&
            strcmp(r->mark->what, "checkpoint") == 0 && r->mark->step > *out)
            *out = r->mark->step;
        ath_message_drop(m);
    }
    return ATH_OK;
}

/* What was not synced may lie on the disk after a power cut without what came before it: there are
 * zeros then. Nothing that a checkpoint stands on is lost so, for it was synced. */
static ath_err is_hole(const uint8_t *bytes, size_t at, size_t n, bool *out)
{
    const size_t next = next_record(bytes, at + 1, n);
    uint64_t n_before = 0, n_saved = 0;

    *out = next == n;
    if (next == n || !has_gap(bytes, at, next)) return ATH_OK;
    ATH_TRY(count_steps(bytes, 0, at, false, &n_before));
    ATH_TRY(count_steps(bytes, next, n, true, &n_saved));
    *out = n_saved <= n_before;
    return ATH_OK;
}

/* Gives each record to `take` in order, and how many bytes are whole records. */
typedef ath_err take_fn(void *context, Athanor__Record *record);

static ath_err each_record(const char *path, const uint8_t *bytes, size_t n, take_fn *take,
                           void *context, size_t *n_whole)
{
    size_t at = 0;

    for (size_t k; (k = whole_record(bytes + at, n - at)) > 0; at += FRAME_BYTES + k) {
        ProtobufCMessage *m = NULL;
        if (!take) continue;
        ath_err err =
            ath_message_unpack(&athanor__record__descriptor, bytes + at + FRAME_BYTES, k, &m);
        ATH_NEED(err != ATH_EFORMAT, ATH_EFORMAT,
                 "%s: the record at byte %zu is whole, but nothing that a run writes", path, at);
        if (!err) err = take(context, (Athanor__Record *)(void *)m);
        ath_message_drop(m);
        if (err) return ath_pass_at(err, __FILE__, __LINE__, "take");
    }
    bool is_end = false;
    ATH_TRY(is_hole(bytes, at, n, &is_end));
    ATH_NEED(is_end, ATH_EFORMAT,
             "%s: the record at byte %zu of %zu is damaged (its checksum is wrong), and whole ones "
             "follow; take the file from a backup, or cut it there to lose what follows",
             path, at, n);
    *n_whole = at;
    return ATH_OK;
}

/* ---- writing ---- */

struct ath_curve_log {
    ath_append file;
    uint8_t *room; /* a frame with its record, put at once */
    size_t n_room;
};

/* How many bytes of the file are whole records; 0 where there is no file. */
static ath_err find_end(const char *path, size_t *out)
{
    char *bytes = NULL;
    size_t n = 0;
    ath_err err = ath_file_read(path, file_bytes_max, &bytes, &n);

    *out = 0;
    if (err == ATH_EMISSING) {
        ath_err_clear();
        return ATH_OK;
    }
    if (!err) err = each_record(path, (const uint8_t *)bytes, n, NULL, NULL, out);
    ath_mem_free(&bytes);
    return err;
}

ath_err ath_curve_log_open(const char *path, ath_curve_log **out)
{
    ath_curve_log *log = NULL;
    ath_err err = ATH_OK;
    size_t n = 0;

    ATH_TRY_OUT(ATH_NEW(1, "curve", &log));
    log->file.fd = -1;
    ATH_TRY_OUT(ATH_NEW(ROOM_BYTES, "records of the curve", &log->room));
    log->n_room = ROOM_BYTES;
    ATH_TRY_OUT(find_end(path, &n));
    ATH_TRY_OUT(ath_append_open(&log->file, path, (int64_t)n));
    *out = log;
    log = NULL;
out:
    ath_curve_log_close(&log);
    return err;
}

ath_err ath_curve_log_put(ath_curve_log *log, const Athanor__Record *record)
{
    const size_t n = athanor__record__get_packed_size(record), all = n + FRAME_BYTES;

    ATH_NEED(n > 0 && n <= RECORD_BYTES_MAX, ATH_ELIMIT,
             "%s: a record of %zu bytes, wanted 1 to %d", log->file.path, n, RECORD_BYTES_MAX);
    if (all > log->n_room) {
        uint8_t *more = NULL;
        ATH_TRY(ATH_NEW(2 * all, "records of the curve", &more));
        ath_mem_free(&log->room);
        log->room = more;
        log->n_room = 2 * all;
    }
    athanor__record__pack(record, log->room + FRAME_BYTES);
    ath_curve_put_u32(log->room, (uint32_t)n);
    ath_curve_put_u32(log->room + 4, checksum(log->room, n));
    return ath_append_put(&log->file, log->room, all);
}

ath_err ath_curve_log_sync(ath_curve_log *log)
{
    return ath_append_sync(&log->file);
}

void ath_curve_log_close(ath_curve_log **log)
{
    if (!*log) return;
    ath_append_close(&(*log)->file);
    ath_mem_free(&(*log)->room);
    ath_mem_free(log);
}

/* ---- reading ---- */

typedef struct reader {
    ath_curve *curve;
    int64_t step_room, mark_room;
} reader;

static void drop_steps(ath_curve *c, int64_t n)
{
    while (c->n_steps > n) ath_message_drop(&c->step[--c->n_steps]->base);
}

/* What is recorded again: steps from this one on, marks after it. */
static void forget_from(ath_curve *c, uint64_t step)
{
    int64_t n = c->n_steps, kept = 0;

    while (n > 0 && c->step[n - 1]->step >= step) n--;
    if (n == c->n_steps) return;
    drop_steps(c, n);
    for (int64_t i = 0; i < c->n_marks; i++) {
        if (c->mark[i]->step <= step)
            c->mark[kept++] = c->mark[i];
        else
            ath_message_drop(&c->mark[i]->base);
    }
    c->n_marks = kept;
}

static ath_err take_record(void *context, Athanor__Record *r)
{
    reader *to = context;
    ath_curve *c = to->curve;

    switch (r->is_case) {
    case ATHANOR__RECORD__IS_START:
        if (c->start) ath_message_drop(&c->start->base);
        c->start = r->start;
        break;
    case ATHANOR__RECORD__IS_STEP:
        forget_from(c, r->step->step);
        ATH_TRY(ath_mem_grow(&c->step, c->n_steps, &to->step_room, sizeof *c->step, "steps"));
        c->step[c->n_steps++] = r->step;
        break;
    case ATHANOR__RECORD__IS_MARK:
        ATH_TRY(ath_mem_grow(&c->mark, c->n_marks, &to->mark_room, sizeof *c->mark, "marks"));
        c->mark[c->n_marks++] = r->mark;
        break;
    case ATHANOR__RECORD__IS__NOT_SET: /* of a later version */
    case _ATHANOR__RECORD__IS__CASE_IS_INT_SIZE:
        return ATH_OK;
    }
    r->start = NULL; /* it lives on in the curve */
    r->is_case = ATHANOR__RECORD__IS__NOT_SET;
    return ATH_OK;
}

/* The ledger: uses by the steps that count, which are found to be what a run can write. */
static ath_err count_uses(const char *path, ath_curve *c)
{
    static const uint64_t last = UINT64_C(1) << 53;

    c->n_images = c->start ? (int64_t)c->start->n_image : 0;
    ATH_TRY(ATH_NEW(c->n_images, "ledger", &c->uses));
    for (int64_t i = 0; i < c->n_steps; i++) {
        const Athanor__Step *s = c->step[i];
        ATH_NEED(s->step < last && s->epoch < last, ATH_EFORMAT,
                 "%s: step %" PRIu64 " of epoch %" PRIu64 ", wanted less than 2^53", path, s->step,
                 s->epoch);
        for (size_t k = 0; k < s->n_image; k++) {
            ATH_NEED(s->image[k] < (uint64_t)c->n_images, ATH_EFORMAT,
                     "%s: step %" PRIu64 " used picture %u, and the run has %" PRId64, path,
                     s->step, s->image[k], c->n_images);
            c->uses[s->image[k]]++;
        }
    }
    return ATH_OK;
}

ath_err ath_curve_read(const char *path, ath_curve *out)
{
    ath_err err = ATH_OK;
    ath_curve curve = {0};
    reader to = {.curve = &curve};
    char *bytes = NULL;
    size_t n = 0, n_whole = 0;

    ATH_TRY_OUT(ath_file_read(path, file_bytes_max, &bytes, &n));
    ATH_TRY_OUT(each_record(path, (const uint8_t *)bytes, n, take_record, &to, &n_whole));
    ATH_TRY_OUT(count_uses(path, &curve));
    curve.n_cut = (int64_t)(n - n_whole);
    *out = curve;
    curve = (ath_curve){0};
out:
    ath_curve_release(&curve);
    ath_mem_free(&bytes);
    return err;
}

void ath_curve_release(ath_curve *c)
{
    drop_steps(c, 0);
    for (int64_t i = 0; i < c->n_marks; i++) ath_message_drop(&c->mark[i]->base);
    if (c->start) ath_message_drop(&c->start->base);
    ath_mem_free(&c->step);
    ath_mem_free(&c->mark);
    ath_mem_free(&c->uses);
    *c = (ath_curve){0};
}
