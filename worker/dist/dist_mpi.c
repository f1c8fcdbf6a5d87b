#include "worker/dist/dist_private.h"

#include "core/mem.h"
#include "worker/dist/launch.h"
#include "worker/dist/stage.h"
#include "worker/dist/supervise.h"

#include <inttypes.h>
#include <limits.h>
#include <mpi.h>
#include <string.h>

/* Of the process: MPI itself is. */
static struct {
    bool is_up;
    int rank, size, local_rank, local_size;
} world = {.size = 1, .local_size = 1};

ath_err ath_dist_check(int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;

    ath_stage_wait(false);
    if (code == MPI_SUCCESS) return ATH_OK;
    MPI_Error_string(code, text, &n);
    return ath_raise(ATH_EMPI, "rank %d: %s: %s", world.rank, what, text);
}

static ath_err look_around(void)
{
    MPI_Comm local = MPI_COMM_NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ath_dist_check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world.rank,
                                                   MPI_INFO_NULL, &local),
                               "MPI_Comm_split_type"));
    ATH_TRY_OUT(ath_dist_check(MPI_Comm_rank(local, &world.local_rank), "MPI_Comm_rank"));
    ATH_TRY_OUT(ath_dist_check(MPI_Comm_size(local, &world.local_size), "MPI_Comm_size"));
out:
    if (local != MPI_COMM_NULL) MPI_Comm_free(&local);
    return err;
}

static ath_err join(int32_t n_ranks)
{
    int level = 0;

    ATH_TRY(ath_dist_check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level),
                           "MPI_Init_thread"));
    world.is_up = true;
    ATH_TRY(
        ath_dist_check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI errors"));
    ATH_TRY(ath_dist_check(MPI_Comm_rank(MPI_COMM_WORLD, &world.rank), "MPI_Comm_rank"));
    ATH_TRY(ath_dist_check(MPI_Comm_size(MPI_COMM_WORLD, &world.size), "MPI_Comm_size"));
    ATH_NEED(n_ranks == 0 || n_ranks == world.size, ATH_EINVAL,
             "--ranks %d, but the launcher started %d; leave --ranks out or make them equal",
             n_ranks, world.size);
    ATH_TRY(look_around());
    ath_supervise_hello(world.rank);
    return ATH_OK;
}

ath_err ath_dist_init(int32_t n_ranks)
{
    ATH_NEED(n_ranks >= 0 && n_ranks <= ATH_RANKS_MAX, ATH_EINVAL, "ranks: %d, wanted 0..%d",
             n_ranks, ATH_RANKS_MAX);
    if (world.is_up) return ATH_OK;
    if (ath_dist_is_launched()) return join(n_ranks);
    return n_ranks > 1 ? ath_dist_launch(n_ranks) : ATH_OK;
}

void ath_dist_finalize(void)
{
    /* before any rank can leave: where one leaves with an error, mpirun ends the others at once */
    ath_supervise_bye();
    if (world.is_up) MPI_Finalize();
    world.is_up = false;
    world.rank = world.local_rank = 0;
    world.size = world.local_size = 1;
}

int32_t ath_dist_rank(void)
{
    return world.rank;
}

int32_t ath_dist_size(void)
{
    return world.size;
}

int32_t ath_dist_local_rank(void)
{
    return world.local_rank;
}

int32_t ath_dist_local_size(void)
{
    return world.local_size;
}

ath_err ath_dist_barrier(void)
{
    if (!world.is_up) return ATH_OK;
    ath_stage_wait(true);
    return ath_dist_check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
}

/* The error of a rank, with the first line of its text, for those that have none. */
static ath_err take_error(int from, ath_err err)
{
    struct {
        int32_t code;
        char text[1020];
    } message = {.code = (int32_t)err};

    if (world.rank == from) {
        const char *text = ath_err_text(), *name = ath_err_name(err);
        /* the code is said again where it is raised again */
        if (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == ':')
            text += strlen(name) + 2;
        size_t n = strcspn(text, "\n");
        if (n >= sizeof message.text) n = sizeof message.text - 1;
        memcpy(message.text, text, n);
    }
    ath_stage_wait(true);
    ATH_TRY(ath_dist_check(MPI_Bcast(&message, (int)sizeof message, MPI_BYTE, from, MPI_COMM_WORLD),
                           "MPI_Bcast"));
    return err ? err : ath_raise((ath_err)message.code, "rank %d: %s", from, message.text);
}

