/*
 * athanor curve on a run of 400 steps with the noise of training: the text says in plain ASCII, or
 * with Braille dots and colours, what the log holds, within its width; JSON holds every step; the
 * picture has its size, the averages' line and, for a second run, another; the sheet shows each sample
 * in its place with the empty place empty. Runs without steps are shown too. Failing allocations are
 * reported and lose nothing.
 *
 *     test_curve_view [FOLDER]: leaves the run, the pictures and the texts there
 */
#include "cli/curve_view.h"
#include "cli/sheet_cairo.h"
#include "core/mem.h"
#include "core/rng.h"
#include "tests/data_folder.h"
#include "tests/harness.h"
#include <math.h>

enum { STEPS = 400, BANDS = 10, BATCH = 4, RANKS = 2 };

static ath_data_folder data;

/* ---- a run ---- */

typedef struct shares {
    double sum[BANDS];
    uint32_t n[BANDS];
} shares;

static void add(shares *s, int i, double loss)
{
    s->sum[i] += loss;
    s->n[i]++;
}

static void fill_shares(const shares *from, int n, Athanor__Share *to, Athanor__Share **list)
{
    for (int i = 0; i < n; i++) {
        to[i] = (Athanor__Share)ATHANOR__SHARE__INIT;
        to[i].has_samples = true;
        to[i].samples = from->n[i];
        to[i].has_loss = from->n[i] > 0;
        to[i].loss = from->n[i] ? from->sum[i] / from->n[i] : 0;
        list[i] = &to[i];
    }
}

static double draw_sample(uint32_t step, uint32_t k, uint32_t seed, double level, shares *bands)
{
    const uint32_t key[2] = {seed, 1}, at[4] = {step, k, 0, 0};
    uint32_t word[4];
    float normal[4];

    ath_philox(at, key, word);
    ath_normal4(word, normal);
    const double t = (double)ath_uniform_f32(word[0]);
    const double loss = level * (0.01 + 0.39 * exp(-4 * t)) / 0.1057 * exp(0.4 * (double)normal[2]);
    add(bands, (int)(t * BANDS), loss);
    return loss;
}

static ath_err put_step(ath_curve_log *log, uint32_t i, uint32_t seed)
{
    Athanor__Step step = ATHANOR__STEP__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;
    Athanor__Share share[2][BANDS], *list[2][BANDS];
    Athanor__RankPart part[RANKS], *ranks[RANKS];
    shares bands = {0}, concepts = {0};
    const double level = 0.07 + 0.08 * exp(-(double)i / 80), pi = 3.14159265358979;
    uint32_t images[BATCH];
    double sum = 0;

    for (uint32_t k = 0; k < BATCH; k++) {
        const double loss = draw_sample(i, k, seed, level, &bands);
        add(&concepts, (int)(k % 2), loss);
        images[k] = (i * BATCH + k) % 9;
        sum += loss;
    }
    for (int r = 0; r < RANKS; r++) {
        part[r] = (Athanor__RankPart)ATHANOR__RANK_PART__INIT;
        part[r].has_seconds = part[r].has_wait_seconds = true;
        part[r].seconds = 2.5;
        part[r].wait_seconds = 0.1 + 0.1 * r;
        ranks[r] = &part[r];
    }
    fill_shares(&bands, BANDS, share[0], list[0]);
    fill_shares(&concepts, 2, share[1], list[1]);
    step.has_step = step.has_loss = step.has_samples = step.has_wall_ns = true;
    step.has_unet_rate = step.has_text_encoder_rate = step.has_gradient_norm = true;
    step.step = i;
    step.epoch = i / 100;
    step.wall_ns = 1700000000000000000 + i * INT64_C(2500000000);
    step.samples = BATCH;
    step.loss = sum / BATCH;
    step.unet_rate = i < 40 ? 1e-4 * i / 40 : 0.5e-4 * (1 + cos(pi * (i - 40) / (STEPS - 40)));
    step.text_encoder_rate = step.unet_rate / 2;
    step.gradient_norm = 0.6 * exp(-(double)i / 150) + 0.4 * step.loss;
    step.n_band = BANDS;
    step.band = list[0];
    step.n_concept = 2;
    step.concept = list[1];
    step.n_rank = RANKS;
    step.rank = ranks;
    step.n_image = BATCH;
    step.image = images;
    record.is_case = ATHANOR__RECORD__IS_STEP;
    record.step = &step;
    return ath_curve_log_put(log, &record);
}

static ath_err put_start(ath_curve_log *log, const char *name)
{
    char *concepts[] = {(char[]){"train/10_red fox"}, (char[]){"train/2_\xe7\x8c\xab in the snow"}};
    char image[] = "train/10_red fox/a.png", *images[9], text[64], plan[16] = "0123456789abcde";
    Athanor__Start start = ATHANOR__START__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;

    for (int i = 0; i < 9; i++) images[i] = image;
    snprintf(text, sizeof text, "%s", name);
    start.name = text;
    start.has_plan = true;
    start.plan = (ProtobufCBinaryData){16, (uint8_t *)plan};
    start.has_steps = start.has_ranks = true;
    start.steps = STEPS;
    start.ranks = RANKS;
    start.n_concept = 2;
    start.concept = concepts;
    start.n_image = 9;
    start.image = images;
    record.is_case = ATHANOR__RECORD__IS_START;
    record.start = &start;
    return ath_curve_log_put(log, &record);
}

