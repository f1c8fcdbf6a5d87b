#include "kernels/conv_cudnn.h"

#include "core/mem.h"
#include "kernels/device_cuda.h"
#include <cudnn_graph.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    OWNED = 16,   /* descriptors of a convolution */
    OFFERS = 128, /* configurations looked at, per mode of the heuristic */
    ALIGN = 16,   /* bytes, of every array */
    NAME = 256,
};
static const int64_t workspace_most = 1 << 28;

/* Names of the tensors. */
enum { X = 1, FILTER, Y, BIAS, SUM };

typedef cudnnBackendDescriptor_t descriptor;

struct ath_conv {
    const char *op;
    ath_conv_kind kind;
    bool has_bias;
    descriptor owned[OWNED]; /* in the order in which they were made */
    int n_owned;
    descriptor config, execution; /* pinned; owned by themselves */
    int64_t workspace_bytes;
    char name[NAME];
};

/* The GPU that convolutions are made for: a handle on a present one, or a description. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cudnnHandle_t the_handle;
static descriptor the_device;

static ath_err check(cudnnStatus_t status, const char *op)
{
    char why[256] = "";

    if (status == CUDNN_STATUS_SUCCESS) return ATH_OK;
    cudnnGetLastErrorString(why, sizeof why);
    why[strcspn(why, "\n")] = 0;
    ath_err err = ATH_ECUDA;
    if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) err = ATH_ENOTSUP;
    if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED) err = ATH_ENOMEM;
    return ath_raise(err, "%s: cuDNN: %s (%s)", op, cudnnGetErrorString(status), why);
}

/* One for the process, on the GPU that was current at first use; goes with the process, as CUDA does. */
static ath_err get_handle(const char *op, cudnnHandle_t *out)
{
    pthread_mutex_lock(&lock);
    ath_err err = the_handle || the_device ? ATH_OK : check(cudnnCreate(&the_handle), op);
    *out = the_handle;
    pthread_mutex_unlock(&lock);
    return err;
}

static ath_err set(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                   int64_t n, const void *values)
{
    return check(cudnnBackendSetAttribute(d, name, type, n, values), "conv2d");
}

static ath_err set_one(descriptor d, cudnnBackendAttributeName_t name, descriptor value)
{
    return set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

ath_err ath_conv_plan_for(const char *json)
{
    ath_err err = ATH_OK;
    descriptor device = NULL;

    ATH_TRY_OUT(check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device),
                      "device"));
    ATH_TRY_OUT(set(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                    (int64_t)strlen(json) + 1, json));
    ATH_TRY_OUT(check(cudnnBackendFinalize(device), "device"));
    pthread_mutex_lock(&lock);
    the_device = device;
    pthread_mutex_unlock(&lock);
    device = NULL;
out:
    if (device) cudnnBackendDestroyDescriptor(device);
    return err;
}

/* ---- the graph ---- */

static ath_err make(ath_conv *v, cudnnBackendDescriptorType_t type, descriptor *out)
{
    ATH_ASSERT(v->n_owned < OWNED);
    ATH_TRY(check(cudnnBackendCreateDescriptor(type, &v->owned[v->n_owned]), v->op));
    *out = v->owned[v->n_owned++];
    return ATH_OK;
}

static ath_err finalize(const ath_conv *v, descriptor d)
{
    return check(cudnnBackendFinalize(d), v->op);
}

/* Its axes as cuDNN names them, N C H W, whatever lies where. */
typedef struct tensor {
    int64_t id;
    cudnnDataType_t type;
    int64_t n, c, h, w;
    bool is_virtual; /* never stored */
} tensor;

static ath_err make_tensor(ath_conv *v, const tensor *t, descriptor *out)
{
    const int64_t dim[] = {t->n, t->c, t->h, t->w}, align = ALIGN;
    const int64_t stride[] = {t->h * t->w * t->c, 1, t->w * t->c, t->c}; /* channels last */

    ATH_TRY(make(v, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    ATH_TRY(set(*out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &t->id));
    ATH_TRY(set(*out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &t->type));
    ATH_TRY(set(*out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim));
    ATH_TRY(set(*out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride));
    ATH_TRY(set(*out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align));
    ATH_TRY(set(*out, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &t->is_virtual));
    return finalize(v, *out);
}

static ath_err make_convolution(ath_conv *v, const ath_conv2d_attr *a, descriptor *out)
{
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t n = 2, dilation[] = {1, 1}, stride[] = {a->stride, a->stride};
    const int64_t before[] = {a->top, a->left}, after[] = {a->bottom, a->right};

    ATH_TRY(make(v, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    ATH_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums));
    ATH_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
    ATH_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &n));
    ATH_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation));
    ATH_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride));
    ATH_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before));
    ATH_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after));
    return finalize(v, *out);
}

