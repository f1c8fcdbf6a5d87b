#include "kernels/peak_dnnl.h"

#include "core/time.h"
#include "kernels/chain_dnnl.h"
#include "kernels/conv2d.h"
#include "kernels/ops.h"
#include <stdlib.h>
#include <string.h>

enum { RUNS = 9, MAX_ARGS = 3 };

typedef enum work { WORK_FWD, WORK_DX, WORK_DWEIGHT } work;

static work work_of(const ath_site *site)
{
    if (site->pass == ATH_FWD) return WORK_FWD;
    return site->din[0].dtype != ATH_NONE ? WORK_DX : WORK_DWEIGHT;
}

static ath_err tagged(dnnl_memory_desc_t *md, int n_dim, const dnnl_dims_t dims,
                      dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return ath_dnnl(dnnl_memory_desc_init_by_tag(md, n_dim, dims, type, tag));
}

static ath_err conv_desc(const ath_site *site, dnnl_primitive_desc_t *out)
{
    ath_err err = ATH_OK;
    const ath_conv2d_attr *a = site->attr;
    const ath_conv2d_dims d = ath_conv2d_get_dims(site);
    const dnnl_data_type_t type = ath_dnnl_type(site->in[0].dtype);
    const dnnl_dims_t stride = {a->stride, a->stride};
    const dnnl_dims_t before = {a->top, a->left}, after = {a->bottom, a->right};
    dnnl_memory_desc_t x, y, weight, dweight;
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t forward = NULL;
    const dnnl_engine_t engine = ath_dnnl_engine();

    ATH_TRY(tagged(&x, 4, (dnnl_dims_t){d.n, d.c, d.h, d.w}, type, dnnl_nhwc));
    ATH_TRY(tagged(&y, 4, (dnnl_dims_t){d.n, d.o, d.p, d.q}, type, dnnl_nhwc));
    ATH_TRY(tagged(&weight, 4, (dnnl_dims_t){d.o, d.c, d.i, d.j}, type, dnnl_format_tag_any));
    dweight = ath_md_any(&weight, dnnl_f32);
    ATH_TRY(ath_dnnl(dnnl_convolution_forward_desc_init(&desc, dnnl_forward_training,
                                                        dnnl_convolution_direct, &x, &weight, NULL,
                                                        &y, stride, before, after)));
    ATH_TRY(ath_dnnl(dnnl_primitive_desc_create(&forward, &desc, NULL, engine, NULL)));
    if (work_of(site) == WORK_FWD) {
        *out = forward;
        return ATH_OK;
    }
    if (work_of(site) == WORK_DX)
        ATH_TRY_OUT(ath_dnnl(dnnl_convolution_backward_data_desc_init(
            &desc, dnnl_convolution_direct, &x, &weight, &y, stride, before, after)));
    else
        ATH_TRY_OUT(ath_dnnl(dnnl_convolution_backward_weights_desc_init(
            &desc, dnnl_convolution_direct, &x, &dweight, NULL, &y, stride, before, after)));
    ATH_TRY_OUT(ath_dnnl(dnnl_primitive_desc_create(out, &desc, NULL, engine, forward)));
out:
    dnnl_primitive_desc_destroy(forward);
    return err;
}

static ath_err linear_desc(const ath_site *site, dnnl_primitive_desc_t *out)
{
    const int64_t m = ath_desc_rows(&site->in[0]), k = ath_desc_last(&site->in[0]);
    const int64_t n = site->in[1].dim[0];
    const work w = work_of(site);
    const dnnl_data_type_t type = ath_dnnl_type(site->in[0].dtype);
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t desc;

    if (w == WORK_DWEIGHT) { /* dy^T x */
        ATH_TRY(tagged(&a, 2, (dnnl_dims_t){n, m}, type, dnnl_ba));
        ATH_TRY(tagged(&b, 2, (dnnl_dims_t){m, k}, type, dnnl_ab));
        ATH_TRY(tagged(&c, 2, (dnnl_dims_t){n, k}, dnnl_f32, dnnl_ab));
    } else {
        const int64_t inner = w == WORK_FWD ? k : n, cols = w == WORK_FWD ? n : k;
        ATH_TRY(tagged(&a, 2, (dnnl_dims_t){m, inner}, type, dnnl_ab));
        ATH_TRY(tagged(&b, 2, (dnnl_dims_t){inner, cols}, type, dnnl_format_tag_any));
        ATH_TRY(tagged(&c, 2, (dnnl_dims_t){m, cols}, type, dnnl_ab));
    }
    ATH_TRY(ath_dnnl(dnnl_matmul_desc_init(&desc, &a, &b, NULL, &c)));
    return ath_dnnl(dnnl_primitive_desc_create(out, &desc, NULL, ath_dnnl_engine(), NULL));
}

