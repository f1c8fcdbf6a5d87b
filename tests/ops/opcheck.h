/*
 * opcheck: one program that checks, differentiates and times every op of kernels/ops.def on every
 * case of cases.def. A mode looks at one case on one backend in one dtype and reports its checks.
 */
#ifndef ATH_TESTS_OPS_OPCHECK_H
#define ATH_TESTS_OPS_OPCHECK_H

#include "tests/ops/case.h"

typedef struct ath_report {
    int n_passed, n_failed, n_skipped;
    bool is_quiet; /* count only */
    bool is_json;  /* perf prints objects */
    const char *mode;
    const ath_setup *at; /* what is being checked */
} ath_report;

/* Says what the checks that follow look at. `s` must live until the next call. */
void ath_report_at(ath_report *r, const char *mode, const ath_setup *s);
/* Counts a check; prints a failed one and the command that repeats it. */
void ath_report_check(ath_report *r, bool ok, const char *fmt, ...) ATH_PRINTF(3, 4);
void ath_report_warn(ath_report *r, const char *fmt, ...) ATH_PRINTF(2, 3);

/* A mode checks one setup. An error is a failed check too. */
typedef ath_err ath_mode(const ath_setup *s, ath_report *r);

/* Against ref64 on the same numbers: outputs, saved, gradients set, added, each alone; frozen. */
ath_mode ath_mode_value;
/* On ref64: the difference quotient of v . f along u against u . (J^T v). */
ath_mode ath_mode_grad;
/* Bit for bit: poisoned memory, other threads, one image alone; adding = setting, then adding. */
ath_mode ath_mode_bits;
/* What every op refuses: missing, of no element, of a wrong dtype; then the REFUSE lines. */
ath_mode ath_mode_refuse;
/* Time with cold caches. */
ath_mode ath_mode_perf;

/* An op with deliberate faults: every one must be caught by the mode that is there for it. */
void ath_self_test(ath_report *r);

#endif
