"""Factors of the learning-rate schedules, from transformers and torch: rates.safetensors.

Each tensor is the factor of every update (float64); its name says the schedule:
    kind/updates/warmup/cycles/power/end
    python3 make_rates.py
"""

import json
import pathlib
import warnings

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers.optimization import get_scheduler

warnings.filterwarnings("ignore")
here = pathlib.Path(__file__).parent
LR = 1e-4

CASES = [
    ("constant", 20, 0, 1, 1.0, 0.0, {}),
    ("constant_with_warmup", 40, 7, 1, 1.0, 0.0, {}),
    ("constant_with_warmup", 5, 5, 1, 1.0, 0.0, {}),
    ("linear", 110, 10, 1, 1.0, 0.0, {}),
    ("linear", 37, 0, 1, 1.0, 0.0, {}),
    ("linear", 1, 0, 1, 1.0, 0.0, {}),
    ("polynomial", 100, 0, 1, 2.0, 1e-3, {"power": 2.0, "lr_end": 1e-7}),
    ("polynomial", 83, 11, 1, 1.0, 1e-3, {"power": 1.0, "lr_end": 1e-7}),
    ("polynomial", 64, 3, 1, 0.5, 0.25, {"power": 0.5, "lr_end": 2.5e-5}),
    ("cosine", 100, 0, 1, 1.0, 0.0, {}),
    ("cosine", 97, 13, 1, 1.0, 0.0, {}),
    ("cosine_with_restarts", 100, 0, 2, 1.0, 0.0, {"num_cycles": 2}),
    ("cosine_with_restarts", 101, 9, 3, 1.0, 0.0, {"num_cycles": 3}),
    ("cosine_with_restarts", 50, 5, 1, 1.0, 0.0, {"num_cycles": 1}),
]


def factors(kind, n, warmup, extra):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=LR)
    wants_no_warmup = kind == "constant"
    scheduler = get_scheduler(
        kind,
        optimizer,
        num_warmup_steps=None if wants_no_warmup else warmup,
        num_training_steps=n,
        scheduler_specific_kwargs=extra,
    )
    out = []
    for _ in range(n):
        out.append(scheduler.get_last_lr()[0] / LR)
        optimizer.step()
        scheduler.step()
    return np.array(out, dtype=np.float64)


def torch_linear(n):
    """torch's own PolynomialLR, as a second opinion on power and end."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=n, power=3.0)
    out = []
    for _ in range(n):
        out.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return np.array(out, dtype=np.float64)


tensors = {}
for kind, n, warmup, cycles, power, end, extra in CASES:
    tensors[f"{kind}/{n}/{warmup}/{cycles}/{power}/{end}"] = factors(kind, n, warmup, extra)
tensors["polynomial/45/0/1/3.0/0.0"] = torch_linear(45)
save_file(tensors, here / "rates.safetensors")
print(json.dumps({k: v.shape[0] for k, v in tensors.items()}, indent=1))
