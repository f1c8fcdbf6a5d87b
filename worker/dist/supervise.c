/* The supervisor of mpirun, and how a rank speaks to it: hello with rank and process, the run's folder,
 * maybe a verdict, one byte as goodbye. A connection that ends without goodbye is a lost rank. */
#include "worker/dist/supervise.h"

#include "core/io/file.h"
#include "core/mem.h"
#include "core/time.h"
#include "worker/dist/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ranks on other hosts cannot say hello: after so long they are taken to be up. */
enum { UP_MS = 10000, N_OWN_FDS = 2 };
static const char variable[] = "ATHANOR_SUPERVISOR";

typedef struct hello {
    int32_t rank, process;
    int32_t catches; /* USR1 */
} hello;

/* What follows the hello: one packet each, told apart by their sizes. */
typedef struct folder {
    char path[ATH_PATH_BYTES];
} folder;

static struct sockaddr_un address_of(const char *name, socklen_t *n)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    /* no file: a leading zero makes the name the kernel's own */
    snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "%s", name);
    *n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a.sun_path + 1));
    return a;
}

/* ---- a rank ---- */

static int to_supervisor = -1;

void ath_supervise_hello(int32_t rank)
{
    const char *name = getenv(variable);
    struct sigaction action = {0};
    socklen_t n = 0;

    if (!name || to_supervisor >= 0) return;
    const struct sockaddr_un a = address_of(name, &n);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    sigaction(SIGUSR1, NULL, &action);
    const hello h = {rank, (int32_t)getpid(), action.sa_handler != SIG_DFL};
    if (connect(fd, (const struct sockaddr *)&a, n) < 0 ||
        send(fd, &h, sizeof h, MSG_NOSIGNAL) != (ssize_t)sizeof h) {
        close(fd); /* on another host */
        return;
    }
    to_supervisor = fd;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* mpirun is gone: nobody waits for what this rank does */
}

void ath_supervise_bye(void)
{
    if (to_supervisor < 0) return;
    send(to_supervisor, "b", 1, MSG_NOSIGNAL);
    close(to_supervisor);
    to_supervisor = -1;
}

void ath_supervise_folder(const char *path)
{
    folder f = {{0}};

    if (to_supervisor < 0) return;
    if (path[0] != '/' && getcwd(f.path, sizeof f.path - 1)) {
        const size_t n = strlen(f.path);
        snprintf(f.path + n, sizeof f.path - n, "/%s", path);
    } else
        snprintf(f.path, sizeof f.path, "%s", path);
    send(to_supervisor, &f, sizeof f, MSG_NOSIGNAL);
}

bool ath_supervise_tell(const ath_verdict *verdict)
{
    return to_supervisor >= 0 &&
           send(to_supervisor, verdict, sizeof *verdict, MSG_NOSIGNAL) == (ssize_t)sizeof *verdict;
}

/* ---- the supervisor ---- */

typedef struct member {
    hello h;
    bool is_heard, said_bye;
} member;

typedef union packet {
    char bye;
    hello h;
    folder f;
    ath_verdict v;
} packet;

typedef struct supervisor {
    int32_t n_ranks, n_up;
    pid_t mpirun;
    struct pollfd *fd; /* signals, who comes, then the members' */
    member *member;
    int32_t n_members;
    int64_t began_ns;
    int32_t lost;   /* a member, -1: none */
    ath_verdict v;  /* the first that a rank told */
    folder folder;  /* of the run; "": not known */
    bool is_wanted; /* a signal waits for the ranks to be up */
    bool ends_hard;
    int number, n_interrupts; /* the last signal */
    int status;
} supervisor;

static bool is_up(const supervisor *s)
{
    return s->n_up >= s->n_ranks || ath_time_mono_ns() - s->began_ns > (int64_t)UP_MS * 1000000;
}

static void pass_on(supervisor *s)
{
    if (!s->is_wanted || !is_up(s)) return;
    bool catches = true;
    for (int32_t i = 0; i < s->n_members; i++) catches = catches && s->member[i].h.catches;
    s->is_wanted = false;
    if (!catches) s->ends_hard = true;
    kill(s->mpirun, s->ends_hard ? SIGTERM : SIGUSR1);
}

