"""Makes samples.safetensors: what diffusers draws with the tiny model of models.safetensors.

    venv/bin/python tests/reference/make_samples.py

Start noise and text states are given, so that only guidance, schedule, sampler and autoencoder are
at work: 20 steps, guidance 7.5. All is channels last.

    noise                  standard normal [h,w,4]
    negative, prompt       text states [77,32]
    <case>/latent          what the sampler ends with [h,w,4]
    <case>/rgb             the decoded picture in 8 bits [H,W,3]

The networks compute in double, the schedulers in float, as they do in a pipeline of theirs.
"""

from pathlib import Path

import torch
from diffusers import (DDIMScheduler, DPMSolverMultistepScheduler,
                       EulerAncestralDiscreteScheduler, EulerDiscreteScheduler)
from safetensors.torch import load_file

from make_models import TimeAngles, f32, f64, fixtures, put, random, save, tiny

STEPS, GUIDANCE, HEIGHT, WIDTH = 20, 7.5, 12, 16
SEED = 1234  # of the noise that Euler a adds: torch's CPU generator

# the fields of Stable Diffusion 1.5's scheduler_config.json
SD15 = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            num_train_timesteps=1000, steps_offset=1)

CASES = {
    "ddim.leading": DDIMScheduler(**SD15, set_alpha_to_one=False, clip_sample=False),
    "ddim.trailing": DDIMScheduler(**SD15, set_alpha_to_one=False, clip_sample=False,
                                   timestep_spacing="trailing"),
    "euler.leading": EulerDiscreteScheduler(**SD15, timestep_spacing="leading"),
    "euler.linspace": EulerDiscreteScheduler(**SD15, timestep_spacing="linspace"),
    "euler.trailing": EulerDiscreteScheduler(**SD15, timestep_spacing="trailing"),
    "euler_a.leading": EulerAncestralDiscreteScheduler(**SD15, timestep_spacing="leading"),
    "dpmpp_2m.leading": DPMSolverMultistepScheduler(**SD15, timestep_spacing="leading"),
    "dpmpp_2m.linspace": DPMSolverMultistepScheduler(**SD15, timestep_spacing="linspace"),
    "dpmpp_2m.trailing": DPMSolverMultistepScheduler(**SD15, timestep_spacing="trailing"),
}


def load():
    """The tiny models in double with the weights of models.safetensors."""
    weights = load_file(Path(__file__).with_name("models.safetensors"))
    models = tiny()
    for part in ("unet", "vae"):
        prefix = f"weight/{part}/"
        state = {k[len(prefix):]: v.float() for k, v in weights.items() if k.startswith(prefix)}
        models[part].load_state_dict(state)
        models[part].to(f64).eval()
    models["unet"].time_proj = TimeAngles(32)
    return models["unet"], models["vae"]


@torch.no_grad()
def draw(unet, vae, scheduler, noise, context):
    generator = torch.Generator().manual_seed(SEED)
    scheduler.set_timesteps(STEPS)
    x = noise * scheduler.init_noise_sigma
    extra = {"generator": generator} if "Ancestral" in type(scheduler).__name__ else {}
    for t in scheduler.timesteps:
        seen = scheduler.scale_model_input(torch.cat([x, x]), t).double()
        times = torch.full((2,), float(t), dtype=f64)
        without, answer = unet(seen, times, encoder_hidden_states=context).sample.chunk(2)
        guided = (without + GUIDANCE * (answer - without)).to(f32)
        x = scheduler.step(guided, t, x, **extra).prev_sample
    picture = vae.decode(x.double() / vae.config.scaling_factor).sample
    rgb = ((picture / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return x, rgb


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    unet, vae = load()
    noise = random("samples.noise", 1, 4, HEIGHT, WIDTH)
    context = random("samples.states", 2, 77, 32)
    put("noise", noise[0].permute(1, 2, 0))
    put("negative", context[0])
    put("prompt", context[1])
    for name, scheduler in CASES.items():
        latent, rgb = draw(unet, vae, scheduler, noise, context.double())
        spread = latent.std().item(), rgb.float().std().item()
        edge = ((rgb == 0) | (rgb == 255)).float().mean().item()
        print(f"{name}: latent deviates {spread[0]:.2f}, picture {spread[1]:.1f}, at an edge {edge:.2f}")
        put(f"{name}/latent", latent[0].permute(1, 2, 0))
        put(f"{name}/rgb", rgb[0].permute(1, 2, 0))
    save(Path(__file__).with_name("samples.safetensors"))


if __name__ == "__main__":
    main()
