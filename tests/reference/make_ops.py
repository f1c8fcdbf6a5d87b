"""Makes ops.safetensors: what PyTorch computes for every op, forward and backward, on small shapes.

    python -m venv venv
    venv/bin/pip install -r tests/reference/requirements.txt
    venv/bin/python tests/reference/make_ops.py

Layouts and formulas follow the contracts in kernels/<op>.h (channels last, weights as stored in
checkpoints). Names are <op>/<case>/<what>, where <what> is

    in0 in1 ..         operands; an optional one that is left out is absent
    out0, saved0 ..    results; what forward keeps for backward
    dout0, din0 ..     the gradient given, the gradients that autograd answers
    attr.<k>.<field>   attribute k of the C struct, four bytes; a dtype is spelled out

f32 cases: operands are f32, torch computes in double and the result is rounded to f32, so that a
bound on the difference is a bound on our error alone; torch's own f32 must agree within 1e-5.
bf16 cases: operands lie on the bf16 grid, torch computes in bf16 (statistics, losses and time
embeddings in f32 or more, as contracts promise), but where torch's own bf16 misses the bound. adamw has names of its own: see there.

The same packages give the same bytes.
"""

import math
import platform
import zlib
from pathlib import Path

import numpy
import safetensors
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

f32, f64, bf16, f16 = torch.float32, torch.float64, torch.bfloat16, torch.float16
DTYPE_NAMES = {f32: "f32", f64: "f64", bf16: "bf16", f16: "f16"}

fixtures = {}


