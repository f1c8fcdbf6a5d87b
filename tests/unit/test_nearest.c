/* "Did you mean": a slip of one or two letters finds its name, a different word finds none. */
#include "core/nearest.h"
#include "tests/harness.h"

static const char *const names[] = {"train", "plan", "explain", "sample", "rank", "global_batch"};

static const char *nearest(const char *word)
{
    const char *found = ath_nearest(word, names, sizeof names / sizeof *names);
    return found ? found : "(none)";
}

int main(void)
{
    static char endless[1000];
    memset(endless, 'x', sizeof endless - 1);

    ath_test_begin("nearest");
    CHECK_STR(nearest("train"), "train");
    CHECK_STR(nearest("trian"), "train");    /* two letters swapped */
    CHECK_STR(nearest("explan"), "explain"); /* one dropped */
    CHECK_STR(nearest("plane"), "plan");     /* one too many */
    CHECK_STR(nearest("semple"), "sample");  /* one changed */
    CHECK_STR(nearest("globalbatsh"), "global_batch");
    CHECK_STR(nearest("ran"), "rank"); /* rank is one letter away, train and plan two */
    CHECK_STR(nearest("curve"), "(none)");
    CHECK_STR(nearest(""), "(none)");
    CHECK_STR(nearest(endless), "(none)");
    CHECK(!ath_nearest("train", NULL, 0));
    return ath_test_end();
}
