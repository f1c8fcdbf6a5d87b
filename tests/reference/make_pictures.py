"""Pictures resized by OpenCV (area) and Pillow (Lanczos): pictures.safetensors.

    python3 make_pictures.py        versions: requirements.txt
"""
import pathlib

import cv2
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

here = pathlib.Path(__file__).parent
rng = np.random.default_rng(5)


def picture(width, height):
    """Waves, an edge and noise: every value of a byte, smooth and rough."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([127 + 120 * np.sin(x / (3 + c) + y / (5 + c)) for c in range(3)], -1)
    noise = rng.integers(-60, 60, (height, width, 3))
    edge = np.where((x > width // 2)[..., None], 80, -40)
    return np.clip(waves + noise + edge, 0, 255).astype(np.uint8)


# source, target: area where both shrink or stay, Lanczos otherwise
cases = [((64, 48), (32, 24)), ((60, 45), (20, 15)), ((64, 48), (64, 16)), ((61, 47), (40, 31)),
         ((97, 50), (33, 49)), ((83, 61), (82, 60)), ((64, 50), (64, 33)), ((120, 30), (7, 5)),
         ((90, 60), (36, 24)), ((48, 96), (16, 48)),
         ((20, 16), (40, 32)), ((31, 23), (47, 35)), ((40, 20), (30, 25)), ((17, 40), (29, 40)),
         ((40, 17), (40, 29)), ((5, 3), (64, 50)), ((50, 9), (20, 31))]
tensors = {}
for i, (source, target) in enumerate(cases):
    image = picture(*source)
    is_area = source[0] >= target[0] and source[1] >= target[1]
    if is_area:
        made = cv2.resize(image, target, interpolation=cv2.INTER_AREA)
    else:
        made = np.array(Image.fromarray(image).resize(target, Image.Resampling.LANCZOS))
    name = f"{i}.{'area' if is_area else 'lanczos'}"
    tensors[name + ".from"], tensors[name + ".to"] = image, made
save_file(tensors, here / "pictures.safetensors")
