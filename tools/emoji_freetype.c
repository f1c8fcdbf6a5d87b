/*
 * Emoji as a data set: pictures from a colour bitmap font, captions from Unicode's names.
 *
 *     emoji --list /usr/share/unicode/emoji/emoji-test.txt --font NotoColorEmoji.ttf \
 *         --size 128 --out train/cats/10_cat cat-face
 *
 * Words are names ("red apple") or whole subgroups ("cat-face") of the list. Each emoji becomes
 * CODE.png on white and CODE.txt, its name. Only those of one code point are drawn: the others would
 * need their font's rules. The folder is made where it lacks.
 */
#include "core/arena.h"
#include "core/io/file.h"
#include "core/io/image.h"
#include "core/mem.h"
#include "core/opt.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <ft2build.h>
#include FT_FREETYPE_H

enum { LIST_BYTES_MAX = 16 << 20, WHITE = 255, MARGIN = 4 };

typedef struct values {
    const char *font, *list, *out, *caption;
    int64_t size;
    bool help;
} values;

#define AT(field) offsetof(values, field)

static const ath_opt opts[] = {
    {"font", ATH_OPT_TEXT, AT(font), "FILE", "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
     "a font of coloured bitmaps"},
    {"list", ATH_OPT_TEXT, AT(list), "FILE", "/usr/share/unicode/emoji/emoji-test.txt",
     "Unicode's list of emoji with their names"},
    {"size", ATH_OPT_INT, AT(size), "8..128", "128", "pixels on a side"},
    {"caption", ATH_OPT_TEXT, AT(caption), "TEXT", "", "before each name in the captions"},
    {"out", ATH_OPT_TEXT, AT(out), "DIR", NULL, "where CODE.png and CODE.txt go"},
    {"help", ATH_OPT_SWITCH, AT(help), .help = "this list"},
    {0},
};

/* ---- the list ---- */

typedef struct emoji {
    uint32_t code;
    const char *name, *subgroup;
} emoji;

typedef struct emojis {
    char *text; /* of the list, cut into lines */
    emoji *of;
    int64_t n, room;
} emojis;

/* "1F63A ; fully-qualified # <the emoji> E0.6 grinning cat": code and name, where it is one code
 * point, followed by the variation selector or by nothing. */
static bool read_line(char *line, emoji *out)
{
    char *end = NULL;
    const uint64_t code = strtoul(line, &end, 16);

    if (end == line) return false;
    if (strncmp(end, " FE0F ", 6) == 0) end += 5;
    end += strspn(end, " ");
    char *name = strstr(end, " E");
    if (strncmp(end, "; fully-qualified ", 18) != 0 || !name) return false;
    name = strchr(name + 1, ' ');
    if (!name) return false;
    *out = (emoji){.code = (uint32_t)code, .name = name + 1};
    return true;
}

static ath_err read_list(const char *path, emojis *out)
{
    static const char subgroup[] = "# subgroup: ";
    const char *at = "";
    size_t n = 0;

    ATH_TRY(ath_file_read(path, LIST_BYTES_MAX, &out->text, &n));
    char *next = out->text;
    while (*next) {
        char *line = next;
        next += strcspn(next, "\n");
        if (*next) *next++ = '\0';
        if (strncmp(line, subgroup, strlen(subgroup)) == 0) at = line + strlen(subgroup);
        emoji e = {0};
        if (!read_line(line, &e)) continue;
        e.subgroup = at;
        ATH_TRY(ath_mem_grow(&out->of, out->n, &out->room, sizeof *out->of, "emoji"));
        out->of[out->n++] = e;
    }
    ATH_NEED(out->n > 0, ATH_EFORMAT,
             "%s: no emoji in it; wanted emoji-test.txt of the package unicode-data", path);
    return ATH_OK;
}

/* ---- pictures ---- */

/* The font's bitmap over white, in the middle of a square with a margin. */
static ath_err draw(FT_Face face, const char *font, const emoji *e, ath_image *out)
{
    const FT_Error failed = FT_Load_Char(face, e->code, FT_LOAD_COLOR);
    const FT_Bitmap *b = &face->glyph->bitmap;

    ATH_NEED(!failed && FT_Get_Char_Index(face, e->code) != 0, ATH_EMISSING,
             "%s: has no picture of U+%" PRIX32 " (%s)", font, e->code, e->name);
    ATH_NEED(b->pixel_mode == FT_PIXEL_MODE_BGRA && b->rows > 0 && b->width > 0, ATH_EFORMAT,
             "%s: U+%" PRIX32 " is no coloured bitmap; wanted a font such as NotoColorEmoji.ttf of "
             "the package fonts-noto-color-emoji",
             font, e->code);
    const int32_t w = (int32_t)b->width, h = (int32_t)b->rows;
    const int32_t side = (w > h ? w : h) + 2 * MARGIN;
    const size_t bytes = (size_t)side * (size_t)side * 3;
    ATH_TRY(ath_mem_new(bytes, 1, "picture", (void **)&out->rgb));
    out->width = out->height = side;
    memset(out->rgb, WHITE, bytes);
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            const uint8_t *from = b->buffer + y * b->pitch + 4 * x; /* premultiplied */
            uint8_t *to = out->rgb + 3 * ((y + (side - h) / 2) * side + x + (side - w) / 2);
            for (int c = 0; c < 3; c++) {
                const int value = from[2 - c] + WHITE - from[3];
                to[c] = (uint8_t)(value < WHITE ? value : WHITE);
            }
        }
    return ATH_OK;
}

