#include "worker/dist/watch_private.h"

#include "core/io/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pulse.h"
#include "core/thread.h"
#include "core/time.h"
#include "worker/dist/dist.h"
#include "worker/dist/flight.h"
#include "worker/dist/supervise.h"
#include "worker/dist/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    STRANGERS = 16, /* connections that have not said who they are */
    STRANGER_MS = 5000,
    REACH_MS = 2000, /* for a connection to an address */
    REACH_TRIES = 10,
    BEAT_MS = 1000,
    BEATS_IN_LIMIT = 8,
    PENDING_MS = 50,
    GATHER_MS = 5000, /* for all ranks to come */
    CONSULT_MS = 2000,
    SAY_SECONDS = 5, /* a disk that hangs must not keep a process */
    N_OWN_FDS = 2
};

typedef struct peer {
    int32_t rank; /* -1: a stranger */
    int64_t since_ns;
    size_t n; /* bytes of `in` */
    ath_watch_message in;
} peer;

/* It has come: its process and host stay as they are. */
typedef struct arrival {
    _Atomic bool is_here;
} arrival;

struct ath_watch {
    ath_watch_opts o;
    ath_pool *pool;
    ath_judge judge;
    struct pollfd *fd; /* to be woken, who comes, then the peers' */
    peer *peer;
    int32_t n_peers, room;
    int64_t beat_ns, next_ns; /* between beats; of the next */
    arrival *arrival;         /* of each rank */
    char folder[ATH_PATH_BYTES];
    _Atomic bool has_folder, is_crashing, is_written;
};

static ath_watch_message message_of(const ath_watch *w, ath_watch_kind kind)
{
    ath_watch_message m;

    memset(&m, 0, sizeof m); /* its gaps are sent too */
    m.kind = kind;
    m.rank = w->o.rank;
    m.process = (int32_t)getpid();
    m.word = ath_stage_word();
    m.pulse = atomic_load_explicit(&ath_pulse_count, memory_order_relaxed);
    return m;
}

/* Whole, or not at all: a socket that is ready has room for one. */
static void send_to(int fd, const ath_watch_message *m)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) &&
        send(fd, m, sizeof *m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        errno = 0; /* whoever is gone is seen by reading */
}

static void send_to_all(const ath_watch *w, const ath_watch_message *m)
{
    for (int32_t i = 0; i < w->n_peers; i++)
        if (w->peer[i].rank >= 0) send_to(w->fd[N_OWN_FDS + i].fd, m);
}

/* ---- the end ---- */

static void write_flight(ath_watch *w, const char *why)
{
    if (atomic_load(&w->has_folder) && ath_flight_write(w->folder, w->o.rank, why))
        ath_err_clear(); /* what it was written for is told anyway */
}

/* Without a folder nobody can know what others have said: then the lowest that judges says it. */
static void say(const ath_watch *w, const ath_verdict *v, const char *text, bool is_own)
{
    const bool has_folder = atomic_load(&w->has_folder);

    if (ath_supervise_tell(v)) return;
    if (has_folder ? ath_verdict_claim(w->folder, text) : is_own && w->o.rank <= 1)
        dprintf(STDERR_FILENO, "athanor: %s\n", text);
}

static void end_now(int number)
{
    (void)number;
    _exit(ath_err_exit_code(ATH_EPEER));
}

/* Whatever the main thread does, and whatever the disk does: the process ends. */
static void end(ath_watch *w, const ath_verdict *v, bool is_own)
{
    char text[ATH_VERDICT_TEXT];

    if (w->o.end) {
        w->o.end(w->o.context, v);
        return;
    }
    signal(SIGALRM, end_now);
    alarm(SAY_SECONDS);
    ath_verdict_print(v, NULL, text);
    say(w, v, text, is_own);
    write_flight(w, text);
    end_now(0);
}

static void pronounce(ath_watch *w, const ath_verdict *v)
{
    ath_watch_message m = message_of(w, ATH_WATCH_VERDICT);

    m.verdict = *v;
    if (w->o.rank == 0) send_to_all(w, &m);
    end(w, v, true);
}

/* ---- peers ---- */

