/*
 * Threads: a flag to cancel by, turns, a bounded queue, a pool of workers. The only place that knows
 * pthreads; nobody else starts or locks anything.
 */
#ifndef ATH_CORE_THREAD_H
#define ATH_CORE_THREAD_H

#include "core/err.h"
#include <pthread.h>
#include <stdatomic.h>

/* {0}: not set. Any thread and signal handlers may set and ask. */
typedef struct ath_cancel {
    _Atomic bool is_set;
} ath_cancel;

static inline void ath_cancel_set(ath_cancel *cancel)
{
    atomic_store(&cancel->is_set, true);
}

static inline bool ath_cancel_is_set(const ath_cancel *cancel)
{
    return atomic_load(&cancel->is_set);
}

/* ECANCELED where it is set; NULL never is. `what` is not finished then, and is said. */
ATH_MUST ath_err ath_cancel_check(const ath_cancel *cancel, const char *what);

/* Processor cores that this process may use. */
int ath_cores(void);

/* One thread at a time, in the order in which they came; nobody asks for a second turn within one. */
typedef struct ath_turns {
    pthread_mutex_t mutex;
    pthread_cond_t is_next;
    uint64_t n_came, n_gone;
} ath_turns;
#define ATH_TURNS_INIT                                            \
    {                                                             \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 \
    }
void ath_turns_begin(ath_turns *turns); /* waits */
void ath_turns_end(ath_turns *turns);

/* First in, first out; holds at most `room` items of `item_bytes` bytes, copied in and out. Any
 * number of threads puts and takes. */
typedef struct ath_queue ath_queue;
ATH_MUST ath_err ath_queue_create(int64_t room, size_t item_bytes, ath_queue **out);

/* Waits while the queue is full. ECANCELED once it is stopped. */
ATH_MUST ath_err ath_queue_put(ath_queue *queue, const void *item);

/* Waits while the queue is empty. Once it is stopped: what is left, then ECANCELED. */
ATH_MUST ath_err ath_queue_take(ath_queue *queue, void *item);

/* Wakes all who wait; nothing is put any more. */
void ath_queue_stop(ath_queue *queue);

/* No thread may be in it. */
void ath_queue_destroy(ath_queue **queue);

/* A piece of work. `cancel` is set when the pool wants it to end early; it then returns ECANCELED. */
typedef ath_err ath_job(void *arg, const ath_cancel *cancel);

/* Threads that run jobs, begun in the order of submission. They take no signals. One thread at a
 * time submits and waits; a job does neither. */
typedef struct ath_pool ath_pool;
ATH_MUST ath_err ath_pool_create(int n_threads, int64_t room, ath_pool **out);

/* Hands over a job; waits while `room` jobs are waiting. Its outcome is told by ath_pool_wait. */
ATH_MUST ath_err ath_pool_submit(ath_pool *pool, ath_job *job, void *arg);

/* Jobs not begun are left out, those running are asked to end. Any thread. */
void ath_pool_cancel(ath_pool *pool);

/* Waits for all submitted jobs and gives the first failure in order of submission (ECANCELED only
 * where there is no other) with its text. After a failure later jobs are left out; every job before
 * it has run, so the same jobs fail the same way on any number of threads. Then the pool is as new. */
ATH_MUST ath_err ath_pool_wait(ath_pool *pool);

/* Cancels, waits for the threads and frees. */
void ath_pool_destroy(ath_pool **pool);

#endif
