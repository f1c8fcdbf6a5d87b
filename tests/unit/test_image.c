/*
 * Pictures: what is written is read back; the fixtures, made with Pillow, give Pillow's pixels where
 * it follows the files; a cut or damaged file is refused by its name, or at least harms nothing.
 */
#include "core/io/file.h"
#include "core/io/image.h"
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "tests/faulty_io.h"
#include "tests/harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64] = "/tmp/ath_test_image_XXXXXX";
static char path[128];

enum { W = 13, H = 7 };

static void fill(ath_image *m, bool has_alpha)
{
    *m = (ath_image){.width = W, .height = H};
    CHECK_OK(ATH_NEW(3 * W * H, "rgb", &m->rgb));
    for (int i = 0; i < 3 * W * H; i++) m->rgb[i] = (uint8_t)(i * i * 7);
    if (has_alpha) CHECK_OK(ATH_NEW(W * H, "alpha", &m->alpha));
    for (int i = 0; has_alpha && i < W * H; i++) m->alpha[i] = (uint8_t)(i * 5);
}

static void test_png(bool has_alpha)
{
    ath_image m, back = {0};
    int32_t width = 0, height = 0;
    char *first = NULL, *again = NULL;
    size_t n_first = 0, n_again = 0;

    ath_test_begin("png");
    fill(&m, has_alpha);
    CHECK_OK(ath_png_write(path, &m, "parameters", "a cat\nSteps: 20, caf\xc3\xa9"));
    CHECK_OK(ath_image_size(path, 0, &width, &height));
    CHECK(width == W && height == H);
    CHECK_OK(ath_image_read(path, ATH_IMAGE_ALPHA, &back));
    CHECK(back.width == W && back.height == H);
    CHECK_BITS(back.rgb, m.rgb, 3 * W * H);
    for (int i = 0; i < W * H; i++) CHECK_EQ(back.alpha[i], has_alpha ? m.alpha[i] : 255);
    ath_image_release(&back);
    CHECK_OK(ath_image_read(path, 0, &back));
    CHECK_BITS(back.rgb, m.rgb, 3 * W * H);
    CHECK(back.alpha == NULL);
    CHECK_OK(ath_file_read(path, 100000, &first, &n_first));
    CHECK_OK(ath_png_write(path, &m, "parameters", "a cat\nSteps: 20, caf\xc3\xa9"));
    CHECK_OK(ath_file_read(path, 100000, &again, &n_again));
    CHECK(n_first == n_again && memcmp(first, again, n_first) == 0);
    ath_mem_free(&first);
    ath_mem_free(&again);
    ath_image_release(&back);
    ath_image_release(&m);
}

static bool file_has(const void *part, size_t n)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    bool has = false;

    CHECK_OK(ath_file_read(path, 100000, &bytes, &n_bytes));
    for (size_t i = 0; i + n <= n_bytes; i++) has = has || memcmp(bytes + i, part, n) == 0;
    ath_mem_free(&bytes);
    return has;
}
#define FILE_HAS(text) file_has((text), sizeof(text) - 1)

static void test_text(void)
{
    ath_image m;

    ath_test_begin("text");
    fill(&m, false);
    CHECK_OK(ath_png_write(path, &m, NULL, NULL));
    CHECK(!FILE_HAS("tEXt") && !FILE_HAS("iTXt"));
    CHECK_OK(ath_png_write(path, &m, "parameters", ""));
    CHECK(FILE_HAS("tEXtparameters\0"));
    CHECK_OK(ath_png_write(path, &m, "parameters", "caf\xc3\xa9\n"));
    CHECK(FILE_HAS("tEXtparameters\0caf\xe9\n"));
    CHECK_OK(ath_png_write(path, &m, "parameters", "\xc3\xa9 \xe7\x8c\xab \xf0\x9f\x90\x88"));
    CHECK(FILE_HAS("iTXtparameters\0\0\0\0\0\xc3\xa9 \xe7\x8c\xab \xf0\x9f\x90\x88"));
    static const char *const bad_texts[] = {
        "\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xe7\x8c"};
    for (size_t i = 0; i < sizeof bad_texts / sizeof *bad_texts; i++) {
        CHECK_ERR(ath_png_write(path, &m, "parameters", bad_texts[i]), ATH_EINVAL);
        CHECK_HAS(ath_err_text(), "not UTF-8");
    }
    static const char *const bad_words[] = {"", " a", "a ", "a  b", "a\n", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad_words / sizeof *bad_words; i++) {
        CHECK_ERR(ath_png_write(path, &m, bad_words[i], ""), ATH_EINVAL);
        CHECK_HAS(ath_err_text(), "keyword");
    }
    CHECK(FILE_HAS("iTXtparameters")); /* refusals left the file alone */
    m.width = 0;
    CHECK_ERR(ath_png_write(path, &m, NULL, NULL), ATH_EINVAL);
    ath_image_release(&m);
}