static ath_err put_mark(ath_curve_log *log, uint32_t step, const char *what)
{
    Athanor__Mark mark = ATHANOR__MARK__INIT;
    Athanor__Record record = ATHANOR__RECORD__INIT;
    char text[64], path[64];

    snprintf(text, sizeof text, "%s", what);
    snprintf(path, sizeof path, "model/step-%06u.safetensors", step);
    mark.has_step = true;
    mark.step = step;
    mark.what = text;
    mark.path = path;
    record.is_case = ATHANOR__RECORD__IS_MARK;
    record.mark = &mark;
    return ath_curve_log_put(log, &record);
}

static ath_err make_run(const char *name, uint32_t n, uint32_t seed, char folder[ATH_TEST_PATH])
{
    ath_curve_log *log = NULL;
    char path[ATH_TEST_PATH];
    ath_err err = ATH_OK;

    snprintf(path, sizeof path, "%s/curve.log", name);
    ATH_TRY_OUT(ath_data_put_text(&data, path, ""));
    ath_data_path(&data, name, folder);
    ATH_TRY_OUT(ath_curve_log_open(ath_data_path(&data, path, (char[ATH_TEST_PATH]){0}), &log));
    ATH_TRY_OUT(put_start(log, name));
    for (uint32_t i = 0; i < n; i++) {
        ATH_TRY_OUT(put_step(log, i, seed));
        if (i % 100 == 99) ATH_TRY_OUT(put_mark(log, i + 1, "saved"));
        if (i % 100 == 49)
            ATH_TRY_OUT(put_mark(log, i + 1, i == 349 ? "\033[31m\xc2\x9b" : "sampled"));
    }
out:
    ath_curve_log_close(&log);
    return err;
}

/* ---- what is promised ---- */

static int64_t longest_line(const char *text)
{
    int64_t most = 0;

    for (; *text;
         text += text[strcspn(text, "\n")] == '\n' ? strcspn(text, "\n") + 1 : strcspn(text, "\n"))
        if ((int64_t)strcspn(text, "\n") > most) most = (int64_t)strcspn(text, "\n");
    return most;
}

static void check_text(const ath_curve_view *v)
{
    const ath_curve_style plain = {.width = 80}, full = {120, true, true};
    ath_str text = {0};

    ath_test_begin("text");
    ath_curve_print(v, &plain, &text);
    const char *got = ath_str_text(&text);
    CHECK_HAS(got, "fox: step 400 of 400, 2 ranks\n");
    CHECK_HAS(got, "  steps/s                     0.4\n");
    CHECK_HAS(got, "  images/s                    1.6\n");
    CHECK_HAS(got, "  waiting                       6 %");
    CHECK_HAS(got, "  red fox ");
    CHECK_HAS(got, "  900 to 999 ");
    CHECK_HAS(got, "       400  saved       model/step-000400.safetensors\n");
    CHECK_HAS(got, "       350  ?[31m?      model/step-000350.safetensors\n"); /* not obeyed */
    CHECK_HAS(got, "  9 pictures, each used 177 to 178 times\n");
    CHECK_HAS(got, "\nhealthy: the loss averages 0.0");
    CHECK_HAS(got, "   0.2 +");
    CHECK_HAS(got, "*");
    CHECK(!strchr(got, '\033') && !strstr(got, "\xe2\xa0"));
    const size_t verdict = strlen(v->judgement.text);
    text.text[text.n - verdict - 1] = 0; /* the verdict is one line of any length */
    CHECK(longest_line(got) <= 80);
    ath_str_release(&text);
    ath_curve_print(v, &full, &text);
    CHECK_HAS(ath_str_text(&text), "\033[1;36m\xe2\xa0");
    CHECK_HAS(ath_str_text(&text), "\033[1;32mhealthy");
    CHECK_OK(ath_data_put(&data, "curve.txt", text.text, text.n));
    ath_str_release(&text);
}

static void check_json(const ath_curve_view *views)
{
    ath_str text = {0};
    int64_t n = 0;

    ath_test_begin("JSON");
    CHECK_OK(ath_curve_print_json(views, 2, &text));
    for (const char *at = ath_str_text(&text); (at = strstr(at, "\"gradient_norm\":")); at++) n++;
    CHECK_EQ(n, STEPS + 150);
    CHECK_HAS(ath_str_text(&text), "\"verdict\": \"healthy\"");
    ath_str_release(&text);
}

static int64_t count_pixels(const ath_image *image, uint32_t rgb)
{
    int64_t n = 0;

    for (int64_t i = 0; i < (int64_t)image->width * image->height; i++) {
        const uint8_t *p = image->rgb + 3 * i;
        n += (uint32_t)(p[0] << 16 | p[1] << 8 | p[2]) == rgb;
    }
    return n;
}

