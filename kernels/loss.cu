#include "kernels/pointwise.cuh"

namespace
{

/* Sums in double: a block takes CHUNK elements of an image, then one block adds the chunks of each
 * image in order. */
enum { THREADS = 256, CHUNK = 2048 };

/* Z: the target's type. */
template <class T, class Z> struct slope_times_difference {
    const T *pred;
    const Z *target;
    const float *weight, *dloss;
    int64_t count, image;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const float slope = 2 * *dloss * weight[i / image] / (float)count;
        float z[V];
        load(pred + i, v);
        load(target + i, z);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = slope * (v[k] - z[k]);
    }
};

template <class T, class Z>
static __global__ void squares(const T *pred, const Z *target, int64_t image, int64_t n_chunks,
                               double *part)
{
    ATH_SHARED(double, shared);
    const int64_t n = blockIdx.x / n_chunks, first = blockIdx.x % n_chunks * CHUNK;
    double sum = 0;

    for (int64_t i = first + threadIdx.x; i < image && i < first + CHUNK; i += THREADS) {
        const float d = to_f32(pred[n * image + i]) - to_f32(target[n * image + i]);
        sum += (double)d * (double)d;
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

static __global__ void means(const double *part, int64_t n_chunks, const float *weight,
                             int64_t n_images, int64_t image, float *sample, float *loss)
{
    ATH_SHARED(double, shared);
    double sum = 0;

    for (int64_t n = threadIdx.x; n < n_images; n += THREADS) {
        double of_image = 0;
        for (int64_t k = 0; k < n_chunks; k++) of_image += part[n * n_chunks + k];
        sample[n] = (float)(of_image / (double)image);
        sum += (double)weight[n] * (of_image / (double)image);
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) *loss = (float)(sum / (double)n_images);
}

int64_t image_of(const ath_site *site)
{
    return ath_desc_count(&site->in[0]) / site->in[0].dim[0];
}

ath_err bind_fwd(const ath_site *site, ath_bound *bound)
{
    bound->scratch_bytes =
        (size_t)(site->in[0].dim[0] * ceil_div(image_of(site), CHUNK)) * sizeof(double);
    return ATH_OK;
}

template <class T, class Z> ath_err fwd_of(const ath_call *c)
{
    const int64_t N = c->site->in[0].dim[0], image = image_of(c->site);
    const int64_t n_chunks = ceil_div(image, CHUNK);
    const size_t shared = THREADS / WARP * sizeof(double);
    double *part = (double *)c->scratch;

    ATH_TRY(launch(c, dim3((unsigned)(N * n_chunks)), THREADS, shared, squares<T, Z>,
                   (const T *)c->in[0], (const Z *)c->in[1], image, n_chunks, part));
    return launch(c, dim3(1), THREADS, shared, means, part, n_chunks, (const float *)c->in[2], N,
                  image, (float *)c->saved[0], (float *)c->out[0]);
}

template <class T, class Z> ath_err bwd_of(const ath_call *c)
{
    const int64_t image = image_of(c->site);
    const slope_times_difference<T, Z> f = {
        (const T *)c->in[0],       (const Z *)c->in[1],           (const float *)c->in[2],
        (const float *)c->dout[0], image * c->site->in[0].dim[0], image};

    return pointwise_grad<T>(c, 0, f, image);
}

template <class T> ath_err fwd(const ath_call *c)
{
    return c->site->in[1].dtype == ATH_F32 ? fwd_of<T, float>(c) : fwd_of<T, T>(c);
}

template <class T> ath_err bwd(const ath_call *c)
{
    return c->site->in[1].dtype == ATH_F32 ? bwd_of<T, float>(c) : bwd_of<T, T>(c);
}

} // namespace

const ath_cuda_op ath_cuda_op_loss = {
    {bind_fwd, by_input<fwd<float>, fwd<bf16>>, nullptr, ATH_BITS_THREADS},
    {nullptr, by_input<bwd<float>, bwd<bf16>>, nullptr, ATH_BITS_THREADS},
};
