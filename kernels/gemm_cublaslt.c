#include "kernels/gemm_cublaslt.h"

#include "core/mem.h"
#include "kernels/device_cuda.h"
#include "kernels/workspace.h"
#include <cublasLt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

enum {
    OFFERS = 32,                   /* algorithms asked for */
    WORKSPACE_MOST = 32 * 1 << 20, /* bytes that one may want */
    OPERAND_ALIGN = 16,            /* of every operand: buffers lie at multiples of 64 */
    NAME = 96,
};

typedef struct pinned {
    ath_gemm gemm;
    cublasLtMatmulDescOpaque_t product;
    cublasLtMatrixLayoutOpaque_t a, b, d;
    cublasLtMatmulAlgo_t algo;
    size_t workspace_bytes;
    char name[NAME];
    bool is_there;
} pinned;

struct ath_gemms {
    const char *op;
    ath_dtype dtype;
    pinned product[ATH_GEMMS_MOST];
    size_t workspace_bytes; /* of the largest, rounded up */
    char names[NAME + ATH_GEMMS_MOST * NAME];
};

static ath_err check(cublasStatus_t status, const char *op)
{
    if (status == CUBLAS_STATUS_SUCCESS) return ATH_OK;
    ath_err err = ATH_ECUDA;
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) err = ATH_ENOTSUP;
    if (status == CUBLAS_STATUS_ALLOC_FAILED) err = ATH_ENOMEM;
    return ath_raise(err, "%s: cuBLASLt: %s", op, cublasLtGetStatusString(status));
}

/* One for the process, on the GPU that was current at first use; goes with the process, as CUDA does. */
static ath_err get_handle(const char *op, cublasLtHandle_t *out)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static cublasLtHandle_t handle;

    pthread_mutex_lock(&lock);
    ath_err err = handle ? ATH_OK : check(cublasLtCreate(&handle), op);
    *out = handle;
    pthread_mutex_unlock(&lock);
    return err;
}

static void destroy(void *handle)
{
    ath_mem_drop(handle);
}

ath_err ath_gemms_create(const ath_site *site, ath_bound *bound, ath_gemms **out)
{
    const ath_dtype dtype = site->in[0].dtype;

    ATH_NEED(dtype == ATH_F32 || dtype == ATH_BF16, ATH_ENOTSUP, "%s: no %s on cuda",
             site->op->name, ath_dtype_name(dtype));
    ATH_TRY(ATH_NEW(1, "products", out));
    (*out)->op = site->op->name;
    (*out)->dtype = dtype;
    bound->handle = *out;
    bound->destroy = destroy;
    return ATH_OK;
}

/* ---- description ---- */

