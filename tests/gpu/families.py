#!/usr/bin/env python3
"""Logits, loss and gradients of every family beside transformers', on a GPU.

    tests/gpu/families.py --pack FOLDER OUT [--device cpu]

The models are those of tests/golden/make_families.py, wider, with weights that are exact in bf16. The truth is
transformers in float32 (no TF32, eager attention); the yardstick for `lethe inspect --precision bfloat16` is
transformers' own bf16: of each tensor ||g - truth|| / ||truth|| may be 1.5 times its, and 2^-8, one rounding, more.
In float32 it may be 1e-4: a hundred roundings of 6e-8 after each other, of sums of 1000 terms. Of a tensor that is
next to nothing beside the others (a key's bias in a layer without positions has no gradient at all) only what is left
over of roundings is seen: of the largest gradient's length the bounds allow 2^-12 and 2^-24 besides. Without --pack or --lethe transformers is measured alone. Prints a table,
writes OUT/families.json, exits with 1 if anything is beyond its bound.
"""
import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

import reference

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "golden"))
import make_families  # noqa: E402

FLOAT_BOUND = 1e-4


def wider(name, a):
    sizes = {"vocab_size": a.vocab, "hidden_size": a.hidden, "intermediate_size": a.intermediate,
             "num_attention_heads": a.heads, "max_position_embeddings": 1024}
    differs = make_families.FAMILIES[name][1]
    if "head_dim" in differs:
        sizes["head_dim"] = a.head_dim
    if "sliding_window" in differs:
        sizes["sliding_window"] = a.window
    if differs.get("rope_parameters", {}).get("original_max_position_embeddings"):
        rope = dict(differs["rope_parameters"])
        rope["original_max_position_embeddings"] = int(1024 / rope["factor"])
        sizes["rope_parameters"] = rope
    return sizes


def measured(model, ids, labels, device, dtype):
    model = model.to(device, dtype)
    found = make_families.measure(model, ids.to(device), labels.to(device))
    return {n: t.detach().float().cpu().clone() for n, t in found.items()}


def lethes(a, folder, precision):
    out = folder / "out.safetensors"
    reference.run_lethe(a, "inspect", folder, "--ids", folder / "ids.json", "--out", out, "--gradients", "--precision",
                        precision, "--device", a.device)
    return load_file(out)


def length(t):
    return t.double().norm().item()


def compare(a, name, place):
    folder = place / name
    model = make_families.make_model(name, wider(name, a))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.bfloat16())
    ids, labels = make_families.make_batch(name, a.vocab, a.rows, a.tokens)
    model.save_pretrained(folder)
    (folder / "ids.json").write_text(json.dumps({"ids": ids.tolist(), "labels": labels.tolist()}))
    truth = measured(model, ids, labels, a.device, torch.float32)
    yardstick = measured(model, ids, labels, a.device, torch.bfloat16)
    largest = max(length(t) for n, t in truth.items() if n.startswith("gradient."))
    ours = {p: lethes(a, folder, p) for p in ("float32", "bfloat16")} if a.pack or a.lethe else {}
    rows = []
    for tensor, value in truth.items():
        def distance(found):
            got = found.get(tensor)
            return float("inf") if got is None else length(got.double().reshape(-1) - value.double().reshape(-1))

        size = length(value)
        left_over = largest if tensor.startswith("gradient.") else 0
        row = {"family": name, "tensor": tensor, "norm": size, "transformers_bf16": distance(yardstick) / size,
               "holds": True}
        if ours:
            narrow, wide = distance(ours["bfloat16"]), distance(ours["float32"])
            row |= {"lethe_bf16": narrow / size, "lethe_float": wide / size}
            row["holds"] = (narrow <= 1.5 * distance(yardstick) + 2**-8 * size + 2**-12 * left_over and
                            wide <= FLOAT_BOUND * size + 2**-24 * left_over)
        rows.append(row)
    for precision, found in ours.items():
        unknown = [n for n in found if n.startswith("gradient.") and n not in truth]
        if unknown:
            rows.append({"family": name, "tensor": unknown[0], "holds": False, "why": f"{precision}: nobody asked"})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--pack", type=Path, help="the folder that tests/gpu/pack made")
    group.add_argument("--lethe", help="the command, where it needs no packed libraries")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--only", help="families whose name holds this")
    for name, value in (("hidden", 256), ("heads", 4), ("head-dim", 32), ("intermediate", 352), ("vocab", 1024),
                        ("window", 48), ("tokens", 160), ("rows", 3)):
        parser.add_argument("--" + name, type=int, default=value)
    a = parser.parse_args()
    torch.set_float32_matmul_precision("highest")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for name in make_families.FAMILIES:
            if a.only and a.only not in name:
                continue
            found = compare(a, name, Path(place))
            rows += found
            worst = {k: max(r.get(k, 0.0) for r in found) for k in ("transformers_bf16", "lethe_bf16", "lethe_float")}
            beyond = [r["tensor"] for r in found if not r["holds"]]
            print(f"{name:<26} " + "  ".join(f"{k} {v:.2e}" for k, v in worst.items()) +
                  (f"  BEYOND {beyond}" if beyond else ""), flush=True)
    summary = {"device": torch.cuda.get_device_name() if a.device == "cuda" else "cpu", "torch": torch.__version__,
               "transformers": make_families.transformers.__version__, "tensors": len(rows),
               "beyond": sum(not r["holds"] for r in rows)}
    print(json.dumps(summary))
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "families.json").write_text(json.dumps({**summary, "rows": rows}, indent=1))
    return 1 if summary["beyond"] else 0


if __name__ == "__main__":
    sys.exit(main())
