/* sched_getaffinity is Linux's own. */
#define _GNU_SOURCE

#include "core/thread.h"

#include <sched.h>

int ath_cores(void)
{
    cpu_set_t set;
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;

    return n > 0 ? n : 1;
}
