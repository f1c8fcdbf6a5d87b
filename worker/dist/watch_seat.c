/* How the ranks' watches come together: rank 0's address and a secret, told to all over MPI. */
#include "worker/dist/watch_private.h"

#include "core/hash.h"
#include "core/io/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "worker/dist/dist.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* The network that this process sees as its own machine's: host, boot, and name space, since two
 * containers on a host have a loopback each. A number that a double holds. */
static double own_network(void)
{
    struct {
        char host[ATH_HOST_BYTES], boot[64], space[64];
    } id;
    char *boot = NULL;
    size_t n = 0;

    memset(&id, 0, sizeof id);
    gethostname(id.host, sizeof id.host - 1);
    if (readlink("/proc/self/ns/net", id.space, sizeof id.space) < 0) id.space[0] = 0;
    if (ath_file_read("/proc/sys/kernel/random/boot_id", sizeof id.boot, &boot, &n))
        ath_err_clear();
    if (boot) memcpy(id.boot, boot, n < sizeof id.boot ? n : sizeof id.boot);
    ath_mem_free(&boot);
    return (double)(ath_hash_of(&id, sizeof id).lo >> 12);
}

/* IPv4 addresses that other hosts may know this one by. */
static void list_addresses(ath_watch_seat *seat)
{
    struct ifaddrs *list = NULL;
    int n = 0;

    if (getifaddrs(&list) < 0) return;
    for (const struct ifaddrs *a = list; a && n < ATH_WATCH_ADDRESSES; a = a->ifa_next) {
        struct sockaddr_in in;
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET) continue;
        memcpy(&in, a->ifa_addr, sizeof in);
        const uint32_t address = in.sin_addr.s_addr;
        if (address && ntohl(address) >> 24 != IN_LOOPBACKNET) seat->address[n++] = address;
    }
    freeifaddrs(list);
}

ath_err ath_watch_listen(bool is_local, ath_watch_seat *seat, int *out)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr = {htonl(is_local ? INADDR_LOOPBACK : INADDR_ANY)}};
    socklen_t n = sizeof a;
    ath_err err = ATH_OK;

    *seat = (ath_watch_seat){.process = (int32_t)getpid()};
    gethostname(seat->host, sizeof seat->host - 1);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ATH_TRY(ath_sys(fd, "socket"));
    ATH_TRY_OUT(ath_sys(bind(fd, (const struct sockaddr *)&a, sizeof a), "bind"));
    ATH_TRY_OUT(ath_sys(listen(fd, SOMAXCONN), "listen"));
    ATH_TRY_OUT(ath_sys(getsockname(fd, (struct sockaddr *)&a, &n), "getsockname"));
    ATH_TRY_OUT(ath_sys(
        getrandom(seat->secret, sizeof seat->secret, 0) < (ssize_t)sizeof seat->secret ? -1 : 0,
        "getrandom"));
    if (is_local)
        seat->address[0] = htonl(INADDR_LOOPBACK);
    else
        list_addresses(seat);
    seat->port = a.sin_port;
    *out = fd;
    return ATH_OK;
out:
    close(fd);
    return err;
}

/* All ranks: whether they are on one host. */
static ath_err are_local(bool *out)
{
    const int32_t n = ath_dist_size();
    const double own = own_network();
    double *all = NULL;
    ath_err err = ATH_NEW(n, "hosts", &all);

    ATH_TRY_OUT(ath_dist_agree(err));
    ATH_TRY_OUT(ath_dist_gather(&own, 1, all, n));
    *out = true;
    for (int32_t k = 0; k < n; k++) *out = *out && all[k] == own;
out:
    ath_mem_free(&all);
    return err;
}

ath_err ath_watch_start(double seconds, ath_watch **out)
{
    ath_watch_opts opts = {.rank = ath_dist_rank(),
                           .size = ath_dist_size(),
                           .limit_ns = (int64_t)(seconds * 1e9),
                           .listen_fd = -1};
    bool is_local = false;

    *out = NULL;
    if (seconds <= 0 || opts.size == 1) return ATH_OK;
    ATH_TRY(are_local(&is_local));
    if (opts.rank == 0 && ath_watch_listen(is_local, &opts.seat, &opts.listen_fd)) {
        ath_log(ATH_LOG_WARN, "watch", ATH_KV("none", ath_err_text()));
        ath_err_clear();
    }
    ATH_TRY(ath_dist_share(&opts.seat, sizeof opts.seat));
    if (!opts.seat.port) return ATH_OK;
    ATH_TRY(ath_dist_agree(ath_watch_begin(&opts, out)));
    return ATH_OK;
}
