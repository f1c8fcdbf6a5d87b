"""Makes train.safetensors: the pure numerics of a training step, for tests/train/test_train.c.

    venv/bin/python tests/reference/make_train.py

The noise schedule, its zero-SNR form, noisy latents, velocities, the autoencoder's posterior and the
moving average are diffusers' own. Noise offset and pyramid noise are computed here with torch (its
bilinear interpolation and standard deviation), loss weights by their formulas in double. The random
numbers that they take are Philox4x32-10 written again in numpy, with the names that
worker/train/draws.h gives them. Arrays are channels last. The same packages give the same bytes.
"""

import math
import platform
import zlib
from pathlib import Path

import diffusers
import numpy as np
import safetensors
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.schedulers.scheduling_ddpm import rescale_zero_terminal_snr
from diffusers.training_utils import EMAModel
from safetensors.torch import save_file

TIME, NOISE, OFFSET, OFFSET_STRENGTH, PYRAMID, PYRAMID_RATIO, PERTURB, PERTURB_STRENGTH = range(1, 9)
SEED, EPOCH = 0x123456789, 3
fixtures = {}


def put(name, tensor):
    assert name not in fixtures
    fixtures[name] = torch.as_tensor(tensor).contiguous().clone()


def random(name, *shape):
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def words(kind, sample, places):
    """Four 32-bit words for each place, as uint64."""
    m = np.uint64(0xFFFFFFFF)
    c = [np.asarray(places, np.uint64)] + [np.full(len(places), x, np.uint64) for x in (kind, EPOCH, sample)]
    k0, k1 = SEED & 0xFFFFFFFF, SEED >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & m,
             (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & m]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, 1)


def uniform(kind, sample, place):
    w = words(kind, sample, [place])[0]
    return ((int(w[0]) << 32 | int(w[1])) >> 11) * 2.0**-53


