/*
 * cuDNN's graph interface for the host, as far as kernels/conv_cudnn.c asks for it: convolutions by plain
 * loops. It refuses what the library does: attributes set twice over a finished descriptor or missing
 * when it is finished, arrays that do not meet, a plan that is not of its graph. Of its three
 * configurations only the last may be taken: the first adds in no order, or for F32 on tensor cores; the
 * second has no plan. Whoever leaks a descriptor leaks memory.
 */
#include "kernels/dtype.h"
#include <cudnn_graph.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ATTRIBUTES = 12, VALUE = 32, CONFIGS = 3, WORKSPACE = 500, ID = 4 };

typedef struct attribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t n;
    char value[VALUE];
} attribute;

typedef struct thing {
    cudnnBackendDescriptorType_t type;
    bool is_done;
    int n;
    attribute attr[ATTRIBUTES];
    struct thing *graph; /* of a configuration */
    int config;          /* which, of a configuration and its engine */
} thing;

static int the_handle;

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = (cudnnHandle_t)(void *)&the_handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    (void)stream;
    return handle ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS ? "success" : "failure";
}

void cudnnGetLastErrorString(char *message, size_t size)
{
    memset(message, 0, size);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *out)
{
    thing *t = calloc(1, sizeof *t);

    if (!t) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    t->type = type;
    *out = t;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
    free(descriptor);
    return CUDNN_STATUS_SUCCESS;
}

/* ---- attributes ---- */

static size_t size_of(cudnnBackendAttributeType_t type)
{
    const bool is_wide = type == CUDNN_TYPE_INT64 || type == CUDNN_TYPE_BACKEND_DESCRIPTOR ||
                         type == CUDNN_TYPE_VOID_PTR || type == CUDNN_TYPE_HANDLE;
    if (type == CUDNN_TYPE_BOOLEAN) return sizeof(bool);
    return is_wide ? 8 : 4;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t n,
                                       const void *values)
{
    thing *t = descriptor;
    const size_t bytes = (size_t)n * size_of(type);

    if (t->is_done || t->n == ATTRIBUTES || bytes > VALUE) return CUDNN_STATUS_BAD_PARAM;
    t->attr[t->n] = (attribute){name, type, n, {0}};
    memcpy(t->attr[t->n++].value, values, bytes);
    return CUDNN_STATUS_SUCCESS;
}

/* The value of an attribute; false where it is not there as it should be. */
static bool read(const thing *t, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                 int64_t n, void *out)
{
    for (int i = 0; i < t->n; i++) {
        const attribute *a = &t->attr[i];
        if (a->name != name) continue;
        memcpy(out, a->value, (size_t)n * size_of(type));
        return a->type == type && a->n == n;
    }
    return false;
}

/* A descriptor that is an attribute, finished. */
static thing *part(const thing *t, cudnnBackendAttributeName_t name)
{
    thing *p = NULL;

    return read(t, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &p) && p->is_done ? p : NULL;
}

/* ---- tensors ---- */

typedef struct tensor {
    int64_t id, dim[4], stride[4];
    cudnnDataType_t type;
    bool is_virtual;
    void *at;
} tensor;

static bool read_tensor(const thing *t, tensor *out)
{
    int64_t align = 0;

    return t && t->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR &&
           read(t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &out->id) &&
           read(t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &out->type) &&
           read(t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, out->dim) &&
           read(t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, out->stride) &&
           read(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align) &&
           read(t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &out->is_virtual);
}

static int64_t place(const tensor *t, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return a * t->stride[0] + b * t->stride[1] + c * t->stride[2] + d * t->stride[3];
}

static float get(const tensor *t, int64_t at)
{
    return t->type == CUDNN_DATA_BFLOAT16 ? ath_f32_from_bf16(((const uint16_t *)t->at)[at])
                                          : ((const float *)t->at)[at];
}