/* What each kind of operation calls its parts. */
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t alpha, beta, convolution, x, filter, y;
} words[ATH_N_CONV_KINDS] = {
    [ATH_CONV_Y] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
    [ATH_CONV_DX] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
    [ATH_CONV_DFILTER] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
};

/* y = sum + bias */
static ath_err make_bias(ath_conv *v, descriptor sum, descriptor bias, descriptor y,
                         descriptor *out)
{
    const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    descriptor add = NULL;

    ATH_TRY(make(v, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &add));
    ATH_TRY(set(add, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode));
    ATH_TRY(set(add, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type));
    ATH_TRY(finalize(v, add));
    ATH_TRY(make(v, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out));
    ATH_TRY(set_one(*out, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, add));
    ATH_TRY(set_one(*out, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, sum));
    ATH_TRY(set_one(*out, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, bias));
    ATH_TRY(set_one(*out, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y));
    return finalize(v, *out);
}

static ath_err make_operation(ath_conv *v, const ath_site *site, bool add, descriptor out[2])
{
    const ath_conv2d_dims d = ath_conv2d_get_dims(site);
    const cudnnDataType_t type =
        site->in[0].dtype == ATH_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const cudnnDataType_t wide = v->has_bias ? CUDNN_DATA_FLOAT : type;
    const tensor result = {v->has_bias ? SUM : Y, wide, d.n, d.o, d.p, d.q, v->has_bias};
    const float one = 1, beta = add ? 1 : 0;
    descriptor convolution = NULL, x = NULL, filter = NULL, sum = NULL, bias = NULL, y = NULL;

    ATH_TRY(make_convolution(v, site->attr, &convolution));
    ATH_TRY(make_tensor(v, &(tensor){X, type, d.n, d.c, d.h, d.w, false}, &x));
    ATH_TRY(make_tensor(v, &(tensor){FILTER, type, d.o, d.c, d.i, d.j, false}, &filter));
    ATH_TRY(make_tensor(v, &result, &sum));
    ATH_TRY(make(v, words[v->kind].type, &out[0]));
    ATH_TRY(set_one(out[0], words[v->kind].convolution, convolution));
    ATH_TRY(set_one(out[0], words[v->kind].x, x));
    ATH_TRY(set_one(out[0], words[v->kind].filter, filter));
    ATH_TRY(set_one(out[0], words[v->kind].y, sum));
    ATH_TRY(set(out[0], words[v->kind].alpha, CUDNN_TYPE_FLOAT, 1, &one));
    ATH_TRY(set(out[0], words[v->kind].beta, CUDNN_TYPE_FLOAT, 1, &beta));
    ATH_TRY(finalize(v, out[0]));
    if (!v->has_bias) return ATH_OK;
    ATH_TRY(make_tensor(v, &(tensor){BIAS, type, 1, d.o, 1, 1, false}, &bias));
    ATH_TRY(make_tensor(v, &(tensor){Y, type, d.n, d.o, d.p, d.q, false}, &y));
    return make_bias(v, sum, bias, y, &out[1]);
}

static ath_err make_graph(ath_conv *v, const ath_site *site, bool add, descriptor *out)
{
    descriptor operation[2] = {NULL};
    cudnnHandle_t handle = NULL;

    ATH_TRY(get_handle(v->op, &handle));
    ATH_TRY(make_operation(v, site, add, operation));
    ATH_TRY(make(v, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, out));
    ATH_TRY(set(*out, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                v->has_bias ? 2 : 1, operation));
    if (!the_device)
        ATH_TRY(set(*out, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle));
    return finalize(v, *out);
}

/* ---- the choice ---- */

static ath_err get(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                   int64_t room, int64_t *n, void *values)
{
    return check(cudnnBackendGetAttribute(d, name, type, room, n, values), "conv2d");
}

static void destroy_all(descriptor *d, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (d[i]) cudnnBackendDestroyDescriptor(d[i]);
}

