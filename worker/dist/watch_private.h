/* Of the watch, for worker/dist and its test. */
#ifndef ATH_DIST_WATCH_PRIVATE_H
#define ATH_DIST_WATCH_PRIVATE_H

#include "worker/dist/judge.h"
#include "worker/dist/watch.h"

enum { ATH_WATCH_ADDRESSES = 8, ATH_WATCH_SECRET = 16 };

/* Where rank 0 listens. */
typedef struct ath_watch_seat {
    uint32_t address[ATH_WATCH_ADDRESSES]; /* IPv4, as on the wire; 0: no more */
    uint16_t port;                         /* as on the wire; 0: nowhere */
    uint8_t secret[ATH_WATCH_SECRET];
    int32_t process;
    char host[ATH_HOST_BYTES];
} ath_watch_seat;

/* What is sent, of one size whatever it is. Ranks run the same program on machines of one kind. */
typedef enum ath_watch_kind {
    ATH_WATCH_HELLO = 0x41544831, /* rank, process, host, secret: the first of a connection */
    ATH_WATCH_BEAT,               /* word, pulse */
    ATH_WATCH_BYE,
    ATH_WATCH_VERDICT /* from rank 0 */
} ath_watch_kind;

typedef struct ath_watch_message {
    uint32_t kind;
    int32_t rank, process; /* the sender's */
    uint8_t secret[ATH_WATCH_SECRET];
    uint64_t word, pulse;
    char host[ATH_HOST_BYTES];
    ath_verdict verdict;
} ath_watch_message;

typedef struct ath_watch_opts {
    int32_t rank, size;
    int64_t limit_ns;
    ath_watch_seat seat;
    int listen_fd; /* rank 0's, taken over; else -1 */
    /* Called by the thread, once; NULL: the verdict is said and the process ends. */
    void (*end)(void *context, const ath_verdict *verdict);
    void *context;
} ath_watch_opts;

/* Rank 0: a port of its own for `is_local` ranks or all, and what the others need to know. */
ATH_MUST ath_err ath_watch_listen(bool is_local, ath_watch_seat *seat, int *fd);
ATH_MUST ath_err ath_watch_begin(const ath_watch_opts *opts, ath_watch **out);

#endif
