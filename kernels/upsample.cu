#include "kernels/pointwise.cuh"

namespace
{

/* x [N,h,w,c], y [N,height,width,c] */
struct sizes {
    int64_t h, w, height, width, c;
};

template <class T> struct nearest {
    const T *x;
    sizes s;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const int64_t pixel = i / s.c, row = pixel / s.width, image = row / s.height;
        const int64_t w = pixel % s.width * s.w / s.width, h = row % s.height * s.h / s.height;
        load(x + ((image * s.h + h) * s.w + w) * s.c + i % s.c, v);
    }
};

/* The first of `big` rows (or columns) that copies row i of `small`: floor(k small / big) >= i. */
__device__ inline int64_t first_copy(int64_t i, int64_t small, int64_t big)
{
    return (i * big + small - 1) / small;
}

/* The sum of a pixel's copies, rows first. */
template <class T> struct copies {
    const T *dy;
    sizes s;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const int64_t pixel = i / s.c, w = pixel % s.w, row = pixel / s.w, h = row % s.h;
        const int64_t h0 = first_copy(h, s.h, s.height), h1 = first_copy(h + 1, s.h, s.height);
        const int64_t w0 = first_copy(w, s.w, s.width), w1 = first_copy(w + 1, s.w, s.width);
        const T *image = dy + row / s.h * s.height * s.width * s.c + i % s.c;
        float one[V];
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = 0;
        for (int64_t y = h0; y < h1; y++)
            for (int64_t x = w0; x < w1; x++) {
                load(image + (y * s.width + x) * s.c, one);
#pragma unroll
                for (int k = 0; k < V; k++) v[k] += one[k];
            }
    }
};

sizes sizes_of(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0], *y = &c->site->out[0];
    return {x->dim[1], x->dim[2], y->dim[1], y->dim[2], x->dim[3]};
}

template <class T> ath_err fwd(const ath_call *c)
{
    const nearest<T> f = {(const T *)c->in[0], sizes_of(c)};
    return pointwise(c, f, (T *)c->out[0], ath_desc_count(&c->site->out[0]), false, f.s.c);
}

template <class T> ath_err bwd(const ath_call *c)
{
    const copies<T> f = {(const T *)c->dout[0], sizes_of(c)};
    return pointwise_grad<T>(c, 0, f, f.s.c);
}

} // namespace

const ath_cuda_op ath_cuda_op_upsample = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {nullptr, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
