/*
 * Arrays of floats under the hash of what they were made from, kept in a folder of HDF5 files from run
 * to run. A key says everything that decides the array, so nothing in it is ever stale; a file is
 * written once and never changed. Each rank writes what it made as one new file; then all open anew.
 */
#ifndef ATH_DATA_CACHE_H
#define ATH_DATA_CACHE_H

#include "core/hash.h"

typedef struct ath_cache ath_cache;

/* Reads the indexes of all files "<kind>-*.h5" of the folder; a missing folder is an empty one. A
 * file that cannot be read is logged, left alone and left out. */
ATH_MUST ath_err ath_cache_open(const char *folder, const char *kind, ath_cache **out);
void ath_cache_close(ath_cache **cache);

bool ath_cache_has(const ath_cache *cache, ath_hash key);

/* The array (mapped), of `n` floats. Its digest is checked when it is first found: EFORMAT, naming
 * the file, where it is not what was written. */
ATH_MUST ath_err ath_cache_find(ath_cache *cache, ath_hash key, int64_t n, const float **out);

/* What is new; kept in a file under another name until it is published. Nothing put: no file. */
typedef struct ath_cache_writer ath_cache_writer;
ATH_MUST ath_err ath_cache_write(const char *folder, const char *kind, ath_cache_writer **out);
ATH_MUST ath_err ath_cache_put(ath_cache_writer *writer, ath_hash key, int64_t n,
                               const float *data);
ATH_MUST ath_err ath_cache_publish(ath_cache_writer **writer); /* closed whatever happens */
void ath_cache_discard(ath_cache_writer **writer);

#endif
