#include "tests/harness.h"

#include <stdarg.h>

static const char *current = "";
static int n_passed, n_failed;

void ath_test_begin(const char *name)
{
    current = name;
}

void ath_test_note(bool ok, const char *file, int line, const char *fmt, ...)
{
    va_list args;

    if (ok) {
        n_passed++;
        return;
    }
    n_failed++;
    printf("FAILED %s (%s:%d): ", current, file, line);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

int ath_test_end(void)
{
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed != 0 || n_passed == 0;
}
