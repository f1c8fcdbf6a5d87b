"""Makes lora_keys.txt and adapter.safetensors: what published packages make of a LoRA of ours.

    build/tests/adapter/test_adapter tests/reference tests/reference/lora_tiny.safetensors
    venv/bin/python tests/reference/make_adapter.py

lora_keys.txt: keys and shapes of a LoRA of rank 4 for Stable Diffusion 1.5 in the order of the file,
from the modules that diffusers and transformers make (linears and convolutions within the
Transformer2DModels, CLIPAttentions and CLIPMLPs).

adapter.safetensors: the tiny model of models.safetensors with lora_tiny.safetensors loaded by
load_lora_weights, at weight 0.8: text states and a picture, as make_samples.py draws them.

    ids, states            one chunk of a caption, what the text encoder makes of it
    noise, negative, prompt, latent, rgb    as in samples.safetensors, DDIM, 20 steps, guidance 7.5
"""

from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

import make_models
from make_models import f32, f64, put, random, save, tiny
from make_samples import SD15, draw
from safetensors.torch import load_file

here = Path(__file__).parent
RANK = 4


def layers(model, classes):
    for name, block in model.named_modules():
        if type(block).__name__ not in classes:
            continue
        for inner, m in block.named_modules():
            if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d)):
                yield f"{name}.{inner}", m.weight.shape


def keys():
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)
        text = CLIPTextModel(CLIPTextConfig(vocab_size=49408, hidden_size=768, num_hidden_layers=12,
                                            num_attention_heads=12, intermediate_size=3072))
    rows = {}
    for prefix, model, classes in (("unet", unet, ["Transformer2DModel"]),
                                   ("te", text, ["CLIPAttention", "CLIPMLP"])):
        for name, shape in layers(model, classes):
            if prefix == "te" and not name.startswith("text_model."):
                name = f"text_model.{name}"
            module, ones = f"lora_{prefix}_{name}".replace(".", "_"), [1] * (len(shape) - 2)
            rows[f"{module}.alpha"] = []
            rows[f"{module}.lora_down.weight"] = [RANK, shape[1], *ones]
            rows[f"{module}.lora_up.weight"] = [shape[0], RANK, *ones]
    lines = [" ".join(map(str, [key, *rows[key]])) for key in sorted(rows)]
    (here / "lora_keys.txt").write_text("\n".join(lines) + "\n")
    print(f"lora_keys.txt: {len(lines)} keys")


def load():
    weights, models = load_file(here / "models.safetensors"), tiny()
    for part, model in models.items():
        prefix = f"weight/{part}/"
        state = {k[len(prefix):]: v.float() for k, v in weights.items() if k.startswith(prefix)}
        if part == "text_encoder" and not next(iter(model.state_dict())).startswith("text_model."):
            state = {k.removeprefix("text_model."): v for k, v in state.items()}
        model.load_state_dict(state, strict=part != "text_encoder")
        model.eval()
    pipe = StableDiffusionPipeline(**models, tokenizer=None, scheduler=DDIMScheduler(**SD15),
                                   safety_checker=None, feature_extractor=None,
                                   requires_safety_checker=False)
    pipe.load_lora_weights(here, weight_name="lora_tiny.safetensors", adapter_name="own")
    pipe.set_adapters(["own"], [0.8])
    n = [sum("lora_A" in k for k, _ in m.named_parameters()) for m in (pipe.unet, pipe.text_encoder)]
    print(f"loaded at {n[0]} modules of the U-Net and {n[1]} of the text encoder")
    for m in (pipe.unet, pipe.vae, pipe.text_encoder):
        m.to(f64)
    pipe.unet.time_proj = make_models.TimeAngles(32)
    return pipe


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    keys()
    pipe = load()
    ids = torch.full((1, 77), 999)
    ids[0, :5] = torch.tensor([998, 320, 12, 700, 45])
    states = pipe.text_encoder(input_ids=ids).last_hidden_state
    put("ids", ids[0].to(torch.int32))
    put("states", states[0].to(f32))
    noise, context = random("adapter.noise", 1, 4, 12, 16), random("adapter.states", 2, 77, 32)
    context[1] = states[0].to(f32)
    put("noise", noise[0].permute(1, 2, 0))
    put("negative", context[0])
    put("prompt", context[1])
    ddim = DDIMScheduler(**SD15, set_alpha_to_one=False, clip_sample=False)
    latent, rgb = draw(pipe.unet, pipe.vae, ddim, noise, context.double())
    plain, without = pipe.unet, None
    pipe.disable_lora()
    without, _ = draw(plain, pipe.vae, ddim, noise, context.double())
    change = ((latent - without).norm() / without.norm()).item()
    print(f"the LoRA moves the latent by {change:.3f} of its length, deviation {latent.std():.2f}")
    put("latent", latent[0].permute(1, 2, 0))
    put("rgb", rgb[0].permute(1, 2, 0))
    save(here / "adapter.safetensors")


if __name__ == "__main__":
    main()
