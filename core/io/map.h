/* A file's bytes without reading them: mapped, read only. It must not be shortened meanwhile. */
#ifndef ATH_CORE_IO_MAP_H
#define ATH_CORE_IO_MAP_H

#include "core/err.h"

/* {0} is an empty one. */
typedef struct ath_map {
    const uint8_t *bytes; /* NULL where the file is empty */
    size_t n;
} ath_map;

/* ATH_EMISSING where there is none, ATH_EIO where it cannot be read or is no regular file. */
ATH_MUST ath_err ath_map_open(const char *path, ath_map *out);
void ath_map_close(ath_map *map);

#endif