static cudaDataType_t type_of(ath_dtype dtype)
{
    return dtype == ATH_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static ath_err describe_array(const char *op, const ath_gemm_columns *m, ath_dtype dtype,
                              cublasLtMatrixLayoutOpaque_t *to)
{
    return check(
        cublasLtMatrixLayoutInit(to, type_of(dtype), (uint64_t)m->rows, (uint64_t)m->cols, m->rows),
        op);
}

static ath_err set_product(pinned *p, const char *op, cublasLtMatmulDescAttributes_t attribute,
                           const void *value, size_t bytes)
{
    return check(cublasLtMatmulDescSetAttribute(&p->product, attribute, value, bytes), op);
}

static ath_err set_bias(pinned *p, const char *op, const void *bias)
{
    return set_product(p, op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
}

static ath_err describe(pinned *p, const char *op)
{
    const ath_gemm_map map = ath_gemm_get_map(&p->gemm);
    const int32_t turn_a = map.a.turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    const int32_t turn_b = map.b.turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    const uint32_t with_bias = CUBLASLT_EPILOGUE_BIAS;

    ATH_TRY(describe_array(op, &map.a, p->gemm.in, &p->a));
    ATH_TRY(describe_array(op, &map.b, p->gemm.in, &p->b));
    ATH_TRY(describe_array(op, &map.d, p->gemm.out, &p->d));
    ATH_TRY(check(cublasLtMatmulDescInit(&p->product, CUBLAS_COMPUTE_32F, CUDA_R_32F), op));
    ATH_TRY(set_product(p, op, CUBLASLT_MATMUL_DESC_TRANSA, &turn_a, sizeof turn_a));
    ATH_TRY(set_product(p, op, CUBLASLT_MATMUL_DESC_TRANSB, &turn_b, sizeof turn_b));
    if (!p->gemm.has_bias) return ATH_OK;
    ATH_TRY(set_product(p, op, CUBLASLT_MATMUL_DESC_EPILOGUE, &with_bias, sizeof with_bias));
    /* the heuristic reads from the pointer how well a bias will be aligned */
    return set_bias(p, op, (const void *)(uintptr_t)OPERAND_ALIGN);
}

static ath_err set_wish(cublasLtMatmulPreference_t wishes, const char *op,
                        cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                        size_t bytes)
{
    return check(cublasLtMatmulPreferenceSetAttribute(wishes, attribute, value, bytes), op);
}

static ath_err describe_wishes(const char *op, cublasLtMatmulPreferenceOpaque_t *wishes)
{
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const uint64_t workspace = WORKSPACE_MOST;
    const uint32_t sums = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, align = OPERAND_ALIGN;

    ATH_TRY(check(cublasLtMatmulPreferenceInit(wishes), op));
    ATH_TRY(set_wish(wishes, op, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                     sizeof workspace));
    ATH_TRY(set_wish(wishes, op, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &sums, sizeof sums));
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++)
        ATH_TRY(set_wish(wishes, op, alignments[i], &align, sizeof align));
    return ATH_OK;
}

/* ---- choice ---- */

/* An attribute of 2 or 4 bytes. */
static ath_err config_of(const cublasLtMatmulAlgo_t *algo, const char *op,
                         cublasLtMatmulAlgoConfigAttributes_t attribute, size_t bytes,
                         uint32_t *out)
{
    size_t written = 0;
    uint16_t half = 0;

    *out = 0;
    ATH_TRY(check(cublasLtMatmulAlgoConfigGetAttribute(
                      algo, attribute, bytes == 2 ? (void *)&half : (void *)out, bytes, &written),
                  op));
    if (bytes == 2) *out = half;
    return ATH_OK;
}

/* Whether the sums of an algorithm are those that we promise. */
static ath_err judge(const cublasLtMatmulAlgo_t *algo, const char *op, ath_dtype dtype, bool *ok)
{
    uint32_t parts = 0, scheme = 0;
    uint64_t numbers = 0;
    size_t written = 0;

    ATH_TRY(config_of(algo, op, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4, &parts));
    ATH_TRY(config_of(algo, op, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4, &scheme));
    ATH_TRY(check(cublasLtMatmulAlgoCapGetAttribute(algo, CUBLASLT_ALGO_CAP_NUMERICAL_IMPL_FLAGS,
                                                    &numbers, sizeof numbers, &written),
                  op));
    const bool is_ordered = scheme == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE ||
                            (scheme == CUBLASLT_REDUCTION_SCHEME_NONE && (int32_t)parts <= 1);
    const uint64_t never = CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_16F |
                           CUBLASLT_NUMERICAL_IMPL_FLAGS_GAUSSIAN |
                           (dtype == ATH_F32 ? CUBLASLT_NUMERICAL_IMPL_FLAGS_TENSOR_OP_MASK : 0);
    *ok = is_ordered && !(numbers & never);
    return ATH_OK;
}

/* "id.tile.stages.parts.scheme.swizzle.custom.inner.cluster" */
static ath_err name_of(const cublasLtMatmulAlgo_t *algo, const char *op, char out[NAME])
{
    static const struct {
        cublasLtMatmulAlgoConfigAttributes_t attribute;
        size_t bytes;
    } parts[] = {
        {CUBLASLT_ALGO_CONFIG_ID, 4},
        {CUBLASLT_ALGO_CONFIG_TILE_ID, 4},
        {CUBLASLT_ALGO_CONFIG_STAGES_ID, 4},
        {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4},
        {CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4},
        {CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4},
        {CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4},
        {CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2},
        {CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2},
    };
    int n = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint32_t value = 0;
        ATH_TRY(config_of(algo, op, parts[i].attribute, parts[i].bytes, &value));
        n += snprintf(out + n, NAME - (size_t)n, "%s%" PRIu32, i ? "." : "", value);
        ATH_ASSERT(n < NAME);
    }
    return ATH_OK;
}

