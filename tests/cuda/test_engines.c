/*
 * cuDNN itself, asked for the engines of an H100 that is not here: for every convolution of opcheck's
 * cases it has one that may be used, forward, back to x, added to dx, and back to the filter; asked twice
 * it names the same. What is planned cannot run.
 *
 * usage: test_engines h100.json
 */
#include "kernels/conv_cudnn.h"
#include "kernels/device_cuda.h"
#include "kernels/ops.h"
#include "tests/harness.h"
#include "tests/ops/case.h"

cudaStream_t ath_cuda_stream(const ath_stream *stream)
{
    (void)stream;
    return NULL;
}

static void check_kind(const ath_site *site, ath_conv_kind kind, bool add)
{
    ath_conv *one = NULL, *two = NULL;

    CHECK_OK(ath_conv_create(site, kind, add, &one));
    CHECK_OK(ath_conv_create(site, kind, add, &two));
    if (one && two) {
        CHECK_STR(ath_conv_get_name(one), ath_conv_get_name(two));
        CHECK_HAS(ath_conv_get_name(one), "cudnn");
        CHECK_EQ(ath_conv_get_workspace_bytes(one), ath_conv_get_workspace_bytes(two));
        CHECK_ERR(ath_conv_run(one, &(ath_call){.site = site},
                               &(ath_conv_arrays){
                                   .bias = site->in[2].dtype && kind == ATH_CONV_Y ? site : NULL},
                               NULL),
                  ATH_ENOTSUP);
    }
    ath_conv_destroy(&one);
    ath_conv_destroy(&two);
}

static void check_case(const ath_case *c, ath_dtype dtype)
{
    int32_t attr[ATH_ATTR_WORDS] = {0};
    ath_setup setup = {.c = c, .op = &ath_op_conv2d, .backend = ATH_CUDA, .dtype = dtype};
    ath_site site = {.op = &ath_op_conv2d, .attr = attr};

    ath_case_describe(&setup, dtype, attr, site.in);
    CHECK_OK(ath_op_infer(site.op, attr, site.in, site.out, site.saved));
    check_kind(&site, ATH_CONV_Y, false);
    check_kind(&site, ATH_CONV_DX, false);
    check_kind(&site, ATH_CONV_DX, true);
    check_kind(&site, ATH_CONV_DFILTER, false);
    site.in[2] = (ath_desc){0};
    check_kind(&site, ATH_CONV_Y, false);
}

int main(int argc, char **argv)
{
    char text[4096] = "";

    ath_test_begin("a described GPU");
    CHECK_ERR(ath_conv_plan_for("{}"), ATH_ECUDA);
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    CHECK(file && fread(text, 1, sizeof text - 1, file) > 0);
    if (file) CHECK(fclose(file) == 0);
    CHECK_OK(ath_conv_plan_for(text));
    for (int i = 0; i < ath_n_cases; i++) {
        const ath_case *c = &ath_cases[i];
        if (strcmp(c->op, "conv2d") != 0 || c->tags & PERF) continue;
        ath_test_begin(c->name);
        check_case(c, ATH_BF16);
        if (c->tags & QUICK) check_case(c, ATH_F32);
    }
    return ath_test_end();
}
