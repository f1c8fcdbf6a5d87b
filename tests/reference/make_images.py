"""Makes images/*, small pictures of every kind, and images.safetensors, what Pillow reads in them.

    venv/bin/python tests/reference/make_images.py

For a file x.png the tensors are "x.png" (RGB), "x.png upright" (turned as EXIF says) and
"x.png alpha" (of the RGBA picture). One rule is not Pillow's: of 16-bit grey we keep the upper byte,
where Pillow clips at 255.
"""

import struct
import zlib
from pathlib import Path

import numpy
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

HERE = Path(__file__).parent
FOLDER = HERE / "images"
FOLDER.mkdir(exist_ok=True)
W, H = 21, 13
expected = {}

y, x = numpy.mgrid[0:H, 0:W]
rgb = numpy.stack([x * 12, y * 19, (x * y * 5) % 256], axis=-1).astype(numpy.uint8)
alpha = ((x * 7 + y * 31) % 256).astype(numpy.uint8)
color, grey = Image.fromarray(rgb), Image.fromarray(rgb).convert("L")
clear = Image.fromarray(numpy.dstack([rgb, alpha]))


def note(name):
    image = Image.open(FOLDER / name)
    put = lambda key, picture: expected.__setitem__(key, torch.from_numpy(numpy.array(picture)))
    put(name, image.convert("RGB"))
    put(f"{name} upright", ImageOps.exif_transpose(image).convert("RGB"))
    if image.mode != "CMYK":
        put(f"{name} alpha", numpy.array(image.convert("RGBA"))[:, :, 3].copy())


def save(name, image, **how):
    image.save(FOLDER / name, **how)
    note(name)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name, depth, kind, rows, interlaced=False):
    """What Pillow cannot write: depths of 16, interlacing."""
    body = b"".join(b"\0" + row for row in rows)
    head = struct.pack(">IIBBBBB", W, H, depth, kind, 0, 0, int(interlaced))
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body, 9)) + chunk(b"IEND", b"")
    (FOLDER / name).write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def orientation(k):
    exif = Image.Exif()
    exif[0x0112] = k
    return exif.tobytes()


save("rgb.png", color)
save("rgba.png", clear)
save("grey.png", grey)
save("grey_alpha.png", clear.convert("LA"))
save("palette.png", color.quantize(19))
save("palette_clear.png", color.quantize(7), transparency=bytes([0, 90, 255, 30]))
save("bilevel.png", color.convert("1"))
save("exif.png", color, exif=orientation(6))
deep = (rgb.astype(int) * 256 + 77).astype(">u2")
png("rgb16.png", 16, 2, [row.tobytes() for row in deep])
note("rgb16.png")
png("grey16.png", 16, 0, [row.tobytes() for row in deep[:, :, 0]])
expected["grey16.png"] = torch.from_numpy(numpy.repeat(rgb[:, :, :1], 3, axis=2))
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
passes = [rgb[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7]
png("interlaced.png", 8, 2, [row.tobytes() for part in passes for row in part], interlaced=True)
note("interlaced.png")

save("rgb.jpg", color, quality=90)
save("full.jpg", color, quality=95, subsampling=0)
save("grey.jpg", grey, quality=90)
save("cmyk.jpg", color.convert("CMYK"), quality=90)
save("progressive.jpg", color, quality=90, progressive=True)
for k in range(1, 9):
    save(f"exif{k}.jpg", color, quality=50, exif=orientation(k))

save("lossy.webp", color, quality=80)
save("lossless.webp", color, lossless=True)
save("alpha.webp", clear, lossless=True, exact=True)
save("alpha_lossy.webp", clear, quality=80)
save("exif.webp", color, lossless=True, exif=orientation(8))
color.save(FOLDER / "animated.webp", save_all=True, append_images=[grey.convert("RGB")], lossless=True)
color.save(FOLDER / "a.bmp")
color.save(FOLDER / "a.gif")

save_file({k: v.contiguous() for k, v in expected.items()}, HERE / "images.safetensors")
