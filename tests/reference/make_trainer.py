"""Makes trainer.safetensors: training runs of the tiny model by PyTorch, diffusers, transformers and
peft, for tests/train/test_trainer.c.

    venv/bin/python tests/reference/make_trainer.py

The base is that of models.safetensors. Latents, noise, times and tokens come from `mix`, a hash of two
numbers that the test computes too; the adapters' first values from Philox by seed and name, as
worker/model/init.h says. Of a case there are

    <case>/rates    [steps, 2]  of the U-Net and of the text encoder
    <case>/losses   [steps, 4]  mean square of each sample, without weight
    <case>/norms    [steps]     of the gradient before clipping
    <case>/final/<parameter>    an adapter's parameters after the last step
    <case>/moved/<parameter>    [9] where whole networks train: how far it moved from the base, as 8
                                sums with random signs, and the norm of its last value
    <case>/torch_f32 [3]        how far torch's own f32 is from that: worst loss, final parameters,
                                what they moved; relative

torch computes in double and the result is stored rounded, so that a bound on the difference is a bound
on our error alone. The same packages give the same bytes.
"""

import math
import platform
from pathlib import Path

import diffusers
import numpy as np
import peft
import safetensors
import torch
import transformers
import xxhash
from diffusers import DDPMScheduler
from diffusers.optimization import get_scheduler
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file, save_file

from make_models import TimeAngles, published, run_unet, tiny

HERE = Path(__file__).parent
POSITIONS, RANK, ALPHA, SEED = 77, 4, 2, 0x1234567800C0FFEE
RATES, WEIGHTS = (2e-3, 1e-3), (1.0, 0.7)  # of U-Net and text encoder; of pictures and their prior
LEAVES = ((8, 8, 2), (8, 12, 1), (12, 8, 1))  # height, width, samples
N_SAMPLES, N_PROJECTIONS = 4, 8

fixtures = {}


def mix(stream, n):
    """Words 0 .. n-1 of a stream."""
    with np.errstate(over="ignore"):
        x = np.arange(n, dtype=np.uint32) + np.uint32(stream) * np.uint32(0x9E3779B9)
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
        return x ^ (x >> np.uint32(16))


