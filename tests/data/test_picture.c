/*
 * Pictures are resized to the bytes that OpenCV's area and Pillow's Lanczos give; the cut is where it
 * was asked for, the mirror mirrors, bytes become -1..1 as torchvision's transforms make them; what
 * cannot be cut is refused.
 *
 *     test_picture pictures.safetensors
 */
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/data/picture.h"

#include <stdlib.h>

static const ath_st_tensor *find(const ath_st *st, int i, const char *kind, const char *what)
{
    char name[64];

    snprintf(name, sizeof name, "%d.%s.%s", i, kind, what);
    return ath_st_find(st, name);
}

static ath_image image_of(const ath_st_tensor *t)
{
    return (ath_image){.width = (int32_t)t->dim[1],
                       .height = (int32_t)t->dim[0],
                       .rgb = (uint8_t *)(uintptr_t)t->data};
}

static void compare(const ath_st_tensor *from, const ath_st_tensor *to, int i)
{
    const ath_image image = image_of(from), want = image_of(to);
    ath_image made = {0};
    int most = 0, n = 0;

    CHECK_OK(ath_picture_resize(&image, want.width, want.height, &made));
    for (size_t k = 0; made.rgb && k < to->bytes; k++) {
        const int d = abs(made.rgb[k] - want.rgb[k]);
        most = d > most ? d : most;
        n += d > 0;
    }
    ath_test_note(most == 0, __FILE__, __LINE__,
                  "case %d, %dx%d to %dx%d: %d of %zu bytes differ, by %d at most, wanted none", i,
                  image.width, image.height, want.width, want.height, n, to->bytes, most);
    ath_image_release(&made);
}

static void check_resize(const ath_st *st)
{
    int n = 0;

    for (int i = 0; i < 64; i++)
        for (int k = 0; k < 2; k++) {
            const char *kind = k ? "area" : "lanczos";
            const ath_st_tensor *from = find(st, i, kind, "from"), *to = find(st, i, kind, "to");
            if (!from || !to) continue;
            ath_test_begin(kind);
            compare(from, to, i);
            n++;
        }
    CHECK_EQ(n, 17);
}

static float unit(int byte)
{
    return ((float)byte / 255 - 0.5f) / 0.5f;
}

static void check_make(void)
{
    uint8_t rgb[4 * 6 * 3];
    const ath_image image = {.width = 6, .height = 4, .rgb = rgb};
    ath_picture_fit fit = {6, 4, 3, 2, 0, 0, false};
    float out[3 * 2 * 3], mirrored[3 * 2 * 3];

    ath_test_begin("cut and mirror");
    for (int i = 0; i < 72; i++) rgb[i] = (uint8_t)(3 * i + 1);
    fit = ath_picture_centre(fit);
    CHECK_EQ(fit.left, 1);
    CHECK_EQ(fit.top, 1);
    CHECK_OK(ath_picture_make(&image, &fit, out));
    fit.mirror = true;
    CHECK_OK(ath_picture_make(&image, &fit, mirrored));
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 3; x++)
            for (int c = 0; c < 3; c++) {
                const float want = unit(rgb[((y + 1) * 6 + x + 1) * 3 + c]);
                CHECK_NEAR(out[(y * 3 + x) * 3 + c], want, 0);
                CHECK_NEAR(mirrored[(y * 3 + 2 - x) * 3 + c], want, 0);
            }
    CHECK_NEAR(unit(0), -1, 0);
    CHECK_NEAR(unit(255), 1, 0);
    fit.left = 4;
    CHECK_ERR(ath_picture_make(&image, &fit, out), ATH_ESHAPE);
    CHECK_HAS(ath_err_text(), "6x4 cannot be cut to 3x2 at 4, 1");
    ath_image none = {0};
    CHECK_ERR(ath_picture_resize(&image, 0, 4, &none), ATH_ELIMIT);
}

/* Every allocation fails in turn, for each way to resize. */
static void check_memory(void)
{
    static uint8_t rgb[20 * 20 * 3];
    const ath_image image = {.width = 20, .height = 20, .rgb = rgb};
    const int sizes[] = {7, 10, 30};
    ath_image made = {0};

    ath_test_begin("no memory");
    for (int k = 0; k < 3; k++) {
        for (int n = 1; n < 20; n++) {
            ath_mem_fail_from(n);
            const ath_err err = ath_picture_resize(&image, sizes[k], sizes[k], &made);
            ath_mem_fail_from(0);
            if (!err) break;
            CHECK_EQ(err, ATH_ENOMEM);
            CHECK(!made.rgb);
        }
        CHECK(made.rgb != NULL);
        ath_image_release(&made);
    }
}

int main(int n_args, char **args)
{
    ath_st *st = NULL;

    if (n_args < 2) return 2;
    CHECK_OK(ath_st_open(args[1], &st));
    if (st) check_resize(st);
    check_make();
    check_memory();
    ath_st_close(&st);
    return ath_test_end();
}
