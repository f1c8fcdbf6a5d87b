"""Reads what athanor curve writes with the tools of others, and compares it with what it prints.

    build/athanor curve RUN --json --h5 run.h5 --tensorboard events >run.json
    venv/bin/python tests/reference/check_curve.py run.json run.h5 events
"""

import json
import sys

import h5py
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TAGS = {"loss": "loss/current", "average": "loss/average", "unet_rate": "lr/unet",
        "text_encoder_rate": "lr/textencoder", "gradient_norm": "norm/gradient"}
SETS = {"average": "loss_average"}

with open(sys.argv[1], encoding="utf-8") as file:
    curve = json.load(file)["runs"][0]["curve"]
h5 = h5py.File(sys.argv[2])
events = EventAccumulator(sys.argv[3], size_guidance={"scalars": 0})
events.Reload()
assert np.array_equal(h5["step"][:], [row["step"] for row in curve])
for key, tag in TAGS.items():
    wanted = {row["step"] + 1: row[key] for row in curve if row[key] is not None}
    got = {e.step: e.value for e in events.Scalars(tag)} if wanted else {}
    assert got.keys() == wanted.keys(), tag
    assert all(np.float32(wanted[step]) == np.float32(got[step]) for step in wanted), tag
    numbers = h5[SETS.get(key, key)][:]
    assert all(row[key] == x or (row[key] is None and np.isnan(x)) for row, x in zip(curve, numbers)), key
    assert len(numbers) == len(curve), key
    print(f"{key}: {len(wanted)} numbers agree")
print(f"{len(events.Tags()['scalars'])} tags, {h5['ledger/uses'][:].sum()} uses of pictures")