static void add_peer(ath_watch *w, int fd, int32_t rank)
{
    w->peer[w->n_peers] = (peer){.rank = rank, .since_ns = ath_time_mono_ns()};
    w->fd[N_OWN_FDS + w->n_peers++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void drop_peer(ath_watch *w, int32_t i)
{
    const int32_t rank = w->peer[i].rank;

    if (rank >= 0) ath_judge_gone(&w->judge, rank);
    close(w->fd[N_OWN_FDS + i].fd);
    w->n_peers--;
    w->peer[i] = w->peer[w->n_peers];
    w->fd[N_OWN_FDS + i] = w->fd[N_OWN_FDS + w->n_peers];
}

static void take_stranger(ath_watch *w)
{
    const int fd = accept(w->o.listen_fd, NULL, NULL);

    if (fd < 0) return;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (w->n_peers == w->room)
        close(fd);
    else
        add_peer(w, fd, -1);
}

/* False where it is not one of ours. */
static bool take_hello(ath_watch *w, peer *p)
{
    const ath_watch_message *m = &p->in;
    unsigned differs = 0;

    for (int i = 0; i < ATH_WATCH_SECRET; i++)
        differs |= (unsigned)(m->secret[i] ^ w->o.seat.secret[i]);
    if (m->kind != ATH_WATCH_HELLO || differs || m->rank < 1 || m->rank >= w->o.size) return false;
    if (w->judge.rank[m->rank].is_known || m->host[ATH_HOST_BYTES - 1]) return false;
    p->rank = m->rank;
    ath_judge_hello(&w->judge, m->rank, m->process, m->host);
    atomic_store(&w->arrival[m->rank].is_here, true);
    return true;
}

/* A whole message; false where the connection is to be closed. */
static bool take(ath_watch *w, peer *p)
{
    p->n = 0;
    if (p->rank < 0) return take_hello(w, p);
    switch (p->in.kind) {
    case ATH_WATCH_BEAT:
        ath_judge_beat(&w->judge, p->rank, p->in.word, p->in.pulse);
        return true;
    case ATH_WATCH_BYE:
        ath_judge_bye(&w->judge, p->rank);
        return true;
    case ATH_WATCH_VERDICT:
        if (w->o.rank > 0) end(w, &p->in.verdict, false);
        return w->o.rank > 0;
    default:
        return false;
    }
}

/* Everything that has come; false where the connection is over. */
static bool hear(ath_watch *w, int32_t i)
{
    for (;;) {
        peer *p = &w->peer[i];
        const ssize_t n =
            recv(w->fd[N_OWN_FDS + i].fd, (char *)&p->in + p->n, sizeof p->in - p->n, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
        if (n == 0) return false;
        p->n += (size_t)n;
        if (p->n == sizeof p->in && !take(w, p)) return false;
    }
}

static void hear_all(ath_watch *w, int64_t now)
{
    for (int32_t i = w->n_peers - 1; i >= 0; i--) {
        const bool is_late =
            w->peer[i].rank < 0 && now - w->peer[i].since_ns > (int64_t)STRANGER_MS * 1000000;
        if ((w->fd[N_OWN_FDS + i].revents && !hear(w, i)) || is_late) drop_peer(w, i);
    }
}

/* ---- reaching rank 0 ---- */

static int reach(const ath_watch_seat *seat, uint32_t address)
{
    const struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = seat->port, .sin_addr = {address}};
    struct pollfd p = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                       .events = POLLOUT};
    socklen_t n = sizeof(int);
    int code = 0;

    if (p.fd < 0) return -1;
    if (connect(p.fd, (const struct sockaddr *)&a, sizeof a) == 0) return p.fd;
    if (errno == EINPROGRESS && poll(&p, 1, REACH_MS) == 1 &&
        getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &code, &n) == 0 && code == 0)
        return p.fd;
    close(p.fd);
    return -1;
}

static int reach_any(ath_watch *w, const ath_cancel *cancel)
{
    for (int t = 0; t < REACH_TRIES; t++) {
        for (int i = 0; i < ATH_WATCH_ADDRESSES && w->o.seat.address[i]; i++) {
            const int fd = reach(&w->o.seat, w->o.seat.address[i]);
            if (fd >= 0 || ath_cancel_is_set(cancel)) return fd;
        }
        poll(w->fd, 1, BEAT_MS); /* or until it is to end */
    }
    return -1;
}

