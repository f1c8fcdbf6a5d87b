/*
 * The doctor: every kind of finding is triggered by data that has the fault, names the file, and is
 * silent on sound data; tags are counted; every allocation in turn fails.
 */
#include "coordinator/alike.h"
#include "coordinator/doctor.h"
#include "core/io/file.h"
#include "core/mem.h"
#include "tests/data_folder.h"
#include "tests/harness.h"

static ath_data_folder data;
static bool seen[ATH_N_FINDINGS];

static const ath_doctor_rule rule = {
    .side = 64, .n_tokens = 75, .trigger = "sks", .separator = ",", .is_deep = true};

static void picture(const char *name, int32_t width, int32_t height, uint32_t look)
{
    CHECK_OK(ath_data_put_picture(&data, name, width, height, look));
}

static void caption(const char *name, const char *text)
{
    CHECK_OK(ath_data_put_text(&data, name, text));
}

static ath_err examine(const char *train, const char *reg, ath_diagnosis *out)
{
    char train_path[ATH_TEST_PATH], reg_path[ATH_TEST_PATH] = "";
    ath_scan scan = {0};

    ath_data_path(&data, train, train_path);
    if (reg) ath_data_path(&data, reg, reg_path);
    ath_err err = ath_scan_folders(train_path, reg_path, NULL, &scan);
    if (!err) err = ath_doctor_examine(&scan, &rule, out);
    ath_scan_release(&scan);
    return err;
}

/* The only finding of its kind names the file and says the detail. */
static void wants(const ath_diagnosis *d, ath_finding_kind kind, const char *path,
                  const char *detail)
{
    const ath_finding *found = NULL;
    int n = 0;

    for (int64_t i = 0; i < d->n_findings; i++) {
        if (d->finding[i].kind != kind) continue;
        found = &d->finding[i];
        n++;
    }
    ath_test_begin(ath_finding_describe(kind)->name);
    CHECK_EQ(n, 1);
    if (n != 1) return;
    CHECK_HAS(found->path, path);
    CHECK_HAS(found->detail, detail);
    seen[kind] = true;
}

static void make_faults(void)
{
    char path[ATH_TEST_PATH], *bytes = NULL;
    size_t n = 0;

    picture("f/2_dog/a.png", 64, 64, 1);
    caption("f/2_dog/a.txt", "sks, grass, day");
    picture("f/2_dog/broken.png", 64, 64, 2);
    CHECK_OK(ath_file_read(ath_data_path(&data, "f/2_dog/broken.png", path), 1 << 20, &bytes, &n));
    CHECK_OK(ath_data_put(&data, "f/2_dog/broken.png", bytes, n / 2));
    ath_mem_free(&bytes);
    caption("f/2_dog/broken.txt", "sks, grass");
    picture("f/2_dog/twin.jpg", 64, 64, 3);
    picture("f/2_dog/twin.png", 64, 64, 4);
    caption("f/2_dog/twin.txt", "sks, night");
    picture("f/2_dog/wrong.png", 64, 64, 5);
    caption("f/2_dog/wrong.png.txt", "sks");
    picture("f/2_dog/bytes.png", 64, 64, 6);
    caption("f/2_dog/bytes.txt", "sks \xc3");
    picture("f/2_dog/small.png", 63, 64, 7);
    caption("f/2_dog/small.txt", "sks");
    picture("f/2_dog/long.png", 256, 64, 8);
    caption("f/2_dog/long.txt", "sks");
    picture("f/2_dog/empty.png", 64, 64, 9);
    caption("f/2_dog/empty.txt", " \n");
    picture("f/2_dog/lines.png", 64, 64, 10);
    caption("f/2_dog/lines.txt", "sks\nmore\n");
    picture("f/2_dog/words.png", 64, 64, 11);
    char words[1024] = "sks";
    for (int i = 0; i < 75; i++) memcpy(words + 3 + 6 * i, ", dogs", 7);
    caption("f/2_dog/words.txt", words);
    caption("f/2_dog/a.caption", "another");
    caption("f/2_dog/alone.txt", "sks");
    picture("f/2_dog/plain.png", 64, 64, 12);
    caption("f/2_dog/plain.txt", "a dog in the grass");
    picture("f/2_dog/again.png", 128, 96, 1);
    caption("f/2_dog/again.txt", "sks");
    caption("f/2_dog/old.bmp", "BM");
    picture("f/2_dog/more/x.png", 64, 64, 13);
    picture("f/dogs/x.png", 64, 64, 13);
    caption("f/3_nothing/readme.md", "no pictures");
    picture("f/loose.png", 64, 64, 14);
}

