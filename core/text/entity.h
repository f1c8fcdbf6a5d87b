/* Characters written as &name; &#10; or &#xA;, read as ftfy and Python's html module read them. */
#ifndef ATH_CORE_TEXT_ENTITY_H
#define ATH_CORE_TEXT_ENTITY_H

#include "core/err.h"

/* What Windows-1252 has in the place of the control character c, 0x80 to 0x9F. */
int32_t ath_windows_1252(int32_t c);

enum { ATH_ENTITY_PARTS = 3 };

/* The entity at `c`, which begins with an ampersand; n is what is left of the text. Returns how many
 * code points it takes, 0 where there is none; *n_out of them (perhaps none) are in `out`. */
int64_t ath_entity_read(const int32_t *c, int64_t n, int32_t out[ATH_ENTITY_PARTS], int *n_out);

#endif
