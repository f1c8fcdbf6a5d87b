/*
 * The step program on the simulated device: streams run late and in random order, memory is poisoned,
 * what backward did not declare is not there. Any seed gives the host's bits, step by step and as a
 * graph that is captured in the second run and launched from then on; taking any one wait between the
 * streams out, of a run or of the capture, is found by some seed.
 */
#include "core/mem.h"
#include "core/pulse.h"
#include "tests/graph/toy.h"
#include "tests/harness.h"

enum { SEEDS = 20, STEPS = 3 };

/* Where the reduction is code of the host, the program is never captured. */
static toy_opts opts_of(ath_backend backend, bool is_captured)
{
    return (toy_opts){.compute = ATH_F32,
                      .plan = {.backend = backend,
                               .update = true,
                               .max_norm = 1,
                               .recompute = true,
                               .bucket_bytes = 65536},
                      .has_a = true,
                      .trains_base = true,
                      .reduces = true,
                      .puts_reduce = is_captured};
}

/* The parameters after some steps. */
static void *values_after(toy_opts opts, size_t *bytes)
{
    void *values = NULL;
    toy t;

    CHECK_OK(toy_create(&opts, &t));
    if (!t.exec) return NULL;
    for (int step = 0; step < STEPS; step++) CHECK_OK(ath_exec_run(t.exec, ATH_PHASE_ALL));
    CHECK_OK(toy_read(&t, ATH_VALUE, "", &values, bytes));
    toy_release(&t);
    return values;
}

static int32_t count_waits(void)
{
    toy_opts opts = opts_of(ATH_REF, false);
    int32_t n = 0;
    toy t;

    CHECK_OK(toy_create(&opts, &t));
    n = 2 * ath_plan_get_stats(t.plan).n_buckets;
    toy_release(&t);
    return n;
}

static bool is_found(int32_t wait, bool is_captured, const void *host, size_t host_bytes)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        toy_opts opts = opts_of(ATH_REF, is_captured);
        size_t bytes = 0;
        opts.is_sim = true;
        opts.seed = seed;
        opts.drop_wait = wait;
        void *values = values_after(opts, &bytes);
        const bool differs = bytes != host_bytes || memcmp(values, host, bytes) != 0;
        ath_mem_free(&values);
        if (differs) return true;
    }
    return false;
}

/* Takes out each wait of the first run, which goes step by step, or of the second, which is captured. */
static void check_waits(bool is_captured, const void *host, size_t bytes)
{
    const int32_t n_waits = count_waits(), first = is_captured ? n_waits : 0;
    int n_found = 0;

    CHECK(n_waits >= 6);
    for (int32_t wait = 1; wait <= n_waits; wait++) {
        const bool found = is_found(first + wait, is_captured, host, bytes);
        n_found += found;
        ath_test_note(found, __FILE__, __LINE__, "wait %d of %d is not missed by any seed", wait,
                      n_waits);
    }
    printf("taking out one wait %s: %d of %d found within %d seeds\n",
           is_captured ? "of the capture" : "of a run", n_found, n_waits, SEEDS);
}

/* n seeds on the sim against the host: the bits of the latter are given back. */
static void *check_seeds(ath_backend backend, uint64_t n, size_t *host_bytes)
{
    void *host = values_after(opts_of(backend, false), host_bytes);

    for (uint64_t i = 0; i < 2 * n; i++) {
        toy_opts opts = opts_of(backend, i % 2);
        size_t bytes = 0;
        opts.is_sim = true;
        opts.seed = i / 2;
        void *values = values_after(opts, &bytes);
        CHECK_EQ(bytes, *host_bytes);
        if (values && bytes == *host_bytes) CHECK_BITS(values, host, bytes);
        ath_mem_free(&values);
    }
    return host;
}

/* After the second run the host's part of a run is one launch: no step is looked at again. */
static void test_one_launch(void)
{
    toy_opts opts = opts_of(ATH_REF, true);
    toy t;

    opts.is_sim = true;
    CHECK_OK(toy_create(&opts, &t));
    for (int step = 0; step < STEPS; step++) {
        const uint64_t before = ath_pulse_count;
        CHECK_OK(ath_exec_run(t.exec, ATH_PHASE_ALL));
        if (step == 2) CHECK_EQ(ath_pulse_count - before, 1);
    }
    toy_release(&t);
}

int main(void)
{
    size_t bytes = 0;

    ath_test_begin("any seed gives the host's bits");
    void *host = check_seeds(ATH_CPU, 2, &bytes);
    ath_mem_free(&host);
    host = check_seeds(ATH_REF, SEEDS, &bytes);
    ath_test_begin("every wait is needed");
    check_waits(false, host, bytes);
    check_waits(true, host, bytes);
    ath_mem_free(&host);
    ath_test_begin("a captured run is one launch");
    test_one_launch();
    return ath_test_end();
}
