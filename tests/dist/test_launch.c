/* One rank alone: every call is harmless and passes through; no mpirun is told, and nothing leaks. */
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/dist/dist.h"
#include <stdlib.h>

int main(void)
{
    int32_t data = 7;

    ath_test_begin("alone");
    CHECK(!ath_dist_is_launched());
    CHECK_OK(ath_dist_init(0));
    CHECK_OK(ath_dist_init(1));
    CHECK_EQ(ath_dist_rank(), 0);
    CHECK_EQ(ath_dist_size(), 1);
    CHECK_OK(ath_dist_barrier());
    CHECK_OK(ath_dist_share(&data, sizeof data));
    CHECK_EQ(data, 7);
    CHECK_OK(ath_dist_agree(ATH_OK));
    CHECK_ERR(ath_dist_agree(ath_raise(ATH_ENAN, "mine")), ATH_ENAN);
    CHECK_HAS(ath_err_text(), "mine");
    ath_dist_finalize();

    ath_test_begin("refusals");
    CHECK_ERR(ath_dist_init(-1), ATH_EINVAL);
    CHECK_ERR(ath_dist_init(ATH_RANKS_MAX + 1), ATH_EINVAL);
    CHECK(setenv("PATH", "/nowhere", 1) == 0);
    CHECK_ERR(ath_dist_init(2), ATH_EMPI);
    CHECK_HAS(ath_err_text(), "mpirun does not start (there is none in PATH)");
    for (int i = 1; i <= 5; i++) {
        ath_mem_fail_from(i);
        CHECK_ERR(ath_dist_init(2), ATH_ENOMEM);
        ath_mem_fail_from(0);
    }
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
