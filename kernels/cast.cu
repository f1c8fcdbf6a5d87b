#include "kernels/pointwise.cuh"

struct f16 {
    uint16_t bits;
};

static __device__ inline float to_f32(f16 x)
{
#if defined(__CUDA_ARCH__)
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
#else
    return ath_f32_from_f16(x.bits);
#endif
}

template <> __device__ inline f16 from_f32<f16>(float x)
{
    f16 y;
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
#else
    y.bits = ath_f16_from_f32(x);
#endif
    return y;
}

namespace
{

/* From one array of n to another; what is added to is what was there. */
struct conversion {
    const void *from;
    void *to;
    ath_dtype from_dtype, to_dtype;
    int64_t n;
    bool add;
};

template <class X, class Y> ath_err run_of(const ath_call *c, const conversion *v)
{
    const of_one<itself, X> f = {(const X *)v->from};
    return pointwise(c, f, (Y *)v->to, v->n, v->add);
}

template <class X> ath_err run_from(const ath_call *c, const conversion *v)
{
    if (v->to_dtype == ATH_BF16) return run_of<X, bf16>(c, v);
    if (v->to_dtype == ATH_F16) return run_of<X, f16>(c, v);
    return run_of<X, float>(c, v);
}

ath_err run(const ath_call *c, const conversion *v)
{
    if (v->from_dtype == ATH_BF16) return run_from<bf16>(c, v);
    if (v->from_dtype == ATH_F16) return run_from<f16>(c, v);
    return run_from<float>(c, v);
}

ath_err bind(const ath_site *site, ath_bound *)
{
    ATH_NEED(site->in[0].dtype != ATH_F64 && site->out[0].dtype != ATH_F64, ATH_ENOTSUP,
             "cast: f64 on a GPU");
    return ATH_OK;
}

ath_err fwd(const ath_call *c)
{
    const ath_desc *x = &c->site->in[0];
    const conversion v = {c->in[0],          c->out[0], x->dtype, c->site->out[0].dtype,
                          ath_desc_count(x), false};
    return run(c, &v);
}

ath_err bwd(const ath_call *c)
{
    const ath_desc *dx = &c->site->din[0];
    const conversion v = {c->dout[0], c->din[0],          c->site->out[0].dtype,
                          dx->dtype,  ath_desc_count(dx), (c->site->add & 1) != 0};
    return c->din[0] ? run(c, &v) : ATH_OK;
}

} // namespace

const ath_cuda_op ath_cuda_op_cast = {
    {bind, fwd, nullptr, EXACT},
    {bind, bwd, nullptr, EXACT},
};
