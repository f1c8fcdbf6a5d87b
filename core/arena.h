/*
 * Bump allocator: everything in it dies together. One owner, one thread at a time.
 */
#ifndef ATH_CORE_ARENA_H
#define ATH_CORE_ARENA_H

#include "core/err.h"

typedef struct ath_arena_block ath_arena_block;

/* {0} is a valid empty arena. */
typedef struct ath_arena {
    ath_arena_block *first;
} ath_arena;

/* Gives `count` objects of `bytes` bytes, zeroed, aligned to 16; valid until release. */
ATH_MUST ath_err ath_arena_new(ath_arena *arena, size_t count, size_t bytes, void **out);

#define ATH_ARENA_NEW(arena, count, address) \
    ath_arena_new((arena), (size_t)(count), sizeof **(address), (void **)(address))

/* A printed string in the arena; valid until release. */
ATH_MUST ath_err ath_arena_print(ath_arena *arena, const char **out, const char *fmt, ...)
    ATH_PRINTF(3, 4);

/* Frees all blocks; the arena is empty and usable again. */
void ath_arena_release(ath_arena *arena);

#endif
