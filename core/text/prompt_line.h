/*
 * Files of prompts, one a line, with options behind the text (spec/training-semantics 11.2):
 *
 *     a cat on a mat --n blurry, low quality --w 512 --h 768 --s 28 --l 7.5 --d 42 --ss euler_a
 *
 * Blank lines and lines that begin with # are skipped. Stricter than kohya's: what is no option of
 * ours, or has a value that is none, is refused with its line instead of being passed over.
 */
#ifndef ATH_CORE_TEXT_PROMPT_LINE_H
#define ATH_CORE_TEXT_PROMPT_LINE_H

#include "core/arena.h"

typedef struct ath_prompt_line {
    const char *prompt;
    const char *negative; /* --n: "" where there is none */
    const char *sampler;  /* --ss: NULL where there is none */
    int32_t width;        /* --w, --h: 64 to 8192, rounded down to multiples of 8 */
    int32_t height;
    int32_t steps; /* --s: 1 to 1000 */
    double scale;  /* --l: of the guidance, 0 to 1000 */
    bool has_seed;
    uint64_t seed;  /* --d */
    int32_t i_line; /* in the file, from 1 */
} ath_prompt_line;

typedef struct ath_prompt_lines {
    ath_prompt_line *line;
    int64_t n;
} ath_prompt_lines;

/* 512 by 512, 30 steps, scale 7.5, nothing else. */
ath_prompt_line ath_prompt_line_initial(void);

/* Reads the n bytes of a file called `name` (for errors). What a line does not say is as in `initial`,
 * whose texts are borrowed; everything else lies in the arena. EFORMAT names the line. */
ATH_MUST ath_err ath_prompt_lines_parse(const char *name, const char *text, size_t n,
                                        const ath_prompt_line *initial, ath_arena *arena,
                                        ath_prompt_lines *out);

#endif