static ath_err pin(pinned *p, const char *op)
{
    cublasLtHandle_t handle = NULL;
    cublasLtMatmulPreferenceOpaque_t wishes;
    cublasLtMatmulHeuristicResult_t offers[OFFERS] = {0};
    int n = 0;
    bool ok = false;

    ATH_TRY(get_handle(op, &handle));
    ATH_TRY(describe_wishes(op, &wishes));
    ATH_TRY(check(cublasLtMatmulAlgoGetHeuristic(handle, &p->product, &p->a, &p->b, &p->d, &p->d,
                                                 &wishes, OFFERS, offers, &n),
                  op));
    for (int i = 0; i < n; i++) {
        if (offers[i].state != CUBLAS_STATUS_SUCCESS) continue;
        ATH_TRY(judge(&offers[i].algo, op, p->gemm.in, &ok));
        if (!ok) continue;
        p->algo = offers[i].algo;
        p->workspace_bytes = offers[i].workspaceSize;
        p->is_there = true;
        return name_of(&p->algo, op, p->name);
    }
    return ath_raise(ATH_ENOTSUP,
                     "%s: none of cuBLASLt's %d algorithms for %" PRId64 " x %" PRId64 " x %" PRId64
                     " sums in a fixed order",
                     op, n, p->gemm.m, p->gemm.n, p->gemm.k);
}

ath_err ath_gemms_add(ath_gemms *g, int i, const ath_gemm *gemm)
{
    pinned *p = &g->product[i];

    p->gemm = *gemm;
    ATH_TRY(describe(p, g->op));
    ATH_TRY(pin(p, g->op));
    const size_t bytes = ath_scratch_aligned(p->workspace_bytes);
    if (g->workspace_bytes < bytes) g->workspace_bytes = bytes;
    return ATH_OK;
}

void ath_gemms_seal(ath_gemms *g, size_t own_bytes, ath_bound *bound)
{
    int n = snprintf(g->names, sizeof g->names, "cublaslt%zu", cublasLtGetVersion());

    for (int i = 0; i < ATH_GEMMS_MOST; i++)
        if (g->product[i].is_there)
            n += snprintf(g->names + n, sizeof g->names - (size_t)n, ":%s", g->product[i].name);
    bound->algorithm = g->names;
    bound->scratch_bytes = ath_workspace_book(g->workspace_bytes, own_bytes);
}

/* ---- running ---- */

ath_err ath_gemms_run(const ath_call *call, int i, const void *a, const void *b, const void *bias,
                      void *c)
{
    ath_gemms *g = call->bound->handle;
    pinned *p = &g->product[i];
    const float beta = p->gemm.add ? 1.0f : 0.0f;
    cublasLtHandle_t handle = NULL;

    ATH_ASSERT(p->is_there && (bias != NULL) == p->gemm.has_bias);
    ATH_TRY(get_handle(g->op, &handle));
    if (bias) ATH_TRY(set_bias(p, g->op, bias));
    return check(cublasLtMatmul(handle, &p->product, &p->gemm.scale, b, &p->a, a, &p->b, &beta, c,
                                &p->d, c, &p->d, &p->algo, ath_workspace_get(call),
                                p->workspace_bytes, ath_cuda_stream(call->stream)),
                 g->op);
}

void *ath_gemms_own(const ath_call *call)
{
    const ath_gemms *g = call->bound->handle;
    return ath_workspace_own(call, g->workspace_bytes);
}
