"""Makes corpus/{safetensors,torch,image,curve}: inputs to begin with, from the files of tests/reference.

    venv/bin/python tests/fuzz/make_corpus.py
"""

import json
import struct
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
REFERENCE = HERE.parent / "reference"


def put(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def safetensors(name, header, body=b""):
    text = json.dumps(header, separators=(",", ":")).encode()
    put("safetensors", name, len(text).to_bytes(8, "little") + text + body)


for path in sorted((REFERENCE / "images").iterdir()):
    put("image", path.name, path.read_bytes())
for path in (REFERENCE / "torch.pt", REFERENCE / "torch_protocol4.pt"):
    put("torch", path.name, path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        put("torch", path.stem + ".pkl", archive.read(path.stem + "/data.pkl"))
put("torch", "system.pkl", b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.")
put("torch", "itself.pkl", b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.")
put("safetensors", "writer", (REFERENCE / "safetensors_writer.safetensors").read_bytes())
safetensors("empty", {})
safetensors("metadata", {"__metadata__": {"a": "\u00e9\n", "": "b"}})
entry = lambda dtype, shape, begin, end: {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
safetensors("nothing", {"a": entry("F32", [0, 1 << 62], 0, 0), "b": entry("F4", [2], 0, 1)}, b"x")


# Records of curve.log: a byte of length each, as fuzz_curve.c takes them.
def field(number, value):
    if isinstance(value, float):
        return bytes([number << 3 | 1]) + struct.pack("<d", value)
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


start = field(1, field(1, b"run") + field(3, 9) + field(6, b"train/2_dog") + field(7, b"a.png"))
shares = field(12, field(1, 2) + field(2, 0.1)) + field(13, field(1, 2) + field(2, 0.1)) + field(13, b"")
steps = [field(2, field(1, i) + field(5, 0.1 * i) + shares + field(14, b"\0\0")) for i in (0, 1, 2, 1)]
mark = field(3, field(1, 1) + field(2, b"saved"))
put("curve", "run", b"".join(bytes([len(r)]) + r for r in [start, *steps, mark]))
put("curve", "far", bytes([len(far := field(2, b"\x08" + b"\xff" * 9 + b"\x01"))]) + far)
put("curve", "torn", bytes([len(start)]) + start + b"\xff\x12")
