/*
 * Whether all ranks of a run are alive and move, judged from what they tell: no sockets, no threads, no
 * clock of its own. Used by one thread. Times are the caller's monotonic nanoseconds.
 *
 * Time in which the judge itself did not run does not count: a run that is suspended as a whole, or a
 * machine that stood still, is nobody's fault.
 */
#ifndef ATH_DIST_JUDGE_H
#define ATH_DIST_JUDGE_H

#include "core/err.h"
#include "worker/dist/stage.h"

enum { ATH_HOST_BYTES = 64 };

/* What became of a rank. */
typedef enum ath_fate {
    ATH_FATE_FINE,
    ATH_FATE_LEFT,   /* its connection ended without a farewell: the process is gone */
    ATH_FATE_SILENT, /* it sends nothing while others wait: stopped, or its host or network is gone */
    ATH_FATE_STUCK, /* it sends, but has not moved while others wait for it */
    ATH_FATE_KNOT,  /* all wait for each other; this one is the furthest behind */
    ATH_N_FATES
} ath_fate;

typedef struct ath_verdict {
    ath_fate fate;
    int32_t rank, process;
    double seconds; /* since it was last heard, or has moved */
    uint64_t word;  /* where it was, as last heard (stage.h) */
    bool has_word;  /* it was heard */
    char host[ATH_HOST_BYTES];
} ath_verdict;

enum { ATH_VERDICT_TEXT = 640 };
/* One sentence: who, where, what to do. `how`: what is known of a process's end, as in "was ended by
 * signal 9"; NULL: nothing. Returns `out`. */
char *ath_verdict_print(const ath_verdict *v, const char *how, char out[ATH_VERDICT_TEXT]);

typedef struct ath_judge_rank {
    bool is_known, has_left, said_bye;
    int32_t process;
    char host[ATH_HOST_BYTES];
    uint64_t word, pulse;
    int64_t heard_ns, moved_ns, left_ns; /* on the judge's own clock */
} ath_judge_rank;

typedef struct ath_judge {
    int64_t limit_ns;
    int64_t now_ns;  /* its own clock, which skips what it slept through */
    int64_t seen_ns; /* the caller's, at the last tick */
    int32_t n;
    ath_judge_rank *rank;
} ath_judge;

/* For ranks 0 .. n - 1, of which none is known yet. `limit_ns` > 0. */
ATH_MUST ath_err ath_judge_init(ath_judge *judge, int32_t n, int64_t limit_ns, int64_t now_ns);
void ath_judge_release(ath_judge *judge);

/* Lets time pass: often within a limit, and before it is told what came meanwhile. */
void ath_judge_tick(ath_judge *judge, int64_t now_ns);

/* From a rank: who it is; where it is, and how often its main thread's pulse went; that it ends as it
 * should; its connection is gone. Ranks that are not known are never judged. */
void ath_judge_hello(ath_judge *judge, int32_t rank, int32_t process, const char *host);
void ath_judge_beat(ath_judge *judge, int32_t rank, uint64_t word, uint64_t pulse);
void ath_judge_bye(ath_judge *judge, int32_t rank);
void ath_judge_gone(ath_judge *judge, int32_t rank);

/* True where somebody is to be blamed. */
bool ath_judge_look(const ath_judge *judge, ath_verdict *out);

/* A connection ended a moment ago: to be looked at again soon. */
bool ath_judge_is_pending(const ath_judge *judge);

#endif