static bool is_allowed(cudnnBackendNumericalNote_t note, ath_dtype dtype)
{
    switch (note) {
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
        return dtype != ATH_F32; /* TF32 */
    case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP:
        return true;
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
    case CUDNN_NUMERICAL_NOTE_FFT:
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
    case CUDNN_NUMERICAL_NOTE_TYPE_COUNT:
        break;
    }
    return false; /* also what later versions note */
}

/* The engine of a configuration; the caller destroys it. */
static ath_err engine_of(descriptor config, descriptor *out)
{
    int64_t n = 0;

    ATH_TRY(check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, out), "conv2d"));
    return get(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, out);
}

static ath_err judge(descriptor config, ath_dtype dtype, bool *ok)
{
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    descriptor engine = NULL;
    ath_err err = ATH_OK;
    int64_t n = 0;

    ATH_TRY_OUT(engine_of(config, &engine));
    ATH_TRY_OUT(get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                    CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, notes));
    *ok = n <= CUDNN_NUMERICAL_NOTE_TYPE_COUNT;
    for (int64_t i = 0; i < n && *ok; i++) *ok = is_allowed(notes[i], dtype);
out:
    destroy_all(&engine, 1);
    return err;
}

/* The knob choices of a configuration, behind the `n` bytes of the name that are there. */
static ath_err name_knobs(ath_conv *v, int n)
{
    descriptor knob[CUDNN_KNOB_TYPE_COUNTS] = {NULL};
    cudnnBackendKnobType_t type = CUDNN_KNOB_TYPE_COUNTS;
    ath_err err = ATH_OK;
    int64_t n_knobs = 0, value = 0, one = 0;

    for (int i = 0; i < CUDNN_KNOB_TYPE_COUNTS; i++)
        ATH_TRY_OUT(check(
            cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knob[i]), v->op));
    ATH_TRY_OUT(get(v->config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                    CUDNN_KNOB_TYPE_COUNTS, &n_knobs, knob));
    for (int64_t i = 0; i < n_knobs; i++) {
        ATH_TRY_OUT(
            get(knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &one, &type));
        ATH_TRY_OUT(
            get(knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &one, &value));
        n += snprintf(v->name + n, NAME - (size_t)n, ".%d=%" PRId64, (int)type, value);
        ATH_ASSERT(n < NAME);
    }
out:
    destroy_all(knob, CUDNN_KNOB_TYPE_COUNTS);
    return err;
}

static ath_err name_pinned(ath_conv *v)
{
    descriptor engine = NULL;
    ath_err err = ATH_OK;
    int64_t id = 0, one = 0;

    ATH_TRY_OUT(engine_of(v->config, &engine));
    ATH_TRY_OUT(get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &one, &id));
    ATH_TRY_OUT(name_knobs(v, snprintf(v->name, NAME, "cudnn%zu:%" PRId64, cudnnGetVersion(), id)));
out:
    destroy_all(&engine, 1);
    return err;
}

/* Whether the library can execute a configuration: then v->execution does, and needs workspace. */
static ath_err try_config(ath_conv *v, descriptor config, bool *ok)
{
    cudnnHandle_t handle = NULL;
    ath_err err = ATH_OK;
    int64_t one = 0;

    *ok = false;
    ATH_TRY(get_handle(v->op, &handle));
    ATH_TRY(
        check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &v->execution),
              v->op));
    ATH_TRY_OUT(set_one(v->execution, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config));
    if (the_device)
        ATH_TRY_OUT(set_one(v->execution, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, the_device));
    else
        ATH_TRY_OUT(
            set(v->execution, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle));
    if (cudnnBackendFinalize(v->execution) == CUDNN_STATUS_SUCCESS) {
        ATH_TRY_OUT(get(v->execution, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                        &one, &v->workspace_bytes));
        *ok = v->workspace_bytes <= workspace_most;
    }
out:
    if (!*ok) {
        cudnnBackendDestroyDescriptor(v->execution);
        v->execution = NULL;
    }
    return err;
}

/* Takes the first of `n` configurations that may be used, and NULLs it in the list. */
static ath_err take_first(ath_conv *v, descriptor *config, int64_t n, ath_dtype dtype)
{
    bool ok = false;

    for (int64_t i = 0; i < n && !v->config; i++) {
        ATH_TRY(judge(config[i], dtype, &ok));
        if (ok) ATH_TRY(try_config(v, config[i], &ok));
        if (!ok) continue;
        v->config = config[i];
        config[i] = NULL;
    }
    return ATH_OK;
}