def normals(kind, sample, place, n):
    w = words(kind, sample, place + np.arange((n + 3) // 4)).astype(np.float64)
    out = np.empty((len(w), 4))
    for i in (0, 2):
        radius = np.sqrt(-2 * np.log((w[:, i] + 1) * 2.0**-32))
        angle = w[:, i + 1] * (2 * math.pi / 2**32)
        out[:, i], out[:, i + 1] = radius * np.cos(angle), radius * np.sin(angle)
    return torch.from_numpy(out.reshape(-1)[:n].astype(np.float32))


def make_draws():
    times = []
    for sample in range(200):
        w = words(TIME, sample, [0])[0]
        times.append(20 + ((int(w[0]) << 32 | int(w[1])) * 960 >> 64))
    put("draws/times", torch.tensor(times, dtype=torch.int32))
    put("draws/normals", torch.stack([normals(NOISE, sample, 0, 37) for sample in range(3)]))


def make_schedule():
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    beta = torch.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000, dtype=torch.float64) ** 2
    exact = torch.cumprod(1 - beta, 0)
    put("ddpm/alpha_bar", exact)
    put("ddpm/alpha_bar_f32", scheduler.alphas_cumprod)
    put("ddpm/zero", torch.cumprod(1 - rescale_zero_terminal_snr(beta), 0))
    put("ddpm/zero_f32", torch.cumprod(1 - rescale_zero_terminal_snr(scheduler.betas), 0))
    t = torch.tensor([0, 1, 17, 250, 500, 751, 998, 999])
    x, z = random("x", 8, 3, 5, 4), random("z", 8, 3, 5, 4)
    put("ddpm/t", t.to(torch.int32))
    put("ddpm/x", x)
    put("ddpm/z", z)
    put("ddpm/noisy", scheduler.add_noise(x, z, t))
    put("ddpm/velocity", scheduler.get_velocity(x, z, t))


def make_noise():
    h, w, c = 13, 22, 4
    x0, noise = random("latent", h, w, c) + torch.tensor([0.5, -1.0, 0.0, 2.0]), random("noise", h, w, c)
    put("noise/x0", x0)
    put("noise/white", noise)

    four = normals(OFFSET, 5, 0, 4)
    strength = torch.tensor(0.1 * uniform(OFFSET_STRENGTH, 5, 0))
    put("noise/offset", noise + 0.1 * four)
    put("noise/offset_random", noise + strength * four)
    adaptive = torch.clamp(0.1 - 0.08 * x0.double().mean((0, 1)).abs(), min=0).float()
    put("noise/offset_adaptive", noise + adaptive * four)
    put("noise/perturbed", noise + 0.05 * normals(PERTURB, 5, 0, h * w * c).reshape(h, w, c))
    random_gamma = 0.05 * uniform(PERTURB_STRENGTH, 5, 0)
    put("noise/perturbed_random", noise + random_gamma * normals(PERTURB, 5, 0, h * w * c).reshape(h, w, c))

    sizes = []
    for name, iterations, discount in (("pyramid", 8, 0.3), ("pyramid_two", 2, 0.8)):
        n = noise.permute(2, 0, 1)[None].clone()
        for i in range(iterations):
            ratio = 2 * uniform(PYRAMID_RATIO, 5, i) + 2
            hh, ww = max(1, int(h / ratio**i)), max(1, int(w / ratio**i))
            sizes.append((hh, ww))
            small = normals(PYRAMID, 5, i << 26, hh * ww * c).reshape(hh, ww, c).permute(2, 0, 1)[None]
            n = n + discount**i * F.interpolate(small, size=(h, w), mode="bilinear", align_corners=False)
            if hh == 1 or ww == 1:
                break
        put(f"noise/{name}", (n / n.std())[0].permute(1, 2, 0))
    print("pyramid levels", sizes)


def make_weights():
    """Rows: v, prior, gamma, scale_v_like_noise, v_like, debiased, regularization; weights at t."""
    rows = [
        (0, 1, 0, 0, 0, 0, 0), (0, 0.7, 0, 0, 0, 0, 1), (0, 0.7, 0, 0, 0, 0, 0), (0, 1, 5, 0, 0, 0, 0),
        (1, 1, 5, 0, 0, 0, 0), (0, 1, 0, 0, 0, 1, 0), (1, 1, 0, 0, 0, 1, 0), (1, 1, 0, 1, 0, 0, 0),
        (0, 1, 0, 0, 0.4, 0, 0), (0, 0.5, 1, 0, 0.2, 1, 1), (1, 0.5, 20, 1, 0, 1, 1),
    ]
    times = [0, 1, 20, 100, 250, 500, 999]
    alpha_bar = fixtures["ddpm/alpha_bar"]
    out = []
    for v, prior, gamma, scale, like, debiased, reg in rows:
        for t in times:
            snr = (alpha_bar[t] / (1 - alpha_bar[t])).item()
            s = min(snr, 1000)
            loss = prior if reg else 1.0
            if gamma:
                loss = loss * min(snr, gamma) / (snr + 1 if v else snr)
            if scale:
                loss = loss * (s / (s + 1))
            if like:
                loss = loss + loss / (s / (s + 1)) * like
            if debiased:
                loss = loss * (1 / (s + 1) if v else 1 / math.sqrt(s))
            out.append(loss)
    put("weight/rows", torch.tensor(rows, dtype=torch.float64))
    put("weight/t", torch.tensor(times, dtype=torch.int32))
    put("weight/weight", torch.tensor(out, dtype=torch.float64).reshape(len(rows), len(times)))


def make_ema():
    for name, options in (("plain", {}), ("late", dict(update_after_step=5, min_decay=0.2)),
                          ("warm", dict(use_ema_warmup=True, inv_gamma=1.0, power=2 / 3))):
        value = torch.nn.Parameter(random("ema", 37))
        ema = EMAModel([value], decay=0.95, **options)
        decays, trace, values = [], [], []
        for step in range(100):
            with torch.no_grad():
                value.add_(random(f"ema{step}", 37) * 0.1)
            values.append(value.detach().clone())
            ema.step([value])
            decays.append(ema.cur_decay_value)
            trace.append(ema.shadow_params[0].clone())
        put(f"ema/{name}_decay", torch.tensor(decays, dtype=torch.float64))
        put(f"ema/{name}", torch.stack(trace))
    put("ema/first", random("ema", 37))
    put("ema/values", torch.stack(values))


def make_posterior():
    moments = random("moments", 1, 8, 5, 6)
    moments[0, 4:] *= 20  # some beyond the bounds
    noise = random("posterior", 1, 4, 5, 6)
    moments[0, 4, 0, 0] = 35.0
    moments[0, 5, 0, 0] = -50.0
    posterior = DiagonalGaussianDistribution(moments)
    put("posterior/moments", moments[0].permute(1, 2, 0))
    put("posterior/noise", noise[0].permute(1, 2, 0))
    put("posterior/sample", (posterior.mean + posterior.std * noise)[0].permute(1, 2, 0))


torch.set_num_threads(1)
make_draws()
make_schedule()
make_noise()
make_weights()
make_ema()
make_posterior()
path = Path(__file__).with_name("train.safetensors")
versions = ", ".join(f"{m.__name__} {m.__version__}" for m in (torch, diffusers, np, safetensors))
save_file(fixtures, path, metadata={"made_with": f"{versions}, Python {platform.python_version()}"})
print(f"{path.name}: {len(fixtures)} tensors, {path.stat().st_size} bytes")
