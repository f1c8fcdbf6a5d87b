/* Aspect buckets: the candidates and choices of spec/training-semantics 2.2 and 2.3; every choice
 * covers its bucket; rules and pictures that cannot work are refused. */
#include "coordinator/bucket.h"
#include "tests/harness.h"

static const ath_bucket_rule plain = {{512, 512}, false, false, 256, 1024, 64};
static const ath_bucket_rule small = {{512, 512}, false, true, 256, 1024, 64};

static void check_candidates(void)
{
    static const ath_size want[] = {{256, 832}, {256, 896}, {256, 960}, {256, 1024}, {320, 704},
                                    {320, 768}, {384, 640}, {448, 576}, {512, 512},  {576, 448},
                                    {640, 384}, {704, 320}, {768, 320}, {832, 256},  {896, 256},
                                    {960, 256}, {1024, 256}};
    ath_buckets b;

    ath_test_begin("candidates");
    CHECK_OK(ath_buckets_init(&plain, &b));
    CHECK_EQ(b.n, sizeof want / sizeof *want);
    CHECK_BITS(b.size, want, sizeof want);
    ath_bucket_rule odd = plain;
    odd.min_side = 300;
    odd.max_side = 1000;
    CHECK_OK(ath_buckets_init(&odd, &b));
    CHECK_EQ(b.rule.min_side, 256);
    CHECK_EQ(b.rule.max_side, 1024);
    CHECK_EQ(b.n, sizeof want / sizeof *want);
    /* no area above the wanted one, and with a shape its mirror */
    for (int32_t i = 0; i < b.n; i++) {
        bool has_mirror = false;
        for (int32_t j = 0; j < b.n; j++)
            has_mirror = has_mirror || (b.size[j].width == b.size[i].height &&
                                        b.size[j].height == b.size[i].width);
        CHECK(has_mirror && b.size[i].width * b.size[i].height <= 512 * 512);
    }
    odd = (ath_bucket_rule){{4096, 4096}, false, false, 8, 4096, 8};
    CHECK_OK(ath_buckets_init(&odd, &b));
}

typedef struct vector {
    ath_size picture, bucket, resized;
} vector;

static void check_choice(const char *name, const ath_bucket_rule *rule, const vector *v, int n)
{
    ath_buckets b;
    ath_bucket_fit fit = {0};

    ath_test_begin(name);
    CHECK_OK(ath_buckets_init(rule, &b));
    for (int i = 0; i < n; i++) {
        CHECK_OK(ath_bucket_choose(&b, v[i].picture, &fit));
        CHECK_EQ(fit.bucket.width, v[i].bucket.width);
        CHECK_EQ(fit.bucket.height, v[i].bucket.height);
        CHECK_EQ(fit.resized.width, v[i].resized.width);
        CHECK_EQ(fit.resized.height, v[i].resized.height);
    }
}

static void check_vectors(void)
{
    static const vector normal[] = {
        {{1920, 1080}, {640, 384}, {683, 384}}, {{1080, 1920}, {384, 640}, {384, 683}},
        {{800, 600}, {576, 448}, {597, 448}},   {{768, 512}, {640, 384}, {640, 427}},
        {{1000, 333}, {832, 256}, {832, 277}},  {{3000, 200}, {1024, 256}, {3840, 256}},
        {{960, 256}, {960, 256}, {960, 256}}};
    static const vector no_upscale[] = {
        {{1920, 1080}, {640, 384}, {683, 384}}, {{800, 600}, {512, 384}, {512, 384}},
        {{1000, 333}, {768, 256}, {769, 256}},  {{400, 300}, {384, 256}, {400, 300}},
        {{100, 100}, {64, 64}, {100, 100}},     {{512, 640}, {384, 512}, {410, 512}}};
    static const vector off[] = {{{1920, 1080}, {512, 512}, {910, 512}},
                                 {{100, 200}, {512, 512}, {512, 1024}}};
    const ath_bucket_rule one = {{512, 512}, true, false, 0, 0, 0};

    check_choice("normal", &plain, normal, sizeof normal / sizeof *normal);
    check_choice("no upscale", &small, no_upscale, sizeof no_upscale / sizeof *no_upscale);
    check_choice("off", &one, off, sizeof off / sizeof *off);
}

/* Whatever the picture, the resized one covers its bucket, and without upscaling is no larger. */
static void check_cover(void)
{
    ath_buckets b[2];
    ath_bucket_fit fit;

    ath_test_begin("cover");
    CHECK_OK(ath_buckets_init(&plain, &b[0]));
    CHECK_OK(ath_buckets_init(&small, &b[1]));
    for (int32_t w = 64; w < 4000; w += 131) {
        for (int32_t h = 64; h < 4000; h += 97) {
            for (int i = 0; i < 2; i++) {
                ath_err err = ath_bucket_choose(&b[i], (ath_size){w, h}, &fit);
                if (err) {
                    CHECK(i == 1 && (w / h >= 16 || h / w >= 16));
                    continue;
                }
                bool covers = fit.resized.width >= fit.bucket.width &&
                              fit.resized.height >= fit.bucket.height;
                bool is_whole = fit.bucket.width % 64 == 0 && fit.bucket.height % 64 == 0;
                bool is_smaller = fit.resized.width <= w + 1 && fit.resized.height <= h + 1;
                if (!covers || !is_whole || (i && !is_smaller)) CHECK_EQ(w, h);
            }
        }
    }
}

static void check_refusals(void)
{
    const ath_bucket_rule bad[] = {
        {{512, 512}, false, false, 256, 1024, 0},  {{512, 512}, false, false, 256, 1024, 36},
        {{512, 512}, false, false, 576, 1024, 64}, {{512, 512}, false, false, 256, 448, 64},
        {{512, 512}, false, false, 0, 1024, 64},   {{0, 512}, false, false, 256, 1024, 64},
        {{516, 512}, true, false, 0, 0, 0},        {{512, 512}, false, false, 256, 9000, 64},
    };
    ath_buckets b;
    ath_bucket_fit fit;

    ath_test_begin("refusals");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_ERR(ath_buckets_init(&bad[i], &b), ATH_EJOB);
        CHECK(*ath_err_text());
    }
    CHECK_OK(ath_buckets_init(&small, &b));
    CHECK_ERR(ath_bucket_choose(&b, (ath_size){63, 500}, &fit), ATH_ESHAPE);
    CHECK_ERR(ath_bucket_choose(&b, (ath_size){16000, 100}, &fit), ATH_ESHAPE);
    CHECK_ERR(ath_bucket_choose(&b, (ath_size){0, 100}, &fit), ATH_ESHAPE);
}

int main(void)
{
    check_candidates();
    check_vectors();
    check_cover();
    check_refusals();
    return ath_test_end();
}
