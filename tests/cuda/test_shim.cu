/*
 * The shim keeps CUDA's rules: barriers hold, exchanges bring what a lane put, shared memory is NaN in
 * each block; kernels that miss a barrier give other bits launch by launch, and misuse ends the program.
 */
#include "kernels/launch.cuh"
extern "C" {
#include "tests/harness.h"
}
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 96 };

static const ath_call no_call = {};

/* Turns each block's numbers around, by way of shared memory. */
static __global__ void turn(const float *x, float *y, bool waits)
{
    ATH_SHARED(float, all);
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

    all[threadIdx.x] = x[i];
    if (waits) __syncthreads();
    y[i] = all[THREADS - 1 - threadIdx.x];
}

static __global__ void sums(const double *x, double *whole, float *shifted)
{
    ATH_SHARED(double, shared);

    whole[threadIdx.x] = block_sum(x[threadIdx.x], shared);
    shifted[threadIdx.x] = __shfl_down_sync(ALL_LANES, (float)threadIdx.x, 3u);
}

/* The lanes that vote, and the number of the lowest one. */
static __global__ void votes(unsigned *all, int *lowest)
{
    all[threadIdx.x] = __ballot_sync(ALL_LANES, threadIdx.x % 3 == 2);
    lowest[threadIdx.x] = __ffs((int)all[threadIdx.x]);
}

static __global__ void divided()
{
    if (threadIdx.x % 2)
        __syncthreads();
    else
        __syncwarp();
}

static __global__ void lonely()
{
    if (threadIdx.x % WARP != 5) __syncwarp();
}

static void fill(float *x, float *want, int n_blocks)
{
    for (int i = 0; i < n_blocks * THREADS; i++) x[i] = (float)i;
    for (int i = 0; i < n_blocks * THREADS; i++)
        want[i] = (float)(i / THREADS * THREADS + THREADS - 1 - i % THREADS);
}

static void check_barrier()
{
    enum { BLOCKS = 3, N = BLOCKS * THREADS };
    float x[N], y[N], want[N], first[N];

    ath_test_begin("barrier");
    fill(x, want, BLOCKS);
    for (int k = 0; k < 2; k++) {
        CHECK(!launch(&no_call, dim3(BLOCKS), THREADS, sizeof(float) * THREADS, turn, x, y, true));
        CHECK(memcmp(y, want, sizeof y) == 0);
    }
    ath_test_begin("no barrier");
    CHECK(!launch(&no_call, dim3(BLOCKS), THREADS, sizeof(float) * THREADS, turn, x, first, false));
    CHECK(!launch(&no_call, dim3(BLOCKS), THREADS, sizeof(float) * THREADS, turn, x, y, false));
    CHECK(memcmp(first, want, sizeof y) != 0);
    CHECK(memcmp(first, y, sizeof y) != 0);
}

static void check_sums()
{
    double x[THREADS], whole[THREADS], want = 0;
    float shifted[THREADS];

    ath_test_begin("sums");
    for (int i = 0; i < THREADS; i++) want += x[i] = i * i - 7;
    CHECK(!launch(&no_call, dim3(1), THREADS, sizeof(double) * THREADS / WARP, sums, x, whole,
                  shifted));
    for (int i = 0; i < THREADS; i++) {
        CHECK_NEAR(whole[i], want, 0);
        CHECK_NEAR(shifted[i], i % WARP < WARP - 3 ? i + 3 : i, 0);
    }
}

static void check_votes()
{
    unsigned all[THREADS];
    int lowest[THREADS];

    ath_test_begin("votes");
    CHECK(!launch(&no_call, dim3(1), THREADS, 0, votes, all, lowest));
    for (int i = 0; i < THREADS; i++) {
        unsigned want = 0;
        for (int lane = 0; lane < WARP; lane++)
            if ((i / WARP * WARP + lane) % 3 == 2) want |= 1u << lane;
        CHECK_EQ(all[i], want);
        CHECK_EQ(lowest[i], __builtin_ffs((int)want));
    }
}

/* Whether the kernel ends the program. */
static bool is_fatal(void (*kernel)(), unsigned threads)
{
    int status = 0;
    const pid_t child = fork();

    if (child == 0) {
        const int quiet = dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        _exit(quiet < 0 || launch(&no_call, dim3(1), threads, 0, kernel));
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

int main()
{
    check_barrier();
    check_sums();
    check_votes();
    ath_test_begin("misuse");
    CHECK(is_fatal(divided, THREADS));
    CHECK(is_fatal(lonely, THREADS));
    CHECK(is_fatal(divided, 1025));
    return ath_test_end();
}
