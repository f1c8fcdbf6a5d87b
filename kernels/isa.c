#include "kernels/isa.h"

#include "core/var.h"
#include <stdatomic.h>

static const char *const names[ATH_N_ISAS] = {"base", "v3", "v4"};

static ath_isa best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return ATH_ISA_V4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return ATH_ISA_V3;
#endif
    return ATH_ISA_BASE;
}

/* The level asked for, or -1 for the best; ATH_ISA's words are "best", then the names. */
static int wish(void)
{
    return (int)ath_var_get(ATH_VAR_ISA).number - 1;
}

ath_isa ath_isa_get(void)
{
    static _Atomic int chosen = -1;
    int isa = atomic_load(&chosen);

    if (isa < 0) {
        int wanted = wish(), most = (int)best();
        isa = wanted < 0 || wanted > most ? most : wanted;
        atomic_store(&chosen, isa);
    }
    return (ath_isa)isa;
}

ath_err ath_isa_check(void)
{
    int wanted = wish();

    ATH_NEED(wanted <= (int)best(), ATH_ENOTSUP, "ATH_ISA is %s, but this machine has %s",
             names[wanted], names[best()]);
    return ATH_OK;
}

const char *ath_isa_name(ath_isa isa)
{
    return names[isa];
}