def random(name, *shape, dtype=f32):
    """Normal numbers that depend on nothing but their name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(shape, generator=generator, dtype=f64).to(dtype)


def put(name, tensor):
    assert name not in fixtures, name
    fixtures[name] = tensor.detach().contiguous().clone()


def put_attrs(prefix, attrs):
    for k, (field, value) in enumerate(attrs.items()):
        if value in DTYPE_NAMES:
            tensor = torch.tensor(list(DTYPE_NAMES[value].encode()), dtype=torch.uint8)
        else:
            tensor = torch.tensor(value, dtype=f32 if isinstance(value, float) else torch.int32)
        put(f"{prefix}/attr.{k}.{field}", tensor)


def distance(a, b):
    a, b = a.double(), b.double()
    return ((a - b).norm() / b.norm().clamp_min(1e-30)).item()


def differentiate(fn, ins, dout, no_grad):
    """Results of fn and the gradients of the operands that have one."""
    floating = [i for i, x in enumerate(ins) if x is not None and x.is_floating_point()]
    wanted = [i for i in floating if i not in no_grad] if dout is not None else []
    leaves = [x.clone().requires_grad_(i in wanted) if i in floating else x for i, x in enumerate(ins)]
    results = fn(*leaves)
    out, *saved = results if isinstance(results, tuple) else (results,)
    grads = torch.autograd.grad(out, [leaves[i] for i in wanted], dout) if wanted else []
    return out, saved, dict(zip(wanted, grads))


def case(op, name, fn, ins, attrs=None, out_dtype=None, no_grad=(), grad=True, f32_bound=1e-5,
         in_double=False):
    """Records one call of fn. `ins` are in the dtypes of the contract, None where left out. With
    in_double, torch computes bf16 operands in double too, and only results are rounded."""
    prefix = f"{op}/{name}"
    ins = [x.detach() if x is not None else None for x in ins]
    is_f32 = all(x is None or x.dtype not in (bf16, f16) for x in ins)
    shape = fn(*ins)
    shape = shape[0].shape if isinstance(shape, tuple) else shape.shape
    out_dtype = out_dtype or ins[0].dtype
    dout = random(f"{prefix}/dout0", *shape, dtype=out_dtype) if grad else None

    def run(dtype):
        as_dtype = [x.to(dtype) if x is not None and x.is_floating_point() else x for x in ins]
        return differentiate(fn, as_dtype, dout.to(dtype) if grad else None, no_grad)

    exact = is_f32 or in_double
    out, saved, grads = run(f64) if exact else differentiate(fn, ins, dout, no_grad)
    if is_f32 and op != "norm2":
        out32, saved32, grads32 = run(f32)
        pairs = [(out32, out), *zip(saved32, saved), *((grads32[i], grads[i]) for i in grads)]
        worst = max(distance(a, b) for a, b in pairs)
        assert worst <= f32_bound, f"{prefix}: torch's f32 and f64 are {worst:.2g} apart"

    put_attrs(prefix, attrs or {})
    for i, x in enumerate(ins):
        if x is not None:
            put(f"{prefix}/in{i}", x)
    put(f"{prefix}/out0", out.to(out_dtype))
    for i, x in enumerate(saved):
        put(f"{prefix}/saved{i}", x if x.dtype == bf16 else x.to(f32))
    if grad:
        put(f"{prefix}/dout0", dout)
    for i, x in grads.items():
        put(f"{prefix}/din{i}", x.to(f32) if x.dtype == f64 else x)


def wide(x):
    return x if x.dtype == f64 else x.float()


class Operands:
    """Named random operands of one case: act() in its dtype, full() always f32, on the bf16 grid
    in bf16 cases, so that torch, which wants one dtype, loses nothing."""

    def __init__(self, op, name, dtype):
        self.prefix, self.dtype, self.n = f"{op}/{name}", dtype, 0

    def act(self, *shape, gain=1.0, offset=0.0):
        self.n += 1
        return (gain * random(f"{self.prefix}/{self.n}", *shape) + offset).to(self.dtype)

    def full(self, *shape, gain=1.0, offset=0.0):
        return self.act(*shape, gain=gain, offset=offset).float()


def both(op, name):
    """The two dtypes of a case: name with suffix, operands."""
    for dtype in (f32, bf16):
        full_name = f"{name}_{DTYPE_NAMES[dtype]}"
        yield full_name, Operands(op, full_name, dtype)


# --- products ---------------------------------------------------------------------------------


def conv2d():
    def add(name, x, weight, bias=True, stride=1, top=1, left=1, bottom=1, right=1):
        def fn(x, weight, bias):
            image = F.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom))
            bias = None if bias is None else bias.to(x.dtype)
            return F.conv2d(image, weight, bias, stride).permute(0, 2, 3, 1)

        attrs = dict(stride=stride, top=top, left=left, bottom=bottom, right=right)
        for full_name, o in both("conv2d", name):
            ins = [o.act(*x), o.act(*weight, gain=0.2), o.full(weight[0]) if bias else None]
            case("conv2d", full_name, fn, ins, attrs)

    none = dict(top=0, left=0, bottom=0, right=0)
    add("3x3", (2, 5, 6, 8), (12, 8, 3, 3))
    add("from_latent", (1, 8, 8, 4), (20, 4, 3, 3))
    add("to_latent", (1, 6, 6, 32), (4, 32, 3, 3))
    add("down", (2, 6, 7, 8), (6, 8, 3, 3), stride=2)
    add("down_vae", (1, 6, 8, 5), (7, 5, 3, 3), stride=2, top=0, left=0)
    add("1x1", (2, 3, 5, 24), (16, 24, 1, 1), bias=False, **none)
    add("odd", (1, 5, 7, 3), (5, 3, 3, 2), top=2, left=0, bottom=0, right=1)
    add("whole", (3, 3, 3, 2), (1, 2, 3, 3), **none)


def linear():
    def fn(x, weight, bias):
        return F.linear(x, weight, None if bias is None else bias.to(x.dtype))

    def add(name, x, n, bias=True):
        for full_name, o in both("linear", name):
            ins = [o.act(*x), o.act(n, x[-1], gain=0.2), o.full(n) if bias else None]
            case("linear", full_name, fn, ins)

    add("tokens", (2, 7, 24), 40)
    add("no_bias", (2, 5, 33), 17, bias=False)
    add("row", (1, 64), 96)
    add("deep", (3, 320), 8)
    add("column", (4, 13), 1)


def lowrank():
    def add(name, x, rank, n, scale, mask=None):
        def fn(x, down, up, mask):
            t = F.linear(x, down)
            t = t if mask is None else t * mask.to(x.dtype)
            return scale * F.linear(t, up), t.reshape(-1, rank)

        for full_name, o in both("lowrank", name):
            ins = [o.act(*x), o.act(rank, x[-1], gain=0.3), o.act(n, rank, gain=0.3)]
            ins += [None if mask is None else torch.tensor(mask, dtype=f32)]
            case("lowrank", full_name, fn, ins, dict(scale=scale), no_grad=(3,))

    add("rank4", (2, 5, 48), 4, 64, 0.5)
    add("rank1", (3, 20), 1, 24, 1.0)
    add("masked", (2, 4, 24), 8, 32, 0.75, mask=[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    add("more_rank_than_width", (5, 3), 16, 2, 2.0)


def attention():
    def add(name, n, t, s, heads, d, causal=False, scale=None, gain=1.0):
        scale = scale or d**-0.5

        def split(x):
            return x.reshape(x.shape[0], x.shape[1], heads, d).transpose(1, 2)

        def fn(q, k, v):
            o = F.scaled_dot_product_attention(
                split(q), split(k), split(v), is_causal=causal, scale=scale
            )
            scores = scale * (wide(split(q)) @ wide(split(k)).transpose(2, 3))
            if causal:
                hidden = torch.ones(t, s, dtype=torch.bool).triu(1)
                scores = scores.masked_fill(hidden, -math.inf)
            return o.transpose(1, 2).reshape(q.shape), scores.logsumexp(-1)

        attrs = dict(heads=heads, causal=int(causal), scale=scale)
        for full_name, o in both("attention", name):
            ins = [o.act(n, t, heads * d, gain=gain), o.act(n, s, heads * d), o.act(n, s, heads * d)]
            case("attention", full_name, fn, ins, attrs)

    add("d40", 2, 9, 9, 2, 40)
    add("d40_cross", 1, 5, 77, 1, 40)
    add("d40_long", 1, 70, 150, 1, 40)
    add("d64_causal", 1, 7, 7, 3, 64, causal=True)
    add("d8_causal_long", 2, 77, 77, 1, 8, causal=True)
    add("d80", 1, 5, 11, 2, 80)
    add("d160", 1, 6, 6, 1, 160)
    add("d512", 1, 4, 4, 1, 512)
    add("d5_one_key", 2, 3, 1, 2, 5)
    add("d16_sharp", 1, 12, 20, 2, 16, gain=20.0)


# --- normalization and activation ---------------------------------------------------------------


def group_norm():
    def add(name, x, groups, eps, silu, offset=0.0):
        def fn(x, gamma, beta):
            y = F.group_norm(x.movedim(-1, 1), groups, gamma.to(x.dtype), beta.to(x.dtype), eps)
            y = F.silu(y) if silu else y
            cut = wide(x).reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
            rstd = (cut.var((1, 3), correction=0) + eps).rsqrt()
            return y.movedim(1, -1), cut.mean((1, 3)), rstd

        for full_name, o in both("group_norm", name):
            ins = [o.act(*x, offset=offset), o.full(x[-1], gain=0.5, offset=1), o.full(x[-1])]
            attrs = dict(groups=groups, eps=eps, act=int(silu))
            # far from zero torch's backward loses digits by a difference of large sums
            case("group_norm", full_name, fn, ins, attrs, f32_bound=1e-4 if offset else 1e-5,
                 in_double=offset > 0)

    add("silu", (2, 4, 5, 32), 8, 1e-5, True)
    add("plain", (2, 3, 3, 64), 32, 1e-6, False)
    add("tokens", (2, 9, 10), 5, 1e-5, True)
    add("large_eps", (1, 3, 2, 12), 3, 0.1, True)
    add("one_group", (3, 2, 2, 7), 1, 1e-5, False)
    add("far_from_zero", (1, 6, 6, 8), 2, 1e-5, True, offset=16.0)


def layer_norm():
    def add(name, x, eps, offset=0.0):
        def fn(x, gamma, beta):
            y = F.layer_norm(x, x.shape[-1:], gamma.to(x.dtype), beta.to(x.dtype), eps)
            rows = wide(x).reshape(-1, x.shape[-1])
            return y, rows.mean(1), (rows.var(1, correction=0) + eps).rsqrt()

        for full_name, o in both("layer_norm", name):
            ins = [o.act(*x, offset=offset), o.full(x[-1], gain=0.5, offset=1), o.full(x[-1])]
            case("layer_norm", full_name, fn, ins, dict(eps=eps), in_double=offset > 0)

    add("tokens", (2, 5, 48), 1e-5)
    add("odd", (3, 7, 33), 1e-5)
    add("wide", (2, 320), 1e-5)
    add("large_eps", (4, 6), 0.1)
    add("far_from_zero", (3, 40), 1e-5, offset=16.0)


def activations():
    def add(op, name, fn, attrs=None, width=1):
        for full_name, o in both(op, name):
            case(op, full_name, fn, [o.act(3, 5, 7 * width, gain=3)], attrs)

    def quick(x):
        return x * torch.sigmoid(1.702 * x)

    def geglu(x):
        value, gate = x.chunk(2, dim=-1)
        return value * F.gelu(gate)

    add("silu", "any", F.silu)
    add("gelu", "erf", F.gelu, dict(quick=0))
    add("gelu", "quick", quick, dict(quick=1))
    add("geglu", "any", geglu, width=2)
    tails = torch.tensor([-200, -100, -88, -40, -13, -5.5, -1e-6, 0, 1e-6, 5.5, 13, 88, 200], dtype=f32)
    case("silu", "tails", F.silu, [tails])
    case("gelu", "erf_tails", F.gelu, [tails], dict(quick=0))
    case("gelu", "quick_tails", quick, [tails], dict(quick=1))
    case("geglu", "tails", geglu, [torch.cat([torch.ones(13), tails])])


# --- elementwise, layout -------------------------------------------------------------------------


def elementwise():
    def add(op, name, fn, shapes, attrs=None, full=(), no_grad=()):
        for full_name, o in both(op, name):
            ins = [o.full(*s) if i in full else o.act(*s) for i, s in enumerate(shapes)]
            case(op, full_name, fn, ins, attrs, no_grad=no_grad)

    def add_channels(x, v):
        return x + v.reshape(v.shape[0], *[1] * (x.dim() - 2), v.shape[1])

    def mix(x, z, a, b):
        per_image = (-1, *[1] * (x.dim() - 1))
        return a.to(x.dtype).reshape(per_image) * x + b.to(x.dtype).reshape(per_image) * z

    add("add", "any", torch.add, [(2, 3, 5, 7)] * 2)
    add("mul", "any", torch.mul, [(2, 3, 5, 7)] * 2)
    add("add_channels", "image", add_channels, [(3, 4, 5, 10), (3, 10)])
    add("add_channels", "tokens", add_channels, [(2, 9, 17), (2, 17)])
    for offset in (0.0, 1.0):
        scale = lambda x, v: x * (offset + v.to(x.dtype))
        shapes, attrs = [(2, 3, 4, 9), (9,)], dict(offset=offset)
        add("mul_channels", f"offset{offset:.0f}", scale, shapes, attrs, full=(1,))
    add("concat", "image", lambda a, b: torch.cat([a, b], -1), [(2, 3, 3, 5), (2, 3, 3, 8)])
    add("mix", "latents", mix, [(3, 4, 5, 2), (3, 4, 5, 2), (3,), (3,)], full=(2, 3), no_grad=(2, 3))
    add("rows", "middle", lambda x: x[1:3], [(5, 3, 7)], dict(first=1, count=2))
    add("rows", "last", lambda x: x[4:5], [(5, 2, 3, 4)], dict(first=4, count=1))

    def add_rows(x, d):
        return torch.cat([x[:2], x[2:4] + d, x[4:]])

    add("add_rows", "middle", add_rows, [(5, 3, 7), (2, 3, 7)], dict(first=2))


def upsample():
    def add(name, x, height, width):
        def fn(x):
            y = F.interpolate(x.permute(0, 3, 1, 2), size=(height, width), mode="nearest")
            return y.permute(0, 2, 3, 1)

        for full_name, o in both("upsample", name):
            case("upsample", full_name, fn, [o.act(*x)], dict(height=height, width=width))

    add("twice", (2, 3, 4, 5), 6, 8)
    add("to_skip", (1, 5, 4, 3), 9, 7)
    add("thrice_and_more", (1, 3, 5, 2), 9, 24)
    add("same", (2, 2, 3, 3), 2, 3)


def cast():
    values = torch.cat([random("cast", 60), torch.tensor([0.0, 1.00390625, 1.01171875, -6.1e-5, 3e-6])])
    for source, target in [(f32, bf16), (bf16, f32), (f32, f16), (f16, f32), (f32, f32), (bf16, bf16)]:
        name = f"{DTYPE_NAMES[source]}_to_{DTYPE_NAMES[target]}"
        # in double the conversion would not round: computed as it is, without the detour
        fn = lambda x: x.to(f32).to(target) if x.dtype != f64 else x.to(f32).to(target).to(f64)
        case("cast", name, fn, [values.to(source)], dict(dtype=target), out_dtype=target)


def embed():
    ids = torch.tensor([[3, 0, 10, 3, 3, 7, 1], [10, 9, 3, 0, 0, 2, 5]], dtype=torch.int32)
    for table, target in [(f32, f32), (bf16, bf16), (f32, bf16), (bf16, f32)]:

        def fn(ids, token, position):
            full = token.dtype if token.dtype == f64 else f32
            y = F.embedding(ids, token.to(full)) + position[: ids.shape[1]].to(full)
            return y.to(target) if full == f32 else y

        name = f"{DTYPE_NAMES[table]}_to_{DTYPE_NAMES[target]}"
        o = Operands("embed", name, table)
        bound = 1e-5 if target == f32 else 1e-2
        case("embed", name, fn, [ids, o.act(11, 10), o.act(9, 10)], dict(dtype=target),
             out_dtype=target, f32_bound=bound)


def time_embed():
    times = torch.tensor([0, 1, 2, 37, 250.75, 500, 999, 0.125], dtype=f32)
    for width in (2, 8, 320):

        def fn(t):  # diffusers' get_timestep_embedding(flip_sin_to_cos=True, downscale_freq_shift=0)
            half = width // 2
            exponent = -math.log(10000) * torch.arange(half, dtype=wide(t).dtype) / half
            angle = wide(t)[:, None] * exponent.exp()[None, :]
            return torch.cat([angle.cos(), angle.sin()], dim=-1)

        for target in (f32, bf16):
            case("time_embed", f"width{width}_{DTYPE_NAMES[target]}", fn, [times],
                 dict(width=width, dtype=target), out_dtype=target, grad=False, f32_bound=1e-4)


# --- adapters' weights, loss, norm ---------------------------------------------------------------


def weights():
    o = Operands("hadamard", "any", f32)
    for name, rows, columns, rank, scale in [("rank4", 12, 45, 4, 0.5), ("rank1", 7, 9, 1, 2.0)]:
        ins = [o.act(rows, rank), o.act(rank, columns), o.act(rows, rank), o.act(rank, columns)]
        fn = lambda w1a, w1b, w2a, w2b: scale * (w1a @ w1b) * (w2a @ w2b)
        case("hadamard", name, fn, ins, dict(scale=scale))

    o = Operands("kron", "any", f32)
    for name, a, b, scale in [
        ("linear", (3, 5), (4, 6), 0.5),
        ("conv", (2, 3), (4, 5, 3, 3), 1.5),
        ("scalar", (1, 1), (4, 7), 1.0),
    ]:
        fn = lambda a, b: scale * torch.kron(a.reshape(*a.shape, *[1] * (b.dim() - 2)), b)
        case("kron", name, fn, [o.act(*a), o.act(*b)], dict(scale=scale))


def loss():
    def fn(pred, target, weight):
        sample = (wide(pred) - wide(target)).square().flatten(1).mean(1)
        return (weight * sample).mean(), sample

    weight = torch.tensor([0.5, 1.0, 3.25])
    for pred, target in [(f32, f32), (bf16, bf16), (bf16, f32)]:
        name = f"{DTYPE_NAMES[pred]}_against_{DTYPE_NAMES[target]}"
        ins = [random(f"loss/{name}/{i}", 3, 5, 4, 2, dtype=d) for i, d in enumerate((pred, target))]
        case("loss", name, fn, [*ins, weight], out_dtype=f32, no_grad=(1, 2))


def norm2():
    for n in (1, 1000):
        fn = lambda g: g.double().square().sum().reshape(1)
        case("norm2", f"n{n}", fn, [random(f"norm2/{n}", n)], out_dtype=f64, grad=False)


# --- optimizer -----------------------------------------------------------------------------------


def adamw():
    """100 steps over two buckets b = 0, 1 under a changing rate, clipped by their common norm.

        hyper   [steps,4]  f64: rate, decay, 1 - beta1^t, 1 - beta2^t
        g<b>    [steps,n]  gradients before clipping
        p<b>.<t>, m<b>.<t>, v<b>.<t>  after step t; p<b>.0 is the start

    "plain" is torch in f32 with the betas as people write them; the others are in double with betas
    that f32 holds exactly, so that they can be compared closely."""
    steps, keep = 100, (1, 2, 10, 100)
    for name, dtype, betas, decay, max_norm in [
        ("plain", f32, (0.9, 0.999), 0.0, 0.0),
        ("decay", f64, (0.875, 0.9921875), 0.01, 0.0),
        ("clip", f64, (0.875, 0.9921875), 0.1, 1.0),
    ]:
        prefix, eps = f"adamw/{name}", 1e-8
        put_attrs(prefix, dict(rest1=1 - betas[0], rest2=1 - betas[1], eps=eps, max_norm=max_norm))
        starts = [random(f"{prefix}/p{b}", n) for b, n in enumerate((37, 16))]
        # the gradients swell and fade, so that some steps are clipped and some are not
        swell = 0.2 * torch.exp(2 * torch.sin(torch.arange(steps) / 5))
        grads = [random(f"{prefix}/g{b}", steps, p.numel()) * swell[:, None] for b, p in enumerate(starts)]
        params = [torch.nn.Parameter(p.to(dtype)) for p in starts]
        optimizer = torch.optim.AdamW(params, betas=betas, eps=eps, weight_decay=decay, foreach=False)
        rates = [1e-2 * min(1, t / 10) * (1 - t / 200) for t in range(1, steps + 1)]
        hyper = [[rate, decay, 1 - betas[0] ** t, 1 - betas[1] ** t] for t, rate in enumerate(rates, 1)]
        put(f"{prefix}/hyper", torch.tensor(hyper, dtype=f64))
        for b, (p, g) in enumerate(zip(starts, grads)):
            put(f"{prefix}/p{b}.0", p)
            put(f"{prefix}/g{b}", g)
        for t, rate in enumerate(rates, 1):
            for p, g in zip(params, grads):
                p.grad = g[t - 1].to(dtype)
            if max_norm:
                torch.nn.utils.clip_grad_norm_(params, max_norm)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            if t not in keep:
                continue
            for b, p in enumerate(params):
                state = optimizer.state[p]
                put(f"{prefix}/p{b}.{t}", p.to(f32))
                put(f"{prefix}/m{b}.{t}", state["exp_avg"].to(f32))
                put(f"{prefix}/v{b}.{t}", state["exp_avg_sq"].to(f32))


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for make in (conv2d, linear, lowrank, attention, group_norm, layer_norm, activations, elementwise,
                 upsample, cast, embed, time_embed, weights, loss, norm2, adamw):
        make()
    # one key: the library writes several in an order that changes from run to run
    versions = (f"python {platform.python_version()}, torch {torch.__version__.split('+')[0]}, "
                f"numpy {numpy.__version__}, safetensors {safetensors.__version__}")
    path = Path(__file__).with_name("ops.safetensors")
    save_file(fixtures, path, metadata={"made_with": versions})
    print(f"{path}: {len(fixtures)} tensors, {path.stat().st_size} bytes; {versions}")


if __name__ == "__main__":
    main()