static int count_files(void)
{
    DIR *dir = opendir(folder);
    int n = 0;
    for (const struct dirent *e; (e = readdir(dir));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

/* Every call of the system and every allocation fails in turn: the old picture or the new one. */
static void test_write_faults(void)
{
    ath_image m, back = {0};
    ath_err err = ATH_ENOMEM;

    ath_test_begin("write faults");
    fill(&m, true);
    CHECK_OK(ath_png_write(path, &m, NULL, NULL));
    for (int at = 1; at < 20; at++) {
        faulty_io f = {.fail_at = at, .code = ENOSPC};
        faulty_io_install(&f);
        err = ath_png_write(path, &m, "parameters", "x");
        ath_io_replace(NULL);
        CHECK(err == ATH_OK || err == ATH_EIO);
        CHECK_EQ(f.n_open, 0);
        CHECK_EQ(count_files(), 1);
        CHECK_OK(ath_image_read(path, 0, &back));
        ath_image_release(&back);
        if (!f.failed) break;
    }
    const int64_t held = ath_mem_get_stats().n_held;
    err = ATH_ENOMEM;
    for (int64_t n = 1; err != ATH_OK && n < 200; n++) {
        ath_mem_fail_from(n);
        err = ath_png_write(path, &m, "parameters", "x");
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK_OK(err);
    ath_image_release(&m);
}

#define IMAGES "tests/reference/images/"

/* "x.png", "x.png upright" or "x.png alpha": the file read that way gives the tensor's bytes. */
static void compare(const ath_st_tensor *want)
{
    const char *blank = strchr(want->name, ' ');
    const bool is_alpha = blank && strcmp(blank, " alpha") == 0;
    const unsigned how =
        (is_alpha ? ATH_IMAGE_ALPHA : 0) | (blank && !is_alpha ? ATH_IMAGE_UPRIGHT : 0);
    ath_image m = {0};
    int32_t width = 0, height = 0;
    char file[256];

    ath_test_begin(want->name);
    snprintf(file, sizeof file, IMAGES "%.*s",
             blank ? (int)(blank - want->name) : (int)strlen(want->name), want->name);
    CHECK_OK(ath_image_read(file, how, &m));
    CHECK(m.height == want->dim[0] && m.width == want->dim[1]);
    CHECK_OK(ath_image_size(file, how, &width, &height));
    CHECK(m.height == height && m.width == width);
    if (m.rgb && (size_t)m.width * (size_t)m.height * (is_alpha ? 1 : 3) == want->bytes)
        CHECK_BITS(is_alpha ? m.alpha : m.rgb, want->data, want->bytes);
    CHECK(!m.alpha == !is_alpha);
    ath_image_release(&m);
}

static void test_fixtures(void)
{
    ath_st *st = NULL;

    ath_test_begin("fixtures");
    CHECK_OK(ath_st_open("tests/reference/images.safetensors", &st));
    for (int64_t i = 0; st && i < ath_st_count(st); i++) compare(ath_st_get(st, i));
    CHECK(st && ath_st_count(st) > 60);
    ath_st_close(&st);
}

/* Exactly as many bytes as there are, so that a read past the end is found. */
static ath_err read_exact(const char *bytes, size_t n, unsigned how)
{
    char *copy = malloc(n ? n : 1);
    ath_image m = {0};
    int32_t width = 0, height = 0;

    ATH_ASSERT(copy);
    memcpy(copy, bytes, n);
    ath_err err = ath_image_read_bytes("t.pic", copy, n, how, &m);
    if (!err) CHECK_OK(ath_image_size_bytes("t.pic", copy, n, how, &width, &height));
    CHECK(err || (m.width == width && m.height == height && m.rgb));
    ath_image_release(&m);
    free(copy);
    return err;
}

static void test_refusals(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
        ath_err err;
    } rows[] = {
        {"", 0, "not a picture", ATH_EFORMAT},
        {"hello", 5, "not a picture", ATH_EFORMAT},
        {"\x89PNG\r\n\x1a\n", 8, "not a good PNG: the file ends", ATH_EFORMAT},
        {"\xff\xd8\xff\xe0", 4, "not a good JPEG: the file ends", ATH_EFORMAT},
        {"RIFF\0\0\0\0WEBP", 12, "not a good WebP: ", ATH_EFORMAT},
        {"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\1\0\0\0\1\0\0\x08\2\0\0\0\xe3\xe6\xa7\xb4\0\0\0\0IDAT",
         41, "a picture of 65536x65536, at most 16384 per side", ATH_ELIMIT},
    };
    ath_image m = {0};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ath_test_begin(rows[i].says);
        CHECK_ERR(read_exact(rows[i].bytes, rows[i].n, 0), rows[i].err);
        CHECK_HAS(ath_err_text(), rows[i].says);
        CHECK_HAS(ath_err_text(), "t.pic: ");
    }
    CHECK_ERR(ath_image_read(IMAGES "a.bmp", 0, &m), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "a.bmp: a BMP picture: only PNG, JPEG and WebP");
    CHECK_ERR(ath_image_read(IMAGES "a.gif", 0, &m), ATH_EFORMAT);
    CHECK_ERR(ath_image_read(IMAGES "animated.webp", 0, &m), ATH_EFORMAT);
    CHECK_HAS(ath_err_text(), "an animation");
    CHECK_ERR(ath_image_read(IMAGES "none.png", 0, &m), ATH_EMISSING);
    CHECK(m.rgb == NULL);
}

/* No beginning of a file is a picture; no changed byte leads past its end. */
static void test_damage(const char *name, unsigned how)
{
    char *bytes = NULL, file[256];
    size_t n = 0;

    ath_test_begin(name);
    snprintf(file, sizeof file, IMAGES "%s", name);
    CHECK_OK(ath_file_read(file, 100000, &bytes, &n));
    for (size_t cut = 0; cut < n; cut++) {
        CHECK_ERR(read_exact(bytes, cut, how), ATH_EFORMAT);
        if (cut) CHECK_HAS(ath_err_text(), "t.pic: ");
    }
    for (size_t i = 0; i < n; i++) {
        const char was = bytes[i];
        for (int k = 0; k < 2; k++) {
            bytes[i] = (char)(k ? ~was : was ^ 1 << i % 8);
            ath_err err = read_exact(bytes, n, how);
            CHECK(err == ATH_OK || err == ATH_EFORMAT || err == ATH_ELIMIT);
        }
        bytes[i] = was;
    }
    ath_mem_free(&bytes);
}

static void test_no_memory(const char *name)
{
    const int64_t held = ath_mem_get_stats().n_held;
    ath_err err = ATH_ENOMEM;
    char file[256];

    ath_test_begin(name);
    snprintf(file, sizeof file, IMAGES "%s", name);
    for (int64_t n = 1; err != ATH_OK && n < 100; n++) {
        ath_image m = {0};
        ath_mem_fail_from(n);
        err = ath_image_read(file, ATH_IMAGE_UPRIGHT | ATH_IMAGE_ALPHA, &m);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || (err == ATH_ENOMEM && m.rgb == NULL));
        ath_image_release(&m);
        CHECK_EQ(ath_mem_get_stats().n_held, held);
    }
    CHECK_OK(err);
}

int main(void)
{
    ATH_ASSERT(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.png", folder);
    test_png(false);
    test_png(true);
    test_text();
    test_write_faults();
    unlink(path);
    CHECK(rmdir(folder) == 0);
    test_fixtures();
    test_refusals();
    test_damage("palette_clear.png", ATH_IMAGE_ALPHA);
    test_damage("interlaced.png", 0);
    test_damage("cmyk.jpg", 0);
    test_damage("exif6.jpg", ATH_IMAGE_UPRIGHT);
    test_damage("progressive.jpg", ATH_IMAGE_ALPHA);
    test_damage("alpha_lossy.webp", ATH_IMAGE_ALPHA);
    test_damage("exif.webp", ATH_IMAGE_UPRIGHT);
    test_no_memory("exif.png");
    test_no_memory("exif6.jpg");
    test_no_memory("exif.webp");
    return ath_test_end();
}