/* Where it fails, rank 0 tells that this rank is not watched. */
static bool join(ath_watch *w, const ath_cancel *cancel)
{
    const int fd = reach_any(w, cancel);

    if (fd < 0) return false;
    add_peer(w, fd, 0);
    ath_judge_hello(&w->judge, 0, w->o.seat.process, w->o.seat.host);
    ath_watch_message m = message_of(w, ATH_WATCH_HELLO);
    memcpy(m.secret, w->o.seat.secret, sizeof m.secret);
    gethostname(m.host, sizeof m.host - 1);
    send_to(fd, &m);
    return true;
}

/* ---- the thread ---- */

static void beat(ath_watch *w, int64_t now)
{
    if (now < w->next_ns) return;
    const ath_watch_message m = message_of(w, ATH_WATCH_BEAT);
    w->next_ns = now + w->beat_ns;
    send_to_all(w, &m);
    ath_judge_beat(&w->judge, w->o.rank, m.word, m.pulse);
}

/* The main thread, in a crash, waits for its record (on_crash). */
static void serve_crash(ath_watch *w)
{
    if (!atomic_load(&w->is_crashing) || atomic_load(&w->is_written)) return;
    write_flight(w, "crashed");
    atomic_store(&w->is_written, true);
}

static int wait_ms(const ath_watch *w, int64_t now)
{
    const int64_t ms = (w->next_ns - now) / 1000000 + 1;

    if (ath_judge_is_pending(&w->judge)) return PENDING_MS;
    return ms < 1 ? 1 : (int)ms;
}

static ath_err watch(void *arg, const ath_cancel *cancel)
{
    ath_watch *w = arg;
    ath_verdict v = {0};
    uint64_t woken = 0;

    if (w->o.rank > 0 && !join(w, cancel)) return ATH_OK;
    while (!ath_cancel_is_set(cancel)) {
        poll(w->fd, (nfds_t)(N_OWN_FDS + w->n_peers), wait_ms(w, ath_time_mono_ns()));
        const int64_t now = ath_time_mono_ns();
        ath_judge_tick(&w->judge, now);
        if (read(w->fd[0].fd, &woken, sizeof woken) > 0) serve_crash(w);
        hear_all(w, now);
        if (w->fd[1].revents) take_stranger(w);
        beat(w, now);
        if (ath_judge_look(&w->judge, &v)) {
            pronounce(w, &v);
            return ATH_OK;
        }
    }
    const ath_watch_message m = message_of(w, ATH_WATCH_BYE);
    send_to_all(w, &m);
    return ATH_OK;
}

/* ---- a crash of the main thread ---- */

static ath_watch *crashes; /* whose record is to be written; NULL: nobody's */

static void on_crash(int number)
{
    const uint64_t one = 1;
    ath_watch *w = crashes;

    signal(number, SIG_DFL);
    if (w && !atomic_exchange(&w->is_crashing, true) &&
        write(w->fd[0].fd, &one, sizeof one) == (ssize_t)sizeof one) {
        const struct timespec a_moment = {.tv_nsec = 10 * 1000 * 1000};
        for (int i = 0; i < 200 && !atomic_load(&w->is_written); i++) nanosleep(&a_moment, NULL);
    }
    raise(number);
}

/* Signals that nobody else looks at: sanitizers do. */
static void catch_crashes(ath_watch *w)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction was, ours = {.sa_handler = w ? on_crash : SIG_DFL};

    crashes = w;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaction(numbers[i], NULL, &was);
        if (was.sa_handler == (w ? SIG_DFL : on_crash)) sigaction(numbers[i], &ours, NULL);
    }
}

/* ---- life ---- */

static void destroy(ath_watch **watch)
{
    ath_watch *w = *watch;

    if (!w) return;
    ath_pool_destroy(&w->pool);
    for (int32_t i = 0; w->fd && i < N_OWN_FDS + w->n_peers; i++)
        if (w->fd[i].fd >= 0) close(w->fd[i].fd);
    ath_judge_release(&w->judge);
    ath_mem_free(&w->arrival);
    ath_mem_free(&w->fd);
    ath_mem_free(&w->peer);
    ath_mem_free(watch);
}

