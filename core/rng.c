#include "core/rng.h"

#include "core/err.h"

/* A Feistel network over the even number of bits that just holds n, its rounds keyed by Philox.
 * Results outside [0, n) are walked on along their cycle, which ends in [0, n) because it began
 * there: after four steps at most on average where n > 16. Halves have three bits at least: those of
 * two bits make only some of the orders of five things, however many the rounds. */
int64_t ath_permute(int64_t i, int64_t n, const uint32_t key[2], uint32_t kind, uint32_t epoch)
{
    enum { N_ROUNDS = 10 };
    int half = 3; /* bits of one half */

    ATH_ASSERT(0 <= i && i < n);
    while (half < 31 && (int64_t)1 << 2 * half < n) half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t at = (uint64_t)i;
    do {
        uint64_t left = at >> half, right = at & mask;
        for (uint32_t round = 0; round < N_ROUNDS; round++) {
            uint32_t word[4] = {(uint32_t)right, kind, epoch, round};
            ath_philox(word, key, word);
            uint64_t next = left ^ (word[0] & mask);
            left = right;
            right = next;
        }
        at = left << half | right;
    } while (at >= (uint64_t)n);
    return (int64_t)at;
}
