/*
 * The networks against diffusers and transformers: answers, loss, gradients of every input and every
 * parameter of tiny models with random weights (tests/reference/models.safetensors), odd sizes and
 * clip skip too, on each host backend in f32 and (but for the autoencoder) bf16, with and without
 * recomputation. Gradients of inputs are the same whether the parameters train or are frozen.
 *
 *     test_models FILE [tiny|sd15 [BACKEND [DTYPE [THREADS]]]]
 *
 * BACKEND cuda runs on the first GPU; test_models_shim has its kernels on the host (tests/cuda).
 */
#include "core/mem.h"
#include "kernels/cuda.h"
#if ATH_MODELS_SHIM
#include "tests/cuda/shim_library.h"
#endif
#include "tests/harness.h"
#include "tests/model/parity.h"
#include <stdlib.h>

static const struct variant {
    ath_backend backend;
    ath_dtype compute;
    /* bounds: answer and loss; the gradient of an input or a parameter; one parameter's in the tiny
     * U-Net; a gradient that is 0. The fixture's own rounding to f32 is up to 6e-8. */
    double out, gradient, one, zero;
} variants[] = {
    {ATH_REF64, ATH_F64, 2e-7, 2e-7, 2e-7, 1e-12}, {ATH_REF, ATH_F32, 1e-5, 1e-4, 1e-4, 1e-6},
    {ATH_REF, ATH_BF16, 1e-2, 3e-2, 5e-2, 1e-2},   {ATH_CPU, ATH_F32, 1e-5, 1e-4, 1e-4, 1e-6},
    {ATH_CPU, ATH_BF16, 1e-2, 3e-2, 5e-2, 1e-2},   {ATH_CUDA, ATH_F32, 1e-5, 1e-4, 1e-4, 1e-6},
    {ATH_CUDA, ATH_BF16, 1e-2, 3e-2, 5e-2, 1e-2},
};
typedef struct variant variant;

static bool run(const parity_opts *o, parity_result *out)
{
    const ath_err err = parity_measure(o, out);

    ath_test_note(err == ATH_OK, __FILE__, __LINE__, "%s: %s", o->name, err ? ath_err_text() : "");
    return err == ATH_OK;
}

static void note(const parity_opts *o, const char *what, double rel, double bound, const char *name)
{
    ath_test_note(rel <= bound, __FILE__, __LINE__,
                  "%s %s %s: %s %s: relative error %.2e, wanted %.0e", o->name,
                  ath_backend_name(o->backend), ath_dtype_name(o->compute), what, name, rel, bound);
}

/* How many gradients of parameters the fixture has for a case. */
static int32_t count_gradients(const parity_opts *o)
{
    char prefix[PARITY_NAME];
    int32_t n = 0;

    snprintf(prefix, sizeof prefix, "%s/dw/", o->name);
    for (int64_t i = 0; i < ath_st_count(o->st); i++)
        n += strncmp(ath_st_get(o->st, i)->name, prefix, strlen(prefix)) == 0;
    return n;
}

/* In bf16 the rounding of forward's results alone moves the gradient of a parameter in the middle of the
 * tiny U-Net by 3e-2; the real one has no such parameter (bench/results/cpu-peers-2026-11-29.md). */
static double bound_of_one(const parity_opts *o, const variant *v)
{
    const bool is_unet = strncmp(o->name, "unet.", 5) == 0;
    return is_unet && o->spec == &ath_model_tiny ? v->one : v->gradient;
}

static void check(parity_opts o, const variant *v)
{
    parity_result r;

    o.trains = parity_has_gradient(&o);
    if (!run(&o, &r)) return;
    printf("%-16s %-5s %-4s%s out %.1e", o.name, ath_backend_name(o.backend),
           ath_dtype_name(o.compute), o.recompute ? " again" : "", r.out);
    if (o.trains)
        printf("  loss %.1e  inputs %.1e  parameters %.1e, worst of %d %.1e (%s), norms %.1e, %d "
               "zeros %.1e",
               r.loss, r.din, r.dw_mean, r.n_dw, r.dw, r.dw_name, r.norm, r.n_zero, r.zero);
    printf("\n");
    note(&o, "answer", r.out, v->out, "");
    if (!o.trains) return;
    note(&o, "loss", r.loss, v->out, "");
    note(&o, "gradient of input", r.din, v->gradient, r.din_name);
    note(&o, "gradients of parameters", r.dw_mean, v->gradient, "");
    note(&o, "gradient of", r.dw, bound_of_one(&o, v), r.dw_name);
    note(&o, "norm of a gradient", r.norm, v->gradient, "");
    note(&o, "a gradient that is 0", r.zero, v->zero, "");
    CHECK_EQ(r.n_dw, count_gradients(&o));
}

