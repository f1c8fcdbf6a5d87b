/*
 * Errors: one status type, one recorded cause.
 *
 * The place that first knows the reason raises it with a sentence: what, where, found, wanted, how
 * to mend. Everybody above passes it on with ATH_TRY, which adds only the place. Only main, a
 * request handler or a test prints. The text belongs to the thread that raised it.
 */
#ifndef ATH_CORE_ERR_H
#define ATH_CORE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define ATH_MUST            __attribute__((warn_unused_result))
#define ATH_PRINTF(fmt, at) __attribute__((format(printf, fmt, at)))
#define ATH_NORETURN        __attribute__((noreturn))
#else
#define ATH_MUST
#define ATH_PRINTF(fmt, at)
#define ATH_NORETURN
#endif

/* name, what it says, exit code of the program that ends with it */
#define ATH_ERR_MAP(X)                             \
    X(OK, "success", 0)                            \
    X(EINVAL, "invalid argument", 2)               \
    X(EJOB, "bad job file", 3)                     \
    X(ENOMEM, "out of memory", 33)                 \
    X(EIO, "input or output failed", 5)            \
    X(ESHAPE, "shapes do not fit", 4)              \
    X(EDTYPE, "data types do not fit", 4)          \
    X(EFORMAT, "malformed file or message", 4)     \
    X(EMISSING, "something needed is missing", 4)  \
    X(ELIMIT, "a limit was exceeded", 4)           \
    X(ENOTSUP, "not supported by this backend", 3) \
    X(EFROZEN, "allocation after the freeze", 1)   \
    X(EDNNL, "oneDNN failed", 1)                   \
    X(ECUDA, "CUDA failed", 1)                     \
    X(ENCCL, "NCCL failed", 6)                     \
    X(EMPI, "MPI failed", 6)                       \
    X(EHDF5, "HDF5 failed", 5)                     \
    X(EPEER, "a rank was lost", 6)                 \
    X(ECANCELED, "canceled", 75)                   \
    X(ENAN, "not a number", 7)

typedef enum ath_err {
#define ATH_ERR_ENUM(name, text, code) ATH_##name,
    ATH_ERR_MAP(ATH_ERR_ENUM)
#undef ATH_ERR_ENUM
        ATH_N_ERRS
} ath_err;

/* "ESHAPE"; never NULL. */
const char *ath_err_name(ath_err err);

/* The exit code that the program promises for this error (docs: exit codes). */
int ath_err_exit_code(ath_err err);

/* The failure text of this thread: the cause first, then one line per place it passed.
 * Valid until the next error of this thread; "" when there was none. */
const char *ath_err_text(void);

/* Forgets this thread's failure text: nothing is left to print, though the error may go on. */
void ath_err_clear(void);

/* Puts back a text that was copied from ath_err_text(), for latched errors that are reported late. */
ath_err ath_err_restore(ath_err err, const char *text);

/* Records the cause and returns `err`. Use the macros below. */
ath_err ath_raise_at(ath_err err, const char *file, int line, const char *fmt, ...)
    ATH_PRINTF(4, 5);
ath_err ath_pass_at(ath_err err, const char *file, int line, const char *call);

#define ath_raise(err, ...) ath_raise_at((err), __FILE__, __LINE__, __VA_ARGS__)

/* A check with its sentence, where this function owns nothing yet. */
#define ATH_NEED(cond, err, ...)                         \
    do {                                                 \
        if (!(cond)) return ath_raise(err, __VA_ARGS__); \
    } while (0)

/* Leave with the callee's error. Only where this function owns nothing yet. */
#define ATH_TRY(call)                                                        \
    do {                                                                     \
        ath_err e_ = (call);                                                 \
        if (e_ != ATH_OK) return ath_pass_at(e_, __FILE__, __LINE__, #call); \
    } while (0)

/* The same, in a function that has something to give back: needs `err` and the label `out`. */
#define ATH_TRY_OUT(call)                                      \
    do {                                                       \
        err = (call);                                          \
        if (err != ATH_OK) {                                   \
            err = ath_pass_at(err, __FILE__, __LINE__, #call); \
            goto out;                                          \
        }                                                      \
    } while (0)

/* The outcome of a system call: a negative `result` becomes EIO with errno's text. */
ATH_MUST ath_err ath_sys_at(int64_t result, const char *file, int line, const char *what);
#define ath_sys(result, what) ath_sys_at((result), __FILE__, __LINE__, (what))

/* A broken invariant of ours: says where, then aborts. Always on. */
ATH_NORETURN void ath_assert_fail(const char *what, const char *file, int line);
#define ATH_ASSERT(cond) ((cond) ? (void)0 : ath_assert_fail(#cond, __FILE__, __LINE__))

#endif
