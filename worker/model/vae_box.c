#include "worker/model/vae_box.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const float constant = 256;

enum { NAME_BYTES = 96, LOG_VARIANCE = -30 };

/* ---- where the channels of a picture travel ---- */

/* Each group holds as many pairs as leave room for the constant one, which comes last. */
static int64_t pairs_of(const ath_vae_spec *spec, int64_t width)
{
    return width / spec->groups / 2 - 1;
}

/* The place of +x (minus 0) or -x (minus 1) among `width` channels. */
static int64_t place(const ath_vae_spec *spec, int64_t width, int64_t channel, int minus)
{
    const int64_t pairs = pairs_of(spec, width), group = channel / pairs;

    return group * (width / spec->groups) + 2 * (channel % pairs) + minus;
}

ath_err ath_vae_box_check(const ath_vae_spec *spec)
{
    ATH_NEED(spec->latents >= spec->channels, ATH_EFORMAT,
             "init: a box autoencoder needs a latent for each of %" PRId32
             " channels of a picture, found %" PRId32 " latents",
             spec->channels, spec->latents);
    for (int i = 0; i < spec->n_levels; i++) {
        const int64_t pairs = pairs_of(spec, spec->width[i]);
        ATH_NEED(pairs > 0 && pairs * spec->groups >= spec->channels, ATH_EFORMAT,
                 "init: a box autoencoder needs groups of 4 channels and room for %" PRId32
                 " pairs; found %" PRId32 " groups of %" PRId32
                 " at level %d: give the autoencoder wider levels or fewer groups",
                 spec->channels, spec->groups, spec->width[i] / spec->groups, i);
    }
    return ATH_OK;
}

/* ---- layers ---- */

static bool is(const char *name, const char *what)
{
    return strcmp(name, what) == 0;
}

static bool ends(const char *name, const char *ending)
{
    const size_t n = strlen(name), k = strlen(ending);
    return n >= k && strcmp(name + n - k, ending) == 0;
}

/* The weight of a convolution between two places, at one tap of its window. */
static float *tap(const ath_param *p, float *w, int64_t out, int64_t in, int64_t y, int64_t x)
{
    return &w[((out * p->dim[1] + in) * p->dim[2] + y) * p->dim[3] + x];
}

/* Every pair goes on to its place, by a window of `n` taps a side that begins in the corner. */
static void pass(const ath_vae_spec *spec, const ath_param *p, const float *taps, int n, float *w)
{
    for (int64_t c = 0; c < 2 * spec->channels; c++) {
        const int minus = (int)(c % 2);
        const int64_t to = place(spec, p->dim[0], c / 2, minus);
        const int64_t from = place(spec, p->dim[1], c / 2, minus);
        for (int y = 0; y < n; y++)
            for (int x = 0; x < n; x++) *tap(p, w, to, from, y, x) = taps[y] * taps[x];
    }
}

/* Pixels or latents become pairs. */
static void begin(const ath_vae_spec *spec, const ath_param *p, float *w)
{
    for (int64_t c = 0; c < spec->channels; c++) {
        *tap(p, w, place(spec, p->dim[0], c, 0), c, 1, 1) = 1;
        *tap(p, w, place(spec, p->dim[0], c, 1), c, 1, 1) = -1;
    }
}

/* Pairs become the means that are latent `i`, or channel `i` of a picture. */
static void end(const ath_vae_spec *spec, const ath_param *p, int64_t i, float *w)
{
    const bool is_channel = i < spec->channels;

    for (int64_t c = 0; c < spec->channels; c++) {
        if (is_channel && c != i) continue;
        const float share = is_channel ? 1 : 1 / (float)spec->channels;
        *tap(p, w, i, place(spec, p->dim[1], c, 0), 1, 1) = share;
        *tap(p, w, i, place(spec, p->dim[1], c, 1), 1, 1) = -share;
    }
}

/* What the last norm undoes: a group of `size` channels, two of them the constants. */
static float norm_weight(const ath_vae_spec *spec, int64_t width)
{
    const double size = (double)(width / spec->groups);
    return (float)((double)constant * sqrt(2 / size));
}

static void add_constants(const ath_vae_spec *spec, const ath_param *p, float *w)
{
    const int64_t size = p->dim[0] / spec->groups;

    for (int64_t g = 1; g <= spec->groups; g++) {
        w[g * size - 2] = constant;
        w[g * size - 1] = -constant;
    }
}

/* ---- the parameters ---- */

static void fill_last_layers(const ath_vae_spec *spec, const ath_param *p, float *w)
{
    if (is(p->name, "encoder.conv_out.weight"))
        for (int64_t i = 0; i < spec->latents; i++) end(spec, p, i, w);
    if (is(p->name, "encoder.conv_out.bias"))
        for (int64_t i = 0; i < spec->latents; i++) w[spec->latents + i] = LOG_VARIANCE;
    if (is(p->name, "decoder.conv_out.weight"))
        for (int64_t i = 0; i < spec->channels; i++) end(spec, p, i, w);
    if (is(p->name, "decoder.conv_out.bias"))
        for (int64_t i = 0; i < spec->channels; i++) w[i] = 1;
    if (ends(p->name, "quant_conv.weight"))
        for (int64_t i = 0; i < p->dim[0]; i++) *tap(p, w, i, i, 0, 0) = 1;
}

void ath_vae_box_fill(const ath_vae_spec *spec, const ath_param *p, float *w)
{
    static const float one[] = {1}, mean[] = {0.5f, 0.5f}, linear[] = {0.25f, 0.5f, 0.25f};
    char last[NAME_BYTES];

    snprintf(last, sizeof last, "decoder.up_blocks.%d.resnets.%d.conv2.bias",
             (int)spec->n_levels - 1, (int)spec->blocks);
    memset(w, 0, (size_t)ath_param_count(p) * sizeof *w);
    if (ends(p->name, "conv_in.weight")) begin(spec, p, w);
    if (is(p->name, "encoder.conv_in.bias"))
        for (int64_t c = 0; c < 2 * spec->channels; c++)
            w[place(spec, p->dim[0], c / 2, (int)(c % 2))] = c % 2 ? 1 : -1;
    if (ends(p->name, "conv_shortcut.weight")) pass(spec, p, one, 1, w);
    if (ends(p->name, "downsamplers.0.conv.weight")) pass(spec, p, mean, 2, w);
    if (ends(p->name, "upsamplers.0.conv.weight")) pass(spec, p, linear, 3, w);
    if (is(p->name, "encoder.mid_block.resnets.1.conv2.bias") || is(p->name, last))
        add_constants(spec, p, w);
    if (ends(p->name, "conv_norm_out.weight"))
        for (int64_t c = 0; c < 2 * spec->channels; c++)
            w[place(spec, p->dim[0], c / 2, (int)(c % 2))] = norm_weight(spec, p->dim[0]);
    fill_last_layers(spec, p, w);
}
