"""Makes models.safetensors: what diffusers and transformers compute with tiny models, forward and
backward.

    venv/bin/python tests/reference/make_models.py

The models have the shape of Stable Diffusion 1.5's in small (ath_model_tiny). Names are

    weight/<part>/<key>    parameters, <part> as in a diffusers folder, <key> as published
    <case>/in/<name>       inputs; activations are channels last
    <case>/din/<name>      the gradient of the loss for an input
    <case>/out             what the network answers
    <case>/target, <case>/row_weight, <case>/loss
                           loss = mean over rows of row_weight * mean((out - target)^2)
    <case>/dw/<key>        the gradient for a parameter: SAMPLES elements at most, chosen by `sample`,
                           then the L2 norm of all of it
    <case>/skip            clip skip of a text case

Weights and inputs lie on the bf16 grid, so that f32 and bf16 runs begin from the same numbers; norms'
and biases' parameters are f32. torch computes in double and the result is rounded to f32, so that
a bound on the difference is a bound on our error alone. diffusers computes the angles of its time
embedding in f32 even then; here they are in double.

The same packages give the same bytes.
"""

import math
import platform
import zlib
from pathlib import Path

import diffusers
import numpy
import safetensors
import torch
import transformers
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

f32, f64, bf16 = torch.float32, torch.float64, torch.bfloat16
SAMPLES = 512

fixtures = {}


def random(name, *shape):
    """Normal numbers that depend on nothing but their name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(shape, generator=generator, dtype=f32)


def put(name, tensor):
    assert name not in fixtures, name
    fixtures[name] = tensor.detach().contiguous().clone()


def sample(gradient):
    """Elements spread evenly but over all columns: a power of two would see one tap of a kernel."""
    flat = gradient.detach().flatten().double()
    n, norm = flat.numel(), flat.norm().reshape(1)
    if n > SAMPLES:
        index = torch.arange(SAMPLES, dtype=torch.int64) * 2654435761 % 2**32 * n // 2**32
        flat = flat[index]
    return torch.cat([flat, norm]).to(f32)


# --- models --------------------------------------------------------------------------------------


def tiny():
    """The three parts of ath_model_tiny."""
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(32, 64),
        layers_per_block=1, cross_attention_dim=32, attention_head_dim=4, norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, block_out_channels=(16, 32), layers_per_block=1,
        latent_channels=4, norm_num_groups=8, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=1000, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=77, hidden_act="quick_gelu",
        bos_token_id=998, eos_token_id=999, pad_token_id=999))
    return {"unet": unet, "vae": vae, "text_encoder": text}


def published(part, key):
    """transformers 5 leaves out the prefix that every published file has."""
    prefix = "text_model."
    return key if part != "text_encoder" or key.startswith(prefix) else prefix + key


def spread(key, shape):
    """As torch's default has it, but that attention chooses and no gradient dies."""
    if "embedding.weight" in key:
        return 0.5
    gain = 1.0 if any(name in key for name in ("to_q", "to_k", "q_proj", "k_proj")) else 0.6
    return gain / math.sqrt(math.prod(shape[1:]))


@torch.no_grad()
def fill(part, model, dtype):
    """Seeded parameters, on the grid that is stored; gives the model in `dtype`."""
    for key, tensor in model.named_parameters():
        key = published(part, key)
        value = random(f"{part}/{key}", *tensor.shape)
        if tensor.dim() > 1:
            value = (spread(key, tensor.shape) * value).to(bf16)
        else:
            value = 0.1 * value + (1.0 if "norm" in key and key.endswith("weight") else 0.0)
        put(f"weight/{part}/{key}", value)
        tensor.copy_(value.float())
    return model.to(dtype).eval().requires_grad_(True)


class TimeAngles(torch.nn.Module):
    """The U-Net's time_proj in double."""

    def __init__(self, width):
        super().__init__()
        self.half = width // 2

    def forward(self, t):
        exponent = -math.log(10000) * torch.arange(self.half, dtype=f64) / self.half
        angle = t.double()[:, None] * exponent.exp()[None, :]
        return torch.cat([angle.cos(), angle.sin()], dim=-1)


# --- networks as we call them: channels last -----------------------------------------------------


def first(x):
    return x.permute(0, 3, 1, 2)


def last(x):
    return x.permute(0, 2, 3, 1)


def run_unet(model, x, t, context):
    return last(model(first(x), t, encoder_hidden_states=context).sample)


def run_encoder(model, picture):
    return last(model._encode(first(picture)))


def run_decoder(model, latent):
    return last(model._decode(first(latent), return_dict=False)[0])


def run_text(model, ids, skip):
    answer = model(input_ids=ids.long(), output_hidden_states=True)
    norm = getattr(model, "text_model", model).final_layer_norm
    states = norm(answer.hidden_states[-skip])
    if skip == 1:
        assert torch.equal(states, answer.last_hidden_state)
    return states


