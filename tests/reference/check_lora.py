"""A LoRA that athanor trained, loaded by diffusers: its picture there and here.

    venv/bin/python tests/reference/check_lora.py build/athanor build/tests/make_pictures

Trains a LoRA of a fresh tiny model, draws with it by `athanor sample` and by StableDiffusionPipeline
(load_lora_weights at weight 0.8, the same start noise, DDIM, 20 steps, guidance 7.5), with and without
clip skip in training, and compares the 8-bit pictures: 40 dB at least, and less without the LoRA.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from safetensors import safe_open
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

ATHANOR, MAKE_PICTURES = (str(Path(arg).resolve()) for arg in sys.argv[1:3])
MERGES = Path(__file__).parents[2] / "data/clip/merges.txt"
JOB = """
model = {base = "base.safetensors", spec = "tiny"}
data = {train = "data", resolution = 64, buckets = {min = 64, max = 64}}
adapter = {rank = 4, alpha = 4}
train = {steps = 40, global_batch = 2, mixed = "f32", threads = 1}
optimizer = {unet_lr = 1e-2, text_encoder_lr = 5e-3, schedule = "constant"}
save = {every_epochs = 0}
"""


def athanor(*args):
    subprocess.run([ATHANOR, *args], check=True, capture_output=True)


def tokenizer(n_vocab):
    """CLIP's with its first merges, as a smaller model has it."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in shown] + [chr(256 + i) for i in range(256 - len(shown))]
    merges = [tuple(line.split()) for line in MERGES.read_text("utf-8").splitlines()][:n_vocab - 514]
    tokens = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges]
    vocab = {t: i for i, t in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77, pad_token="<|endoftext|>")


def pipeline(folder):
    config = json.loads((folder / "text_encoder/config.json").read_text())
    return StableDiffusionPipeline(
        unet=UNet2DConditionModel.from_pretrained(folder / "unet"),
        vae=AutoencoderKL.from_pretrained(folder / "vae"),
        text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder"),
        tokenizer=tokenizer(config["vocab_size"]), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                                steps_offset=1, set_alpha_to_one=False, clip_sample=False))


def draw(pipe):
    pipe.set_progress_bar_config(disable=True)
    out = pipe("a brown dog", negative_prompt="grass", num_inference_steps=20, guidance_scale=7.5,
               height=64, width=64, generator=torch.Generator().manual_seed(1), output_type="np")
    return (out.images[0] * 255).round()


def psnr(a, b):
    return 10 * np.log10(255**2 / max(np.mean((a.astype(float) - b.astype(float))**2), 1e-9))


def check(folder, clip_skip):
    name = f"skip{clip_skip}"
    lora, drawn = f"runs/{name}/model/{name}.safetensors", folder / f"drawn-{name}"
    athanor("train", "job.toml", "--set", f"name={name}", "--set", f"train.clip_skip={clip_skip}")
    athanor("sample", "--model", "base.safetensors", "--lora", f"{lora}:0.8", "--prompt", "a brown dog",
            "--negative", "grass", "--cfg", "7.5", "--seed", "1", "--size", "64x64", "--steps", "20",
            "--sampler", "ddim", "--noise", "torch-cpu", "--no-hash", "--out", str(drawn))
    here = np.array(Image.open(drawn / "00000-1.png"))
    pipe = pipeline(folder / "base")
    without = draw(pipe)
    pipe.load_lora_weights(folder, weight_name=lora, adapter_name="own")
    pipe.set_adapters(["own"], [0.8])
    loaded = sum("lora_A" in k for m in (pipe.unet, pipe.text_encoder) for k, _ in m.named_parameters())
    with safe_open(folder / lora, "np") as file:
        saved = sum(k.endswith("lora_down.weight") for k in file.keys())
    same, other = psnr(draw(pipe), here), psnr(without, here)
    print(f"clip skip {clip_skip}: {loaded} of {saved} modules loaded; {same:.1f} dB with the LoRA, "
          f"{other:.1f} without")
    assert loaded == saved and same >= 40 > other


def main():
    torch.set_num_threads(1)
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        subprocess.run([MAKE_PICTURES, "data/1_dog/a.png", "64", "64", "1", "data/1_dog/b.png", "64", "64",
                        "2"], check=True)
        athanor("init", "--spec", "tiny", "base.safetensors")
        athanor("convert", "base.safetensors", "base")
        Path("job.toml").write_text(JOB)
        for clip_skip in (1, 2):
            check(folder, clip_skip)


if __name__ == "__main__":
    main()
