"""Times a training step of Stable Diffusion 1.5's U-Net with random weights on PyTorch's CUDA backend, beside
`build-cuda/bench/step --device cuda`: diffusers' network in bf16, eager or compiled, channels last, fused
attention, fused AdamW. Prints one JSON object.

    python bench/peers/gpu_step.py --mode lora --batch 8 [--compile] [--size 512] [--repeats 20]

lora: rank 32 (peft) at the layers that kohya's LoRA has, adapters in f32; full: all parameters, kept in f32
under autocast. Times are medians of CUDA events.
"""

import argparse
import json
import statistics

import torch
from lora_step import TARGETS, adapted
from unet_step import sd15


def make_model(mode):
    with torch.device("cuda"):
        model = sd15(torch.bfloat16 if mode == "lora" else torch.float32)
    if mode == "lora":
        return model, adapted(model, TARGETS["unet"])
    return model, list(model.requires_grad_(True).parameters())


def make_step(model, rows, size, batch):
    side, gpu = size // 8, {"device": "cuda", "dtype": torch.bfloat16}
    x = torch.randn(batch, 4, side, side, **gpu).contiguous(memory_format=torch.channels_last)
    t, context = torch.full((batch,), 500, device="cuda"), torch.randn(batch, 77, 768, **gpu)
    target = torch.randn(batch, 4, side, side, device="cuda")
    optimizer = torch.optim.AdamW(rows, lr=1e-4, weight_decay=0.01, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            answer = model(x, t, encoder_hidden_states=context).sample
        torch.nn.functional.mse_loss(answer.float(), target).backward()
        torch.nn.utils.clip_grad_norm_(rows, 1.0)
        optimizer.step()

    return step


def time_steps(step, repeats):
    for _ in range(5):
        step()
    seconds = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        step()
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=("lora", "full"), default="lora")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=20)
    opts = parser.parse_args()
    model, rows = make_model(opts.mode)
    if opts.compile:
        model = torch.compile(model)
    seconds = time_steps(make_step(model, rows, opts.size, opts.batch), opts.repeats)
    print(json.dumps({
        "who": "torch compiled" if opts.compile else "torch eager", "mode": opts.mode, "size": opts.size,
        "batch": opts.batch, "seconds": seconds, "images_per_second": opts.batch / seconds,
        "mib": torch.cuda.max_memory_allocated() / 2**20, "version": torch.__version__,
        "card": torch.cuda.get_device_name()}))


if __name__ == "__main__":
    main()
