#!/usr/bin/env python3
"""Holds `lethe inspect` against transformers: logits, loss and every gradient of one model for the same ids.

    docs/compare_with_transformers.py MODEL [--lethe COMMAND]

needs torch, transformers and safetensors. Both sides hold the weights in float64, but transformers computes the
rotary table, the normalisations, the softmax and the last logits in float32 whatever the model's type: expect 1e-6.
The exit status is 1 if anything differs by more than 1e-5 of its largest value.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM


def theirs(model_folder, ids):
    model = LlamaForCausalLM.from_pretrained(model_folder, torch_dtype=torch.float64, attn_implementation="eager")
    logits = model(torch.tensor(ids)).logits
    # The label of a place is the id that follows it; the last place has none.
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), torch.tensor(ids)[:, 1:].flatten())
    loss.backward()
    found = {"gradient." + name: p.grad for name, p in model.named_parameters()}
    return {**found, "logits": logits.detach(), "loss": loss.detach().reshape(1)}


def lethes(command, model_folder, ids):
    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder, "ids.json"), Path(folder, "out.safetensors")
        rows.write_text(json.dumps({"ids": ids}))
        subprocess.run([command, "inspect", model_folder, "--ids", rows, "--out", out, "--gradients", "--precision",
                        "float64"], check=True)
        return load_file(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--lethe", default="./lethe")
    arguments = parser.parse_args()
    vocabulary = json.loads(Path(arguments.model, "config.json").read_text())["vocab_size"]
    ids = torch.randint(vocabulary, (2, 48), generator=torch.Generator().manual_seed(0)).tolist()
    ours, reference = lethes(arguments.lethe, arguments.model, ids), theirs(arguments.model, ids)
    worst = {}
    for name, value in reference.items():
        difference = ((ours[name] - value).abs().max() / value.abs().max()).item()
        kind = "gradients" if name.startswith("gradient.") else name
        worst[kind] = max(worst.get(kind, (0.0, "")), (difference, name))
    for kind, (difference, name) in sorted(worst.items()):
        print(f"{kind:<10} differ by {difference:.1e} of the largest value at most ({name})")
    return int(max(difference for difference, _ in worst.values()) > 1e-5)


if __name__ == "__main__":
    sys.exit(main())
