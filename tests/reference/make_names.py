#!/usr/bin/env python3
"""names_*.txt: every key of a single file beside its diffusers key, with both shapes.

The LDM keys are made by walking the modules as the LDM model class nests them; diffusers' own
converter turns them into diffusers keys, and its model classes say whether those are all there is.
Line 1 is the spec; then: part, LDM key, its shape, diffusers key, its shape.   make_names.py FOLDER
"""
import json
import sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from transformers import CLIPTextConfig, CLIPTextModel

SPECS = {
    "sd15": {
        "text": dict(vocab=49408, positions=77, width=768, inner=3072, layers=12, heads=12),
        "unet": dict(in_channels=4, out_channels=4, width=[320, 640, 1280, 1280],
                     has_attention=[True, True, True, False], blocks=2, heads=8, groups=32,
                     context_width=768),
        "vae": dict(width=[128, 256, 512, 512], blocks=2, groups=32, channels=3, latents=4,
                    scale=0.18215),
    },
    "odd": {
        "text": dict(vocab=600, positions=20, width=24, inner=40, layers=3, heads=2),
        "unet": dict(in_channels=3, out_channels=3, width=[16, 32, 32],
                     has_attention=[False, True, True], blocks=3, heads=2, groups=8,
                     context_width=24),
        "vae": dict(width=[8, 16, 24], blocks=1, groups=8, channels=3, latents=3, scale=0.5),
    },
}


def leaf(name, *members):
    return [f"{name}.{m}.{k}" for m in members for k in ("weight", "bias")]


def unet_keys(s):
    """Keys in the order of LDM's UNetModel: a numbered sequence of blocks, each a list of modules."""
    n = len(s["width"])

    def res(at, c_in, c_out):
        skip = ["skip_connection"] if c_in != c_out else []
        return leaf(at, "in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0",
                    "out_layers.3", *skip)

    def transformer(at):
        t = f"{at}.transformer_blocks.0"
        keys = leaf(at, "norm", "proj_in", "proj_out") + leaf(t, "norm1", "norm2", "norm3")
        for a in ("attn1", "attn2"):
            keys += [f"{t}.{a}.to_{x}.weight" for x in "qkv"] + leaf(f"{t}.{a}", "to_out.0")
        return keys + leaf(t, "ff.net.0.proj", "ff.net.2")

    keys = leaf("time_embed", "0", "2") + leaf("input_blocks.0", "0")
    c, stack, k = s["width"][0], [s["width"][0]], 1
    for level, width in enumerate(s["width"]):
        for _ in range(s["blocks"]):
            keys += res(f"input_blocks.{k}.0", c, width)
            if s["has_attention"][level]:
                keys += transformer(f"input_blocks.{k}.1")
            c, k = width, k + 1
            stack.append(c)
        if level < n - 1:
            keys += leaf(f"input_blocks.{k}", "0.op")
            stack.append(c)
            k += 1
    keys += res("middle_block.0", c, c) + transformer("middle_block.1") + res("middle_block.2", c, c)
    k = 0
    for level in reversed(range(n)):
        for i in range(s["blocks"] + 1):
            modules = [lambda at, a=c + stack.pop(), b=s["width"][level]: res(at, a, b)]
            c = s["width"][level]
            if s["has_attention"][level]:
                modules.append(transformer)
            if level > 0 and i == s["blocks"]:
                modules.append(lambda at: leaf(at, "conv"))
            for m, module in enumerate(modules):
                keys += module(f"output_blocks.{k}.{m}")
            k += 1
    return keys + leaf("out", "0", "2")