static void check_picture(const ath_curve_view *views, const char *name, int n)
{
    char path[ATH_TEST_PATH];
    ath_image image = {0};

    ath_test_begin(name);
    ath_data_path(&data, name, path);
    CHECK_OK(ath_curve_draw(views, n, path));
    CHECK_OK(ath_image_read(path, 0, &image));
    CHECK_EQ(image.width, 1600);
    CHECK_EQ(image.height, 1000);
    CHECK(count_pixels(&image, 0xffffff) > 800000);
    if (views[0].curve.n_steps) CHECK(count_pixels(&image, 0x1b5fae) > 1000);
    CHECK((count_pixels(&image, 0xd1495b) > 300) == (n > 1));
    ath_image_release(&image);
    CHECK_ERR(ath_curve_draw(views, n, "/proc/none/x.png"), ATH_EIO);
}

static void check_sheet(const char *folder)
{
    char path[ATH_TEST_PATH], name[64];
    ath_image image = {0};

    ath_test_begin("sheet");
    ath_data_path(&data, "sheet.png", path);
    CHECK_ERR(ath_curve_draw_samples(folder, "fox", path), ATH_EMISSING);
    CHECK_HAS(ath_err_text(), "no samples here");
    CHECK_OK(ath_data_put_text(
        &data, "fox/job.toml",
        "[model]\nbase = \"b\"\n[data]\ntrain = \"t\"\n[[sample]]\nprompt = \"a red fox in the "
        "snow, \xe9\x9b\xaa, and a text that goes on for long\"\n[[sample]]\nprompt = \"a "
        "dog\"\n"));
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof name, "fox/samples/%06d-%02d.png", 100 * (1 + i / 2), i % 2);
        CHECK_OK(ath_data_put_picture(&data, name, 256, 256, (uint32_t)i + 1));
    }
    CHECK_OK(ath_data_put_text(&data, "fox/samples/note.txt", "not a sample"));
    CHECK_OK(ath_curve_draw_samples(folder, "fox", path));
    CHECK_OK(ath_image_read(path, 0, &image));
    CHECK_EQ(image.width, 2 * 32 + 2 * 320 + 16);
    CHECK_EQ(image.height, 56 + 2 * 32 + 4 * (320 + 30 + 16) - 16);
    CHECK_EQ(count_pixels(&image, 0xf2f4f7), 320 * 320); /* the last one's place is empty */
    ath_image_release(&image);
    const ath_sheet wide = {.title = "", .n = 1, .columns = ATH_SHEET_COLUMNS_MAX + 1};
    CHECK_ERR(ath_sheet_write(&wide, path), ATH_ELIMIT);
    CHECK_OK(ath_data_put_text(&data, "fox/samples/000500-0.png", "broken"));
    CHECK_ERR(ath_curve_draw_samples(folder, "fox", path), ATH_EFORMAT);
}

static void check_memory(const char *folder, const ath_curve_view *views)
{
    char path[ATH_TEST_PATH];

    ath_test_begin("no memory");
    ath_data_path(&data, "none.png", path);
    for (int64_t n = 1; n < 60; n++) {
        ath_curve_view v = {0};
        ath_str text = {0};
        ath_mem_fail_from(n);
        const ath_err opened = ath_curve_view_open(folder, 0, &v);
        ath_mem_fail_from(n > 2 ? 0 : n);
        const ath_err drawn = n > 2 ? ATH_ENOMEM : ath_curve_draw(views, 1, path);
        ath_mem_fail_from(n);
        const ath_err printed = ath_curve_print_json(&views[2], 1, &text);
        ath_mem_fail_from(0);
        CHECK_EQ(opened, ATH_ENOMEM); /* 150 steps take more than 60 allocations */
        CHECK_EQ(drawn, ATH_ENOMEM);
        CHECK(printed == ATH_OK || printed == ATH_ENOMEM);
        ath_str_release(&text);
    }
}

int main(int argc, char **argv)
{
    char folder[3][ATH_TEST_PATH];
    ath_curve_view views[3] = {0};

    if (argc > 1)
        snprintf(data.path, sizeof data.path, "%s", argv[1]);
    else if (ath_data_folder_make(&data))
        return 1;
    ath_test_begin("runs");
    CHECK_OK(make_run("fox", STEPS, 5, folder[0]));
    CHECK_OK(make_run("other", 150, 6, folder[1]));
    CHECK_OK(make_run("empty", 0, 7, folder[2]));
    for (int i = 0; i < 3; i++) CHECK_OK(ath_curve_view_open(folder[i], 0, &views[i]));
    check_text(&views[0]);
    check_json(views);
    check_picture(views, "curve.png", 1);
    check_picture(views, "two.png", 2);
    check_picture(&views[2], "empty.png", 1);
    check_sheet(folder[0]);
    check_memory(folder[1], views);
    for (int i = 0; i < 3; i++) ath_curve_view_close(&views[i]);
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    if (argc == 1) ath_data_folder_remove(&data);
    return ath_test_end();
}
