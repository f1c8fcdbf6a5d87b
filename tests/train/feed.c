#include "tests/train/feed.h"

#include "core/mem.h"
#include "worker/model/params.h"
#include "worker/train/ddpm.h"
#include "worker/train/network.h"
#include <stdio.h>
#include <string.h>

enum { POSITIONS = 77, START = 998, END = 999, NAME = 192 };

uint32_t feed_mix(uint32_t stream, uint32_t i)
{
    uint32_t x = i + stream * 0x9e3779b9u;

    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static ath_err find(const ath_st *st, const char *name, const ath_st_tensor **out)
{
    char full[NAME];

    snprintf(full, sizeof full, "weight/%s/%s", ath_train_is_text(name) ? "text_encoder" : "unet",
             name);
    return ath_st_need(st, full, out);
}

ath_err feed_load(void *context, const ath_plan *plan, ath_weights *weights, ath_slab *slab)
{
    const ath_plan_param *p = NULL;
    const ath_st_tensor *t = NULL;
    const int32_t n_frozen = ath_plan_frozen(plan, &p);

    for (int32_t i = 0; i < n_frozen; i++) {
        ATH_TRY(find(context, p[i].name, &t));
        ATH_TRY(ath_weights_put(weights, p[i].name, p[i].desc, ath_param_dtype(t->dtype), t->data));
    }
    const int32_t n_trainables = ath_plan_trainables(plan, &p);
    for (int32_t i = 0; i < n_trainables; i++) {
        const int64_t count = ath_desc_count(&p[i].desc);
        float *values = NULL;
        if (strstr(p[i].name, ".lora.")) continue;
        ATH_TRY(find(context, p[i].name, &t));
        ATH_TRY(ATH_NEW(count, "values", &values));
        ath_dtype_convert(values, ATH_F32, t->data, ath_param_dtype(t->dtype), count);
        ath_err err =
            ath_slab_write(slab, ATH_VALUE, p[i].name, values, (size_t)count * sizeof *values);
        ath_mem_free(&values);
        ATH_TRY(err);
    }
    return ATH_OK;
}

/* Of variance 1, evenly spread. */
static void spread(uint32_t stream, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = ((float)(feed_mix(stream, (uint32_t)i) >> 8) * 0x1p-24f - 0.5f) * 3.5f;
}

static void make_ids(uint32_t sample, int32_t n_chunks, int32_t *ids)
{
    for (int32_t chunk = 0; chunk < n_chunks; chunk++) {
        const uint32_t stream = 5000 + sample * 4 + (uint32_t)chunk;
        const int32_t length = 5 + (int32_t)(feed_mix(stream, 0) % 60);
        for (int32_t i = 0; i < POSITIONS; i++)
            *ids++ = i == 0        ? START
                     : i >= length ? END
                                   : (int32_t)(feed_mix(stream, (uint32_t)i) % START);
    }
}

void feed_make(feed *f, int32_t step, int32_t leaf, int32_t n_samples, int32_t n_chunks)
{
    static const struct {
        int32_t height, width, n, first;
    } turns[3] = {{8, 8, 2, 0}, {8, 12, 1, 2}, {12, 8, 1, 3}};
    const int32_t h = turns[leaf % 3].height, w = turns[leaf % 3].width, n = turns[leaf % 3].n;
    const int64_t each = (int64_t)h * w * 4;
    float picture[FEED_LATENTS];
    ath_ddpm ddpm;

    ath_ddpm_init(&ddpm, (ath_ddpm_opts){.like_diffusers = true});
    f->first = leaf / 3 * 4 + turns[leaf % 3].first;
    for (int32_t k = 0; k < n; k++) {
        const uint32_t sample = (uint32_t)(step % 2 * 4 + f->first + k);
        const uint32_t draw = (uint32_t)(step * 16 + f->first + k);
        const int32_t time = (int32_t)(feed_mix(3000000 + draw, 0) % 1000);
        spread(1000 + sample, each, picture);
        spread(2000000 + draw, each, f->target + k * each);
        ath_ddpm_add_noise(ath_ddpm_mix_of(&ddpm, time), each, picture, f->target + k * each,
                           f->x + k * each);
        f->time[k] = (float)time;
        f->weight[k] = ((f->first + k) % 2 ? 0.7f : 1.0f) / (float)n_samples;
        make_ids(sample, n_chunks, f->ids + (ptrdiff_t)k * n_chunks * POSITIONS);
    }
    f->in = (ath_micro_in){.n = n,
                           .height = h,
                           .width = w,
                           .x = f->x,
                           .target = f->target,
                           .time = f->time,
                           .weight = f->weight,
                           .ids = f->ids};
}

ath_trainer_opts feed_opts(ath_st *base, const ath_lora *adapter, int32_t n_leaves_max)
{
    return (ath_trainer_opts){.spec = ath_model_tiny,
                              .backend = ATH_CPU,
                              .dtype = ATH_F32,
                              .n_threads = 1,
                              .trains_unet = true,
                              .trains_text = true,
                              .lora = adapter,
                              .clip_skip = 1,
                              .n_chunks = 1,
                              .n_leaves_max = n_leaves_max,
                              .max_norm = 0.05,
                              .beta1 = 0.9,
                              .beta2 = 0.999,
                              .eps = 1e-8,
                              .weight_decay = 0.01,
                              .ema_decay = 0.5,
                              .seed = 7,
                              .load = feed_load,
                              .load_context = base};
}
