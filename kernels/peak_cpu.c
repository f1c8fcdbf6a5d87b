#include "kernels/isa.h"
#include "kernels/peak.h"
#include "kernels/vec.h"

enum { CHAINS = 12 }; /* independent sums: more than latency times throughput of any core */

/* Runs n_steps steps of CHAINS multiply-adds; returns how many operations that were. `x` decides
 * what is computed and `sum` takes the result, so that nothing can be left out. */
double ATH_ISA_NAME(peak_loop)(int64_t n_steps, float x, float *sum)
{
    const vf scale = vset(x), more = vset(1 - x);
    vf chain[CHAINS];

    for (int i = 0; i < CHAINS; i++) chain[i] = vset((float)i);
    for (int64_t step = 0; step < n_steps; step++)
        for (int i = 0; i < CHAINS; i++) chain[i] = vfma(chain[i], scale, more);
    for (int i = 1; i < CHAINS; i++) chain[0] += chain[i];
    *sum = vsum(chain[0]);
    return 2.0 * VL * CHAINS * (double)n_steps;
}
