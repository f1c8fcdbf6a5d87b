/*
 * Arrays of floating-point numbers from one type to another: rounded once, to nearest, ties to even,
 * whatever lies between; NaN stays NaN. Any thread.
 */
#ifndef ATH_CORE_FLOATS_H
#define ATH_CORE_FLOATS_H

#include <stdint.h>

typedef enum ath_float {
    ATH_FLOAT_F16,
    ATH_FLOAT_BF16,
    ATH_FLOAT_F32,
    ATH_FLOAT_F64,
    ATH_N_FLOATS
} ath_float;

/* n numbers; the arrays do not overlap and are aligned to nothing. Between equal types a copy. */
void ath_floats_convert(void *to, ath_float to_type, const void *from, ath_float from_type,
                        int64_t n);

#endif
