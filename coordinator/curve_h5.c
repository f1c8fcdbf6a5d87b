#include "coordinator/curve.h"

#include "core/io/h5.h"
#include "core/mem.h"
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { DIGEST_BYTES = 16 };

/* Lists of a step with a member for each rank, concept or band. */
typedef enum lists { ONE, RANK, CONCEPT, BAND } lists;

/* name, whose, message, field, unit: numbers that a step may lack */
#define REAL_MAP(X)                                                                        \
    X("loss", ONE, Step, loss, "mean squared error over the samples of all ranks")         \
    X("unet_rate", ONE, Step, unet_rate, "learning rate")                                  \
    X("text_encoder_rate", ONE, Step, text_encoder_rate, "learning rate")                  \
    X("gradient_norm", ONE, Step, gradient_norm, "before clipping")                        \
    X("rank/loss", RANK, RankPart, loss, "mean squared error over its samples, NaN: none") \
    X("rank/seconds", RANK, RankPart, seconds, "s")                                        \
    X("rank/wait_seconds", RANK, RankPart, wait_seconds, "s, of these, for other ranks")   \
    X("rank/load_seconds", RANK, RankPart, load_seconds, "s, of these, for pictures")      \
    X("concept/loss", CONCEPT, Share, loss, "mean squared error, NaN: no samples")         \
    X("band/loss", BAND, Share, loss, "mean squared error, NaN: no samples")

typedef struct real_row {
    const char *name;
    lists per;
    size_t at, given_at;
    const char *unit;
} real_row;

