/*
 * The primitives of kernels/tile.cuh against plain computations by the fragment layouts that its head
 * states: products over 16 and 8, matrices out of shared memory, copies that are not there before they
 * are waited for, and the misuse that ends the program.
 */
#include "kernels/tile.cuh"
extern "C" {
#include "tests/harness.h"
}
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { M = 16, N = 8, ROWS = 32, WIDE = 64 };

static const ath_call no_call = {};

/* Small integers, so that sums are exact. */
static float number(int i)
{
    return (float)(i * 37 % 23 - 11);
}

static __device__ uint32_t pair_of(const float *x, int at, int step)
{
    return pack_pair(x[at], x[at + step]);
}

/* c += a b, a [16][inner], b [inner][8], by fragments that are filled by hand. */
static __global__ void multiply(const float *a, const float *b, float *c, int inner)
{
    const int g = (int)threadIdx.x / 4, t = (int)threadIdx.x % 4 * 2;
    uint32_t fa[4] = {}, fb[2] = {};
    float fc[4];

    for (int k = 0; k < inner / 8; k++) {
        fa[2 * k] = pair_of(a, g * inner + t + 8 * k, 1);
        fa[2 * k + 1] = pair_of(a, (g + 8) * inner + t + 8 * k, 1);
        fb[k] = pair_of(b, (t + 8 * k) * N + g, N);
    }
    for (int i = 0; i < 4; i++) fc[i] = c[(g + i / 2 * 8) * N + t + i % 2];
    if (inner == 16)
        mma_16(fc, fa, fb);
    else
        mma_8(fc, fa, fb);
    for (int i = 0; i < 4; i++) c[(g + i / 2 * 8) * N + t + i % 2] = fc[i];
}

static void check_product(int inner)
{
    float a[M * 16], b[16 * N], c[M * N], want[M * N];

    ath_test_begin(inner == 16 ? "product over 16" : "product over 8");
    for (int i = 0; i < M * inner; i++) a[i] = number(i);
    for (int i = 0; i < inner * N; i++) b[i] = number(3 * i + 5);
    for (int i = 0; i < M * N; i++) {
        want[i] = c[i] = number(7 * i) / 2;
        for (int k = 0; k < inner; k++) want[i] += a[i / N * inner + k] * b[k * N + i % N];
    }
    CHECK(!launch(&no_call, dim3(1), WARP, 0, multiply, a, b, c, inner));
    CHECK(memcmp(c, want, sizeof c) == 0);
}

/* All registers of the four ways to load: r[way][4][32]. */
static __global__ void load_all(uint32_t *r)
{
    ATH_SHARED(bf16, x);
    const int lane = (int)threadIdx.x;
    uint32_t mine[4][4] = {};

    for (int i = 0; i < 8; i++) x[lane * 8 + i].bits = (uint16_t)(lane * 8 + i);
    __syncwarp();
    load_4(mine[0], tile_ptr(x) + lane * 8);
    load_2(mine[1], tile_ptr(x) + (lane + 8) % ROWS * 8);
    load_4_flipped(mine[2], tile_ptr(x) + lane * 8);
    load_2_flipped(mine[3], tile_ptr(x) + (lane + 8) % ROWS * 8);
    for (int way = 0; way < 4; way++)
        for (int i = 0; i < 4; i++) r[(way * 4 + i) * WARP + lane] = mine[way][i];
}

static void check_loads()
{
    uint32_t r[4 * 4 * WARP];

    ath_test_begin("matrices");
    CHECK(!launch(&no_call, dim3(1), WARP, ROWS * 16, load_all, r));
    for (int at = 0; at < 4 * 4 * WARP; at++) {
        const int way = at / WARP / 4, i = at / WARP % 4, g = at % WARP / 4, t = at % 4 * 2;
        const int first = (i + way % 2) * 64; /* the matrix */
        const int x = way < 2 ? first + g * 8 + t : first + t * 8 + g;
        const int y = x + (way < 2 ? 1 : 8);
        const uint32_t want = way % 2 && i > 1 ? 0 : (uint32_t)(y << 16 | x);
        CHECK_EQ(r[at], want);
    }
}

