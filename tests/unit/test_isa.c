/* The instruction set: ATH_ISA pins it once, never above what the machine has, and main can refuse. */
#include "core/var.h"
#include "kernels/isa.h"
#include "tests/harness.h"

#include <stdlib.h>

int main(void)
{
    ath_test_begin("words of ATH_ISA");
    for (int i = 0; i < ATH_N_ISAS; i++) {
        setenv("ATH_ISA", ath_isa_name((ath_isa)i), 1);
        CHECK_EQ(ath_var_get(ATH_VAR_ISA).number, i + 1); /* 0: the best */
    }
    ath_test_begin("pinned");
    setenv("ATH_ISA", "base", 1);
    CHECK_OK(ath_isa_check());
    CHECK_EQ(ath_isa_get(), ATH_ISA_BASE);
    setenv("ATH_ISA", "v4", 1);
    CHECK_EQ(ath_isa_get(), ATH_ISA_BASE); /* chosen once */
    ath_err err = ath_isa_check();
    CHECK(err == ATH_OK || (err == ATH_ENOTSUP && strstr(ath_err_text(), "ATH_ISA is v4")));
    unsetenv("ATH_ISA");
    CHECK_OK(ath_isa_check());
    return ath_test_end();
}
