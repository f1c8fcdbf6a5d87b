"""Times a training step of LoRA on Stable Diffusion 1.5's U-Net and text encoder, random weights, with
diffusers, transformers and peft on PyTorch's CPU backend, beside `build/bench/step --text`: rank 32 at
the layers that kohya's LoRA has, frozen weights in the dtype, adapters in f32, clipping, AdamW.

    venv/bin/python bench/peers/lora_step.py --dtype bf16 --threads 2 --repeats 2

What speeds torch up without changing the model is on: its fused attention, channels last.
"""

import argparse
import contextlib
import resource
import statistics
import time

import torch
from peft import LoraConfig, inject_adapter_in_model
from transformers import CLIPTextConfig, CLIPTextModel
from unet_step import DTYPES, sd15

TARGETS = {"unet": r".*\.attentions\..*(to_[qkv]|to_out\.0|net\.0\.proj|net\.2|proj_in|proj_out)",
           "text": r".*(q_proj|k_proj|v_proj|out_proj|fc1|fc2)"}


def clip_text(dtype):
    torch.manual_seed(2)
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=12, max_position_embeddings=77, hidden_act="quick_gelu")).to(dtype)


def adapted(model, targets):
    """Gives the adapters' parameters."""
    model.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=32, lora_alpha=16, target_modules=targets), model)
    rows = [p for name, p in model.named_parameters() if "lora_" in name]
    for p in rows:
        p.data = p.data.float()
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    opts = parser.parse_args()
    torch.set_num_threads(opts.threads)
    dtype, side, n = DTYPES[opts.dtype], opts.size // 8, opts.batch

    unet, text = sd15(dtype), clip_text(dtype)
    rows = adapted(unet, TARGETS["unet"]) + adapted(text, TARGETS["text"])
    assert len(rows) == 2 * 264, len(rows)
    optimizer = torch.optim.AdamW(rows, lr=1e-4, weight_decay=0.01)
    x = torch.randn(n, 4, side, side, dtype=dtype).contiguous(memory_format=torch.channels_last)
    target = torch.randn(n, 4, side, side)
    t, ids = torch.full((n,), 500), torch.arange(n * 77).reshape(n, 77) * 17 % 49408
    autocast = torch.autocast("cpu", dtype) if dtype != torch.float32 else contextlib.nullcontext()

    def step():
        optimizer.zero_grad()
        with autocast:
            answer = unet(x, t, encoder_hidden_states=text(input_ids=ids).last_hidden_state).sample
        (answer.float() - target).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(rows, 1.0)
        optimizer.step()

    step()
    seconds = []
    for _ in range(opts.repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(f"torch {torch.__version__} lora of U-Net and text encoder {opts.dtype}, {opts.size} px, "
          f"batch {n}, {opts.threads} threads, {opts.repeats} runs")
    print(f"  step            {median:8.3f} s   {n / median:.3f} images/s, {median / n:.3f} s an image")
    print(f"  peak memory     {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.1f} MiB of the process")


if __name__ == "__main__":
    main()