def spread(stream, n):
    """Of variance 1, evenly spread."""
    unit = (mix(stream, n) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
    return (unit - np.float32(0.5)) * np.float32(3.5)


def philox(seed, kind, name, n):
    """The first n words of a draw."""
    mask = np.uint64(0xFFFFFFFF)
    c = [np.arange((n + 3) // 4, dtype=np.uint64)] + [
        np.full((n + 3) // 4, x, np.uint64) for x in (kind, name & 0xFFFFFFFF, name >> 32)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & mask,
             (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, 1).reshape(-1)[:n]


def first_values(name, shape):
    """lora_down: uniform within 1 / sqrt(inputs)."""
    n, bound = math.prod(shape), np.float32(1 / math.sqrt(math.prod(shape[1:])))
    hashed = xxhash.xxh3_128_intdigest(name.encode()) & (2**64 - 1)
    unit = (philox(SEED, 0x696E6974, hashed, n) >> np.uint64(8)).astype(np.float32) * np.float32(2**-24)
    return torch.from_numpy(bound * (2 * unit - 1)).reshape(shape)


# --- networks ------------------------------------------------------------------------------------


def base(dtype):
    stored = load_file(HERE / "models.safetensors")
    parts = {part: model.to(dtype).eval() for part, model in tiny().items() if part != "vae"}
    with torch.no_grad():
        for part, model in parts.items():
            for key, tensor in model.named_parameters():
                tensor.copy_(stored[f"weight/{part}/{published(part, key)}"].to(dtype))
    parts["unet"].time_proj = TimeAngles(32) if dtype == torch.float64 else parts["unet"].time_proj
    return parts


def add_adapters(parts):
    """Those of the layers that kohya's LoRA has. Gives the trainable parameters under our names."""
    targets = {"unet": r".*\.attentions\..*(to_[qkv]|to_out\.0|proj|net\.2|proj_in|proj_out)",
               "text_encoder": r".*(q_proj|k_proj|v_proj|out_proj|fc1|fc2)"}
    rows = {}
    for part, model in parts.items():
        model.requires_grad_(False)
        config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets[part])
        inject_adapter_in_model(config, model)
        for key, tensor in model.named_parameters():
            if "lora_" not in key:
                continue
            key = key.replace("lora_A.default", "lora.lora_down").replace("lora_B.default", "lora.lora_up")
            rows[published(part, key)] = tensor
    with torch.no_grad():
        for name, tensor in rows.items():
            down = "lora_down" in name
            tensor.copy_(first_values(name, tensor.shape) if down else torch.zeros_like(tensor))
    return rows


def encode(model, ids, skip):
    """ids [n, chunks, positions] -> the U-Net's context."""
    n, chunks, positions = ids.shape
    answer = model(input_ids=ids.reshape(-1, positions), output_hidden_states=True)
    norm = getattr(model, "text_model", model).final_layer_norm
    states = norm(answer.hidden_states[-skip])
    if chunks == 1:
        return states
    states = states.reshape(n, chunks, positions, -1)
    inner = states[:, :, 1:-1].flatten(1, 2)
    return torch.cat([states[:, 0, :1], inner, states[:, -1, -1:]], 1)


# --- data ----------------------------------------------------------------------------------------


def tokens(sample, chunks):
    rows = []
    for chunk in range(chunks):
        words = mix(5000 + sample * 4 + chunk, POSITIONS)
        length = 5 + int(words[0] % 60)
        row = (words % 998).astype(np.int64)
        row[0], row[length:] = 998, 999
        rows.append(row)
    return np.stack(rows)


def leaf(scheduler, step, first, shape, chunks):
    """Noisy latents, noise, times and tokens of some samples of a step; channels last."""
    height, width, n = shape
    x, noise, times, ids = [], [], [], []
    for k in range(first, first + n):
        sample = step % 2 * N_SAMPLES + k
        picture = spread(1000 + sample, height * width * 4).reshape(height, width, 4)
        noise.append(spread(2000000 + step * 16 + k, height * width * 4).reshape(height, width, 4))
        times.append(int(mix(3000000 + step * 16 + k, 1)[0] % 1000))
        ids.append(tokens(sample, chunks))
        x.append(scheduler.add_noise(torch.from_numpy(picture), torch.from_numpy(noise[-1]),
                                     torch.tensor([times[-1]])))
    return (torch.stack(x), torch.from_numpy(np.stack(noise)), torch.tensor(times),
            torch.from_numpy(np.stack(ids)))


# --- training ------------------------------------------------------------------------------------


def optimizer_of(rows, steps, warmup):
    group = [[p for name, p in rows.items() if name.startswith("text_model.") == is_text]
             for is_text in (False, True)]
    optimizer = torch.optim.AdamW(
        [dict(params=g, lr=rate) for g, rate in zip(group, RATES)], betas=(0.9, 0.999), eps=1e-8,
        weight_decay=0.01)
    schedule = get_scheduler("cosine", optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    return optimizer, schedule


def train(dtype, lora, steps, max_norm, chunks=1, skip=1):
    parts = base(dtype)
    rows = add_adapters(parts) if lora else {
        published(part, key): p for part, model in parts.items() for key, p in model.named_parameters()}
    optimizer, schedule = optimizer_of(rows, steps, steps // 10)
    before = {name: p.detach().clone() for name, p in rows.items()}
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    rates, losses, norms = [], [], []
    for step in range(steps):
        optimizer.zero_grad()
        first, squares = 0, []
        for shape in LEAVES:
            x, noise, times, ids = leaf(scheduler, step, first, shape, chunks)
            states = encode(parts["text_encoder"], ids, skip)
            answer = run_unet(parts["unet"], x.to(dtype), times, states)
            square = (answer - noise.to(dtype)).square().flatten(1).mean(1)
            weight = torch.tensor([WEIGHTS[k % 2] for k in range(first, first + len(square))], dtype=dtype)
            ((weight * square).sum() / N_SAMPLES).backward()
            first += len(square)
            squares += square.tolist()
        rates.append([g["lr"] for g in optimizer.param_groups])
        norms.append(torch.nn.utils.clip_grad_norm_(rows.values(), max_norm).item())
        losses.append(squares)
        optimizer.step()
        schedule.step()
    # layers that clip skip leaves out have no gradient
    rows = {name: p for name, p in rows.items() if p.grad is not None}
    with torch.no_grad():
        return (torch.tensor(rates, dtype=torch.float64), torch.tensor(losses, dtype=torch.float64),
                torch.tensor(norms, dtype=torch.float64),
                {name: p.double() for name, p in rows.items()},
                {name: (p - before[name]).double() for name, p in rows.items()})


def relative(got, want):
    top = sum((got[k] - want[k]).square().sum().item() for k in want)
    return math.sqrt(top / sum(x.square().sum().item() for x in want.values()))


def projections(name, moved, last):
    stream = int(xxhash.xxh3_128_intdigest(name.encode()) & 0xFFFF)
    flat = moved.flatten().numpy()
    signs = [1 - 2.0 * (mix(stream * 8 + k, len(flat)) >> np.uint32(31)) for k in range(N_PROJECTIONS)]
    return torch.tensor([float(s @ flat) for s in signs] + [last.norm().item()], dtype=torch.float32)


def case(name, lora, *args, **opts):
    rates, losses, norms, final, moved = train(torch.float64, lora, *args, **opts)
    _, losses32, _, final32, moved32 = train(torch.float32, lora, *args, **opts)
    own = [((losses32 - losses).abs() / losses).max().item(), relative(final32, final),
           relative(moved32, moved)]
    fixtures.update({f"{name}/rates": rates, f"{name}/losses": losses, f"{name}/norms": norms,
                     f"{name}/torch_f32": torch.tensor(own, dtype=torch.float32)})
    for key, value in final.items():
        if lora:
            fixtures[f"{name}/final/{key}"] = value.to(torch.float32).contiguous()
        else:
            fixtures[f"{name}/moved/{key}"] = projections(key, moved[key], value)
    print(f"{name}: loss {losses[0].mean():.4f} .. {losses[-1].mean():.4f}, norm {norms.min():.3g} .. "
          f"{norms.max():.3g}, torch f32 is off by {own}")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    case("lora", True, 100, 0.06)
    case("full", False, 100, 1.0, skip=2)
    case("chunks", True, 5, 0.05, chunks=2)
    packages = dict(torch=torch, diffusers=diffusers, transformers=transformers, peft=peft,
                    numpy=np, safetensors=safetensors)
    versions = [f"{name} {p.__version__.split('+')[0]}" for name, p in packages.items()]
    versions = ", ".join([f"python {platform.python_version()}", *versions, f"xxhash {xxhash.VERSION}"])
    path = HERE / "trainer.safetensors"
    save_file(fixtures, path, metadata={"made_with": versions})
    print(f"{path.name}: {len(fixtures)} tensors, {path.stat().st_size} bytes; {versions}")


if __name__ == "__main__":
    main()
