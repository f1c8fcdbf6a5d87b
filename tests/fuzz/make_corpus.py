"""Makes corpus/{safetensors,torch,image}: inputs to begin with, from the files of tests/reference.

    venv/bin/python tests/fuzz/make_corpus.py
"""

import json
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
