#include "worker/graph/unit.h"

#include "core/log.h"
#include "core/var.h"
#include "kernels/cuda.h"
#include <inttypes.h>

ath_err ath_unit_settle(ath_unit_wish wish, ath_unit_wish *out)
{
    *out = wish;
    if (wish == ATH_UNIT_CPU) return ATH_OK;
    ath_err err = ath_cuda_open();
    if (err == ATH_ENOTSUP && wish == ATH_UNIT_AUTO) {
        ath_log(ATH_LOG_INFO, "device", ATH_KV("cpu", ath_err_text()));
        ath_err_clear();
        *out = ATH_UNIT_CPU;
        return ATH_OK;
    }
    if (!err) *out = ATH_UNIT_CUDA;
    return err;
}

static ath_err choose_gpu(int32_t i_local, int32_t n_local, int32_t *out)
{
    const int32_t n = ath_cuda_n_gpus();

    ATH_NEED(n_local <= n || ath_var_get(ATH_VAR_SHARE_GPUS).number, ATH_EINVAL,
             "%" PRId32 " ranks on a machine with %" PRId32 " GPU%s, wanted one each: use fewer "
             "ranks, or the CPU",
             n_local, n, n == 1 ? "" : "s");
    *out = i_local % n;
    return ATH_OK;
}

ath_err ath_unit_open(ath_unit_wish wish, int32_t i_local, int32_t n_local, ath_unit *out)
{
    ath_unit unit = {.backend = ATH_CPU};
    int32_t gpu = 0;

    ATH_TRY(ath_unit_settle(wish, &wish));
    if (wish == ATH_UNIT_CUDA) {
        unit.backend = ATH_CUDA;
        ATH_TRY(choose_gpu(i_local, n_local, &gpu));
        ATH_TRY(ath_device_create_cuda(gpu, &unit.device));
    } else {
        ATH_TRY(ath_device_create_host(&unit.device));
    }
    *out = unit;
    return ATH_OK;
}

void ath_unit_close(ath_unit *unit)
{
    ath_device_destroy(&unit->device);
    *unit = (ath_unit){0};
}
