#include "worker/dist/slow.h"

#include "core/mem.h"

#include <stdlib.h>

enum { MANY = 26, FEW = 16 };

ath_err ath_slow_init(ath_slow *s, int32_t n)
{
    ath_err err = ATH_OK;

    *s = (ath_slow){.n = n};
    ATH_TRY_OUT(ATH_NEW(n, "slow ranks", &s->rank));
    ATH_TRY_OUT(ATH_NEW(n, "slow ranks", &s->sorted));
out:
    if (err) ath_slow_release(s);
    return err;
}

void ath_slow_release(ath_slow *s)
{
    ath_mem_free(&s->rank);
    ath_mem_free(&s->sorted);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The lower one of two: the faster of two ranks is the measure. 0: there are no two to compare. */
static double median(ath_slow *s, const double *seconds)
{
    int32_t n = 0;

    for (int32_t k = 0; k < s->n; k++)
        if (seconds[k] > 0) s->sorted[n++] = seconds[k];
    qsort(s->sorted, (size_t)n, sizeof *s->sorted, compare);
    return n > 1 ? s->sorted[(n - 1) / 2] : 0;
}

static int32_t count_bits(uint32_t bits)
{
    int32_t n = 0;

    for (; bits; bits &= bits - 1) n++;
    return n;
}

int32_t ath_slow_step(ath_slow *s, const double *seconds, double *times)
{
    const double middle = median(s, seconds);
    int32_t worst = -1;

    for (int32_t k = 0; k < s->n; k++) {
        ath_slow_rank *r = &s->rank[k];
        if (!(seconds[k] > 0) || middle == 0) continue;
        r->slow_steps = r->slow_steps << 1 | (seconds[k] * 3 > middle * 4);
        const int32_t n = count_bits(r->slow_steps);
        if (n < FEW) r->is_told = false;
        if (n >= MANY && !r->is_told && (worst < 0 || seconds[k] > seconds[worst])) worst = k;
    }
    if (worst < 0) return -1;
    s->rank[worst].is_told = true;
    *times = seconds[worst] / middle;
    return worst;
}