static void take_signal(supervisor *s)
{
    struct signalfd_siginfo info;

    if (read(s->fd[0].fd, &info, sizeof info) != (ssize_t)sizeof info) return;
    if ((int)info.ssi_signo == SIGCHLD) return;
    s->number = (int)info.ssi_signo;
    s->is_wanted = true;
    if (s->number != SIGINT || ++s->n_interrupts < 2) return;
    s->ends_hard = true;
    s->is_wanted = false;
    kill(s->mpirun, SIGTERM);
}

static void take_member(supervisor *s)
{
    const int fd = accept(s->fd[1].fd, NULL, NULL);

    if (fd < 0) return;
    if (s->n_members == s->n_ranks) {
        close(fd);
        return;
    }
    s->member[s->n_members] = (member){0};
    s->fd[N_OWN_FDS + s->n_members++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

/* False where it is none of ours. */
static bool take(supervisor *s, member *m, const packet *p, size_t n)
{
    if (!m->is_heard) {
        if (n != sizeof m->h) return false;
        m->h = p->h;
        m->is_heard = true;
        s->n_up++;
    } else if (n == 1)
        m->said_bye = true;
    else if (n == sizeof s->folder) {
        s->folder = p->f;
        s->folder.path[sizeof s->folder.path - 1] = 0;
    } else if (n == sizeof s->v && s->v.fate == ATH_FATE_FINE) {
        s->v = p->v;
        s->v.host[sizeof s->v.host - 1] = 0;
    }
    return true;
}

static void hear(supervisor *s, int32_t i)
{
    struct pollfd *p = &s->fd[N_OWN_FDS + i];
    member *m = &s->member[i];
    packet got;

    const ssize_t n = recv(p->fd, &got, sizeof got, 0);
    if (n > 0 && take(s, m, &got, (size_t)n)) return;
    if (m->is_heard && !m->said_bye && s->lost < 0) s->lost = i;
    close(p->fd);
    p->fd = -1; /* poll passes over it */
}

static void watch(supervisor *s)
{
    while (waitpid(s->mpirun, &s->status, WNOHANG) == 0) {
        const nfds_t n = (nfds_t)(N_OWN_FDS + s->n_members);
        if (poll(s->fd, n, s->is_wanted && !is_up(s) ? 200 : -1) > 0) {
            if (s->fd[0].revents) take_signal(s);
            for (int32_t i = 0; i < (int32_t)n - N_OWN_FDS; i++)
                if (s->fd[N_OWN_FDS + i].revents) hear(s, i);
            if (s->fd[1].revents) take_member(s);
        }
        pass_on(s);
    }
}

/* What the ranks said in the instant before mpirun ended. */
static void hear_last(supervisor *s)
{
    for (bool more = true; more;) {
        more = poll(s->fd + N_OWN_FDS, (nfds_t)s->n_members, 0) > 0;
        for (int32_t i = 0; more && i < s->n_members; i++)
            if (s->fd[N_OWN_FDS + i].revents) hear(s, i);
    }
}

/* A rank's own verdict knows more than that the rank is gone. */
static ath_verdict settle(const supervisor *s)
{
    ath_verdict v = s->v;

    if (v.fate != ATH_FATE_FINE) return v;
    v = (ath_verdict){.fate = ATH_FATE_LEFT,
                      .rank = s->member[s->lost].h.rank,
                      .process = s->member[s->lost].h.process};
    gethostname(v.host, sizeof v.host - 1);
    return v;
}

static ath_err tell(const supervisor *s, const char *sentence)
{
    if (!s->folder.path[0] || ath_verdict_claim(s->folder.path, sentence))
        return ath_raise(ATH_EPEER, "%s", sentence);
    return ATH_EPEER; /* a rank has said it already */
}

static ath_err verdict(const supervisor *s, int *code)
{
    char text[ATH_VERDICT_TEXT], how[64] = "left early";

    *code = WIFEXITED(s->status) ? WEXITSTATUS(s->status) : 128 + WTERMSIG(s->status);
    if (s->ends_hard) return ATH_OK;
    if (*code > 128) snprintf(how, sizeof how, "was ended by signal %d", *code - 128);
    if (!WIFEXITED(s->status)) {
        snprintf(text, sizeof text,
                 "mpirun (process %d) %s; all ranks end: go on with athanor resume", (int)s->mpirun,
                 how);
        return tell(s, text);
    }
    if (s->lost >= 0 || s->v.fate != ATH_FATE_FINE) {
        const ath_verdict v = settle(s);
        return tell(s, ath_verdict_print(&v, how, text));
    }
    ATH_NEED(*code <= 128, ATH_EPEER, "a rank or mpirun %s; all ranks end", how);
    return ATH_OK;
}

/* The child becomes mpirun, or tells errno. A group of its own: a terminal's Ctrl-C is the supervisor's
 * to pass on. */
static void become(char *const *argv, const sigset_t *mask, pid_t above, int tell)
{
    const int nothing = open("/dev/null", O_RDONLY);

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != above) _exit(1);
    setpgid(0, 0);
    if (nothing >= 0) dup2(nothing, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(argv[0], argv);
    const int code = errno;
    if (write(tell, &code, sizeof code) < 0) _exit(2);
    _exit(1);
}

static ath_err start(supervisor *s, char *const *argv, const sigset_t *mask)
{
    const pid_t above = getpid();
    int told[2], code = 0;

    ATH_TRY(ath_sys(pipe(told), "pipe"));
    fcntl(told[1], F_SETFD, FD_CLOEXEC);
    fflush(NULL);
    s->mpirun = fork();
    if (s->mpirun == 0) {
        close(told[0]);
        become(argv, mask, above, told[1]);
    }
    close(told[1]);
    const bool failed = s->mpirun < 0 || read(told[0], &code, sizeof code) > 0;
    close(told[0]);
    if (!failed) return ATH_OK;
    if (s->mpirun > 0) waitpid(s->mpirun, NULL, 0);
    return ath_raise(ATH_EMPI,
                     "--ranks %" PRId32
                     ": mpirun does not start (%s); install Open MPI's mpirun, or "
                     "start the program with your own launcher",
                     s->n_ranks, code == ENOENT ? "there is none in PATH" : "not allowed");
}

static ath_err listen_for_ranks(supervisor *s)
{
    char name[64];
    socklen_t n = 0;

    snprintf(name, sizeof name, "athanor-%" PRId64 "-%" PRId64, (int64_t)getpid(), s->began_ns);
    const struct sockaddr_un a = address_of(name, &n);
    s->fd[1] =
        (struct pollfd){.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), .events = POLLIN};
    ATH_TRY(ath_sys(s->fd[1].fd, "socket"));
    ATH_TRY(ath_sys(bind(s->fd[1].fd, (const struct sockaddr *)&a, n), "bind"));
    ATH_TRY(ath_sys(listen(s->fd[1].fd, SOMAXCONN), "listen"));
    return ath_sys(setenv(variable, name, 1), variable);
}

ath_err ath_supervise(char *const *argv, int32_t n_ranks)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGCHLD};
    supervisor s = {.n_ranks = n_ranks, .lost = -1, .began_ns = ath_time_mono_ns()};
    sigset_t mine, before;
    ath_err err = ATH_OK;
    int code = 1;

    sigemptyset(&mine);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaddset(&mine, numbers[i]);
    sigprocmask(SIG_BLOCK, &mine, &before);
    ATH_TRY_OUT(ATH_NEW(N_OWN_FDS + n_ranks, "connections of ranks", &s.fd));
    s.fd[0].fd = s.fd[1].fd = -1;
    ATH_TRY_OUT(ATH_NEW(n_ranks, "ranks", &s.member));
    s.fd[0] = (struct pollfd){.fd = signalfd(-1, &mine, SFD_CLOEXEC), .events = POLLIN};
    ATH_TRY_OUT(ath_sys(s.fd[0].fd, "signalfd"));
    ATH_TRY_OUT(listen_for_ranks(&s));
    ATH_TRY_OUT(start(&s, argv, &before));
    watch(&s);
    hear_last(&s);
    ATH_TRY_OUT(verdict(&s, &code));
    if (s.ends_hard) {
        signal(s.number, SIG_DFL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        raise(s.number);
    }
    _exit(code); /* as if this process had become mpirun */
out:
    for (int32_t i = 0; s.fd && i < N_OWN_FDS + s.n_members; i++)
        if (s.fd[i].fd >= 0) close(s.fd[i].fd);
    ath_mem_free(&s.fd);
    ath_mem_free(&s.member);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return err;
}
