#include "kernels/column_sum.h"

#include "kernels/isa.h"

typedef void column_sum(const ath_desc *d, const void *x, bool add, int n_threads, float *sum);
column_sum ath_column_sum_base, ath_column_sum_v3, ath_column_sum_v4;

void ath_column_sum(const ath_desc *d, const void *x, bool add, int n_threads, float *sum)
{
    static column_sum *const by_isa[ATH_N_ISAS] = {ath_column_sum_base, ath_column_sum_v3,
                                                   ath_column_sum_v4};
    by_isa[ath_isa_get()](d, x, add, n_threads, sum);
}
