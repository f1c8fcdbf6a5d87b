#include "core/thread.h"

#include "core/mem.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Locks and conditions of ours fail only where the caller has broken a rule. */
static void must(int code)
{
    ATH_ASSERT(code == 0);
}

static void lock(pthread_mutex_t *mutex)
{
    must(pthread_mutex_lock(mutex));
}

static void unlock(pthread_mutex_t *mutex)
{
    must(pthread_mutex_unlock(mutex));
}

ath_err ath_cancel_check(const ath_cancel *cancel, const char *what)
{
    ATH_NEED(!cancel || !ath_cancel_is_set(cancel), ATH_ECANCELED,
             "stopped by a signal: %s; run it again to go on", what);
    return ATH_OK;
}

void ath_turns_begin(ath_turns *t)
{
    lock(&t->mutex);
    const uint64_t mine = t->n_came++;
    while (t->n_gone != mine) must(pthread_cond_wait(&t->is_next, &t->mutex));
    unlock(&t->mutex);
}

void ath_turns_end(ath_turns *t)
{
    lock(&t->mutex);
    t->n_gone++;
    must(pthread_cond_broadcast(&t->is_next));
    unlock(&t->mutex);
}

struct ath_queue {
    pthread_mutex_t mutex;
    pthread_cond_t has_items, has_room;
    bool is_stopped;
    int64_t room, first, n;
    size_t item_bytes;
    char *items; /* a ring */
};

ath_err ath_queue_create(int64_t room, size_t item_bytes, ath_queue **out)
{
    ath_err err = ATH_OK;
    ath_queue *q = NULL;

    ATH_NEED(room > 0, ATH_EINVAL, "queue: room for %lld items", (long long)room);
    ATH_TRY(ATH_NEW(1, "queue", &q));
    q->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    q->has_items = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    q->has_room = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    q->room = room;
    q->item_bytes = item_bytes;
    ATH_TRY_OUT(ath_mem_new((size_t)room, item_bytes, "queue", (void **)&q->items));
    *out = q;
    q = NULL;
out:
    ath_queue_destroy(&q);
    return err;
}

static char *slot(const ath_queue *q, int64_t i)
{
    return q->items + (size_t)((q->first + i) % q->room) * q->item_bytes;
}

ath_err ath_queue_put(ath_queue *q, const void *item)
{
    lock(&q->mutex);
    while (q->n == q->room && !q->is_stopped) must(pthread_cond_wait(&q->has_room, &q->mutex));
    bool is_put = !q->is_stopped;
    if (is_put) {
        memcpy(slot(q, q->n++), item, q->item_bytes);
        must(pthread_cond_signal(&q->has_items));
    }
    unlock(&q->mutex);
    return is_put ? ATH_OK : ath_raise(ATH_ECANCELED, "queue: stopped");
}

ath_err ath_queue_take(ath_queue *q, void *item)
{
    lock(&q->mutex);
    while (q->n == 0 && !q->is_stopped) must(pthread_cond_wait(&q->has_items, &q->mutex));
    bool is_taken = q->n > 0;
    if (is_taken) {
        memcpy(item, slot(q, 0), q->item_bytes);
        q->first = (q->first + 1) % q->room;
        q->n--;
        must(pthread_cond_signal(&q->has_room));
    }
    unlock(&q->mutex);
    return is_taken ? ATH_OK : ath_raise(ATH_ECANCELED, "queue: stopped");
}

void ath_queue_stop(ath_queue *q)
{
    lock(&q->mutex);
    q->is_stopped = true;
    must(pthread_cond_broadcast(&q->has_items));
    must(pthread_cond_broadcast(&q->has_room));
    unlock(&q->mutex);
}

void ath_queue_destroy(ath_queue **queue)
{
    ath_queue *q = *queue;

    if (!q) return;
    must(pthread_cond_destroy(&q->has_items));
    must(pthread_cond_destroy(&q->has_room));
    must(pthread_mutex_destroy(&q->mutex));
    ath_mem_free(&q->items);
    ath_mem_free(queue);
}

typedef struct task {
    ath_job *job;
    void *arg;
    int64_t i; /* in order of submission since the last wait */
} task;

struct ath_pool {
    ath_queue *queue;
    ath_cancel cancel;
    pthread_mutex_t mutex;
    pthread_cond_t is_idle;
    int64_t n_submitted, n_done;
    int64_t end; /* tasks from here on are left out */
    ath_err err; /* of the first failure, task i_err */
    int64_t i_err;
    char text[1024];
    int n_threads;
    pthread_t thread[];
};