static void put(const tensor *t, int64_t at, float x)
{
    if (t->type == CUDNN_DATA_BFLOAT16)
        ((uint16_t *)t->at)[at] = ath_bf16_from_f32(x);
    else
        ((float *)t->at)[at] = x;
}

/* ---- convolutions ---- */

typedef struct conv {
    cudnnBackendDescriptorType_t type;
    tensor x, w, y;
    int64_t stride[2], before[2], after[2];
    float beta;
} conv;

static bool read_window(const thing *t, conv *v)
{
    cudnnDataType_t sums = CUDNN_DATA_DOUBLE;
    cudnnConvolutionMode_t mode = CUDNN_CONVOLUTION;
    int64_t n = 0, dilation[2] = {0};

    return t && read(t, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums) &&
           read(t, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode) &&
           read(t, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &n) &&
           read(t, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation) &&
           read(t, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, v->stride) &&
           read(t, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, v->before) &&
           read(t, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, v->after) &&
           sums == CUDNN_DATA_FLOAT && mode == CUDNN_CROSS_CORRELATION && n == 2 &&
           dilation[0] == 1 && dilation[1] == 1;
}

static bool meets(const conv *v)
{
    bool ok =
        v->x.dim[0] == v->y.dim[0] && v->x.dim[1] == v->w.dim[1] && v->y.dim[1] == v->w.dim[0];

    for (int k = 0; k < 2; k++)
        ok =
            ok &&
            v->y.dim[2 + k] ==
                (v->x.dim[2 + k] + v->before[k] + v->after[k] - v->w.dim[2 + k]) / v->stride[k] + 1;
    return ok;
}

/* The words of a kind of operation: window, x, w, y, alpha, beta. */
static bool read_operation(const thing *t, const cudnnBackendAttributeName_t word[6], conv *v)
{
    float alpha = 0;

    v->type = t->type;
    return read_window(part(t, word[0]), v) && read_tensor(part(t, word[1]), &v->x) &&
           read_tensor(part(t, word[2]), &v->w) && read_tensor(part(t, word[3]), &v->y) &&
           read(t, word[4], CUDNN_TYPE_FLOAT, 1, &alpha) &&
           read(t, word[5], CUDNN_TYPE_FLOAT, 1, &v->beta) && alpha == 1 && meets(v);
}

