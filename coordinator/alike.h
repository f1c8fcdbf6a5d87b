/* Whether pictures look alike: a difference hash of 64 bits (is each of 8 x 8 places darker than its
 * right neighbour?), which scaling and compression hardly change. */
#ifndef ATH_COORDINATOR_ALIKE_H
#define ATH_COORDINATOR_ALIKE_H

#include "core/io/image.h"

enum { ATH_ALIKE_BITS = 4 }; /* pictures that differ in so many or fewer look alike */

uint64_t ath_alike_hash(const ath_image *image);

/* Bits in which two hashes differ. */
int ath_alike_distance(uint64_t a, uint64_t b);

#endif
