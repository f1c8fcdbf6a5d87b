/*
 * cuBLASLt for the host, as far as kernels/gemm_cublaslt.c asks for it: column-major products by plain
 * loops. It refuses what the library's reference refuses: shapes that do not meet, combinations of types
 * that are not listed, attributes of another size, an algorithm that was not offered for this product.
 * Of its offers only the fifth may be taken: the others fail, or sum in an order of their own, or in
 * numbers too short.
 */
#include "kernels/device_cuda.h"
#include "kernels/dtype.h"
#include <cublasLt.h>
#include <string.h>

enum { OFFERS = 6, GOOD = 4, WORKSPACE = 1000, ALIGN = 16 };

typedef struct array {
    cudaDataType_t type;
    int64_t rows, cols, ld;
} array;

typedef struct product {
    int32_t turn[2];
    uint32_t epilogue;
    const void *bias;
} product;

typedef struct algo {
    int64_t offer, rows, cols, inner;
} algo;

_Static_assert(sizeof(array) <= sizeof(cublasLtMatrixLayoutOpaque_t), "fits");
_Static_assert(sizeof(product) <= sizeof(cublasLtMatmulDescOpaque_t), "fits");
_Static_assert(sizeof(algo) <= sizeof(cublasLtMatmulAlgo_t), "fits");

static const struct offer {
    cublasStatus_t state;
    uint32_t parts, scheme;
    uint64_t numbers; /* beyond what its operands need */
} offers[OFFERS] = {
    {CUBLAS_STATUS_NOT_SUPPORTED, 1, CUBLASLT_REDUCTION_SCHEME_NONE, 0},
    {CUBLAS_STATUS_SUCCESS, 4, CUBLASLT_REDUCTION_SCHEME_INPLACE, 0},
    {CUBLAS_STATUS_SUCCESS, 4, CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, 0},
    {CUBLAS_STATUS_SUCCESS, 1, CUBLASLT_REDUCTION_SCHEME_NONE,
     CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_16F},
    {CUBLAS_STATUS_SUCCESS, 4, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 0},
    {CUBLAS_STATUS_SUCCESS, 1, CUBLASLT_REDUCTION_SCHEME_NONE, 0},
};

cudaStream_t ath_cuda_stream(const ath_stream *stream)
{
    (void)stream;
    return NULL;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    static int it;
    *handle = (cublasLtHandle_t)(void *)&it;
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_SUPPORTED ? "not supported" : "invalid value";
}

size_t cublasLtGetVersion(void)
{
    return 130000;
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t m, size_t size,
                                                 cudaDataType type, uint64_t rows, uint64_t cols,
                                                 int64_t ld)
{
    const array a = {type, (int64_t)rows, (int64_t)cols, ld};

    if (size != sizeof *m || a.rows < 1 || a.cols < 1 || ld < a.rows)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(m, &a, sizeof a);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t d, size_t size,
                                               cublasComputeType_t compute, cudaDataType_t scale)
{
    const product p = {.epilogue = CUBLASLT_EPILOGUE_DEFAULT};

    if (size != sizeof *d || compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(d, &p, sizeof p);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                              cublasLtMatmulDescAttributes_t attr,
                                              const void *value, size_t bytes)
{
    product p;
    void *to = NULL;
    size_t wanted = sizeof(int32_t);

    memcpy(&p, d, sizeof p);
    if (attr == CUBLASLT_MATMUL_DESC_TRANSA) to = &p.turn[0];
    if (attr == CUBLASLT_MATMUL_DESC_TRANSB) to = &p.turn[1];
    if (attr == CUBLASLT_MATMUL_DESC_EPILOGUE) to = &p.epilogue;
    if (attr == CUBLASLT_MATMUL_DESC_BIAS_POINTER) {
        to = &p.bias;
        wanted = sizeof p.bias;
    }
    if (!to || bytes != wanted) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, bytes);
    memcpy(d, &p, sizeof p);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t p, size_t size)
{
    memset(p, 0, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t attr,
                                                    const void *value, size_t bytes)
{
    uint64_t x = 0;

    if (bytes != (attr == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? 8 : 4))
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&x, value, bytes);
    if (attr == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) p->data[0] = x;
    return CUBLAS_STATUS_SUCCESS;
}