def vae_keys(s):
    def res(at, c_in, c_out):
        skip = ["nin_shortcut"] if c_in != c_out else []
        return leaf(at, "norm1", "conv1", "norm2", "conv2", *skip)

    def middle(half, c):
        return (res(f"{half}.mid.block_1", c, c) + res(f"{half}.mid.block_2", c, c) +
                leaf(f"{half}.mid.attn_1", "norm", "q", "k", "v", "proj_out"))

    n, top = len(s["width"]), s["width"][-1]
    keys, c = leaf("encoder", "conv_in", "norm_out", "conv_out"), s["width"][0]
    for level, width in enumerate(s["width"]):
        for i in range(s["blocks"]):
            keys += res(f"encoder.down.{level}.block.{i}", c, width)
            c = width
        if level < n - 1:
            keys += leaf(f"encoder.down.{level}", "downsample.conv")
    keys += middle("encoder", top) + leaf("decoder", "conv_in", "norm_out", "conv_out")
    keys += middle("decoder", top)
    for level in reversed(range(n)):
        for i in range(s["blocks"] + 1):
            keys += res(f"decoder.up.{level}.block.{i}", c, s["width"][level])
            c = s["width"][level]
        if level > 0:
            keys += leaf(f"decoder.up.{level}", "upsample.conv")
    return [f"{x}.{k}" for x in ("quant_conv", "post_quant_conv") for k in ("weight", "bias")] + keys


def models(s):
    u, v, t = s["unet"], s["vae"], s["text"]
    cross = u["has_attention"]
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            in_channels=u["in_channels"], out_channels=u["out_channels"],
            block_out_channels=u["width"], layers_per_block=u["blocks"],
            cross_attention_dim=u["context_width"], attention_head_dim=u["heads"],
            norm_num_groups=u["groups"],
            down_block_types=["CrossAttnDownBlock2D" if x else "DownBlock2D" for x in cross],
            up_block_types=["CrossAttnUpBlock2D" if x else "UpBlock2D" for x in cross[::-1]])
        vae = AutoencoderKL(
            in_channels=v["channels"], out_channels=v["channels"], latent_channels=v["latents"],
            block_out_channels=v["width"], layers_per_block=v["blocks"],
            norm_num_groups=v["groups"],
            down_block_types=["DownEncoderBlock2D"] * len(v["width"]),
            up_block_types=["UpDecoderBlock2D"] * len(v["width"]))
        text = CLIPTextModel(CLIPTextConfig(
            vocab_size=t["vocab"], max_position_embeddings=t["positions"], hidden_size=t["width"],
            intermediate_size=t["inner"], num_hidden_layers=t["layers"],
            num_attention_heads=t["heads"]))
    return unet, vae, text


def shape(x):
    return ",".join(map(str, x))


def pairs(prefix, keys, converted, model):
    """converted: diffusers key -> index of the LDM key, as the value of a one-element tensor."""
    want = {k: tuple(x.shape) for k, x in model.state_dict().items()}
    assert set(converted) == set(want), set(converted) ^ set(want)
    assert sorted(int(i) for i in converted.values()) == list(range(len(keys)))
    for name, i in converted.items():
        ldm = want[name]
        if prefix == "first_stage_model." and ".attentions." in name and len(ldm) == 2:
            ldm += (1, 1)
        yield prefix + keys[int(i)], shape(ldm), name, shape(want[name])


def lines(s):
    unet, vae, text = models(s)
    # The converters squeeze the autoencoder's attention: marks need the axes of a 1x1 convolution.
    mark = lambda keys, p: {p + k: torch.full((1, 1, 1, 1), float(i)) for i, k in enumerate(keys)}
    names = [k for k in text.state_dict() if not k.endswith("position_ids")]
    names = [k if k.startswith("text_model.") else "text_model." + k for k in names]
    shapes = [tuple(x.shape) for k, x in text.state_dict().items() if not k.endswith("position_ids")]
    for k, x in zip(names, shapes):
        yield "text_encoder", "cond_stage_model.transformer." + k, shape(x), k, shape(x)
    p, keys = "model.diffusion_model.", unet_keys(s["unet"])
    got = convert_ldm_unet_checkpoint(mark(keys, p), dict(unet.config))
    yield from (("unet", *x) for x in pairs(p, keys, got, unet))
    p, keys = "first_stage_model.", vae_keys(s["vae"])
    got = convert_ldm_vae_checkpoint(mark(keys, p), dict(vae.config))
    yield from (("vae", *x) for x in pairs(p, keys, got, vae))


for name, spec in SPECS.items():
    with open(f"{sys.argv[1]}/names_{name}.txt", "w") as out:
        out.write(json.dumps(spec, separators=(",", ":")) + "\n")
        for line in sorted(lines(spec)):
            out.write(" ".join(line) + "\n")
