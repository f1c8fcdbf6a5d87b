/* What the files of the curve share: not for others. */
#ifndef ATH_COORDINATOR_CURVE_PRIVATE_H
#define ATH_COORDINATOR_CURVE_PRIVATE_H

#include "coordinator/curve.h"

/* Little-endian numbers in the frames of records. */
static inline uint32_t ath_curve_u32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void ath_curve_put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}

#endif
