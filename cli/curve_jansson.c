#include "cli/curve_view.h"

#include "cli/json_jansson.h"
#include <math.h>
#include <stdio.h>

enum { DIGEST_BYTES = 16 };

/* JSON has no NaN. */
static json_t *number(bool is_given, double value)
{
    return is_given && isfinite(value) ? json_real(value) : json_null();
}

/* "" where there is none of the usual length. */
static const char *digest_of(const Athanor__Step *s, char hex[2 * DIGEST_BYTES + 1])
{
    hex[0] = 0;
    for (size_t i = 0; i < DIGEST_BYTES && s->digest.len == DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", s->digest.data[i]);
    return hex;
}

/* The ledger. */
static json_t *uses(const ath_curve *c)
{
    json_t *out = json_array();

    for (int64_t i = 0; i < c->n_images && c->start; i++) {
        json_t *row = json_pack("{s:o, s:I}", "path", ath_json_text(c->start->image[i]), "uses",
                                (json_int_t)c->uses[i]);
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

static json_t *steps(const ath_curve_view *v)
{
    json_t *out = json_array();

    for (int64_t i = 0; i < v->curve.n_steps; i++) {
        const Athanor__Step *s = v->curve.step[i];
        char hex[2 * DIGEST_BYTES + 1];
        json_t *row = json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:b, s:s}", "step",
                                (json_int_t)s->step, "epoch", (json_int_t)s->epoch, "samples",
                                (json_int_t)s->samples, "loss", number(s->has_loss, s->loss),
                                "average", number(true, v->average[i]), "unet_rate",
                                number(s->has_unet_rate, s->unet_rate), "text_encoder_rate",
                                number(s->has_text_encoder_rate, s->text_encoder_rate),
                                "gradient_norm", number(s->has_gradient_norm, s->gradient_norm),
                                "skipped", (int)s->skipped, "digest", digest_of(s, hex));
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

static json_t *parts(const ath_curve_view *v, ath_curve_part part, size_t n)
{
    json_t *out = json_array();

    for (size_t i = 0; i < n; i++) {
        int64_t samples = 0;
        char band[32];
        const double loss = ath_curve_part_loss(&v->curve, part, i, v->window, &samples);
        snprintf(band, sizeof band, "%zu-%zu", 100 * i, 100 * i + 99);
        json_t *row = json_pack(
            "{s:o, s:o, s:I}", "name",
            ath_json_text(part == ATH_CURVE_BAND ? band : ath_curve_concept(&v->curve, i)), "loss",
            number(true, loss), "samples", (json_int_t)samples);
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

static json_t *marks(const ath_curve *c)
{
    json_t *out = json_array();

    for (int64_t i = 0; i < c->n_marks; i++) {
        const Athanor__Mark *m = c->mark[i];
        json_t *row = json_pack("{s:I, s:o, s:o}", "step", (json_int_t)m->step, "what",
                                ath_json_text(m->what ? m->what : ""), "path",
                                ath_json_text(m->path ? m->path : ""));
        if (json_array_append_new(out, row)) goto lost;
    }
    return out;
lost:
    json_decref(out);
    return NULL;
}

static json_t *run_of(const ath_curve_view *v)
{
    const ath_curve *c = &v->curve;
    const ath_judgement *j = &v->judgement;
    const Athanor__Step *last = c->n_steps ? c->step[c->n_steps - 1] : NULL;

    return json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:{s:s, s:o, s:o, s:o, s:s}, s:o, s:o, "
        "s:o, s:o, s:o}",
        "name", ath_json_text(v->name), "steps", (json_int_t)ath_curve_view_steps(v), "steps_done",
        (json_int_t)(last ? last->step + 1 : 0), "window", (json_int_t)v->window, "ranks",
        (json_int_t)(c->start ? c->start->ranks : 0), "reduce",
        c->start && c->start->fast ? "fast" : "exact", "step_seconds",
        number(v->seconds > 0, v->seconds), "images_per_second",
        number(v->seconds > 0, v->images_per_second), "wait_share",
        number(v->seconds > 0, v->wait_share), "judgement", "verdict", ath_verdict_name(j->verdict),
        "loss", number(true, j->loss), "start_loss", number(true, j->start_loss), "slope",
        number(true, j->slope), "text", j->text, "concepts",
        parts(v, ATH_CURVE_CONCEPT, last ? last->n_concept : 0), "bands",
        parts(v, ATH_CURVE_BAND, last ? last->n_band : 0), "marks", marks(c), "pictures", uses(c),
        "curve", steps(v));
}

ath_err ath_curve_print_json(const ath_curve_view *views, int n, ath_str *to)
{
    json_t *runs = json_array();

    for (int i = 0; i < n; i++)
        if (json_array_append_new(runs, run_of(&views[i]))) goto lost;
    return ath_json_dump(json_pack("{s:o}", "runs", runs), to);
lost:
    json_decref(runs);
    return ath_json_dump(NULL, to);
}
