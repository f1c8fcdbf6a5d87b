#include "coordinator/curve.h"

#include "coordinator/curve_private.h"
#include "core/arena.h"
#include "core/crc32c.h"
#include "core/io/file.h"
#include "core/mem.h"
#include "proto/event.pb-c.h"
#include "proto/message.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>

/* ---- frames: length (8 bytes), its checksum, the bytes, their checksum ---- */

/* A checksum over bytes that hold checksums is rotated and shifted, so that it is none of them. */
static uint32_t masked(const void *bytes, size_t n)
{
    const uint32_t crc = ath_crc32c(0, bytes, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static ath_err put_event(const Athanor__Event *event, ath_str *to)
{
    uint8_t *bytes = NULL, frame[12] = {0}, end[4];
    size_t n = 0;

    ATH_TRY(ath_message_pack(&event->base, &bytes, &n));
    ath_curve_put_u32(frame, (uint32_t)n);
    ath_curve_put_u32(frame + 8, masked(frame, 8));
    ath_curve_put_u32(end, masked(bytes, n));
    ath_str_put(to, frame, sizeof frame);
    ath_str_put(to, bytes, n);
    ath_str_put(to, end, sizeof end);
    ath_mem_free(&bytes);
    return ath_str_check(to);
}

/* ---- what is in them ---- */

enum { FIXED_TAGS = 7, BANDS_MAX = 64 };

typedef struct writer {
    const ath_curve *curve;
    double *average;
    ath_arena memory;
    size_t n_concepts, n_bands;
    char **tag; /* of concepts, then of bands */
    Athanor__Scalar *scalar, **value;
    size_t n; /* of the step at hand */
    ath_str bytes;
} writer;

static void add(writer *w, const char *tag, bool is_given, double value)
{
    Athanor__Scalar *s = &w->scalar[w->n];

    if (!is_given || isnan(value)) return;
    *s = (Athanor__Scalar)ATHANOR__SCALAR__INIT;
    s->tag = (char *)(uintptr_t)tag; /* packing reads it only */
    s->has_simple_value = true;
    s->simple_value = (float)value;
    w->value[w->n++] = s;
}

static void add_shares(writer *w, Athanor__Share *const *share, size_t n, char *const *tag)
{
    for (size_t i = 0; i < n; i++) add(w, tag[i], share[i]->has_loss, share[i]->loss);
}

/* The names that other trainers of LoRA write, where they have one. */
static ath_err put_step(writer *w, int64_t i)
{
    const Athanor__Step *s = w->curve->step[i];
    Athanor__Summary summary = ATHANOR__SUMMARY__INIT;
    Athanor__Event event = ATHANOR__EVENT__INIT;
    double slowest = 0, waits = 0;

    w->n = 0;
    for (size_t r = 0; r < s->n_rank; r++) {
        slowest = fmax(slowest, s->rank[r]->seconds);
        waits += s->rank[r]->wait_seconds / (double)s->n_rank;
    }
    add(w, "loss/current", s->has_loss, s->loss);
    add(w, "loss/average", true, w->average[i]);
    add(w, "lr/unet", s->has_unet_rate, s->unet_rate);
    add(w, "lr/textencoder", s->has_text_encoder_rate, s->text_encoder_rate);
    add(w, "norm/gradient", s->has_gradient_norm, s->gradient_norm);
    add(w, "time/seconds", s->n_rank > 0, slowest);
    add(w, "time/wait_seconds", s->n_rank > 0, waits);
    add_shares(w, s->concept, s->n_concept < w->n_concepts ? s->n_concept : w->n_concepts, w->tag);
    add_shares(w, s->band, s->n_band < w->n_bands ? s->n_band : w->n_bands, w->tag + w->n_concepts);
    summary.n_value = w->n;
    summary.value = w->value;
    event.has_wall_time = event.has_step = true;
    event.wall_time = (double)s->wall_ns * 1e-9;
    event.step = (int64_t)s->step + 1;
    event.summary = &summary;
    return put_event(&event, &w->bytes);
}

static ath_err prepare(writer *w)
{
    const ath_curve *c = w->curve;
    const char *text = NULL;

    w->n_concepts = c->start ? c->start->n_concept : 0;
    for (int64_t i = 0; i < c->n_steps; i++)
        if (c->step[i]->n_band > w->n_bands) w->n_bands = c->step[i]->n_band;
    if (w->n_bands > BANDS_MAX) w->n_bands = BANDS_MAX;
    const size_t n_parts = w->n_concepts + w->n_bands, n_all = n_parts + FIXED_TAGS;
    ATH_TRY(ATH_ARENA_NEW(&w->memory, c->n_steps, &w->average));
    ATH_TRY(ATH_ARENA_NEW(&w->memory, n_parts, &w->tag));
    ATH_TRY(ATH_ARENA_NEW(&w->memory, n_all, &w->scalar));
    ATH_TRY(ATH_ARENA_NEW(&w->memory, n_all, &w->value));
    for (size_t i = 0; i < n_parts; i++) {
        if (i < w->n_concepts)
            ATH_TRY(ath_arena_print(&w->memory, &text, "loss_concept/%zu_%s", i,
                                    ath_curve_concept(c, i)));
        else
            ATH_TRY(
                ath_arena_print(&w->memory, &text, "loss_band/%03zu", 100 * (i - w->n_concepts)));
        w->tag[i] = (char *)(uintptr_t)text;
    }
    ath_curve_smooth(c, ath_curve_window(c), w->average);
    return ATH_OK;
}

static ath_err write_all(writer *w)
{
    Athanor__Event first = ATHANOR__EVENT__INIT;
    char version[] = "brain.Event:2";

    ATH_TRY(prepare(w));
    first.has_wall_time = true;
    if (w->curve->n_steps) first.wall_time = (double)w->curve->step[0]->wall_ns * 1e-9;
    first.file_version = version;
    ATH_TRY(put_event(&first, &w->bytes));
    for (int64_t i = 0; i < w->curve->n_steps; i++) ATH_TRY(put_step(w, i));
    return ATH_OK;
}

ath_err ath_curve_write_events(const ath_curve *curve, const char *folder, ath_str *path)
{
    writer w = {.curve = curve};
    ath_str name = {0};
    ath_err err = ATH_OK;

    /* named by its run's first second: written again, it replaces itself */
    const int64_t second = curve->n_steps ? curve->step[0]->wall_ns / 1000000000 : 0;
    ath_str_print(&name, "%s/events.out.tfevents.%010" PRId64 ".athanor", folder, second);
    ATH_TRY_OUT(ath_str_check(&name));
    ATH_TRY_OUT(write_all(&w));
    ATH_TRY_OUT(ath_sys(mkdir(folder, 0777) && errno != EEXIST ? -1 : 0, folder));
    ATH_TRY_OUT(ath_file_publish(ath_str_text(&name), w.bytes.text, w.bytes.n));
    if (path) ath_str_print(path, "%s", ath_str_text(&name));
out:
    ath_arena_release(&w.memory);
    ath_str_release(&w.bytes);
    ath_str_release(&name);
    return err;
}