/* Small finite numbers of either sign, whether read as f32 or as BF16. */
static void fill(void *p, size_t bytes)
{
    uint16_t *word = p;
    for (size_t i = 0; i < bytes / sizeof *word; i++)
        word[i] = (uint16_t)(0x3c00u | (i * 7919u & 0xffu) | (i & 1u) << 15);
}

/* Memory of the library's own for every operand that the primitive has. */
static ath_err make_args(const_dnnl_primitive_desc_t pd, int *n, dnnl_exec_arg_t arg[MAX_ARGS])
{
    static const struct {
        dnnl_query_t query;
        int id;
    } operands[] = {
        {dnnl_query_src_md, DNNL_ARG_SRC},
        {dnnl_query_weights_md, DNNL_ARG_WEIGHTS},
        {dnnl_query_dst_md, DNNL_ARG_DST},
        {dnnl_query_diff_src_md, DNNL_ARG_DIFF_SRC},
        {dnnl_query_diff_weights_md, DNNL_ARG_DIFF_WEIGHTS},
        {dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST},
    };

    for (size_t i = 0; i < sizeof operands / sizeof *operands; i++) {
        const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, operands[i].query, 0);
        void *p = NULL;
        if (!md || md->ndims == 0) continue;
        ATH_ASSERT(*n < MAX_ARGS);
        ATH_TRY(ath_dnnl(
            dnnl_memory_create(&arg[*n].memory, md, ath_dnnl_engine(), DNNL_MEMORY_ALLOCATE)));
        arg[*n].arg = operands[i].id;
        ATH_TRY(ath_dnnl(dnnl_memory_get_data_handle(arg[(*n)++].memory, &p)));
        fill(p, dnnl_memory_desc_get_size(md));
    }
    return ATH_OK;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static ath_err time_primitive(const_dnnl_primitive_desc_t pd, double *ns)
{
    ath_err err = ATH_OK;
    dnnl_primitive_t primitive = NULL;
    dnnl_exec_arg_t arg[MAX_ARGS] = {0};
    int n = 0;
    double run[RUNS];

    ATH_TRY_OUT(ath_dnnl(dnnl_primitive_create(&primitive, pd)));
    ATH_TRY_OUT(make_args(pd, &n, arg));
    for (int r = -1; r < RUNS; r++) { /* the first run brings the pages in and is not counted */
        const int64_t start = ath_time_mono_ns();
        ATH_TRY_OUT(ath_dnnl(dnnl_primitive_execute(primitive, ath_dnnl_stream(), n, arg)));
        ATH_TRY_OUT(ath_dnnl(dnnl_stream_wait(ath_dnnl_stream())));
        if (r >= 0) run[r] = (double)(ath_time_mono_ns() - start);
    }
    qsort(run, RUNS, sizeof *run, by_value);
    *ns = run[RUNS / 2];
out:
    for (int i = 0; i < MAX_ARGS; i++) dnnl_memory_destroy(arg[i].memory);
    dnnl_primitive_destroy(primitive);
    return err;
}

ath_err ath_peak_dnnl(const ath_site *site, double *gflops)
{
    ath_err err = ATH_OK;
    const bool is_conv = strcmp(site->op->name, "conv2d") == 0;
    dnnl_primitive_desc_t pd = NULL;
    ath_site product = *site;
    double ns = 0;

    ATH_NEED(is_conv || strcmp(site->op->name, "linear") == 0, ATH_ENOTSUP,
             "%s: no oneDNN primitive to measure", site->op->name);
    ATH_TRY(ath_dnnl_start());
    const int before = ath_dnnl_set_threads(site->n_threads);
    ATH_TRY_OUT(is_conv ? conv_desc(site, &pd) : linear_desc(site, &pd));
    ATH_TRY_OUT(time_primitive(pd, &ns));
    product.pass = ATH_FWD; /* all three products of a site have as many operations */
    *gflops = site->op->flop(&product) / ns;
out:
    dnnl_primitive_desc_destroy(pd);
    ath_dnnl_set_threads(before);
    return err;
}

ath_err ath_peak_conv(ath_dtype dtype, int32_t n_threads, double *gflops)
{
    const ath_conv2d_attr attr = {1, 1, 1, 1, 1};
    ath_site site = {
        .op = &ath_op_conv2d,
        .attr = &attr,
        .n_threads = n_threads,
        .in = {{dtype, 4, {1, 64, 64, 320}}, {dtype, 4, {320, 320, 3, 3}}, {ATH_F32, 1, {320}}}};

    ATH_TRY(ath_op_infer(site.op, site.attr, site.in, site.out, site.saved));
    return ath_peak_dnnl(&site, gflops);
}
