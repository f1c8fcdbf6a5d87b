/*
 * A whole training step of the toy U-Net in plans for backend cuda, our kernels on the host: on the
 * simulated device, in any order of streams and over poisoned memory, loss, gradients and new
 * parameters have the bits of the host device; the loss is near that of backend ref, and in f32 the
 * gradients are (in bf16 those of ref itself are 0.23 off f32's: the toy is no measure of rounding).
 * And the ops that have no kernel of ours are those meant to have none, so that none is forgotten.
 */
#include "core/mem.h"
#include "kernels/ops.h"
#include "tests/cuda/shim_library.h"
#include "tests/graph/toy.h"
#include "tests/harness.h"
#include <math.h>

enum { SEEDS = 2 };

typedef struct result {
    double loss;
    float *grads, *values;
    size_t bytes;
} result;

static toy_opts opts_of(ath_backend backend, ath_dtype compute)
{
    return (toy_opts){.compute = compute,
                      .plan = {.backend = backend,
                               .update = true,
                               .max_norm = 1,
                               .recompute = true,
                               .bucket_bytes = 65536},
                      .has_a = true,
                      .has_b = true,
                      .trains_base = true,
                      .reduces = true};
}

static result step_of(const toy_opts *opts)
{
    result r = {0};
    void *grads = NULL, *values = NULL;
    toy t;

    CHECK_OK(toy_create(opts, &t));
    if (!t.exec) return r;
    CHECK_OK(ath_exec_run(t.exec, ATH_PHASE_ALL));
    CHECK_OK(toy_loss(&t, &r.loss));
    CHECK_OK(toy_read(&t, ATH_GRAD, "", &grads, &r.bytes));
    CHECK_OK(toy_read(&t, ATH_VALUE, "", &values, &r.bytes));
    r.grads = grads;
    r.values = values;
    toy_release(&t);
    return r;
}

static void drop(result *r)
{
    ath_mem_free(&r->grads);
    ath_mem_free(&r->values);
}

static double far(const float *got, const float *want, size_t n)
{
    double difference = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        difference += d * d;
        all += (double)want[i] * (double)want[i];
    }
    return sqrt(difference / all);
}

static void check_bits(const result *host, ath_dtype compute)
{
    toy_opts opts = opts_of(ATH_CUDA, compute);

    opts.is_sim = true;
    for (opts.seed = 0; opts.seed < SEEDS; opts.seed++) {
        result sim = step_of(&opts);
        CHECK_EQ(sim.bytes, host->bytes);
        if (sim.grads && host->grads && sim.bytes == host->bytes) {
            CHECK_BITS(&sim.loss, &host->loss, sizeof sim.loss);
            CHECK_BITS(sim.grads, host->grads, sim.bytes);
            CHECK_BITS(sim.values, host->values, sim.bytes);
        }
        drop(&sim);
    }
}

static void check_step(ath_dtype compute, double bound)
{
    toy_opts cuda = opts_of(ATH_CUDA, compute), reference = opts_of(ATH_REF, compute);

    ath_test_begin(ath_dtype_name(compute));
    result host = step_of(&cuda), want = step_of(&reference);
    CHECK_NEAR(host.loss, want.loss, bound * want.loss);
    if (compute == ATH_F32 && host.grads && want.grads && host.bytes == want.bytes)
        CHECK_NEAR(far(host.grads, want.grads, host.bytes / sizeof(float)), 0, bound);
    check_bits(&host, compute);
    drop(&host);
    drop(&want);
}

static void check_own(void)
{
    /* they call NVIDIA's libraries, and are compiled where their headers are */
    static const char *const without[] = {"conv2d", "linear", "lowrank"};
    const size_t n_without = ATH_HAS_CUDA_HEADERS ? 0 : sizeof without / sizeof *without;

    ath_test_begin("own kernels");
    for (int i = 0; i < ATH_N_OPS; i++) {
        const ath_op *op = ath_ops[i];
        bool is_without = false;
        for (size_t k = 0; k < n_without; k++)
            is_without = is_without || strcmp(op->name, without[k]) == 0;
        ath_test_note(ath_shim_has(op, ATH_FWD) == !is_without, __FILE__, __LINE__,
                      "%s: forward is %sexpected", op->name, is_without ? "not " : "");
        ath_test_note(ath_shim_has(op, ATH_BWD) == (!is_without && op->bwd[ATH_REF].run), __FILE__,
                      __LINE__, "%s: backward is %sexpected", op->name, is_without ? "not " : "");
    }
}

int main(void)
{
    check_own();
    ath_shim_install();
    check_step(ATH_F32, 1e-4);
    check_step(ATH_BF16, 8e-2);
    return ath_test_end();
}
