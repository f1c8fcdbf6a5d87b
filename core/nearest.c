#include "core/nearest.h"

#include <string.h>

enum { LETTERS = 64 };

static int min(int a, int b)
{
    return a < b ? a : b;
}

/* Edit distance with swaps of neighbours; row[i % 3][k]: the first i letters of a to k of b. */
static int distance(const char *a, const char *b)
{
    int row[3][LETTERS + 1], n_a = (int)strlen(a), n_b = (int)strlen(b);

    if (n_a > LETTERS || n_b > LETTERS) return n_a + n_b;
    for (int k = 0; k <= n_b; k++) row[0][k] = k;
    for (int i = 1; i <= n_a; i++) {
        int *now = row[i % 3], *before = row[(i + 2) % 3], *first = row[(i + 1) % 3];
        now[0] = i;
        for (int k = 1; k <= n_b; k++) {
            now[k] = min(before[k - 1] + (a[i - 1] != b[k - 1]), 1 + min(before[k], now[k - 1]));
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                now[k] = min(now[k], first[k - 2] + 1);
        }
    }
    return row[n_a % 3][n_b];
}

const char *ath_nearest(const char *word, const char *const *names, size_t n)
{
    int least = (int)(strlen(word) + 2) / 3 + 1;
    const char *best = NULL;

    for (size_t i = 0; i < n; i++) {
        int d = distance(word, names[i]);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}
