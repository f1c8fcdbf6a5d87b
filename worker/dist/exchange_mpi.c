#include "worker/dist/exchange.h"

#include "core/mem.h"
#include "worker/dist/dist_private.h"
#include "worker/dist/stage.h"

#include <inttypes.h>
#include <limits.h>
#include <mpi.h>
#include <string.h>

typedef struct requests {
    MPI_Request *r;
    int n;
} requests;

struct ath_exchange {
    MPI_Comm comm; /* of its own: no other message can be taken for one of these */
    requests in, out, gathers, sums;
};

static ath_err make_room(int64_t n, const char *what, requests *to)
{
    ATH_NEED(0 <= n && n <= INT_MAX, ATH_ELIMIT, "%s: %" PRId64 " messages, at most %d", what, n,
             INT_MAX);
    ATH_TRY(ATH_NEW(n, what, &to->r));
    to->n = (int)n;
    for (int i = 0; i < to->n; i++) to->r[i] = MPI_REQUEST_NULL;
    return ATH_OK;
}

/* What no other rank takes part in. */
static ath_err prepare(ath_exchange *x, const ath_exchange_opts *opts)
{
    int *most = NULL, found = 0;

    ATH_TRY(make_room(opts->n_in, "messages in", &x->in));
    ATH_TRY(make_room(opts->n_out, "messages out", &x->out));
    ATH_TRY(make_room(opts->n_gathers, "gathers", &x->gathers));
    ATH_TRY(make_room(opts->n_sums, "sums", &x->sums));
    if (ath_dist_size() == 1) return ATH_OK;
    ATH_TRY(ath_dist_check(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, (void *)&most, &found),
                           "MPI_Comm_get_attr"));
    ATH_NEED(found && opts->n_tags - 1 <= *most, ATH_ELIMIT,
             "%d kinds of messages, this MPI knows %d", opts->n_tags, found ? *most : 0);
    return ATH_OK;
}

ath_err ath_exchange_create(const ath_exchange_opts *opts, ath_exchange **out)
{
    ath_exchange *x = NULL;

    ath_err err = ATH_NEW(1, "exchange", &x);
    if (!err) {
        x->comm = MPI_COMM_NULL;
        err = prepare(x, opts);
    }
    err = ath_dist_agree(err);
    if (!err && ath_dist_size() > 1) ath_stage_wait(true);
    if (!err && ath_dist_size() > 1)
        err = ath_dist_check(MPI_Comm_dup(MPI_COMM_WORLD, &x->comm), "MPI_Comm_dup");
    if (!err && ath_dist_size() > 1)
        err = ath_dist_check(MPI_Comm_set_errhandler(x->comm, MPI_ERRORS_RETURN), "MPI errors");
    if (err)
        ath_exchange_destroy(&x);
    else
        *out = x;
    return err;
}

void ath_exchange_destroy(ath_exchange **exchange)
{
    ath_exchange *x = *exchange;

    if (!x) return;
    if (x->comm != MPI_COMM_NULL) MPI_Comm_free(&x->comm);
    ath_mem_free(&x->in.r);
    ath_mem_free(&x->out.r);
    ath_mem_free(&x->gathers.r);
    ath_mem_free(&x->sums.r);
    ath_mem_free(exchange);
}

ath_err ath_exchange_receive(ath_exchange *x, int64_t i, ath_peer from, float *to, int64_t n)
{
    ATH_ASSERT(i < x->in.n && n <= INT_MAX);
    return ath_dist_check(
        MPI_Irecv(to, (int)n, MPI_FLOAT, from.rank, from.tag, x->comm, &x->in.r[i]), "MPI_Irecv");
}

ath_err ath_exchange_send(ath_exchange *x, int64_t i, ath_peer to, const float *from, int64_t n)
{
    ATH_ASSERT(i < x->out.n && n <= INT_MAX);
    return ath_dist_check(
        MPI_Isend(from, (int)n, MPI_FLOAT, to.rank, to.tag, x->comm, &x->out.r[i]), "MPI_Isend");
}

ath_err ath_exchange_gather(ath_exchange *x, int64_t i, float *data, const int *n, const int *first)
{
    if (x->comm == MPI_COMM_NULL) return ATH_OK;
    ATH_ASSERT(i < x->gathers.n);
    return ath_dist_check(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, n, first,
                                          MPI_FLOAT, x->comm, &x->gathers.r[i]),
                          "MPI_Iallgatherv");
}

ath_err ath_exchange_sum(ath_exchange *x, int64_t i, const float *data, const int *n, float *out)
{
    ATH_ASSERT(i < x->sums.n);
    if (x->comm == MPI_COMM_NULL) {
        memcpy(out, data, (size_t)n[0] * sizeof *out);
        return ATH_OK;
    }
    return ath_dist_check(
        MPI_Ireduce_scatter(data, out, n, MPI_FLOAT, MPI_SUM, x->comm, &x->sums.r[i]),
        "MPI_Ireduce_scatter");
}

ath_err ath_exchange_poll(ath_exchange *x)
{
    int done = 0;

    if (x->comm == MPI_COMM_NULL) return ATH_OK;
    ATH_TRY(
        ath_dist_check(MPI_Testall(x->in.n, x->in.r, &done, MPI_STATUSES_IGNORE), "MPI_Testall"));
    ATH_TRY(ath_dist_check(MPI_Testall(x->sums.n, x->sums.r, &done, MPI_STATUSES_IGNORE),
                           "MPI_Testall"));
    return ath_dist_check(MPI_Testall(x->out.n, x->out.r, &done, MPI_STATUSES_IGNORE),
                          "MPI_Testall");
}

static ath_err wait_for(int n, MPI_Request *r)
{
    if (n == 0 || ath_dist_size() == 1) return ATH_OK;
    ath_stage_wait(true);
    return ath_dist_check(MPI_Waitall(n, r, MPI_STATUSES_IGNORE), "MPI_Waitall");
}

ath_err ath_exchange_wait_in(ath_exchange *x, int64_t first, int64_t n)
{
    ATH_ASSERT(first + n <= x->in.n);
    return wait_for((int)n, x->in.r + first);
}

ath_err ath_exchange_wait_out(ath_exchange *x)
{
    return wait_for(x->out.n, x->out.r);
}

ath_err ath_exchange_wait_gathers(ath_exchange *x)
{
    return wait_for(x->gathers.n, x->gathers.r);
}

ath_err ath_exchange_wait_sum(ath_exchange *x, int64_t i)
{
    ATH_ASSERT(i < x->sums.n);
    return wait_for(1, x->sums.r + i);
}
