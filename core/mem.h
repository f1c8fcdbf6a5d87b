/*
 * Checked allocation: the only place that calls malloc.
 *
 * Sizes are products checked for overflow; memory is zeroed and aligned to 64 bytes; failure is
 * ATH_ENOMEM with the size and the purpose. Tests can make the n-th allocation fail. After
 * ath_mem_freeze() an allocation is an error (ATH_EFROZEN): a training step allocates nothing.
 * Any thread.
 */
#ifndef ATH_CORE_MEM_H
#define ATH_CORE_MEM_H

#include "core/err.h"
#include <stdint.h>

enum { ATH_MEM_ALIGN = 64 };

/* Gives `count` objects of `bytes` bytes, zeroed; `*out` is written only on success. A count of
 * zero gives a valid pointer to nothing. `what` names the purpose in the error. */
ATH_MUST ath_err ath_mem_new(size_t count, size_t bytes, const char *what, void **out);

/* Frees and clears the caller's pointer: ath_mem_free(&p). Accepts NULL. */
#define ath_mem_free(address) (ath_mem_drop(*(address)), *(address) = NULL)
void ath_mem_drop(void *p);

#define ATH_NEW(count, what, address) \
    ath_mem_new((size_t)(count), sizeof **(address), (what), (void **)(address))

/* Makes room for one more in an array of `n` things of `bytes` bytes each: `array` is the address of
 * its pointer, `room` how many fit. Doubles when full; new room is zeroed; unchanged on failure. */
ATH_MUST ath_err ath_mem_grow(void *array, int64_t n, int64_t *room, size_t bytes,
                              const char *what);

/* Fault injection: the n-th allocation from now (1 = the next) and all after it fail; 0 = none. */
void ath_mem_fail_from(int64_t n);

/* Allocations asked for since the program started, and bytes held now and at most. */
typedef struct ath_mem_stats {
    int64_t n_asked;
    int64_t n_held;
    size_t bytes_held;
    size_t bytes_most;
} ath_mem_stats;
ath_mem_stats ath_mem_get_stats(void);

void ath_mem_freeze(void);
void ath_mem_thaw(void);

#endif
