/* The noise op: the numbers of its contract, wherever an image stands in its batch and whatever the
 * number of threads, the same under ref64. */
#include "core/rng.h"
#include "kernels/noise.h"
#include "kernels/ops.h"
#include "tests/harness.h"

enum { N = 3, COUNT = 5 * 7 * 3 };

static const int32_t keys[N][4] = {{42, 0, 1, 7}, {42, -1, 1, 8}, {42, 0, 2, 7}};
static const ath_noise_attr attr = {.kind = 5, .dtype = ATH_F32, .n_dim = 3, .dim = {5, 7, 3}};

static void run(ath_backend backend, const ath_noise_attr *a, int n, const void *key, int n_threads,
                void *out)
{
    ath_site site = {.op = &ath_op_noise, .attr = a, .n_threads = n_threads};

    site.in[0] = (ath_desc){ATH_I32, 2, {n, 4}};
    CHECK_OK(ath_op_infer(site.op, a, site.in, site.out, site.saved));
    ath_call call = {.site = &site, .in = {key}, .out = {out}};
    CHECK_OK(ath_op_kernel(site.op, ATH_FWD, backend)->run(&call));
}

int main(void)
{
    float all[N][COUNT], other[N][COUNT], alone[COUNT];
    double wide[N][COUNT];
    bool is_right = true, is_same = true;

    ath_test_begin("contract");
    run(ATH_REF, &attr, N, keys, 1, all);
    for (int image = 0; image < N; image++) {
        const uint32_t key[2] = {(uint32_t)keys[image][0], (uint32_t)keys[image][1]};
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t word[4] = {i / 4, 5, (uint32_t)keys[image][2], (uint32_t)keys[image][3]};
            float normal[4];
            ath_philox(word, key, word);
            ath_normal4(word, normal);
            is_right = is_right && all[image][i] == normal[i % 4];
        }
    }
    CHECK(is_right);

    ath_test_begin("bits");
    run(ATH_CPU, &attr, N, keys, 3, other);
    CHECK_BITS(other, all, sizeof all);
    run(ATH_CPU, &attr, 1, keys[1], 2, alone);
    CHECK_BITS(alone, all[1], sizeof alone);
    ath_noise_attr wide_attr = attr;
    wide_attr.dtype = ATH_F64;
    run(ATH_REF64, &wide_attr, N, keys, 1, wide);
    for (int i = 0; i < N * COUNT; i++)
        is_same = is_same && wide[i / COUNT][i % COUNT] == (double)all[i / COUNT][i % COUNT];
    CHECK(is_same);

    ath_test_begin("draws are apart");
    ath_noise_attr another = attr;
    another.kind = 6;
    run(ATH_REF, &another, N, keys, 1, other);
    for (int a = 0; a < N; a++) {
        int n_equal = 0;
        for (int i = 0; i < COUNT; i++) {
            n_equal += other[a][i] == all[a][i];
            for (int b = 0; b < a; b++) n_equal += all[a][i] == all[b][i];
        }
        CHECK_EQ(n_equal, 0);
    }
    return ath_test_end();
}