def differentiate(part, model, run, inputs, target, weight):
    """The answer, the loss, the gradients of inputs and of parameters, under the dtype of `model`."""
    dtype = next(model.parameters()).dtype
    given = {key: v.to(dtype) if v.is_floating_point() else v for key, v in inputs.items()}
    wanted = {key: v.requires_grad_() for key, v in given.items() if v.dtype == dtype and key != "t"}
    model.zero_grad()
    out = run(model, **given)
    wide = torch.promote_types(dtype, f32)
    square = (out.to(wide) - target.to(wide)).square()
    loss = (weight.to(wide) * square.flatten(1).mean(1)).mean()
    loss.backward()
    parameters = {published(part, key): p.grad for key, p in model.named_parameters()}
    return (out.detach(), loss.detach(), {key: v.grad for key, v in wanted.items()},
            {key: grad for key, grad in parameters.items() if grad is not None})


@torch.no_grad()
def answer_only(part, model, run, inputs, target, weight):
    dtype = next(model.parameters()).dtype
    given = {key: v.to(dtype) if v.is_floating_point() else v for key, v in inputs.items()}
    return run(model, **given), None, {}, {}


def case(name, part, model, run, inputs, shape, gradient=True):
    """Records inputs, answer and gradients of one network on one size; `shape` of the answer."""
    inputs = {key: v if key in ("t", "ids") else v.to(bf16) for key, v in inputs.items()}
    target, weight = random(f"{name}/target", *shape), 0.5 + torch.arange(shape[0], dtype=f32)
    for key, value in inputs.items():
        put(f"{name}/in/{key}", value)
    compute = differentiate if gradient else answer_only
    out, loss, input_grads, parameter_grads = compute(part, model, run, inputs, target, weight)
    assert out.shape == shape, (out.shape, shape)
    put(f"{name}/out", out.to(f32))
    if not gradient:
        return
    put(f"{name}/target", target)
    put(f"{name}/row_weight", weight)
    put(f"{name}/loss", loss.to(f32))
    for key, grad in input_grads.items():
        put(f"{name}/din/{key}", grad.to(f32))
    for key, grad in parameter_grads.items():
        put(f"{name}/dw/{key}", sample(grad))


def unet_case(name, model, batch, height, width, tokens, **opts):
    shape, context = (batch, height, width, 4), model.config.cross_attention_dim
    case(f"unet.{name}", "unet", model, run_unet,
         dict(x=random(f"{name}/x", *shape), t=torch.tensor([981.0, 37.25, 250.5])[:batch],
              context=random(f"{name}/context", batch, tokens, context)), shape, **opts)


def vae_cases(name, model, batch, height, width, **opts):
    factor = 2 ** (len(model.config.block_out_channels) - 1)
    h, w = height // factor, width // factor
    case(f"vae_encode.{name}", "vae", model, run_encoder,
         dict(picture=random(f"{name}/picture", batch, height, width, 3)), (batch, h, w, 8), **opts)
    case(f"vae_decode.{name}", "vae", model, run_decoder,
         dict(latent=random(f"{name}/latent", batch, h, w, 4)), (batch, h * factor, w * factor, 3),
         **opts)


def text_case(name, model, batch, tokens, skip):
    vocab, width = model.config.vocab_size, model.config.hidden_size
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    ids = torch.randint(0, vocab - 2, (batch, tokens), generator=generator, dtype=torch.int32)
    ids[:, 0] = vocab - 2
    ids[:, tokens // 2 :] = vocab - 1  # the end of the text, and padding
    put(f"text.{name}/skip", torch.tensor(skip, dtype=torch.int32))
    case(f"text.{name}", "text_encoder", model, lambda model, ids: run_text(model, ids, skip),
         dict(ids=ids), (batch, tokens, width))


# --- the file ------------------------------------------------------------------------------------


def save(path):
    # one key: the library writes several in an order that changes from run to run
    packages = dict(torch=torch, diffusers=diffusers, transformers=transformers, numpy=numpy,
                    safetensors=safetensors)
    versions = [f"{name} {p.__version__.split('+')[0]}" for name, p in packages.items()]
    versions = ", ".join([f"python {platform.python_version()}", *versions])
    save_file(fixtures, path, metadata={"made_with": versions})
    print(f"{path}: {len(fixtures)} tensors, {Path(path).stat().st_size} bytes; {versions}")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    model = {part: fill(part, m, f64) for part, m in tiny().items()}
    model["unet"].time_proj = TimeAngles(32)
    unet_case("even", model["unet"], 2, 8, 8, 77)
    unet_case("odd", model["unet"], 1, 9, 7, 13)
    vae_cases("even", model["vae"], 2, 16, 12)
    vae_cases("odd", model["vae"], 1, 19, 15)
    text_case("last", model["text_encoder"], 2, 77, 1)
    text_case("skip", model["text_encoder"], 2, 20, 2)
    save(Path(__file__).with_name("models.safetensors"))


if __name__ == "__main__":
    main()
