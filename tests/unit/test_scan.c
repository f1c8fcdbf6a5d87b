/* The index of a data folder: order, repeats, sizes, captions, and what is left over. */
#include "coordinator/scan.h"
#include "core/mem.h"
#include "tests/data_folder.h"
#include "tests/harness.h"

static ath_data_folder data;
static char root[ATH_TEST_PATH], reg[ATH_TEST_PATH];

static void make(void)
{
    CHECK_OK(ath_data_folder_make(&data));
    CHECK_OK(ath_data_put_picture(&data, "train/10_sks dog/b.PNG", 64, 48, 1));
    CHECK_OK(ath_data_put_picture(&data, "train/10_sks dog/a.png", 65, 48, 2));
    CHECK_OK(ath_data_put_picture(&data, "train/10_sks dog/c.jpeg", 66, 48, 3));
    CHECK_OK(ath_data_put_text(&data, "train/10_sks dog/a.txt",
                               "\xef\xbb\xbf  a dog, grass \r\n\n \t\nsecond line\n"));
    CHECK_OK(ath_data_put_text(&data, "train/10_sks dog/b.caption", "sitting"));
    CHECK_OK(ath_data_put_text(&data, "train/10_sks dog/orphan.txt", "no picture"));
    CHECK_OK(ath_data_put_picture(&data, "train/2_a_b/x.png", 8, 8, 4));
    CHECK_OK(ath_data_put_text(&data, "train/2_a_b/x.txt", "\xff\xfe no text"));
    CHECK_OK(ath_data_put_text(&data, "train/2_a_b/y.png", "not a picture"));
    CHECK_OK(ath_data_put_picture(&data, "train/7/z.webp", 9, 8, 4));
    CHECK_OK(ath_data_put_picture(&data, "train/dogs/never.png", 8, 8, 4));
    CHECK_OK(ath_data_put_picture(&data, "train/loose.png", 8, 8, 4));
    CHECK_OK(ath_data_put_picture(&data, "train/0_zero/never.png", 8, 8, 4));
    CHECK_OK(ath_data_put_text(&data, "train/10_sks dog/.hidden.png", "x"));
    CHECK_OK(ath_data_put_picture(&data, "reg/1_dog/r.png", 32, 16, 5));
    ath_data_path(&data, "train/", root);
    ath_data_path(&data, "reg", reg);
}

static void check_folders(const ath_scan *s)
{
    static const char *const names[] = {"0_zero", "10_sks dog", "2_a_b", "7", "dogs", "1_dog"};
    static const char *const concepts[] = {"", "sks dog", "a_b", "", "", "dog"};
    static const int repeats[] = {0, 10, 2, 7, 0, 1}, n[] = {0, 3, 2, 1, 0, 1};

    ath_test_begin("folders");
    CHECK_EQ(s->n_folders, 6);
    for (int i = 0; i < 6 && i < s->n_folders; i++) {
        CHECK_STR(s->folder[i].name, names[i]);
        CHECK_STR(s->folder[i].concept, concepts[i]);
        CHECK_EQ(s->folder[i].repeats, repeats[i]);
        CHECK_EQ(s->folder[i].n, n[i]);
        CHECK(s->folder[i].is_reg == (i == 5));
        for (int64_t k = 0; k < s->folder[i].n; k++)
            CHECK_EQ(s->image[s->folder[i].first + k].folder, i);
    }
}

static void check_images(const ath_scan *s)
{
    static const char *const names[] = {"a.png", "b.PNG",  "c.jpeg", "x.png",
                                        "y.png", "z.webp", "r.png"};
    static const int width[] = {65, 64, 66, 8, 0, 9, 32}, height[] = {48, 48, 48, 8, 0, 8, 16};
    static const char *const captions[] = {
        "a dog, grass\nsecond line", "sitting", "sks dog", "", "a_b", "", "dog"};
    static const ath_caption_kind kinds[] = {
        ATH_CAPTION_FILE,  ATH_CAPTION_FILE,  ATH_CAPTION_CLASS, ATH_CAPTION_BROKEN,
        ATH_CAPTION_CLASS, ATH_CAPTION_CLASS, ATH_CAPTION_CLASS};

    ath_test_begin("images");
    CHECK_EQ(s->n_images, 7);
    for (int i = 0; i < 7 && i < s->n_images; i++) {
        CHECK_STR(s->image[i].name, names[i]);
        CHECK_EQ(s->image[i].width, width[i]);
        CHECK_EQ(s->image[i].height, height[i]);
        CHECK((s->image[i].problem != NULL) == (width[i] == 0));
        CHECK_STR(s->image[i].caption, captions[i]);
        CHECK_EQ(s->image[i].caption_kind, kinds[i]);
        CHECK_HAS(s->image[i].path, s->image[i].name);
    }
    CHECK_HAS(s->image[3].caption_problem, "byte 1 is 0xff");
    CHECK_HAS(s->image[0].caption_path, "train/10_sks dog/a.txt");
}

