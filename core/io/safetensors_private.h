/* For readers of other files that give out their tensors as an ath_st. */
#ifndef ATH_CORE_IO_SAFETENSORS_PRIVATE_H
#define ATH_CORE_IO_SAFETENSORS_PRIVATE_H

#include "core/arena.h"
#include "core/io/map.h"
#include "core/io/safetensors.h"

/* Gives out `n` tensors in this order; a name that occurs twice is ATH_EFORMAT. On success `arena`
 * (which holds the tensors, their names and lengths, and data that lie in no file) and `map` go over
 * to *out and are empty. */
ATH_MUST ath_err ath_st_create(const char *name, int64_t n, const ath_st_tensor *tensors,
                               ath_arena *arena, ath_map *map, ath_st **out);

#endif
