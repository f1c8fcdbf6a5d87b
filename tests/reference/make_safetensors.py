"""Makes safetensors_writer.safetensors: a small file of many types, as the reference library writes it.

    venv/bin/python tests/reference/make_safetensors.py

The values of tensor k are (i * 37 + k * 11) % 251 - 100, divided by 8 for floats; tests/unit/
test_safetensors_writer.c makes the same ones and compares the files byte by byte.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

# in an order that is not the file's
TENSORS = [
    ("b.weight", torch.float16, (3, 5)),
    ("a.alpha", torch.int64, ()),
    ("quote\"back\\slash\ttab\x01\x7f", torch.float32, (7,)),
    ("caf\u00e9", torch.bfloat16, (2, 3)),
    ("a.weight", torch.float32, (2, 2, 2)),
    ("none", torch.float32, (0, 4)),
    ("B", torch.float64, (3,)),
    ("a", torch.uint8, (5,)),
    ("flag", torch.int32, (3, 1)),
]


def make(k, dtype, shape):
    n = torch.Size(shape).numel()
    values = torch.tensor([(i * 37 + k * 11) % 251 - 100 for i in range(n)], dtype=torch.float64)
    if dtype.is_floating_point:
        values = values / 8
    if dtype == torch.uint8:
        values = values + 100
    return values.to(dtype).reshape(shape)


tensors = {name: make(k, dtype, shape) for k, (name, dtype, shape) in enumerate(TENSORS)}
# one key: the library writes several in no fixed order
metadata = {"format": "pt \u00fc\n\"x\""}
save_file(tensors, Path(__file__).parent / "safetensors_writer.safetensors", metadata=metadata)
