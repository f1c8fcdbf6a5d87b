/* "Did you mean": the name that a misspelled word was probably meant to be. */
#ifndef ATH_CORE_NEAREST_H
#define ATH_CORE_NEAREST_H

#include <stddef.h>

/* Of `n` names the one with the fewest letters to insert, drop, change or swap, the first of equals;
 * NULL where that takes more than a third of the letters. Any thread. */
const char *ath_nearest(const char *word, const char *const *names, size_t n);

#endif
