#!/usr/bin/env python3
"""Random blocks of every quantised type that Lethe reads, and what the package gguf makes of them.

    tests/golden/make_gguf.py [FOLDER]       default: tests/golden/gguf

blocks.json: for each type its number, bytes of 4 blocks of 256 weights and the weights' bits as fp32, in hex. Scales
are random halves that are finite. Needs numpy and gguf.
"""
import json
import sys
from pathlib import Path

import gguf
import numpy

rng = numpy.random.default_rng(7)
made = {}
for name in ["Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K", "F16", "BF16"]:
    kind = gguf.GGMLQuantizationType[name]
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (1024 // weights, size), dtype=numpy.uint8)
    scales = {"Q4_0": [0], "Q4_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208], "F16": [0], "BF16": [0]}[name]
    for at in scales:
        halves = (rng.standard_normal(len(blocks)) * 0.02).astype(numpy.float16)
        blocks[:, at:at + 2] = halves.view(numpy.uint8).reshape(-1, 2)
    values = gguf.quants.dequantize(blocks.reshape(-1), kind)
    made[name] = {"type": int(kind), "blocks": blocks.tobytes().hex(),
                  "values": numpy.ascontiguousarray(values, dtype="<f4").tobytes().hex()}
x = (rng.standard_normal(64) * 0.3).astype(numpy.float32)
x[32:] = 0
made["quantise Q8_0"] = {"type": 8, "values": x.tobytes().hex(),
                         "blocks": gguf.quants.quantize(x, gguf.GGMLQuantizationType.Q8_0).tobytes().hex()}
folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "gguf")
folder.mkdir(parents=True, exist_ok=True)
(folder / "blocks.json").write_text(json.dumps(made, indent=1) + "\n")