static bool read_conv(const thing *t, conv *v)
{
    static const cudnnBackendAttributeName_t forward[] = {
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    static const cudnnBackendAttributeName_t data[] = {
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    static const cudnnBackendAttributeName_t filter[] = {
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};

    if (t->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
        return read_operation(t, forward, v);
    if (t->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
        return read_operation(t, data, v);
    return t->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR &&
           read_operation(t, filter, v);
}

/* A channel of an image of y, of dx; one of a filter of dw. */
static void run_y(const conv *v, int64_t n, int64_t o, const tensor *bias)
{
    for (int64_t p = 0; p < v->y.dim[2]; p++)
        for (int64_t q = 0; q < v->y.dim[3]; q++) {
            float sum = bias ? get(bias, place(bias, 0, o, 0, 0)) : 0;
            for (int64_t k = 0; k < v->w.dim[1] * v->w.dim[2] * v->w.dim[3]; k++) {
                const int64_t c = k % v->w.dim[1], t = k / v->w.dim[1];
                const int64_t i = t / v->w.dim[3], j = t % v->w.dim[3];
                const int64_t h = p * v->stride[0] + i - v->before[0];
                const int64_t w = q * v->stride[1] + j - v->before[1];
                if (h >= 0 && h < v->x.dim[2] && w >= 0 && w < v->x.dim[3])
                    sum +=
                        get(&v->x, place(&v->x, n, c, h, w)) * get(&v->w, place(&v->w, o, c, i, j));
            }
            put(&v->y, place(&v->y, n, o, p, q), sum);
        }
}

static void run_dx(const conv *v, int64_t n, int64_t c)
{
    for (int64_t h = 0; h < v->x.dim[2]; h++)
        for (int64_t w = 0; w < v->x.dim[3]; w++) {
            const int64_t at = place(&v->x, n, c, h, w);
            float sum = 0;
            for (int64_t k = 0; k < v->w.dim[0] * v->w.dim[2] * v->w.dim[3]; k++) {
                const int64_t o = k % v->w.dim[0], t = k / v->w.dim[0];
                const int64_t i = t / v->w.dim[3], j = t % v->w.dim[3];
                const int64_t p = h + v->before[0] - i, q = w + v->before[1] - j;
                if (p >= 0 && q >= 0 && p % v->stride[0] == 0 && q % v->stride[1] == 0 &&
                    p / v->stride[0] < v->y.dim[2] && q / v->stride[1] < v->y.dim[3])
                    sum += get(&v->w, place(&v->w, o, c, i, j)) *
                           get(&v->y, place(&v->y, n, o, p / v->stride[0], q / v->stride[1]));
            }
            put(&v->x, at, v->beta != 0 ? sum + v->beta * get(&v->x, at) : sum);
        }
}

static void run_dw(const conv *v, int64_t o, int64_t c)
{
    for (int64_t i = 0; i < v->w.dim[2]; i++)
        for (int64_t j = 0; j < v->w.dim[3]; j++) {
            float sum = 0;
            for (int64_t k = 0; k < v->y.dim[0] * v->y.dim[2] * v->y.dim[3]; k++) {
                const int64_t q = k % v->y.dim[3], p = k / v->y.dim[3] % v->y.dim[2];
                const int64_t n = k / v->y.dim[3] / v->y.dim[2];
                const int64_t h = p * v->stride[0] + i - v->before[0];
                const int64_t w = q * v->stride[1] + j - v->before[1];
                if (h >= 0 && h < v->x.dim[2] && w >= 0 && w < v->x.dim[3])
                    sum +=
                        get(&v->x, place(&v->x, n, c, h, w)) * get(&v->y, place(&v->y, n, o, p, q));
            }
            put(&v->w, place(&v->w, o, c, i, j), sum);
        }
}

/* ---- graphs ---- */

/* A convolution, and a bias behind it: then the convolution's y is the bias's y. */
typedef struct graph {
    conv v;
    tensor bias;
    bool has_bias;
} graph;

static bool read_graph(const thing *t, graph *g)
{
    thing *op[2] = {NULL};
    cudnnHandle_t handle = NULL;
    tensor sum;

    g->has_bias = read(t, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 2, op);
    if (!g->has_bias &&
        !read(t, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, op))
        return false;
    if (!read(t, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle) || !handle)
        return false;
    if (!op[0]->is_done || !read_conv(op[0], &g->v) || g->v.y.is_virtual != g->has_bias)
        return false;
    if (!g->has_bias) return true;
    const bool ok = op[1]->is_done && part(op[1], CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR) &&
                    read_tensor(part(op[1], CUDNN_ATTR_OPERATION_POINTWISE_XDESC), &sum) &&
                    sum.id == g->v.y.id &&
                    read_tensor(part(op[1], CUDNN_ATTR_OPERATION_POINTWISE_BDESC), &g->bias) &&
                    read_tensor(part(op[1], CUDNN_ATTR_OPERATION_POINTWISE_YDESC), &g->v.y) &&
                    g->bias.dim[1] == g->v.y.dim[1] && g->bias.type == g->v.y.type;
    return ok && memcmp(sum.dim, g->v.y.dim, sizeof sum.dim) == 0;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
    thing *t = descriptor;
    tensor tensor_ = {0};
    conv v = {0};
    graph g = {0};
    bool ok = !t->is_done;

    if (t->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR) ok = ok && read_tensor(t, &tensor_);
    if (t->type == CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR) ok = ok && read_window(t, &v);
    if (t->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ||
        t->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ||
        t->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR)
        ok = ok && read_conv(t, &v);
    if (t->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) ok = ok && read_graph(t, &g);
    if (t->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        const thing *config = part(t, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
        if (config && config->config == 1) return CUDNN_STATUS_NOT_SUPPORTED;
        ok = ok && config;
    }
    t->is_done = ok;
    return ok ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

/* ---- what the library answers ---- */

static int64_t notes_of(const thing *engine, cudnnBackendNumericalNote_t *notes)
{
    graph g = {0};
    const bool is_half = read_graph(engine->graph, &g) && g.v.x.type == CUDNN_DATA_BFLOAT16;

    if (engine->config == 0)
        notes[0] =
            is_half ? CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC : CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    else
        notes[0] =
            is_half ? CUDNN_NUMERICAL_NOTE_TENSOR_CORE : CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP;
    return 1;
}

static int64_t configs_of(const thing *heuristic, int64_t room, thing **to)
{
    for (int i = 0; i < CONFIGS && i < room; i++) {
        to[i]->is_done = true;
        to[i]->graph = part(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
        to[i]->config = i;
    }
    return CONFIGS;
}

cudnnStatus_t cudnnBackendGetAttribute(const cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room, int64_t *n,
                                       void *values)
{
    const thing *t = descriptor;
    const int64_t one = name == CUDNN_ATTR_ENGINE_GLOBAL_INDEX ? t->config + ID : WORKSPACE;

    *n = 1;
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS)
        *n = configs_of(t, room, values);
    else if (name == CUDNN_ATTR_ENGINECFG_ENGINE) {
        (*(thing **)values)->graph = t->graph;
        (*(thing **)values)->config = t->config;
    } else if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE)
        *n = notes_of(t, values);
    else if (name == CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE)
        *(cudnnBackendKnobType_t *)values = CUDNN_KNOB_TYPE_TILE_SIZE;
    else if (name == CUDNN_ATTR_ENGINE_GLOBAL_INDEX || name == CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE ||
             name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)
        *(int64_t *)values = one;
    else if (name != CUDNN_ATTR_ENGINECFG_KNOB_CHOICES)
        return CUDNN_STATUS_BAD_PARAM;
    return type == CUDNN_TYPE_HANDLE ? CUDNN_STATUS_BAD_PARAM : CUDNN_STATUS_SUCCESS;
}

static bool find(const thing *pack, tensor *t, int64_t n)
{
    int64_t id[4] = {0};
    void *at[4] = {NULL};

    if (!read(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, id) ||
        !read(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, at))
        return false;
    for (int64_t i = 0; i < n; i++)
        if (id[i] == t->id) t->at = at[i];
    return t->at && (uintptr_t)t->at % 16 == 0;
}

static void run(const graph *g)
{
    const conv *v = &g->v;
    const bool fwd = v->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    const bool data = v->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
    const int64_t *first = fwd || data ? v->x.dim : v->w.dim, *of = fwd ? v->y.dim : v->x.dim;

    for (int64_t a = 0; a < first[0]; a++)
        for (int64_t b = 0; b < of[1]; b++)
            if (fwd)
                run_y(v, a, b, g->has_bias ? &g->bias : NULL);
            else if (data)
                run_dx(v, a, b);
            else
                run_dw(v, a, b);
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t variant)
{
    const thing *config = part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG), *pack = variant;
    graph g = {0};
    void *workspace = NULL;

    if (!handle || !config || config->config != CONFIGS - 1 || !pack->is_done ||
        !read_graph(config->graph, &g) ||
        !read(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace) ||
        (uintptr_t)workspace % 256)
        return CUDNN_STATUS_BAD_PARAM;
    const int64_t n = g.has_bias ? 4 : 3;
    if (!find(pack, &g.v.x, n) || !find(pack, &g.v.w, n) || !find(pack, &g.v.y, n) ||
        (g.has_bias && !find(pack, &g.bias, n)))
        return CUDNN_STATUS_BAD_PARAM;
    memset(workspace, 0xaa, WORKSPACE); /* its own */
    run(&g);
    return CUDNN_STATUS_SUCCESS;
}