/* Asks one mode of the heuristic; v->config stays NULL where it knows nothing of use. */
static ath_err ask(ath_conv *v, descriptor graph, cudnnBackendHeurMode_t mode, ath_dtype dtype)
{
    descriptor heuristic = NULL, config[OFFERS] = {NULL};
    ath_err err = ATH_OK;
    int64_t n = 0, got = 0;

    ATH_TRY_OUT(check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic),
                      v->op));
    ATH_TRY_OUT(set_one(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
    ATH_TRY_OUT(set(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    if (the_device) ATH_TRY_OUT(set_one(heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, the_device));
    ATH_TRY_OUT(finalize(v, heuristic));
    ATH_TRY_OUT(
        get(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, NULL));
    n = n < OFFERS ? n : OFFERS;
    for (int64_t i = 0; i < n; i++)
        ATH_TRY_OUT(check(
            cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config[i]), v->op));
    if (n)
        ATH_TRY_OUT(get(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n,
                        &got, config));
    ATH_TRY_OUT(take_first(v, config, got < n ? got : n, dtype));
out:
    destroy_all(config, OFFERS);
    destroy_all(&heuristic, 1);
    return err;
}

/* ---- the whole ---- */

ath_err ath_conv_create(const ath_site *site, ath_conv_kind kind, bool add, ath_conv **out)
{
    const ath_dtype dtype = site->in[0].dtype;
    ath_err err = ATH_OK;
    ath_conv *v = NULL;
    descriptor graph = NULL;

    ATH_NEED(dtype == ATH_F32 || dtype == ATH_BF16, ATH_ENOTSUP, "%s: no %s on cuda",
             site->op->name, ath_dtype_name(dtype));
    ATH_TRY(ATH_NEW(1, "convolution", &v));
    v->op = site->op->name;
    v->kind = kind;
    v->has_bias = kind == ATH_CONV_Y && site->in[2].dtype != ATH_NONE;
    ATH_TRY_OUT(make_graph(v, site, add, &graph));
    ATH_TRY_OUT(ask(v, graph, CUDNN_HEUR_MODE_A, dtype));
    if (!v->config) ATH_TRY_OUT(ask(v, graph, CUDNN_HEUR_MODE_FALLBACK, dtype));
    if (!v->config) {
        err = ath_raise(ATH_ENOTSUP, "%s: cuDNN has no deterministic engine for it", v->op);
        goto out;
    }
    ATH_TRY_OUT(name_pinned(v));
    *out = v;
    v = NULL;
out:
    ath_conv_destroy(&v);
    return err;
}

void ath_conv_destroy(ath_conv **conv)
{
    ath_conv *v = *conv;

    if (!v) return;
    destroy_all(&v->execution, 1);
    destroy_all(&v->config, 1);
    while (v->n_owned > 0) cudnnBackendDestroyDescriptor(v->owned[--v->n_owned]);
    ath_mem_free(conv);
}

size_t ath_conv_get_workspace_bytes(const ath_conv *conv)
{
    return (size_t)conv->workspace_bytes;
}

const char *ath_conv_get_name(const ath_conv *conv)
{
    return conv->name;
}

/* A variant pack cannot be used twice: cuDNN makes a small one for each launch, on the host. */
ath_err ath_conv_run(const ath_conv *conv, const ath_call *call, const ath_conv_arrays *arrays,
                     void *workspace)
{
    static const int64_t ids[] = {X, FILTER, Y, BIAS};
    const void *at[] = {arrays->x, arrays->filter, arrays->y, arrays->bias};
    const int64_t n = conv->has_bias ? 4 : 3;
    cudnnHandle_t handle = NULL;
    descriptor variant = NULL;
    ath_err err = ATH_OK;

    ATH_ASSERT((arrays->bias != NULL) == conv->has_bias);
    ATH_TRY(get_handle(conv->op, &handle));
    ATH_NEED(handle, ATH_ENOTSUP, "%s: made for a GPU that is not there", conv->op);
    ATH_TRY_OUT(check(cudnnSetStream(handle, ath_cuda_stream(call->stream)), conv->op));
    ATH_TRY_OUT(check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &variant),
                      conv->op));
    ATH_TRY_OUT(set(variant, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, ids));
    ATH_TRY_OUT(set(variant, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, at));
    ATH_TRY_OUT(
        set(variant, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace));
    ATH_TRY_OUT(finalize(conv, variant));
    ATH_TRY_OUT(check(cudnnBackendExecute(handle, conv->execution, variant), conv->op));
out:
    destroy_all(&variant, 1);
    return err;
}