/* Through frozen parameters: nothing but the inputs has a gradient, and it is the same. */
static void check_frozen(parity_opts o, const variant *v)
{
    parity_result trained, frozen;

    o.trains = true;
    if (!run(&o, &trained)) return;
    o.trains = false;
    if (!run(&o, &frozen)) return;
    CHECK_EQ(frozen.n_dw, 0);
    note(&o, "gradient of input through frozen parameters", frozen.din, v->gradient,
         frozen.din_name);
    /* libraries may take another algorithm for a weight that they can pack beforehand */
    if (o.backend != ATH_CPU && o.backend != ATH_CUDA) CHECK(frozen.mark == trained.mark);
}

/* The autoencoder computes in ATH_VAE_DTYPE, whatever the other networks do. */
static bool is_used(const parity_opts *o)
{
    return o->compute != ATH_BF16 || strncmp(o->name, "vae_", 4) != 0;
}

/* Makes a call for the cases and variants that the arguments leave. */
static void each(const parity_opts *chosen, const char *backend, const char *dtype,
                 void (*call)(parity_opts o, const variant *v))
{
    for (int64_t i = 0; i < ath_st_count(chosen->st); i++) {
        const char *name = ath_st_get(chosen->st, i)->name, *slash = strchr(name, '/');
        char text[PARITY_NAME];
        if (!slash || strcmp(slash, "/out") != 0 || slash - name >= PARITY_NAME) continue;
        snprintf(text, sizeof text, "%.*s", (int)(slash - name), name);
        for (size_t k = 0; k < sizeof variants / sizeof *variants; k++) {
            parity_opts o = *chosen;
            o.name = text;
            o.backend = variants[k].backend;
            o.compute = variants[k].compute;
            if (!backend && o.backend == ATH_CUDA) continue;
            if (backend && strcmp(backend, ath_backend_name(o.backend)) != 0) continue;
            if (dtype && strcmp(dtype, ath_dtype_name(o.compute)) != 0) continue;
            if (is_used(&o)) call(o, &variants[k]);
        }
    }
}

static void check_missing(const parity_opts *chosen)
{
    parity_opts o = *chosen;
    parity_result r;

    o.name = "unet.nowhere";
    CHECK_ERR(parity_measure(&o, &r), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "unet.nowhere");
}

static ath_err use_cuda(parity_opts *o)
{
#if ATH_MODELS_SHIM
    (void)o;
    ath_shim_install();
    return ATH_OK;
#else
    ATH_TRY(ath_cuda_open());
    return ath_device_create_cuda(0, &o->device);
#endif
}

int main(int argc, char **argv)
{
    const char *size = argc > 2 ? argv[2] : "tiny", *backend = argc > 3 ? argv[3] : NULL;
    const char *dtype = argc > 4 ? argv[4] : NULL;
    ath_st *st = NULL;
    parity_opts o = {
        .spec = &ath_model_tiny, .n_threads = 2, .backend = ATH_REF, .compute = ATH_F32};

    ath_test_begin("open");
    CHECK(argc > 1);
    if (argc > 1) CHECK_OK(ath_st_open(argv[1], &st));
    if (!st) return ath_test_end();
    o.st = st;
    if (argc > 5) o.n_threads = (int32_t)strtol(argv[5], NULL, 10);
    if (strcmp(size, "sd15") == 0) o.spec = &ath_model_sd15;
    if (backend && strcmp(backend, "cuda") == 0) CHECK_OK(use_cuda(&o));
    ath_test_begin("against torch");
    each(&o, backend, dtype, check);
    if (o.spec == &ath_model_tiny) {
        ath_test_begin("against torch, recomputed");
        o.recompute = true;
        if (!backend) each(&o, "cpu", dtype, check);
        o.recompute = false;
        ath_test_begin("frozen parameters");
        each(&o, backend, dtype, check_frozen);
        ath_test_begin("refusals");
        check_missing(&o);
    }
    ath_device_destroy(&o.device);
    ath_st_close(&st);
    return ath_test_end();
}
