/*
 * bench/start: from a model's file to its first step: opening, compiling, loading and packing of the
 * weights, the first and the second call of the U-Net.
 *
 *     start MODEL [f32|bf16 [THREADS [SIZE]]]
 *
 * Run it twice: the second time the file lies in the system's cache. The bytes of the mapped file that
 * were read count as memory of the process.
 */
#include "core/mem.h"
#include "core/time.h"
#include "worker/model/base.h"
#include "worker/sample/networks.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static int64_t last_ns;

/* Prints what passed since the last time. */
static void lap(const char *what)
{
    const int64_t now = ath_time_mono_ns();
    struct rusage u = {0};

    if (last_ns && getrusage(RUSAGE_SELF, &u) == 0)
        printf("  %-28s %8.3f s   %8.1f MiB at most so far\n", what, (double)(now - last_ns) * 1e-9,
               (double)u.ru_maxrss / 1024);
    last_ns = ath_time_mono_ns();
}

static ath_err load(void *context, const ath_plan *plan, ath_weights *weights)
{
    return ath_base_load(context, plan, weights, NULL);
}

static ath_err run(const char *model, const ath_networks_opts *opts, int32_t side,
                   ath_networks **networks, float **values)
{
    const ath_networks_size size = {1, side, side, opts->spec.text.positions};
    const size_t n = (size_t)side * (size_t)side * (size_t)opts->spec.unet.in_channels;
    const size_t n_states = (size_t)size.n_tokens * (size_t)opts->spec.unet.context_width;

    ATH_TRY(ath_networks_create(opts, networks));
    ATH_TRY(ath_networks_fit(*networks, size));
    lap("compile, load, pack");
    ATH_TRY(ATH_NEW(2 * n + n_states, "values", values));
    for (size_t i = 0; i < n + n_states; i++) (*values)[i] = (float)(i * 37 % 101) / 50 - 1;
    ATH_TRY(ath_networks_set_states(*networks, *values + n));
    for (int i = 0; i < 2; i++) {
        ATH_TRY(ath_networks_predict(*networks, *values, 500, *values + n + n_states));
        lap(i ? "U-Net, second call" : "U-Net, first call");
    }
    printf("%s: ready\n", model);
    return ATH_OK;
}

int main(int argc, char **argv)
{
    const char *model = argc > 1 ? argv[1] : "";
    const int32_t size = argc > 4 ? (int32_t)strtol(argv[4], NULL, 10) : 512;
    ath_networks_opts opts = {.backend = ATH_CPU, .dtype = ATH_F32, .clip_skip = 1, .load = load};
    ath_networks *networks = NULL;
    float *values = NULL;
    ath_base *base = NULL;

    lap("start");
    ath_err err = ath_base_open(model, &base);
    lap("open");
    if (!err) {
        if (argc > 2 && argv[2][0] == 'b') opts.dtype = ATH_BF16;
        opts.n_threads = argc > 3 ? (int32_t)strtol(argv[3], NULL, 10) : 2;
        opts.spec = *ath_base_spec(base);
        opts.load_context = base;
        err = run(model, &opts, size / 8, &networks, &values);
    }
    if (err) fprintf(stderr, "start: %s\n", ath_err_text());
    ath_networks_destroy(&networks);
    ath_base_close(&base);
    ath_mem_free(&values);
    return ath_err_exit_code(err);
}
