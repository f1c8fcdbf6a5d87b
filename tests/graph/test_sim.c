/*
 * The step program on the simulated device: streams run late and in random order, memory is poisoned,
 * what backward did not declare is not there. Any seed gives the host's bits; taking any one wait
 * between the streams out is found by some seed.
 */
#include "core/mem.h"
#include "tests/graph/toy.h"
#include "tests/harness.h"

enum { SEEDS = 20 };

static toy_opts opts_of(ath_backend backend)
{
    return (toy_opts){.compute = ATH_F32,
                      .plan = {.backend = backend,
                               .update = true,
                               .max_norm = 1,
                               .recompute = true,
                               .bucket_bytes = 65536},
                      .has_a = true,
                      .trains_base = true,
                      .reduces = true};
}

/* The parameters after two steps. */
static void *values_after(toy_opts opts, size_t *bytes)
{
    void *values = NULL;
    toy t;

    CHECK_OK(toy_create(&opts, &t));
    if (!t.exec) return NULL;
    for (int step = 0; step < 2; step++) CHECK_OK(ath_exec_run(t.exec, ATH_PHASE_ALL));
    CHECK_OK(toy_read(&t, ATH_VALUE, "", &values, bytes));
    toy_release(&t);
    return values;
}

static int32_t count_waits(void)
{
    toy_opts opts = opts_of(ATH_REF);
    int32_t n = 0;
    toy t;

    CHECK_OK(toy_create(&opts, &t));
    n = 2 * ath_plan_get_stats(t.plan).n_buckets;
    toy_release(&t);
    return n;
}

static bool is_found(int32_t wait, const void *host, size_t host_bytes)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        toy_opts opts = opts_of(ATH_REF);
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

/* n seeds on the sim against the host: the bits of the latter are given back. */
static void *check_seeds(ath_backend backend, uint64_t n, size_t *host_bytes)
{
    toy_opts opts = opts_of(backend);
    void *host = values_after(opts, host_bytes);

    opts.is_sim = true;
    for (opts.seed = 0; opts.seed < n; opts.seed++) {
        size_t bytes = 0;
        void *values = values_after(opts, &bytes);
        CHECK_EQ(bytes, *host_bytes);
        if (values && bytes == *host_bytes) CHECK_BITS(values, host, bytes);
        ath_mem_free(&values);
    }
    return host;
}

int main(void)
{
    size_t bytes = 0;
    int n_found = 0;

    ath_test_begin("any seed gives the host's bits");
    void *host = check_seeds(ATH_CPU, 2, &bytes);
    ath_mem_free(&host);
    host = check_seeds(ATH_REF, SEEDS, &bytes);
    ath_test_begin("every wait is needed");
    const int32_t n_waits = count_waits();
    CHECK(n_waits >= 6);
    for (int32_t wait = 1; wait <= n_waits; wait++) {
        const bool found = is_found(wait, host, bytes);
        n_found += found;
        ath_test_note(found, __FILE__, __LINE__, "wait %d of %d is not missed by any seed", wait,
                      n_waits);
    }
    printf("taking out one wait: %d of %d found within %d seeds\n", n_found, n_waits, SEEDS);
    ath_mem_free(&host);
    return ath_test_end();
}