/* How much of source pixel `i` lies within target pixel `k`, which is `ratio` wide. */
static double overlap(int32_t i, int32_t k, double ratio)
{
    const double begin = fmax(i, k * ratio), end = fmin(i + 1, (k + 1) * ratio);
    return end > begin ? end - begin : 0;
}

/* Means over squares that need not lie on pixels' edges. */
static void shrink_pixel(const ath_image *from, double ratio, int32_t y, int32_t x, uint8_t *to)
{
    double sum[3] = {0};

    for (int32_t i = (int32_t)(y * ratio); i < from->height && i < (y + 1) * ratio; i++)
        for (int32_t k = (int32_t)(x * ratio); k < from->width && k < (x + 1) * ratio; k++) {
            const double share = overlap(i, y, ratio) * overlap(k, x, ratio);
            for (int c = 0; c < 3; c++) sum[c] += share * from->rgb[3 * (i * from->width + k) + c];
        }
    for (int c = 0; c < 3; c++) to[c] = (uint8_t)lrint(fmin(sum[c] / (ratio * ratio), WHITE));
}

static ath_err shrink(const ath_image *from, int32_t side, ath_image *out)
{
    const double ratio = (double)from->width / side;

    ATH_TRY(ath_mem_new((size_t)side * (size_t)side * 3, 1, "picture", (void **)&out->rgb));
    out->width = out->height = side;
    for (int32_t y = 0; y < side; y++)
        for (int32_t x = 0; x < side; x++)
            shrink_pixel(from, ratio, y, x, out->rgb + 3 * (y * side + x));
    return ATH_OK;
}

/* ---- files ---- */

static ath_err write_emoji(FT_Face face, const values *v, const emoji *e)
{
    ath_image large = {0}, small = {0};
    ath_str path = {0}, caption = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(draw(face, v->font, e, &large));
    ATH_TRY_OUT(shrink(&large, (int32_t)v->size, &small));
    ath_str_print(&path, "%s/%" PRIX32 ".png", v->out, e->code);
    ath_str_print(&caption, "%s%s\n", v->caption, e->name);
    ATH_TRY_OUT(ath_str_check(&path));
    ATH_TRY_OUT(ath_str_check(&caption));
    ATH_TRY_OUT(ath_png_write(path.text, &small, NULL, NULL));
    memcpy(path.text + path.n - 3, "txt", 3);
    ATH_TRY_OUT(ath_file_publish(path.text, caption.text, caption.n));
out:
    ath_str_release(&caption);
    ath_str_release(&path);
    ath_image_release(&small);
    ath_image_release(&large);
    return err;
}

/* All that bear the word as their name or their subgroup's. */
static ath_err write_word(FT_Face face, const values *v, const emojis *list, const char *word)
{
    int64_t n = 0;

    for (int64_t i = 0; i < list->n; i++) {
        const emoji *e = &list->of[i];
        if (strcmp(e->name, word) != 0 && strcmp(e->subgroup, word) != 0) continue;
        ATH_TRY(write_emoji(face, v, e));
        n++;
    }
    ATH_NEED(n > 0, ATH_EINVAL, "%s: no emoji and no subgroup is called \"%s\"", v->list, word);
    return ATH_OK;
}

static ath_err open_font(const char *path, FT_Library library, FT_Face *out)
{
    ATH_NEED(FT_New_Face(library, path, 0, out) == 0, ATH_EMISSING,
             "%s: no font that FreeType reads; install the package fonts-noto-color-emoji", path);
    ATH_NEED(FT_HAS_FIXED_SIZES(*out) && FT_Select_Size(*out, 0) == 0, ATH_EFORMAT,
             "%s: has no bitmaps; wanted a font such as NotoColorEmoji.ttf", path);
    return ATH_OK;
}

static ath_err write_all(const values *v, int n_words, char **words)
{
    FT_Library library = NULL;
    FT_Face face = NULL;
    emojis list = {0};
    ath_err err = ATH_OK;

    ATH_TRY_OUT(read_list(v->list, &list));
    ATH_NEED(FT_Init_FreeType(&library) == 0, ATH_ENOMEM, "FreeType does not start");
    err = open_font(v->font, library, &face);
    if (!err) err = ath_sys(mkdir(v->out, 0777) && errno != EEXIST ? -1 : 0, v->out);
    for (int i = 0; !err && i < n_words; i++) err = write_word(face, v, &list, words[i]);
out:
    if (library) FT_Done_FreeType(library); /* and its faces */
    ath_mem_free(&list.of);
    ath_mem_free(&list.text);
    return err;
}

static ath_err run(int argc, char **argv)
{
    values v = {0};
    ath_str help = {0};

    ATH_TRY(ath_opt_parse(opts, &v, &argc, argv));
    if (v.help) {
        ath_opt_print(opts, &help);
        printf("emoji [options] --out DIR NAME|SUBGROUP...\n\n%s", ath_str_text(&help));
        ath_str_release(&help);
        return ATH_OK;
    }
    ATH_NEED(v.out && argc > 0, ATH_EINVAL, "say where to with --out DIR, and which emoji");
    return write_all(&v, argc, argv);
}

int main(int argc, char **argv)
{
    const ath_err err = run(argc - 1, argv + 1);

    if (err) fprintf(stderr, "emoji: %s\n", ath_err_text());
    return ath_err_exit_code(err);
}
