"""Makes torch.pt, as torch.save writes it, and torch.safetensors, the tensors that are in it.

    venv/bin/python tests/reference/make_torch.py

Names are those that core/io/torch.h promises: keys joined by dots, "state_dict" at the top left out.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent


def numbers(*shape, dtype=torch.float32):
    n = torch.Size(shape).numel()
    return ((torch.arange(n, dtype=torch.float64) * 37 % 101 - 50) / 4).to(dtype).reshape(shape)


shared = numbers(4, 6)
state = OrderedDict(
    plain=numbers(2, 3),
    half=numbers(5, dtype=torch.float16),
    bfloat=numbers(3, 2, dtype=torch.bfloat16),
    double=numbers(2, dtype=torch.float64),
    long=torch.arange(-3, 4),
    int=torch.arange(4, dtype=torch.int32),
    byte=torch.arange(250, 256, dtype=torch.uint8),
    flag=torch.tensor([True, False, True]),
    float8=numbers(6, dtype=torch.float8_e4m3fn),
    uint16=torch.tensor([1, 65535], dtype=torch.uint16),
    scalar=torch.tensor(3.5),
    empty=torch.empty(0, 3),
    shared=shared,
    transposed=shared.t(),
    window=shared[1:3, 2:5],
    strided=shared[::2, ::3],
    expanded=shared[0:1].expand(3, 6),
    parameter=torch.nn.Parameter(numbers(2, 2)),
)
state._metadata = {"": {"version": 1}}
expected = {name: t.detach().contiguous().clone() for name, t in state.items()}
saved = {
    "state_dict": state,
    "epoch": 3,
    "global_step": 1 << 40,
    "lr": 1e-4,
    "name": "caf\u00e9",
    "list": [1, None, True, shared],
    "size": torch.Size([2, 3]),
    "set": {1, 2},
    "type": torch.float16,
    "nested": {"linear": torch.nn.Linear(2, 3).state_dict(), "more": {7: numbers(3)}},
}
with torch.no_grad():
    for k, t in enumerate(saved["nested"]["linear"].values()):
        t.copy_(numbers(*t.shape) + k)
for name, t in saved["nested"]["linear"].items():
    expected[f"nested.linear.{name}"] = t.clone()
expected["nested.more.7"] = numbers(3)

torch.save(saved, HERE / "torch.pt")
torch.save(saved, HERE / "torch_legacy.pt", _use_new_zipfile_serialization=False)
torch.save({"a": numbers(2)}, HERE / "torch_protocol4.pt", pickle_protocol=4)
save_file(expected, HERE / "torch.safetensors")
