/*
 * Vectorised host kernels, x_cpu.c, are compiled three times from one source: for the baseline,
 * for x86-64-v3 (AVX2, FMA) and for x86-64-v4 (AVX-512). ath_isa() picks once, at first use; the
 * variable ATH_ISA=base|v3|v4 pins it, which gives equal bits on unequal machines.
 *
 * Define a kernel as   ath_err ATH_ISA_NAME(silu_fwd)(const ath_call *c) { ... }   in x_cpu.c, and
 * ATH_ISA_DISPATCH(silu_fwd) in x.c: that makes ath_silu_fwd_cpu, the function for the table.
 */
#ifndef ATH_KERNELS_ISA_H
#define ATH_KERNELS_ISA_H

#include "kernels/op.h"

typedef enum ath_isa { ATH_ISA_BASE, ATH_ISA_V3, ATH_ISA_V4, ATH_N_ISAS } ath_isa;

/* The level in use. Any thread. */
ath_isa ath_isa_get(void);
const char *ath_isa_name(ath_isa isa);

/* ENOTSUP where ATH_ISA asks for more than this machine has (the best it has is then used): for
 * main, to refuse. */
ATH_MUST ath_err ath_isa_check(void);

#define ATH_ISA_PASTE_(stem, suffix) ath_##stem##_##suffix
#define ATH_ISA_PASTE(stem, suffix)  ATH_ISA_PASTE_(stem, suffix)
/* ATH_ISA_SUFFIX is base, v3 or v4: set by the build for each compilation of x_cpu.c. */
#define ATH_ISA_NAME(stem) ATH_ISA_PASTE(stem, ATH_ISA_SUFFIX)

#define ATH_ISA_DECLARE(stem)                     \
    ath_err ath_##stem##_base(const ath_call *c); \
    ath_err ath_##stem##_v3(const ath_call *c);   \
    ath_err ath_##stem##_v4(const ath_call *c)

#define ATH_ISA_DISPATCH(stem)                                           \
    ATH_ISA_DECLARE(stem);                                               \
    static ath_err ath_##stem##_cpu(const ath_call *c)                   \
    {                                                                    \
        static ath_err (*const by_isa[ATH_N_ISAS])(const ath_call *) = { \
            ath_##stem##_base, ath_##stem##_v3, ath_##stem##_v4};        \
        return by_isa[ath_isa_get()](c);                                 \
    }                                                                    \
    _Static_assert(ATH_N_ISAS == 3, "one entry for each level")

#endif
