#include "kernels/pointwise.cuh"

namespace
{

/* [rows,na+nb] from [rows,na] and [rows,nb] */
template <class T> struct joined {
    const T *a, *b;
    int64_t na, nb;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        const int64_t row = i / (na + nb), at = i % (na + nb);
        load(at < na ? a + row * na + at : b + row * nb + (at - na), v);
    }
};

/* [rows,n] from columns first .. first+n-1 of [rows,width] */
template <class T> struct cut {
    const T *y;
    int64_t n, width, first;
    template <int V> __device__ void operator()(int64_t i, int64_t, float (&v)[V]) const
    {
        load(y + i / n * width + first + i % n, v);
    }
};

/* A power of two that divides all places where rows begin. */
int64_t unit_of(int64_t na, int64_t nb)
{
    return (na | nb) & -(na | nb);
}

template <class T> ath_err fwd(const ath_call *c)
{
    const int64_t na = ath_desc_last(&c->site->in[0]), nb = ath_desc_last(&c->site->in[1]);
    const joined<T> f = {(const T *)c->in[0], (const T *)c->in[1], na, nb};

    return pointwise(c, f, (T *)c->out[0], ath_desc_count(&c->site->out[0]), false,
                     unit_of(na, nb));
}

template <class T> ath_err bwd(const ath_call *c)
{
    const int64_t na = ath_desc_last(&c->site->in[0]), nb = ath_desc_last(&c->site->in[1]);
    const T *dy = (const T *)c->dout[0];
    const cut<T> da = {dy, na, na + nb, 0}, db = {dy, nb, na + nb, na};

    ATH_TRY(pointwise_grad<T>(c, 0, da, unit_of(na, nb)));
    return pointwise_grad<T>(c, 1, db, unit_of(na, nb));
}

} // namespace

const ath_cuda_op ath_cuda_op_concat = {
    {nullptr, by_input<fwd<float>, fwd<bf16>>, nullptr, EXACT},
    {nullptr, by_input<bwd<float>, bwd<bf16>>, nullptr, EXACT},
};
