#include "worker/dist/stage.h"

#include "core/pulse.h"
#include "worker/dist/flight.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const names[ATH_N_STAGES] = {
#define ATH_STAGE_TEXT(name, text) text,
    ATH_STAGE_MAP(ATH_STAGE_TEXT)
#undef ATH_STAGE_TEXT
};

/* Of the word, from its lowest bit: stage, waits, bucket + 1, step + 1. */
enum { STAGE_BITS = 7, WAITS_AT = 7, BUCKET_AT = 8, BUCKET_BITS = 16, STEP_AT = 24 };
#define BITS(n) ((UINT64_C(1) << (n)) - 1)

_Static_assert(ATH_N_STAGES <= 1 << STAGE_BITS, "stages fit");

static _Atomic uint64_t word;

/* One writer: no other can come between. */
static void put(uint64_t mask, int at, uint64_t value)
{
    const uint64_t w = atomic_load_explicit(&word, memory_order_relaxed);

    atomic_store_explicit(&word, (w & ~(mask << at)) | (value & mask) << at, memory_order_relaxed);
}

const char *ath_stage_name(ath_stage stage)
{
    return (unsigned)stage < ATH_N_STAGES ? names[stage] : "?";
}

void ath_stage_step(int64_t step)
{
    put(BITS(64 - STEP_AT), STEP_AT, (uint64_t)(step + 1));
    ath_flight_step(step);
}

void ath_stage_enter(ath_stage stage)
{
    put(BITS(STAGE_BITS), 0, (uint64_t)stage);
    put(BITS(BUCKET_BITS), BUCKET_AT, 0);
    ath_flight_enter(stage);
}

void ath_stage_bucket(int32_t bucket)
{
    put(BITS(BUCKET_BITS), BUCKET_AT, (uint64_t)bucket + 1);
}

void ath_stage_wait(bool waits)
{
    put(1, WAITS_AT, waits);
    ath_pulse();
}

uint64_t ath_stage_word(void)
{
    return atomic_load_explicit(&word, memory_order_relaxed);
}

ath_place ath_stage_place(uint64_t w)
{
    return (ath_place){.step = (int64_t)(w >> STEP_AT) - 1,
                       .bucket = (int32_t)(w >> BUCKET_AT & BITS(BUCKET_BITS)) - 1,
                       .stage = (ath_stage)(w & BITS(STAGE_BITS)),
                       .waits = w >> WAITS_AT & 1};
}

char *ath_place_print(ath_place p, char out[ATH_PLACE_TEXT])
{
    int n = snprintf(out, ATH_PLACE_TEXT, "in %s", ath_stage_name(p.stage));

    if (p.step >= 0)
        n += snprintf(out + n, (size_t)(ATH_PLACE_TEXT - n), " of step %" PRId64, p.step);
    if (p.bucket >= 0)
        n += snprintf(out + n, (size_t)(ATH_PLACE_TEXT - n), " (bucket %" PRId32 ")", p.bucket);
    if (p.waits) snprintf(out + n, (size_t)(ATH_PLACE_TEXT - n), ", waiting for others");
    return out;
}