static void check_rest(const ath_scan *s)
{
    static const char *const names[] = {"never.png", "orphan.txt", "never.png", "loose.png"};

    ath_test_begin("rest");
    CHECK_EQ(s->n_rest, 4);
    for (int i = 0; i < 4 && i < s->n_rest; i++) CHECK_STR(s->rest[i].name, names[i]);
    CHECK_EQ(s->rest[3].folder, -1);
}

static void check_names(void)
{
    ath_test_begin("names");
    CHECK(ath_scan_is_picture("a.JpG") && ath_scan_is_picture("a.b.webp"));
    CHECK(!ath_scan_is_picture(".png") && !ath_scan_is_picture("png"));
    CHECK(!ath_scan_is_picture("a.bmp") && !ath_scan_is_picture("a.png.txt"));
    CHECK_EQ(ath_scan_stem("a.b.png"), 3);
    CHECK_EQ(ath_scan_stem("abc"), 3);
    CHECK_EQ(ath_scan_stem(".png"), 4);
}

static void check_refusals(void)
{
    ath_scan s = {0};
    int64_t n = 0;
    ath_err err;

    ath_test_begin("refusals");
    CHECK_ERR(ath_scan_folders("/tmp/no such folder", NULL, NULL, &s), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "/tmp/no such folder");
    CHECK_ERR(ath_scan_folders(root, "/tmp/no such folder", NULL, &s), ATH_EMISSING);
    CHECK(s.folder == NULL);
    do {
        ath_mem_fail_from(++n);
        err = ath_scan_folders(root, reg, NULL, &s);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
    } while (err && n < 1000);
    CHECK_OK(err);
    CHECK_EQ(s.n_images, 7);
    ath_scan_release(&s);
}

/* A scan with the pictures of the wish; 32 by 16 pixels. */
static ath_err scan_with(const char *reg_there, const char *folder, int64_t count, ath_scan *s)
{
    const ath_scan_wish wish = {reg, folder, count, 32, 16};

    ATH_TRY(ath_scan_folders(root, reg_there, NULL, s));
    const ath_err err = ath_scan_add_missing(s, &wish);
    if (err) ath_scan_release(s);
    return err;
}

/* Image i is in folder k, after the ones before it, whatever was put in between. */
static void check_order(const ath_scan *s)
{
    int64_t n = 0;

    for (int64_t k = 0; k < s->n_folders; k++) {
        CHECK_EQ(s->folder[k].first, n);
        for (int64_t i = 0; i < s->folder[k].n; i++) CHECK_EQ(s->image[n++].folder, k);
    }
    CHECK_EQ(s->n_images, n);
}

static void check_missing(void)
{
    ath_scan s = {0};
    ath_err err = ATH_OK;
    int64_t n = 0;

    ath_test_begin("pictures to be drawn");
    CHECK_OK(scan_with(reg, "1_dog", 1, &s));
    CHECK(s.n_missing == 0 && s.n_images == 7 && s.n_folders == 6);
    ath_scan_release(&s);
    CHECK_OK(scan_with(NULL, "1_dog", 3, &s)); /* no folder yet */
    CHECK(s.n_missing == 3 && s.n_images == 9 && s.n_folders == 6);
    check_order(&s);
    CHECK_STR(s.reg_root, reg);
    ath_scan_release(&s);
    CHECK_OK(scan_with(reg, "1_dog", 3, &s)); /* beside those there */
    CHECK(s.n_missing == 2 && s.n_folders == 6 && !s.image[6].is_missing && s.image[7].is_missing);
    check_order(&s);
    ath_scan_release(&s);
    do { /* a folder before another */
        ath_mem_fail_from(++n);
        err = scan_with(reg, "1_cat", 4, &s);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
    } while (err && n < 1000);
    CHECK_OK(err);
    CHECK(s.n_missing == 3 && s.first_missing == 0 && s.n_folders == 7);
    CHECK_STR(s.folder[5].name, "1_cat");
    CHECK_STR(s.folder[6].name, "1_dog");
    check_order(&s);
    CHECK_STR(s.image[8].name, "00002.png");
    CHECK_STR(s.image[8].caption, "cat");
    CHECK(s.image[8].width == 32 && s.image[8].height == 16 && s.image[8].is_missing);
    CHECK_STR(s.image[9].name, "r.png");
    CHECK_EQ(s.rest[3].folder, -1);
    ath_scan_release(&s);
}

int main(void)
{
    ath_scan s = {0};

    make();
    CHECK_OK(ath_scan_folders(root, reg, NULL, &s));
    check_folders(&s);
    check_images(&s);
    check_rest(&s);
    ath_scan_release(&s);
    check_names();
    check_refusals();
    check_missing();
    ath_data_folder_remove(&data);
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
