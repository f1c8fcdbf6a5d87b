#include "core/str.h"

#include "core/mem.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool make_room(ath_str *s, size_t n)
{
    if (s->err) return false;
    if (s->room - s->n > n) return true;
    if (n > SIZE_MAX / 4) {
        s->err = ath_raise(ATH_ENOMEM, "text buffer: no memory for %zu bytes more", n);
        return false;
    }
    size_t need = s->n + n + 1, room = need * 3 / 2 + 64;
    if (ATH_TORTURE && need < 4096) room = need; /* every time: but long texts stay affordable */
    char *text = NULL;
    s->err = ATH_NEW(room, "text buffer", &text);
    if (s->err) return false;
    if (s->n) memcpy(text, s->text, s->n);
    ath_mem_free(&s->text);
    s->text = text;
    s->room = room;
    return true;
}

void ath_str_put(ath_str *s, const void *bytes, size_t n)
{
    if (!make_room(s, n)) return;
    if (n) memcpy(s->text + s->n, bytes, n);
    s->n += n;
    s->text[s->n] = 0;
}

void ath_str_print(ath_str *s, const char *fmt, ...)
{
    va_list args, again;

    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ATH_ASSERT(n >= 0);
    if (make_room(s, (size_t)n)) {
        vsnprintf(s->text + s->n, (size_t)n + 1, fmt, again);
        s->n += (size_t)n;
    }
    va_end(again);
}

const char *ath_str_text(const ath_str *s)
{
    return s->text ? s->text : "";
}

ath_err ath_str_check(const ath_str *s)
{
    return s->err;
}

void ath_str_release(ath_str *s)
{
    ath_mem_free(&s->text);
    *s = (ath_str){0};
}