/* y: what is seen before the first of two groups is waited for, after it, after both, and zeros. */
static __global__ void copy_two(const float *x, float *y)
{
    ATH_SHARED(float, to);
    const tile_ptr tile(reinterpret_cast<bf16 *>(to));
    const int at = (int)threadIdx.x * 4;

    for (int i = 0; i < 3 * WIDE; i++) to[i] = 1;
    __syncthreads();
    copy_16(tile + 2 * at, x + at, true);
    copy_commit();
    copy_16(tile + 2 * (WIDE + at), x + WIDE + at, true);
    copy_16(tile + 2 * (2 * WIDE + at), x, false);
    copy_commit();
    y[at] = to[at];
    copy_wait<1>();
    y[at + 1] = to[at + 1];
    y[at + 2] = to[WIDE + at + 2];
    copy_wait<0>();
    y[at + 3] = to[WIDE + at + 3] + to[2 * WIDE + at + 3];
}

static void check_copies()
{
    float x[2 * WIDE + 4] __attribute__((aligned(16))), y[WIDE];

    ath_test_begin("copies");
    for (int i = 0; i < 2 * WIDE; i++) x[i] = number(i);
    CHECK(!launch(&no_call, dim3(1), WIDE / 4, 3 * WIDE * sizeof(float), copy_two, x, y));
    for (int i = 0; i < WIDE; i += 4) {
        CHECK(isnan(y[i]));
        CHECK_NEAR(y[i + 1], x[i + 1], 0);
        CHECK(isnan(y[i + 2]));
        CHECK_NEAR(y[i + 3], x[WIDE + i + 3], 0);
    }
}

static __global__ void vote(int *said)
{
    said[threadIdx.x] = __any_sync(ALL_LANES, threadIdx.x == 40);
}

static void check_vote()
{
    int said[2 * WARP];

    ath_test_begin("vote");
    CHECK(!launch(&no_call, dim3(1), 2 * WARP, 0, vote, said));
    for (int i = 0; i < 2 * WARP; i++) CHECK_EQ(said[i], i >= WARP);
}

static __global__ void never_waits(const float *x)
{
    ATH_SHARED(float, to);
    const tile_ptr tile(reinterpret_cast<bf16 *>(to));
    copy_16(tile, x, true);
    copy_commit();
}

static __global__ void waits_for_no_group(const float *x)
{
    ATH_SHARED(float, to);
    const tile_ptr tile(reinterpret_cast<bf16 *>(to));
    copy_16(tile, x, true);
    copy_wait<0>();
}

static __global__ void lies_askew(const float *x)
{
    ATH_SHARED(float, to);
    const tile_ptr tile(reinterpret_cast<bf16 *>(to));
    copy_16(tile, x + 1, true);
    copy_commit();
    copy_wait<0>();
}

static __global__ void loads_askew(const float *)
{
    ATH_SHARED(bf16, x);
    uint32_t r[4];
    load_4(r, tile_ptr(x) + 4);
}

/* Whether the kernel ends the program. */
static bool is_fatal(void (*kernel)(const float *))
{
    const float x[8] __attribute__((aligned(16))) = {};
    int status = 0;
    const pid_t child = fork();

    if (child == 0) {
        const int quiet = dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        _exit(quiet < 0 || launch(&no_call, dim3(1), WARP, WARP * 16, kernel, x));
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

int main()
{
    check_product(16);
    check_product(8);
    check_loads();
    check_copies();
    check_vote();
    ath_test_begin("misuse");
    CHECK(is_fatal(never_waits));
    CHECK(is_fatal(waits_for_no_group));
    CHECK(is_fatal(lies_askew));
    CHECK(is_fatal(loads_askew));
    return ath_test_end();
}