static bool is_wanted(ath_pool *p, const task *t)
{
    lock(&p->mutex);
    bool wanted = t->i < p->end;
    unlock(&p->mutex);
    return wanted;
}

/* True where this failure is the one to report, so far. */
static bool is_first(const ath_pool *p, ath_err err, int64_t i)
{
    if (!p->err) return true;
    if ((err == ATH_ECANCELED) != (p->err == ATH_ECANCELED)) return p->err == ATH_ECANCELED;
    return i < p->i_err;
}

static void note(ath_pool *p, const task *t, ath_err err)
{
    lock(&p->mutex);
    if (err && is_first(p, err, t->i)) {
        p->err = err;
        p->i_err = t->i;
        snprintf(p->text, sizeof p->text, "%s", ath_err_text());
    }
    if (err && t->i < p->end) p->end = t->i;
    if (err) ath_cancel_set(&p->cancel);
    if (++p->n_done == p->n_submitted) must(pthread_cond_broadcast(&p->is_idle));
    unlock(&p->mutex);
}

static void *work(void *arg)
{
    ath_pool *p = arg;
    task t;

    while (ath_queue_take(p->queue, &t) == ATH_OK) {
        ath_err_clear();
        note(p, &t,
             is_wanted(p, &t) ? t.job(t.arg, &p->cancel)
                              : ath_raise(ATH_ECANCELED, "pool: job left out"));
    }
    return NULL;
}

static ath_err start(ath_pool *p, int n_threads)
{
    sigset_t all, before;

    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before)); /* inherited by the threads */
    int code = 0;
    while (p->n_threads < n_threads && !code) {
        code = pthread_create(&p->thread[p->n_threads], NULL, work, p);
        if (!code) p->n_threads++;
    }
    must(pthread_sigmask(SIG_SETMASK, &before, NULL));
    ATH_NEED(!code, ATH_ELIMIT, "pool: cannot start thread %d of %d (errno %d)", p->n_threads + 1,
             n_threads, code);
    return ATH_OK;
}

ath_err ath_pool_create(int n_threads, int64_t room, ath_pool **out)
{
    ath_err err = ATH_OK;
    ath_pool *p = NULL;

    ATH_NEED(n_threads > 0, ATH_EINVAL, "pool: %d threads", n_threads);
    ATH_TRY(ath_mem_new(1, sizeof *p + sizeof(pthread_t) * (size_t)n_threads, "thread pool",
                        (void **)&p));
    p->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    p->is_idle = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    p->end = INT64_MAX;
    ATH_TRY_OUT(ath_queue_create(room, sizeof(task), &p->queue));
    ATH_TRY_OUT(start(p, n_threads));
    *out = p;
    p = NULL;
out:
    ath_pool_destroy(&p);
    return err;
}

ath_err ath_pool_submit(ath_pool *p, ath_job *job, void *arg)
{
    task t = {.job = job, .arg = arg};

    lock(&p->mutex);
    t.i = p->n_submitted++;
    unlock(&p->mutex);
    return ath_queue_put(p->queue, &t);
}

void ath_pool_cancel(ath_pool *p)
{
    lock(&p->mutex);
    p->end = -1;
    ath_cancel_set(&p->cancel);
    unlock(&p->mutex);
}

ath_err ath_pool_wait(ath_pool *p)
{
    lock(&p->mutex);
    while (p->n_done < p->n_submitted) must(pthread_cond_wait(&p->is_idle, &p->mutex));
    ath_err err = p->err;
    if (err) err = ath_err_restore(err, p->text);
    p->err = ATH_OK;
    p->end = INT64_MAX;
    p->n_submitted = p->n_done = 0;
    atomic_store(&p->cancel.is_set, false);
    unlock(&p->mutex);
    return err;
}

void ath_pool_destroy(ath_pool **pool)
{
    ath_pool *p = *pool;

    if (!p) return;
    if (p->queue) {
        ath_pool_cancel(p);
        ath_queue_stop(p->queue);
    }
    for (int i = 0; i < p->n_threads; i++) must(pthread_join(p->thread[i], NULL));
    must(pthread_cond_destroy(&p->is_idle));
    must(pthread_mutex_destroy(&p->mutex));
    ath_queue_destroy(&p->queue);
    ath_mem_free(pool);
}
