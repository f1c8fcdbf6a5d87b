"""Writes what diffusers and transformers compute with full-size random weights at 512 px, for
test_models to compare with:

    venv/bin/python bench/peers/parity_sd15.py unet /tmp/unet.safetensors
    build/tests/model/test_models /tmp/unet.safetensors sd15 cpu f32
    build/tests/model/test_models /tmp/unet.safetensors sd15 cpu bf16

Parts: unet (answer, gradients of inputs and of every parameter; 14 GB of memory, 1.8 GB of file),
vae (answers), text (as unet, both clip skips). What is in a file says tests/reference/make_models.py.
torch computes the text encoder and the VAE in double, the U-Net in f32.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests/reference"))
import make_models as m
from make_models import AutoencoderKL, CLIPTextConfig, CLIPTextModel, UNet2DConditionModel


def unet():
    widths = (320, 640, 1280, 1280)
    model = m.fill("unet", UNet2DConditionModel(
        sample_size=64, in_channels=4, out_channels=4, block_out_channels=widths,
        layers_per_block=2, cross_attention_dim=768, attention_head_dim=8), m.f32)
    model.time_proj = m.TimeAngles(widths[0])
    m.unet_case("512px", model, 1, 64, 64, 77)


def vae():
    model = m.fill("vae", AutoencoderKL(
        in_channels=3, out_channels=3, block_out_channels=(128, 256, 512, 512), layers_per_block=2,
        latent_channels=4, norm_num_groups=32, sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4), m.f64)
    m.vae_cases("512px", model, 1, 512, 512, gradient=False)


def text():
    model = m.fill("text_encoder", CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=12, max_position_embeddings=77, hidden_act="quick_gelu",
        bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)), m.f64)
    m.text_case("last", model, 1, 77, 1)
    m.text_case("skip", model, 1, 77, 2)


def main():
    parts = {"unet": unet, "vae": vae, "text": text}
    if len(sys.argv) != 3 or sys.argv[1] not in parts:
        sys.exit(f"usage: parity_sd15.py {'|'.join(parts)} FILE.safetensors")
    m.torch.set_num_threads(2)
    parts[sys.argv[1]]()
    m.save(sys.argv[2])


if __name__ == "__main__":
    main()