ath_err ath_dist_agree(ath_err err)
{
    if (!world.is_up) return err;
    /* the lowest rank that failed, and what it says */
    int rank = err ? world.rank : world.size, first = 0;
    ath_stage_wait(true);
    ATH_TRY(ath_dist_check(MPI_Allreduce(&rank, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD),
                           "MPI_Allreduce"));
    if (first == world.size) return ATH_OK;
    return take_error(first, err);
}

ath_err ath_dist_share(void *data, size_t bytes)
{
    enum { PIECE = 1 << 30 };

    for (size_t at = 0; world.is_up && at < bytes; at += PIECE) {
        const size_t n = bytes - at < PIECE ? bytes - at : PIECE;
        ath_stage_wait(true);
        ATH_TRY(ath_dist_check(MPI_Bcast((char *)data + at, (int)n, MPI_BYTE, 0, MPI_COMM_WORLD),
                               "MPI_Bcast"));
    }
    return ATH_OK;
}

ath_err ath_dist_share_block(ath_err err, uint8_t **block, size_t *bytes)
{
    uint8_t *fresh = NULL;

    ATH_TRY(ath_dist_agree(err));
    ATH_TRY(ath_dist_share(bytes, sizeof *bytes));
    if (world.rank > 0) err = ATH_NEW(*bytes, "message", &fresh);
    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(ath_dist_share(world.rank > 0 ? fresh : *block, *bytes));
    if (world.rank > 0) {
        *block = fresh;
        fresh = NULL;
    }
out:
    ath_mem_free(&fresh);
    return err;
}

ath_err ath_dist_gather(const double *own, int64_t n_own, double *all, int64_t n_all)
{
    int n[ATH_RANKS_MAX], first[ATH_RANKS_MAX];
    int64_t sum = 0;
    const int mine = 0 <= n_own && n_own <= INT_MAX ? (int)n_own : -1;

    n[0] = mine;
    if (world.size > 1) {
        ath_stage_wait(true);
        ATH_TRY(ath_dist_check(MPI_Allgather(&mine, 1, MPI_INT, n, 1, MPI_INT, MPI_COMM_WORLD),
                               "MPI_Allgather"));
    }
    for (int r = 0; r < world.size; r++) {
        ATH_NEED(n[r] >= 0 && sum + n[r] <= INT_MAX, ATH_ELIMIT,
                 "dist: rank %d gives too many numbers, wanted at most %d of all", r, INT_MAX);
        first[r] = (int)sum;
        sum += n[r];
    }
    ATH_NEED(sum == n_all, ATH_EINVAL,
             "dist: the ranks give %" PRId64 " numbers together, wanted %" PRId64, sum, n_all);
    if (world.size == 1) {
        if (n_own > 0) memcpy(all, own, (size_t)n_own * sizeof *own);
        return ATH_OK;
    }
    ath_stage_wait(true);
    return ath_dist_check(
        MPI_Allgatherv(own, mine, MPI_DOUBLE, all, n, first, MPI_DOUBLE, MPI_COMM_WORLD),
        "MPI_Allgatherv");
}

ath_err ath_dist_collect(const float *own, float *all, const int *n, const int *first)
{
    const int mine = n[world.rank];

    if (world.size == 1) {
        if (mine > 0) memcpy(all + first[0], own, (size_t)mine * sizeof *own);
        return ATH_OK;
    }
    ath_stage_wait(true);
    return ath_dist_check(
        MPI_Gatherv(own, mine, MPI_FLOAT, all, n, first, MPI_FLOAT, 0, MPI_COMM_WORLD),
        "MPI_Gatherv");
}

ath_err ath_dist_spread(const float *all, float *own, const int *n, const int *first)
{
    const int mine = n[world.rank];

    if (world.size == 1) {
        if (mine > 0) memcpy(own, all + first[0], (size_t)mine * sizeof *own);
        return ATH_OK;
    }
    ath_stage_wait(true);
    return ath_dist_check(
        MPI_Scatterv(all, n, first, MPI_FLOAT, own, mine, MPI_FLOAT, 0, MPI_COMM_WORLD),
        "MPI_Scatterv");
}
