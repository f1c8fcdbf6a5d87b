#include "worker/dist/launch.h"

#include <limits.h>
#include <mpi.h>

/* Of the process: MPI itself is. */
static struct {
    bool is_up;
    int rank, size;
} world = {.size = 1};

static ath_err check(int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;

    if (code == MPI_SUCCESS) return ATH_OK;
    MPI_Error_string(code, text, &n);
    return ath_raise(ATH_EMPI, "rank %d: %s: %s", world.rank, what, text);
}

static ath_err join(int32_t n_ranks)
{
    int level = 0;

    ATH_TRY(check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level), "MPI_Init_thread"));
    world.is_up = true;
    ATH_TRY(check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI errors"));
    ATH_TRY(check(MPI_Comm_rank(MPI_COMM_WORLD, &world.rank), "MPI_Comm_rank"));
    ATH_TRY(check(MPI_Comm_size(MPI_COMM_WORLD, &world.size), "MPI_Comm_size"));
    ATH_NEED(n_ranks == 0 || n_ranks == world.size, ATH_EINVAL,
             "--ranks %d, but the launcher started %d; leave --ranks out or make them equal",
             n_ranks, world.size);
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
    if (world.is_up) MPI_Finalize();
    world.is_up = false;
    world.rank = 0;
    world.size = 1;
}

int32_t ath_dist_rank(void)
{
    return world.rank;
}

int32_t ath_dist_size(void)
{
    return world.size;
}

ath_err ath_dist_barrier(void)
{
    return world.is_up ? check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier") : ATH_OK;
}

ath_err ath_dist_agree(ath_err err)
{
    if (!world.is_up) return err;
    /* the lowest rank that failed, and what it says */
    int rank = err ? world.rank : world.size, first = 0;
    ATH_TRY(
        check(MPI_Allreduce(&rank, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD), "MPI_Allreduce"));
    if (first == world.size) return ATH_OK;
    int code = (int)err;
    ATH_TRY(check(MPI_Bcast(&code, 1, MPI_INT, first, MPI_COMM_WORLD), "MPI_Bcast"));
    return err ? err : ath_raise((ath_err)code, "rank %d failed; it says why", first);
}

ath_err ath_dist_share(void *data, size_t bytes)
{
    if (!world.is_up) return ATH_OK;
    ATH_NEED(bytes <= INT_MAX, ATH_ELIMIT, "dist: %zu bytes to share, at most %d", bytes, INT_MAX);
    return check(MPI_Bcast(data, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD), "MPI_Bcast");
}
