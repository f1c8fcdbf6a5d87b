#include "core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 16384 }; /* twenty things wrong with a job fit */

static _Thread_local char text[TEXT_BYTES];

static const struct {
    const char *name;
    const char *says;
    int exit_code;
} errs[ATH_N_ERRS] = {
#define ATH_ERR_ROW(name, text, code) {#name, text, code},
    ATH_ERR_MAP(ATH_ERR_ROW)
#undef ATH_ERR_ROW
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void append(const char *fmt, ...) ATH_PRINTF(1, 2);

static void append(const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(text + used, sizeof text - used, fmt, args);
    va_end(args);
}

const char *ath_err_name(ath_err err)
{
    return (unsigned)err < ATH_N_ERRS ? errs[err].name : "unknown error";
}

int ath_err_exit_code(ath_err err)
{
    return (unsigned)err < ATH_N_ERRS ? errs[err].exit_code : 1;
}

const char *ath_err_text(void)
{
    return text;
}

void ath_err_clear(void)
{
    text[0] = 0;
}

ath_err ath_err_restore(ath_err err, const char *saved)
{
    if (saved != text) snprintf(text, sizeof text, "%s", saved);
    return err;
}

ath_err ath_raise_at(ath_err err, const char *file, int line, const char *fmt, ...)
{
    char cause[TEXT_BYTES / 2];
    va_list args;

    va_start(args, fmt);
    vsnprintf(cause, sizeof cause, fmt, args);
    va_end(args);
    text[0] = 0;
    append("%s: %s (%s:%d)", ath_err_name(err), cause, base_name(file), line);
    return err;
}

ath_err ath_pass_at(ath_err err, const char *file, int line, const char *call)
{
    int name_chars = (int)strcspn(call, "(");

    if (text[0]) append("\n  in %.*s (%s:%d)", name_chars, call, base_name(file), line);
    return err;
}

ath_err ath_sys_at(int64_t result, const char *file, int line, const char *what)
{
    if (result >= 0) return ATH_OK;
    int code = errno;
    char says[128] = "";
    if (strerror_r(code, says, sizeof says)) snprintf(says, sizeof says, "errno %d", code);
    return ath_raise_at(code == ENOMEM ? ATH_ENOMEM : ATH_EIO, file, line, "%s: %s", what, says);
}

void ath_assert_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "athanor: broken invariant: %s (%s:%d)\n", what, base_name(file), line);
    abort();
}
