"""Times diffusers' U-Net of Stable Diffusion 1.5 with random weights on PyTorch's CPU backend, and
prints what build/bench/step prints, in the same words.

    venv/bin/python bench/peers/unet_step.py --mode backward --dtype bf16 --threads 2

Modes: forward (no gradients), backward (gradients of all parameters, no update). Weights,
activations and gradients are all of the dtype, unless --master keeps parameters in f32 as athanor's
training does. What speeds torch up without changing the model is
on: its fused attention, channels last.
"""

import argparse
import resource
import statistics
import time

import torch
from diffusers import UNet2DConditionModel

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def sd15(dtype):
    """Made in the dtype: a copy in another would count as memory."""
    torch.manual_seed(1)
    torch.set_default_dtype(dtype)
    model = UNet2DConditionModel(
        sample_size=64, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2, cross_attention_dim=768, attention_head_dim=8)
    torch.set_default_dtype(torch.float32)
    return model.to(memory_format=torch.channels_last)


def make_step(model, mode, dtype, size, batch, master):
    side = size // 8
    x = torch.randn(batch, 4, side, side).to(dtype).to(memory_format=torch.channels_last)
    t, context = torch.full((batch,), 500), torch.randn(batch, 77, 768).to(dtype)
    target = torch.randn(batch, 4, side, side)

    def loss():
        with torch.autocast("cpu", dtype, enabled=master):
            answer = model(x, t, encoder_hidden_states=context).sample
        return torch.nn.functional.mse_loss(answer.float(), target)

    def forward():
        with torch.inference_mode():
            return loss()

    def backward():
        model.zero_grad(set_to_none=True)
        loss().backward()

    return forward if mode == "forward" else backward


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=("forward", "backward"), default="forward")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--master", action="store_true",
                        help="parameters and their gradients in f32, products in the dtype")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    model = sd15(torch.float32 if a.master else DTYPES[a.dtype])
    model = model.requires_grad_(a.mode == "backward").eval()
    step = make_step(model, a.mode, DTYPES[a.dtype], a.size, a.batch, a.master)
    step()  # warms up, as build/bench/step does
    seconds = []
    for _ in range(a.repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"diffusers {a.mode} {a.dtype}, {a.size} px, batch {a.batch}, {a.threads} threads, "
          f"{a.repeats} runs")
    print(f"  step            {median:8.3f} s   {a.batch / median:.3f} images/s")
    print(f"  peak memory     {peak:8.1f} MiB of the process")


if __name__ == "__main__":
    main()