static void check_faults(void)
{
    ath_diagnosis d = {0};

    make_faults();
    CHECK_OK(examine("f", NULL, &d));
    wants(&d, ATH_FINDING_PICTURE_BROKEN, "2_dog/broken.png", "not a good PNG");
    wants(&d, ATH_FINDING_STEM_TWICE, "2_dog/twin.png", "twin.jpg");
    wants(&d, ATH_FINDING_CAPTION_NAME, "2_dog/wrong.png.txt", "rename it to wrong.txt");
    wants(&d, ATH_FINDING_CAPTION_BROKEN, "2_dog/bytes.txt", "byte 5 is 0xc3");
    wants(&d, ATH_FINDING_PICTURE_SMALL, "2_dog/small.png", "63x64");
    wants(&d, ATH_FINDING_ASPECT, "2_dog/long.png", "4.0 to 1");
    wants(&d, ATH_FINDING_CAPTION_EMPTY, "2_dog/empty.txt", "");
    wants(&d, ATH_FINDING_CAPTION_LINES, "2_dog/lines.txt", "");
    wants(&d, ATH_FINDING_CAPTION_LONG, "2_dog/words.png", "tokens, 75 are used");
    wants(&d, ATH_FINDING_CAPTION_TWICE, "2_dog/a.caption", "a.txt");
    wants(&d, ATH_FINDING_CAPTION_ORPHAN, "2_dog/alone.txt", "");
    wants(&d, ATH_FINDING_CAPTION_MISSING, "2_dog/wrong.png", "\"dog\" is used");
    wants(&d, ATH_FINDING_ALIKE, "2_dog/again.png", "a.png");
    wants(&d, ATH_FINDING_FORMAT, "2_dog/old.bmp", "");
    wants(&d, ATH_FINDING_FOLDER_NESTED, "2_dog/more", "");
    wants(&d, ATH_FINDING_FOLDER_NAME, "f/dogs", "1 pictures in it");
    wants(&d, ATH_FINDING_FOLDER_EMPTY, "f/3_nothing", "");
    wants(&d, ATH_FINDING_LOOSE, "/f", "1 of them");
    CHECK_EQ(d.n_of[ATH_SEVERITY_ERROR], 4);
    for (int64_t i = 1; i < d.n_findings; i++) CHECK(d.finding[i - 1].kind <= d.finding[i].kind);
    ath_test_begin("trigger_absent");
    int n_absent = 0;
    for (int64_t i = 0; i < d.n_findings; i++)
        if (d.finding[i].kind == ATH_FINDING_TRIGGER_ABSENT) {
            n_absent++;
            CHECK(strstr(d.finding[i].path, "plain.png") || strstr(d.finding[i].path, "wrong.png"));
        }
    CHECK_EQ(n_absent, 2);
    seen[ATH_FINDING_TRIGGER_ABSENT] = true;
    ath_test_begin("tags");
    CHECK_STR(d.tag[0].text, "dogs");
    CHECK_EQ(d.tag[0].n, 75);
    CHECK_STR(d.tag[1].text, "sks");
    CHECK_STR(d.tag[2].text, "grass");
    CHECK_EQ(d.tag[2].n, 2);
    ath_diagnosis_release(&d);
}