static ath_err make(ath_watch *w, const ath_watch_opts *o)
{
    char host[ATH_HOST_BYTES] = "";

    w->room = (o->rank == 0 ? o->size : 1) + STRANGERS;
    w->beat_ns = o->limit_ns / BEATS_IN_LIMIT;
    if (w->beat_ns > (int64_t)BEAT_MS * 1000000) w->beat_ns = (int64_t)BEAT_MS * 1000000;
    ATH_TRY(ATH_NEW(N_OWN_FDS + w->room, "watch", &w->fd));
    w->fd[0].fd = w->fd[1].fd = -1;
    ATH_TRY(ATH_NEW(w->room, "watch", &w->peer));
    ATH_TRY(ATH_NEW(o->size, "watch", &w->arrival));
    ATH_TRY(ath_judge_init(&w->judge, o->size, o->limit_ns, ath_time_mono_ns()));
    w->fd[0] = (struct pollfd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = POLLIN};
    ATH_TRY(ath_sys(w->fd[0].fd, "eventfd"));
    gethostname(host, sizeof host - 1);
    ath_judge_hello(&w->judge, o->rank, (int32_t)getpid(), host);
    return ath_pool_create(1, 1, &w->pool);
}

ath_err ath_watch_begin(const ath_watch_opts *opts, ath_watch **out)
{
    ath_watch *w = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(1, "watch", &w));
    w->o = *opts;
    ATH_TRY_OUT(make(w, opts));
    w->fd[1] = (struct pollfd){.fd = opts->listen_fd, .events = POLLIN};
    ATH_TRY_OUT(ath_pool_submit(w->pool, watch, w));
    if (!w->o.end) catch_crashes(w);
    *out = w;
    w = NULL;
out:
    if (err && opts->listen_fd >= 0 && (!w || !w->fd || w->fd[1].fd < 0)) close(opts->listen_fd);
    destroy(&w);
    return err;
}

/* Rank 0's main thread: who is where, once in the log, and who is not watched. */
static void log_ranks(const ath_watch *w)
{
    const int64_t end_ns = ath_time_mono_ns() + (int64_t)GATHER_MS * 1000000;

    for (int32_t k = 1; k < w->o.size; k++) {
        const ath_judge_rank *r = &w->judge.rank[k];
        while (!atomic_load(&w->arrival[k].is_here) && ath_time_mono_ns() < end_ns)
            ath_time_sleep_ns(10 * 1000000);
        if (atomic_load(&w->arrival[k].is_here))
            ath_log(ATH_LOG_INFO, "watch", ATH_KV("rank", k), ATH_KV("process", r->process),
                    ATH_KV("host", r->host));
        else
            ath_log(ATH_LOG_WARN, "watch", ATH_KV("rank", k),
                    ATH_KV("not_watched", "it does not reach rank 0 over TCP"));
    }
}

void ath_watch_set_folder(ath_watch *w, const char *folder)
{
    if (w && atomic_load(&w->has_folder)) return;
    if (ath_dist_rank() == 0) ath_verdict_forget(folder);
    ath_supervise_folder(folder); /* which also says what it alone has seen */
    if (!w) return;
    snprintf(w->folder, sizeof w->folder, "%s", folder);
    if (w->o.rank == 0) log_ranks(w);
    atomic_store(&w->has_folder, true);
}

void ath_watch_consult(const ath_watch *w)
{
    if (w) ath_time_sleep_ns((int64_t)CONSULT_MS * 1000000);
}

void ath_watch_stop(ath_watch **watch, ath_err err)
{
    ath_watch *w = *watch;
    const uint64_t one = 1;
    char text[4096]; /* the caller's, which stays */

    if (!w) return;
    snprintf(text, sizeof text, "%s", ath_err_text());
    catch_crashes(NULL);
    ath_pool_cancel(w->pool);
    if (write(w->fd[0].fd, &one, sizeof one) < 0) errno = 0; /* it wakes by itself soon */
    if (ath_pool_wait(w->pool)) ath_err_clear();             /* left out before it began */
    if (err && err != ATH_ECANCELED) write_flight(w, ath_err_name(err));
    destroy(watch);
    if (err && ath_err_restore(err, text) != err) ath_err_clear();
}
