#include "coordinator/curve.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BANDS_MAX = 64, STEPS_MIN = 20, STRETCH_MIN = 10 };

static const double under_above = 0.15, memorising_below = 0.02;
static const double rise_factor = 1.25, rise_errors = 4;

const char *ath_verdict_name(ath_verdict verdict)
{
    static const char *const names[ATH_N_VERDICTS] = {"too short", "under-fitted", "healthy",
                                                      "memorising", "blown up"};
    return names[verdict];
}

/* ---- averages ---- */

static bool counts(const Athanor__Step *s)
{
    return s->has_loss && isfinite(s->loss);
}

static double samples_of(const Athanor__Step *s)
{
    return s->samples ? s->samples : 1;
}

int64_t ath_curve_window(const ath_curve *curve)
{
    const int64_t tenth = curve->n_steps / 10;

    if (tenth < 10) return 10;
    return tenth > 500 ? 500 : tenth;
}

void ath_curve_smooth(const ath_curve *curve, int64_t window, double *out)
{
    double sum = 0, weight = 0;

    for (int64_t i = 0; i < curve->n_steps; i++) {
        const Athanor__Step *now = curve->step[i];
        const Athanor__Step *gone = i >= window ? curve->step[i - window] : NULL;
        if (counts(now)) {
            sum += now->loss * samples_of(now);
            weight += samples_of(now);
        }
        if (gone && counts(gone)) {
            sum -= gone->loss * samples_of(gone);
            weight -= samples_of(gone);
        }
        out[i] = weight > 0 ? sum / weight : (double)NAN;
    }
}

static const Athanor__Share *share_of(const Athanor__Step *s, ath_curve_part part, size_t i)
{
    const size_t n = part == ATH_CURVE_BAND ? s->n_band : s->n_concept;
    Athanor__Share *const *list = part == ATH_CURVE_BAND ? s->band : s->concept;
    const Athanor__Share *share = i < n ? list[i] : NULL;

    return share && share->samples && share->has_loss && isfinite(share->loss) ? share : NULL;
}

double ath_curve_part_loss(const ath_curve *curve, ath_curve_part part, size_t i, int64_t window,
                           int64_t *n_samples)
{
    double sum = 0;

    *n_samples = 0;
    for (int64_t k = curve->n_steps > window ? curve->n_steps - window : 0; k < curve->n_steps;
         k++) {
        const Athanor__Share *share = share_of(curve->step[k], part, i);
        if (!share) continue;
        sum += share->loss * share->samples;
        *n_samples += share->samples;
    }
    return *n_samples ? sum / (double)*n_samples : (double)NAN;
}

const char *ath_curve_concept(const ath_curve *curve, size_t i)
{
    const char *folder =
        curve->start && i < curve->start->n_concept ? curve->start->concept[i] : "";
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    const size_t digits = strspn(name, "0123456789");

    return digits && name[digits] == '_' && name[digits + 1] ? name + digits + 1 : name;
}

/* ---- evened out ---- */

typedef struct even {
    const ath_curve *curve;
    double mean;            /* of all samples */
    double band[BANDS_MAX]; /* the same by band; 0: none */
} even;

static void even_init(even *e, const ath_curve *curve)
{
    double sum = 0, weight = 0;

    *e = (even){.curve = curve};
    for (int64_t i = 0; i < curve->n_steps; i++) {
        if (!counts(curve->step[i])) continue;
        sum += curve->step[i]->loss * samples_of(curve->step[i]);
        weight += samples_of(curve->step[i]);
    }
    e->mean = weight > 0 ? sum / weight : 0;
    for (size_t b = 0; b < BANDS_MAX; b++) {
        int64_t n = 0;
        const double loss = ath_curve_part_loss(curve, ATH_CURVE_BAND, b, curve->n_steps, &n);
        e->band[b] = n ? loss : 0;
    }
}

/* Step i's loss as it would be, had it drawn every band alike. */
static double even_at(const even *e, int64_t i)
{
    const Athanor__Step *s = e->curve->step[i];
    double seen = 0, expected = 0;

    for (size_t b = 0; b < BANDS_MAX && b < s->n_band; b++) {
        const Athanor__Share *share = share_of(s, ATH_CURVE_BAND, b);
        if (!share) continue;
        seen += share->loss * share->samples;
        expected += e->band[b] * share->samples;
    }
    return expected > 0 ? e->mean * seen / expected : s->loss;
}

typedef struct stretch {
    double mean, variance;
    int64_t n;
} stretch;

static stretch even_stretch(const even *e, int64_t first, int64_t n)
{
    stretch out = {0};
    double squares = 0;

    for (int64_t i = first; i < first + n; i++) {
        if (!counts(e->curve->step[i])) continue;
        const double x = even_at(e, i), apart = x - out.mean; /* Welford's sums */
        out.n++;
        out.mean += apart / (double)out.n;
        squares += apart * (x - out.mean);
    }
    out.variance = out.n > 1 ? squares / (double)(out.n - 1) : 0;
    return out;
}

