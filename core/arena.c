#include "core/arena.h"

#include "core/mem.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The torture build takes a block for nearly every object, so that a pointer that outlives a block
 * or an arithmetic slip between blocks is found at once. */
enum { BLOCK_BYTES = ATH_TORTURE ? 23 : 16 * 1024, ALIGN = 16 };

struct ath_arena_block {
    ath_arena_block *next;
    size_t used, room;
    char bytes[];
};

ath_err ath_arena_new(ath_arena *arena, size_t count, size_t bytes, void **out)
{
    ATH_NEED(bytes == 0 || count <= (SIZE_MAX / 4) / bytes, ATH_ENOMEM,
             "arena: %zu x %zu bytes is more than this machine can address", count, bytes);
    size_t need = (count * bytes + ALIGN - 1) / ALIGN * ALIGN;
    ath_arena_block *b = arena->first;

    if (!b || b->room - b->used < need) {
        size_t room = need + ALIGN > BLOCK_BYTES ? need + ALIGN : BLOCK_BYTES;
        void *fresh = NULL;
        ATH_TRY(ath_mem_new(1, sizeof *b + room, "arena block", &fresh));
        b = fresh;
        b->room = room;
        b->used = (ALIGN - sizeof *b % ALIGN) % ALIGN;
        b->next = arena->first;
        arena->first = b;
    }
    char *p = b->bytes + b->used;
    memcpy(out, &p, sizeof p); /* the caller's pointer may be of any object type */
    b->used += need;
    return ATH_OK;
}

ath_err ath_arena_print(ath_arena *arena, const char **out, const char *fmt, ...)
{
    va_list args, again;
    void *text = NULL;
    ath_err err;

    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ATH_ASSERT(n >= 0);
    err = ath_arena_new(arena, (size_t)n + 1, 1, &text);
    if (!err) {
        vsnprintf(text, (size_t)n + 1, fmt, again);
        *out = text;
    }
    va_end(again);
    return err;
}

void ath_arena_release(ath_arena *arena)
{
    while (arena->first) {
        ath_arena_block *b = arena->first;
        arena->first = b->next;
        ath_mem_drop(b);
    }
}
