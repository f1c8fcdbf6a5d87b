#include "core/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Every block is preceded by one aligned header that remembers its size. */
typedef struct block {
    size_t bytes;
} block;

static _Atomic int64_t n_asked, n_held, fail_from;
static _Atomic size_t bytes_held, bytes_most;
static _Atomic bool frozen;

/* Counts down to 1 and stays there. */
static bool is_injected(void)
{
    int64_t n = atomic_load(&fail_from);

    while (n > 1 && !atomic_compare_exchange_weak(&fail_from, &n, n - 1)) {
    }
    return n == 1;
}

static void note_held(size_t bytes)
{
    size_t held = atomic_fetch_add(&bytes_held, bytes) + bytes;
    size_t most = atomic_load(&bytes_most);

    atomic_fetch_add(&n_held, 1);
    while (held > most && !atomic_compare_exchange_weak(&bytes_most, &most, held)) {
    }
}

ath_err ath_mem_new(size_t count, size_t bytes, const char *what, void **out)
{
    atomic_fetch_add(&n_asked, 1);
    ATH_NEED(!atomic_load(&frozen), ATH_EFROZEN, "%s: %zu x %zu bytes asked for during a step",
             what, count, bytes);
    ATH_NEED(bytes == 0 || count <= (SIZE_MAX / 2) / bytes, ATH_ENOMEM,
             "%s: %zu x %zu bytes is more than this machine can address", what, count, bytes);
    size_t total = (count * bytes + 2 * ATH_MEM_ALIGN - 1) / ATH_MEM_ALIGN * ATH_MEM_ALIGN;
    char *p = is_injected() ? NULL : aligned_alloc(ATH_MEM_ALIGN, total);
    ATH_NEED(p, ATH_ENOMEM, "%s: no memory for %zu x %zu bytes", what, count, bytes);
    memset(p, 0, total);
    ((block *)(void *)p)->bytes = total;
    note_held(total);
    p += ATH_MEM_ALIGN;
    memcpy(out, &p, sizeof p); /* the caller's pointer may be of any object type */
    return ATH_OK;
}

void ath_mem_drop(void *p)
{
    if (!p) return;
    block *b = (block *)(void *)((char *)p - ATH_MEM_ALIGN);
    atomic_fetch_sub(&bytes_held, b->bytes);
    atomic_fetch_sub(&n_held, 1);
    free(b);
}

ath_err ath_mem_grow(void *array, int64_t n, int64_t *room, size_t bytes, const char *what)
{
    void *from = NULL, *to = NULL;

    if (n < *room) return ATH_OK;
    int64_t more = *room ? *room * 2 : 16;
    memcpy(&from, array, sizeof from);
    ATH_TRY(ath_mem_new((size_t)more, bytes, what, &to));
    if (n) memcpy(to, from, (size_t)n * bytes);
    ath_mem_drop(from);
    memcpy(array, &to, sizeof to);
    *room = more;
    return ATH_OK;
}

void ath_mem_fail_from(int64_t n)
{
    atomic_store(&fail_from, n);
}

ath_mem_stats ath_mem_get_stats(void)
{
    return (ath_mem_stats){atomic_load(&n_asked), atomic_load(&n_held), atomic_load(&bytes_held),
                           atomic_load(&bytes_most)};
}

void ath_mem_freeze(void)
{
    atomic_store(&frozen, true);
}

void ath_mem_thaw(void)
{
    atomic_store(&frozen, false);
}