/* The lengths of a product, where its arrays meet and their types are listed. */
static cublasStatus_t measure(const product *p, const array *a, const array *b, const array *d,
                              int64_t length[3])
{
    const bool at = p->turn[0] == CUBLAS_OP_T, bt = p->turn[1] == CUBLAS_OP_T;
    const bool is_wide = a->type == CUDA_R_32F && d->type == CUDA_R_32F;
    const bool is_half =
        a->type == CUDA_R_16BF && (d->type == CUDA_R_16BF || d->type == CUDA_R_32F);

    length[0] = at ? a->cols : a->rows;
    length[1] = bt ? b->rows : b->cols;
    length[2] = at ? a->rows : a->cols;
    if (length[0] != d->rows || length[1] != d->cols || length[2] != (bt ? b->cols : b->rows))
        return CUBLAS_STATUS_INVALID_VALUE;
    return a->type == b->type && (is_wide || is_half) ? CUBLAS_STATUS_SUCCESS
                                                      : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int n,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int *n_results)
{
    product p;
    array at[3];
    int64_t length[3];

    memcpy(&p, desc, sizeof p);
    memcpy(&at[0], a, sizeof *at);
    memcpy(&at[1], b, sizeof *at);
    memcpy(&at[2], d, sizeof *at);
    const cublasStatus_t status = measure(&p, &at[0], &at[1], &at[2], length);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (!handle || c != d || n < OFFERS || preference->data[0] < WORKSPACE)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (p.epilogue == CUBLASLT_EPILOGUE_BIAS && (uintptr_t)p.bias % ALIGN)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int i = 0; i < OFFERS; i++) {
        const algo x = {i, length[0], length[1], length[2]};
        memcpy(&results[i].algo, &x, sizeof x);
        results[i].state = offers[i].state;
        results[i].workspaceSize = WORKSPACE;
    }
    *n_results = OFFERS;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *of,
                                                    cublasLtMatmulAlgoConfigAttributes_t attr,
                                                    void *value, size_t bytes, size_t *written)
{
    const size_t wanted =
        attr == CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID || attr == CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID
            ? 2
            : 4;
    uint32_t x = 0;
    algo a;

    memcpy(&a, of, sizeof a);
    if (attr == CUBLASLT_ALGO_CONFIG_ID) x = (uint32_t)a.offer;
    if (attr == CUBLASLT_ALGO_CONFIG_SPLITK_NUM) x = offers[a.offer].parts;
    if (attr == CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) x = offers[a.offer].scheme;
    if (bytes != wanted) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(value, &x, bytes); /* its low bytes */
    *written = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCapGetAttribute(const cublasLtMatmulAlgo_t *of,
                                                 cublasLtMatmulAlgoCapAttributes_t attr,
                                                 void *value, size_t bytes, size_t *written)
{
    algo a;

    memcpy(&a, of, sizeof a);
    if (attr != CUBLASLT_ALGO_CAP_NUMERICAL_IMPL_FLAGS || bytes != sizeof offers[0].numbers)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(value, &offers[a.offer].numbers, bytes);
    *written = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- the product ---- */

static float get(const array *m, const void *p, int64_t i, int64_t j)
{
    const int64_t at = j * m->ld + i;
    return m->type == CUDA_R_16BF ? ath_f32_from_bf16(((const uint16_t *)p)[at])
                                  : ((const float *)p)[at];
}

static void put(const array *m, void *p, int64_t i, int64_t j, float x)
{
    const int64_t at = j * m->ld + i;

    if (m->type == CUDA_R_16BF)
        ((uint16_t *)p)[at] = ath_bf16_from_f32(x);
    else
        ((float *)p)[at] = x;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_desc, const void *b,
                              cublasLtMatrixLayout_t b_desc, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_desc, void *d, cublasLtMatrixLayout_t d_desc,
                              const cublasLtMatmulAlgo_t *chosen, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    product p;
    array ma, mb, md;
    algo x;
    int64_t length[3];

    (void)stream;
    memcpy(&p, desc, sizeof p);
    memcpy(&ma, a_desc, sizeof ma);
    memcpy(&mb, b_desc, sizeof mb);
    memcpy(&md, d_desc, sizeof md);
    memcpy(&x, chosen, sizeof x);
    if (!handle || c != d || c_desc != d_desc || (uintptr_t)workspace % 256 ||
        workspace_bytes < WORKSPACE || measure(&p, &ma, &mb, &md, length) || x.offer != GOOD ||
        x.rows != length[0] || x.cols != length[1] || x.inner != length[2])
        return CUBLAS_STATUS_INVALID_VALUE;
    memset(workspace, 0xaa, WORKSPACE); /* its own */
    const array mbias = {md.type, md.rows, 1, md.rows};
    for (int64_t i = 0; i < length[0]; i++)
        for (int64_t j = 0; j < length[1]; j++) {
            float sum = 0;
            for (int64_t k = 0; k < length[2]; k++)
                sum += (p.turn[0] ? get(&ma, a, k, i) : get(&ma, a, i, k)) *
                       (p.turn[1] ? get(&mb, b, j, k) : get(&mb, b, k, j));
            sum *= *(const float *)alpha;
            if (*(const float *)beta != 0) sum += *(const float *)beta * get(&md, d, i, j);
            if (p.epilogue == CUBLASLT_EPILOGUE_BIAS) sum += get(&mbias, p.bias, i, 0);
            put(&md, d, i, j, sum);
        }
    return CUBLAS_STATUS_SUCCESS;
}