static void check_sets(void)
{
    ath_diagnosis d = {0};

    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "good/2_sks dog/%d.png", i);
        picture(name, 64, 80, 20 + (uint32_t)i);
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "reg2/1_dog/%d_%d.png", i, k);
            picture(name, 64, 64, 30 + (uint32_t)(2 * i + k));
        }
        if (i < 2) picture(i ? "reg1/1_dog/1.png" : "reg1/1_dog/0.png", 64, 64, 50 + (uint32_t)i);
        snprintf(name, sizeof name, "reg3/1_dog/%d.png", i);
        picture(name, 64, 64, 60 + (uint32_t)i);
    }
    caption("none/readme.txt", "nothing");
    ath_test_begin("sound");
    CHECK_OK(examine("good", NULL, &d));
    CHECK_EQ(d.n_findings, 0);
    ath_diagnosis_release(&d);
    CHECK_OK(examine("good", "reg2", &d));
    CHECK_EQ(d.n_findings, 0);
    CHECK_EQ(d.n_tags, 0);
    ath_diagnosis_release(&d);
    CHECK_OK(examine("good", "reg1", &d));
    wants(&d, ATH_FINDING_REG_SMALL, "reg1", "2 for 3 pictures shown 6 times");
    ath_diagnosis_release(&d);
    CHECK_OK(examine("good", "reg3", &d));
    wants(&d, ATH_FINDING_REG_FEW, "reg3", "3, an epoch wants 6");
    ath_diagnosis_release(&d);
    CHECK_OK(examine("none", NULL, &d));
    wants(&d, ATH_FINDING_NO_DATA, "none", "");
    ath_diagnosis_release(&d);
    CHECK_OK(examine("good", "none", &d));
    wants(&d, ATH_FINDING_REG_EMPTY, "none", "");
    ath_diagnosis_release(&d);
}

/* Scaled, a picture keeps its hash, nearly; another picture has another. */
static void check_alike(void)
{
    char path[ATH_TEST_PATH];
    uint64_t hash[8][2] = {{0}};

    ath_test_begin("alike");
    for (uint32_t look = 0; look < 8; look++) {
        for (int32_t k = 0; k < 2; k++) {
            ath_image m = {0};
            picture("look.png", 100 + 57 * k, 90 + 31 * k, 100 + look);
            CHECK_OK(ath_image_read(ath_data_path(&data, "look.png", path), 0, &m));
            hash[look][k] = ath_alike_hash(&m);
            ath_image_release(&m);
        }
        CHECK(ath_alike_distance(hash[look][0], hash[look][1]) <= ATH_ALIKE_BITS);
        for (uint32_t other = 0; other < look; other++)
            CHECK(ath_alike_distance(hash[look][0], hash[other][0]) > ATH_ALIKE_BITS);
    }
    CHECK_EQ(ath_alike_distance(0, UINT64_MAX), 64);
}

static void check_injection(void)
{
    char path[ATH_TEST_PATH];
    ath_scan scan = {0};
    ath_diagnosis d = {0};
    int64_t n = 0, n_all;
    ath_err err;

    ath_test_begin("injection");
    CHECK_OK(ath_scan_folders(ath_data_path(&data, "good", path), NULL, NULL, &scan));
    n_all = ath_mem_get_stats().n_asked;
    CHECK_OK(ath_doctor_examine(&scan, &rule, &d));
    n_all = ath_mem_get_stats().n_asked - n_all;
    ath_diagnosis_release(&d);
    do {
        ath_mem_fail_from(n += n_all / 40 + 1);
        err = ath_doctor_examine(&scan, &rule, &d);
        ath_mem_fail_from(0);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
        CHECK_EQ(d.n_findings, 0);
    } while (err && n < n_all);
    ath_diagnosis_release(&d);
    ath_scan_release(&scan);
}

int main(void)
{
    CHECK_OK(ath_data_folder_make(&data));
    check_faults();
    check_sets();
    check_alike();
    check_injection();
    ath_test_begin("every kind");
    for (int i = 0; i < ATH_N_FINDINGS; i++) {
        if (!seen[i]) printf("never seen: %s\n", ath_finding_describe((ath_finding_kind)i)->name);
        CHECK(seen[i]);
    }
    ath_data_folder_remove(&data);
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
