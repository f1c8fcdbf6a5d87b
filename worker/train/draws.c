#include "worker/train/draws.h"

#include "core/rng.h"
#include "worker/train/ddpm.h"

void ath_draw_words(const ath_draw *draw, ath_draw_kind kind, uint32_t place, uint32_t out[4])
{
    const uint32_t key[2] = {(uint32_t)draw->seed, (uint32_t)(draw->seed >> 32)};
    const uint32_t counter[4] = {place, (uint32_t)kind, draw->epoch, draw->sample};

    ath_philox(counter, key, out);
}

double ath_draw_uniform(const ath_draw *draw, ath_draw_kind kind, uint32_t place)
{
    uint32_t word[4];

    ath_draw_words(draw, kind, place, word);
    return ath_uniform_f64(word[0], word[1]);
}

uint32_t ath_draw_below(const ath_draw *draw, ath_draw_kind kind, uint32_t place, uint32_t n)
{
    uint32_t word[4];

    ATH_ASSERT(n > 0);
    ath_draw_words(draw, kind, place, word);
    /* the upper 32 bits of n times a fraction of 64 bits */
    const uint64_t low = (uint64_t)n * word[1] >> 32;
    return (uint32_t)(((uint64_t)n * word[0] + low) >> 32);
}

void ath_draw_normals(const ath_draw *draw, ath_draw_kind kind, uint32_t place, int64_t n,
                      float *out)
{
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t word[4];
        float four[4];
        ath_draw_words(draw, kind, place + (uint32_t)(i / 4), word);
        ath_normal4(word, four);
        for (int64_t k = 0; k < 4 && i + k < n; k++) out[i + k] = four[k];
    }
}

ath_err ath_times_check(ath_times times)
{
    const int32_t last = times.min < times.max ? times.max - 1 : times.max;

    ATH_NEED(times.min >= 0 && 0 <= last && last < ATH_DDPM_TIMES, ATH_EJOB,
             "noise: time steps from min_timestep %d to max_timestep %d, wanted within 0..%d "
             "(min_timestep below max_timestep, or max_timestep alone as the only one, below %d)",
             times.min, times.max, ATH_DDPM_TIMES, ATH_DDPM_TIMES);
    return ATH_OK;
}

int32_t ath_draw_time(const ath_draw *draw, ath_times times)
{
    if (times.min >= times.max) return times.max;
    return times.min +
           (int32_t)ath_draw_below(draw, ATH_DRAW_TIME, 0, (uint32_t)(times.max - times.min));
}
