#include "worker/run/cost.h"

#include "kernels/peak.h"
#include "kernels/peak_dnnl.h"
#include "worker/run/recipe_of.h"
#include "worker/train/network.h"

/* What whole steps reach (bench/step, bench/results/cpu-lora-*.md): of a bare 3x3 convolution's rate 0.75
 * to 0.87 in f32 and 0.62 to 0.69 in bf16; where the machine multiplies bf16 in units of its own, about
 * 1.2 times what its registers do in f32, since the rest of a step does not get faster with them. */
static const double of_conv_f32 = 0.8, of_conv_bf16 = 0.65, of_registers = 1.2;

static ath_err find_rate(const ath_trainer_opts *o, double *flop_per_s)
{
    double conv = 0;

    ATH_TRY(ath_peak_conv(o->dtype, o->n_threads, &conv));
    conv *= o->dtype == ATH_F32 ? of_conv_f32 : of_conv_bf16;
    const double registers = of_registers * ath_peak_fma(o->n_threads);
    *flop_per_s = 1e9 * (conv < registers ? conv : registers);
    return ATH_OK;
}

ath_err ath_cost_of(const Athanor__Job *job, int64_t n, int64_t width, int64_t height,
                    ath_cost *out)
{
    const bool is_tiny = job->model->spec == ATHANOR__MODEL__SPEC__TINY;
    ath_lora lora;
    ath_trainer_opts opts =
        ath_trainer_opts_of(job, is_tiny ? &ath_model_tiny : &ath_model_sd15, &lora);
    const int64_t cell = 1 << (opts.spec.vae.n_levels - 1);
    const ath_train_shape shape = {(int32_t)n, (int32_t)(height / cell), (int32_t)(width / cell)};
    ath_plan *plan = NULL;
    ath_err err = ATH_OK;

    opts.n_leaves_max = 1;
    ATH_TRY_OUT(ath_train_plan(&opts, shape, &plan));
    ATH_TRY_OUT(find_rate(&opts, &out->flop_per_s));
    const ath_plan_stats stats = ath_plan_get_stats(plan);
    out->flop = stats.flop;
    out->activation_bytes = (int64_t)stats.arena_bytes;
out:
    ath_plan_destroy(&plan);
    return err;
}