/* Least squares over the second half. */
static double slope_of(const even *e)
{
    const int64_t n = e->curve->n_steps, first = n / 2;
    const double middle = 0.5 * (double)(first + n - 1);
    double xy = 0, xx = 0;

    for (int64_t i = first; i < n; i++) {
        if (!counts(e->curve->step[i])) continue;
        const double x = (double)i - middle;
        xy += x * (even_at(e, i) - e->mean);
        xx += x * x;
    }
    return xx > 0 ? xy / xx : 0;
}

/* ---- the verdict ---- */

/* Whether the last `length` steps lie above the lowest stretch of that length; where that ends. The
 * standard error takes a stretch's own variance or that of all, whichever is larger: few steps may
 * look quieter than they are. */
static bool rises(const even *e, int64_t length, int64_t *lowest)
{
    const int64_t n = e->curve->n_steps;
    const stretch end = even_stretch(e, n - length, length);
    stretch low = {.mean = (double)INFINITY};
    double variance = 0;
    int64_t k = 0;

    for (int64_t first = n - 2 * length; first >= 0; first -= length) {
        const stretch s = even_stretch(e, first, length);
        if (s.n < 2) continue;
        variance += s.variance;
        k++;
        if (s.mean >= low.mean) continue;
        low = s;
        *lowest = first + length - 1;
    }
    if (k == 0 || end.n < 2) return false;
    variance /= (double)k;
    const double error = sqrt(fmax(end.variance, variance) / (double)end.n +
                              fmax(low.variance, variance) / (double)low.n);
    return end.mean > rise_factor * low.mean && end.mean - low.mean > rise_errors * error;
}

static bool has_risen(const even *e, int64_t *lowest)
{
    static const int64_t parts[] = {5, 20};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const int64_t length = e->curve->n_steps / parts[i];
        if (length >= STRETCH_MIN && rises(e, length, lowest)) return true;
    }
    return false;
}

/* The step from which on no loss is finite, or -1. A step without a loss says nothing. */
static int64_t lost_since(const ath_curve *c)
{
    int64_t since = -1;

    for (int64_t i = c->n_steps - 1; i >= 0 && !counts(c->step[i]); i--)
        if (c->step[i]->has_loss) since = i;
    return since;
}

static void say(ath_judgement *out, const ath_curve *c)
{
    const uint64_t low = out->lowest >= 0 ? c->step[out->lowest]->step + 1 : 0;
    char *const text = out->text;
    const size_t room = sizeof out->text;

    switch (out->verdict) {
    case ATH_VERDICT_UNDER:
        snprintf(text, room,
                 "under-fitted: the loss averages %.3f, above %.2f (%.3f at the start). Train for "
                 "more steps, or raise the learning rate or the rank.",
                 out->loss, under_above, out->start_loss);
        break;
    case ATH_VERDICT_HEALTHY:
        snprintf(text, room,
                 "healthy: the loss averages %.3f (%.3f at the start) and does not rise. Choose "
                 "among the saved files by their samples.",
                 out->loss, out->start_loss);
        break;
    case ATH_VERDICT_MEMORISING:
        snprintf(text, room,
                 "memorising: the loss averages %.3f, near 0: the pictures are learned by heart. "
                 "Take an earlier file, train for fewer steps, or add pictures.",
                 out->loss);
        break;
    case ATH_VERDICT_BLOWN:
        snprintf(text, room,
                 "blown up: the loss rises, to %.3f from its lowest near step %" PRIu64
                 ". Take a file saved before it rose, and halve the learning rate.",
                 out->loss, low);
        break;
    case ATH_VERDICT_TOO_SHORT:
        snprintf(text, room, "too short: %" PRId64 " step%s so far, and a judgement wants %d.",
                 c->n_steps, c->n_steps == 1 ? "" : "s", STEPS_MIN);
        break;
    case ATH_N_VERDICTS:
        break;
    }
}

void ath_curve_judge(const ath_curve *curve, ath_judgement *out)
{
    const int64_t n = curve->n_steps, lost = lost_since(curve), window = ath_curve_window(curve);
    const int64_t length = window < n ? window : n;
    even e;

    even_init(&e, curve);
    *out = (ath_judgement){.lowest = -1,
                           .loss = even_stretch(&e, n - length, length).mean,
                           .start_loss = even_stretch(&e, 0, length).mean,
                           .slope = 100 * slope_of(&e)};
    if (lost >= 0) {
        out->verdict = ATH_VERDICT_BLOWN;
        out->loss = (double)NAN;
        snprintf(out->text, sizeof out->text,
                 "blown up: the loss is not a number from step %" PRIu64
                 " on. Take a file saved before it, and halve the learning rate.",
                 curve->step[lost]->step + 1);
        return;
    }
    if (n < STEPS_MIN)
        out->verdict = ATH_VERDICT_TOO_SHORT;
    else if (has_risen(&e, &out->lowest))
        out->verdict = ATH_VERDICT_BLOWN;
    else if (out->loss > under_above)
        out->verdict = ATH_VERDICT_UNDER;
    else
        out->verdict = out->loss < memorising_below ? ATH_VERDICT_MEMORISING : ATH_VERDICT_HEALTHY;
    if (out->verdict != ATH_VERDICT_BLOWN) out->lowest = -1;
    say(out, curve);
}