static const real_row real_rows[] = {
#define REAL_ROW(name, list, message, field, unit)                                               \
    {name, list, offsetof(Athanor__##message, field), offsetof(Athanor__##message, has_##field), \
     unit},
    REAL_MAP(REAL_ROW)
#undef REAL_ROW
};

typedef struct writer {
    const ath_curve *curve;
    ath_h5 *h5;
    int64_t width[BAND + 1]; /* members of each list */
    void *data;              /* room for the largest dataset */
} writer;

static const void *member(const Athanor__Step *s, lists per, size_t i)
{
    switch (per) {
    case ONE:
        return s;
    case RANK:
        return i < s->n_rank ? s->rank[i] : NULL;
    case CONCEPT:
        return i < s->n_concept ? s->concept
        [i] : NULL;
    case BAND:
        return i < s->n_band ? s->band[i] : NULL;
    }
    return NULL;
}

/* [steps] or [steps, width] of w->data; nothing where there would be nothing in it. */
static ath_err put(writer *w, const char *name, ath_h5_type type, int64_t width, const char *unit)
{
    const ath_h5_array array = {type, width > 0 ? 2 : 1, {w->curve->n_steps, width}};

    ATH_TRY(ath_h5_write(w->h5, name, &array, w->data));
    return ath_h5_note_text(w->h5, name, "unit", unit);
}

static ath_err put_real(writer *w, const real_row *row)
{
    const int64_t width = w->width[row->per];
    double *to = w->data;

    if (width == 0) return ATH_OK;
    for (int64_t i = 0; i < w->curve->n_steps; i++)
        for (int64_t k = 0; k < width; k++) {
            const char *m = member(w->curve->step[i], row->per, (size_t)k);
            protobuf_c_boolean is_given = false;
            *to = (double)NAN;
            if (m) memcpy(&is_given, m + row->given_at, sizeof is_given);
            if (is_given) memcpy(to, m + row->at, sizeof *to);
            to++;
        }
    return put(w, row->name, ATH_H5_F64, row->per == ONE ? 0 : width, row->unit);
}

static ath_err put_samples(writer *w, const char *name, lists per)
{
    const int64_t width = w->width[per];
    int64_t *to = w->data;

    if (width == 0) return ATH_OK;
    for (int64_t i = 0; i < w->curve->n_steps; i++)
        for (int64_t k = 0; k < width; k++) {
            const Athanor__Share *share = member(w->curve->step[i], per, (size_t)k);
            *to++ = share ? share->samples : 0;
        }
    return put(w, name, ATH_H5_I64, width, "samples");
}

static ath_err put_whole(writer *w)
{
    const ath_curve *c = w->curve;
    int64_t *whole = w->data;
    double *real = w->data;
    uint8_t *byte = w->data;

    for (int64_t i = 0; i < c->n_steps; i++) whole[i] = (int64_t)c->step[i]->step;
    ATH_TRY(put(w, "step", ATH_H5_I64, 0, "from 0"));
    for (int64_t i = 0; i < c->n_steps; i++) whole[i] = (int64_t)c->step[i]->epoch;
    ATH_TRY(put(w, "epoch", ATH_H5_I64, 0, "from 0"));
    for (int64_t i = 0; i < c->n_steps; i++) whole[i] = c->step[i]->samples;
    ATH_TRY(put(w, "samples", ATH_H5_I64, 0, "samples"));
    for (int64_t i = 0; i < c->n_steps; i++) real[i] = (double)c->step[i]->wall_ns * 1e-9;
    ATH_TRY(put(w, "wall_time", ATH_H5_F64, 0, "s since 1970-01-01 UTC"));
    ath_curve_smooth(c, ath_curve_window(c), real);
    ATH_TRY(put(w, "loss_average", ATH_H5_F64, 0, "mean over samples of the last steps"));
    ATH_TRY(ath_h5_note_int(w->h5, "loss_average", "window", ath_curve_window(c)));
    for (int64_t i = 0; i < c->n_steps; i++) byte[i] = c->step[i]->skipped != 0;
    ATH_TRY(put(w, "skipped", ATH_H5_U8, 0, "1: the gradient was not finite, nothing was updated"));
    memset(byte, 0, (size_t)c->n_steps * DIGEST_BYTES);
    for (int64_t i = 0; i < c->n_steps; i++) {
        const ProtobufCBinaryData *d = &c->step[i]->digest;
        if (c->step[i]->has_digest && d->len == DIGEST_BYTES)
            memcpy(byte + i * DIGEST_BYTES, d->data, DIGEST_BYTES);
    }
    return put(w, "digest", ATH_H5_U8, DIGEST_BYTES, "of the weights after the step, 0: not taken");
}

static ath_err put_names(writer *w)
{
    const Athanor__Start *s = w->curve->start;
    const ath_h5_array uses = {ATH_H5_U64, 1, {w->curve->n_images}};
    char hash[2 * DIGEST_BYTES + 1] = "";

    if (!s) return ATH_OK;
    for (size_t i = 0; i < s->plan.len && i < DIGEST_BYTES; i++)
        snprintf(hash + 2 * i, 3, "%02x", s->plan.data[i]);
    ATH_TRY(ath_h5_note_text(w->h5, "", "name", s->name ? s->name : ""));
    ATH_TRY(ath_h5_note_text(w->h5, "", "version", s->version ? s->version : ""));
    ATH_TRY(ath_h5_note_text(w->h5, "", "plan", hash));
    ATH_TRY(ath_h5_note_int(w->h5, "", "steps", (int64_t)s->steps));
    ATH_TRY(ath_h5_note_int(w->h5, "", "ranks", (int64_t)s->ranks));
    ATH_TRY(ath_h5_note_text(w->h5, "", "reduce", s->fast ? "fast" : "exact"));
    if (s->n_concept)
        ATH_TRY(ath_h5_write_texts(w->h5, "concept/name", (int64_t)s->n_concept,
                                   (const char *const *)s->concept));
    if (!s->n_image) return ATH_OK;
    ATH_TRY(ath_h5_write_texts(w->h5, "ledger/path", (int64_t)s->n_image,
                               (const char *const *)s->image));
    ATH_TRY(ath_h5_write(w->h5, "ledger/uses", &uses, w->curve->uses));
    return ath_h5_note_text(w->h5, "ledger/uses", "unit", "times that the picture was used");
}

static ath_err put_marks(writer *w)
{
    const ath_curve *c = w->curve;
    const ath_h5_array array = {ATH_H5_I64, 1, {c->n_marks}};
    int64_t *step = w->data;
    const char **text = w->data;

    if (!c->n_marks) return ATH_OK;
    for (int64_t i = 0; i < c->n_marks; i++) step[i] = (int64_t)c->mark[i]->step;
    ATH_TRY(ath_h5_write(w->h5, "mark/step", &array, step));
    for (int64_t i = 0; i < c->n_marks; i++) text[i] = c->mark[i]->what ? c->mark[i]->what : "";
    ATH_TRY(ath_h5_write_texts(w->h5, "mark/what", c->n_marks, text));
    for (int64_t i = 0; i < c->n_marks; i++) text[i] = c->mark[i]->path ? c->mark[i]->path : "";
    return ath_h5_write_texts(w->h5, "mark/path", c->n_marks, text);
}

static ath_err put_all(writer *w)
{
    ATH_TRY(put_names(w));
    ATH_TRY(put_marks(w));
    if (w->curve->n_steps == 0) return ATH_OK;
    ATH_TRY(put_whole(w));
    for (size_t i = 0; i < sizeof real_rows / sizeof *real_rows; i++)
        ATH_TRY(put_real(w, &real_rows[i]));
    ATH_TRY(put_samples(w, "concept/samples", CONCEPT));
    return put_samples(w, "band/samples", BAND);
}

static int64_t larger(int64_t a, size_t b)
{
    return a > (int64_t)b ? a : (int64_t)b;
}

ath_err ath_curve_write_h5(const ath_curve *curve, const char *path)
{
    writer w = {.curve = curve, .width = {[ONE] = 1}};
    int64_t widest = DIGEST_BYTES / (int64_t)sizeof(double);
    ath_err err = ATH_OK;

    for (int64_t i = 0; i < curve->n_steps; i++) {
        const Athanor__Step *s = curve->step[i];
        w.width[RANK] = larger(w.width[RANK], s->n_rank);
        w.width[CONCEPT] = larger(w.width[CONCEPT], s->n_concept);
        w.width[BAND] = larger(w.width[BAND], s->n_band);
    }
    for (int i = RANK; i <= BAND; i++) widest = larger(widest, (size_t)w.width[i]);
    const int64_t room = larger(widest * curve->n_steps, (size_t)curve->n_marks);
    ATH_TRY_OUT(ath_mem_new((size_t)room, sizeof(double), "curve.h5", &w.data));
    ATH_TRY_OUT(ath_h5_create(path, &w.h5));
    ATH_TRY_OUT(put_all(&w));
    ATH_TRY_OUT(ath_h5_commit(&w.h5));
out:
    ath_h5_close(&w.h5);
    ath_mem_free(&w.data);
    return err;
}
