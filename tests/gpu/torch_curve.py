#!/usr/bin/env python3
"""The 135M shape trained from random weights by Lethe in bf16 and by PyTorch in float, on the same batches; then LoRA
continued from what Lethe trained.

    tests/gpu/torch_curve.py --pack FOLDER OUT [--phase full|lora|both] [--seconds N]

`lethe batches` says what `lethe train` reads, metrics.jsonl at which rate; PyTorch does the same steps with TF32
products (--products highest: true float32, three times as slow). The losses of the last --window steps, averaged, may
differ by 0.01 nats. PyTorch's part stops after --seconds; the last steps are then those it came to. Prints both curves,
writes OUT/curve_full.json and OUT/curve_lora.json, exits with 1 where they part. What Lethe trained stays in the work
folder for the next call: a LoRA phase alone goes on from it.
"""
import argparse
import json
import lzma
import shutil
import sys
import time
from pathlib import Path

import torch
from safetensors import safe_open

import reference
from reference import Llama, document_mask, loss_sum

BETAS, EPSILON, CLIP = (0.9, 0.95), 1e-8, 1.0


def plain_text(a, file):
    """The text unpacked into the work folder, where Lethe can read it."""
    if file.suffix != ".xz":
        return file
    to = a.work / file.stem
    if not to.exists():
        a.work.mkdir(parents=True, exist_ok=True)
        with lzma.open(file) as packed, open(str(to) + ".partial", "wb") as out:
            shutil.copyfileobj(packed, out, 1 << 20)
        Path(str(to) + ".partial").rename(to)
    return to


def configuration(a, phase, model):
    lora = phase == "lora"
    tokens = a.lora_tokens if lora else a.tokens
    steps = max(a.window, round(tokens / (a.batch * a.sequence)))
    made = {
        "model": {"path": str(model)}, "method": phase,
        "data": {"train": [str(plain_text(a, a.lora_text if lora else a.text))], "held_out_fraction": 0,
                 "tokenizer": str(a.tokenizer), "sequence_length": a.sequence, "document_mask": a.documents,
                 "shuffle_seed": 1, "cache_dir": str(a.work / "cache")},
        "train": {"duration": f"{steps} steps", "batch_size": a.batch, "micro_batch_size": a.micro_batch, "seed": 1,
                  "max_gradient_norm": CLIP, "eval_every": 0, "save_every": 0, "log_every": 1},
        "optimizer": {"name": "adamw", "learning_rate": a.lora_rate if lora else a.rate, "betas": list(BETAS),
                      "epsilon": EPSILON, "weight_decay": 0.0 if lora else 0.1},
        "schedule": {"name": "cosine", "warmup": f"{steps // 20} steps"},
        "precision": a.precision, "device": a.device, "output": str(a.work / phase)}
    if lora:
        made["lora"] = {"rank": a.rank, "alpha": 2 * a.rank, "dropout": 0}
    return made


def train_lethe(a, phase, model):
    """Lethe's run and the batches that it read, made unless the work folder has this very run."""
    made = configuration(a, phase, model)
    file, done = a.work / f"{phase}.yaml", a.work / f"{phase}.done"
    text = json.dumps(made, indent=1)  # JSON is YAML
    if not (done.exists() and done.read_text() == text):
        done.unlink(missing_ok=True)
        for name in (phase, phase + ".start"):
            shutil.rmtree(a.work / name, ignore_errors=True)
        file.write_text(text)
        if phase == "lora":  # a step at rate 0 leaves the factors that the run begins with
            still = ("optimizer.learning_rate=0", "train.duration=1 steps", "schedule.warmup=0 steps",
                     f"output={a.work / 'lora.start'}")
            reference.run_lethe(a, "train", file, *(word for s in still for word in ("--set", s)))
        reference.run_lethe(a, "batches", file, "--output", a.work / f"{phase}.batches")
        reference.run_lethe(a, "train", file)
        done.write_text(text)
    lines = [json.loads(line) for line in (a.work / phase / "metrics.jsonl").read_text().splitlines()]
    return [m for m in lines if m["kind"] == "step"]


def torch_model(a, phase, model):
    config = json.loads(Path(model, "config.json").read_text())
    rank = a.rank if phase == "lora" else 0
    made = Llama(config, rank, 2.0, fused=not a.formula).to(a.device)
    return made.load(model, a.work / "lora.start/adapter" if rank else None)


def groups_of(model, decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [{"params": [p for p in trained if p.dim() >= 2], "weight_decay": decay},
            {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0}]


class Steps:
    """Losses of PyTorch's steps; they stay on the device, so that no step waits for the host."""

    def __init__(self, a, phase, model, lethes):
        self.a, self.lethes, self.model = a, lethes, torch_model(a, phase, model)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        groups = [g for g in groups_of(self.model, 0.0 if phase == "lora" else 0.1) if g["params"]]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON)
        self.batches = safe_open(a.work / f"{phase}.batches", "pt")

    def batch(self, step):
        names = ("ids", "labels", "positions", "document_start")
        parts = [self.batches.get_slice(n)[step:step + 1][0].to(self.a.device) for n in names]
        return parts[0].long(), parts[1].long(), parts[2], parts[3]

    def run(self, step):
        ids, labels, positions, start = self.batch(step)
        targets, total = (labels != -100).sum(), torch.zeros((), device=self.a.device)
        for rows in torch.arange(ids.shape[0], device=self.a.device).split(self.a.torch_micro_batch):
            mask = document_mask(start[rows]) if self.a.documents else None
            loss = loss_sum(self.model(ids[rows], positions[rows], mask), labels[rows]) / targets
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(self.trained, CLIP)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lethes[step]["learning_rate"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total


def train_torch(a, phase, model, lethes):
    steps, losses, compiled = Steps(a, phase, model, lethes), [], a.device == "cuda" and not a.eager
    if compiled:
        try:
            ids, _, positions, start = steps.batch(0)
            rows = slice(0, a.torch_micro_batch)
            steps.model.compile_layers()
            mask = document_mask(start[rows]) if a.documents else None
            steps.model(ids[rows], positions[rows], mask).sum().backward()
        except Exception as error:  # slower, and the same numbers
            print(f"torch.compile failed, going on without it: {type(error).__name__}: {str(error)[:300]}", flush=True)
            steps, compiled = Steps(a, phase, model, lethes), False
        steps.optimizer.zero_grad(set_to_none=True)
    begin = time.time()
    for step in range(len(lethes)):
        losses.append(steps.run(step))
        if (step + 1) % 20 == 0 or step + 1 == len(lethes):
            now, seconds = losses[-1].item(), time.time() - begin
            print(f"torch {phase} step {step + 1} of {len(lethes)}: loss {now:.4f}, "
                  f"Lethe's {lethes[step]['loss']:.4f}, "
                  f"{(step + 1) * a.batch * a.sequence / seconds:.0f} tokens/s", flush=True)
            if seconds > a.seconds:
                break
    return torch.stack(losses).double().cpu(), time.time() - begin, compiled


def compare(a, phase, model):
    lethes = train_lethe(a, phase, model)
    theirs, seconds, compiled = train_torch(a, phase, model, lethes)
    ours = torch.tensor([m["loss"] for m in lethes[:len(theirs)]], dtype=torch.float64)
    difference = ours - theirs
    window = min(a.window, len(theirs))
    # A mean over the same batches: the batches' own spread is in both and cancels.
    smoothed = difference.unfold(0, window, 1).mean(-1)
    compute = [m["seconds"]["compute"] + m["seconds"]["data"] for m in lethes]
    result = {
        "phase": phase, "steps": len(theirs), "of_steps": len(lethes), "tokens": len(theirs) * a.batch * a.sequence,
        "final_lethe": ours[-window:].mean().item(), "final_torch": theirs[-window:].mean().item(),
        "difference": smoothed[-1].item(), "largest_smoothed_difference": smoothed.abs().max().item(),
        "largest_difference_of_a_step": difference.abs().max().item(), "first_step": difference[0].item(),
        "bound": a.bound, "holds": abs(smoothed[-1].item()) <= a.bound, "whole_run": len(theirs) == len(lethes),
        "device": torch.cuda.get_device_name() if a.device == "cuda" else "cpu", "torch": torch.__version__,
        "torch_products": a.products, "torch_compiled": compiled, "precision": a.precision,
        "torch_seconds": seconds, "lethe_seconds": sum(compute)}
    print(f"{'step':>6} {'lethe':>9} {'torch':>9} {'difference':>11}")
    for end in torch.linspace(window, len(theirs), 12).round().long().unique().tolist():
        part = slice(end - window, end)
        print(f"{end:6d} {ours[part].mean():9.4f} {theirs[part].mean():9.4f} {difference[part].mean():11.5f}")
    print(json.dumps(result), flush=True)
    a.out.mkdir(parents=True, exist_ok=True)
    curves = {"lethe": [m["loss"] for m in lethes], "torch": theirs.tolist()}
    (a.out / f"curve_{phase}.json").write_text(json.dumps({**result, **curves}))
    return result["holds"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reference.add_lethe_arguments(parser)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--phase", choices=["full", "lora", "both"], default="both")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--precision", default="bfloat16", choices=["bfloat16", "float32"], help="of Lethe")
    parser.add_argument("--products", default="high", choices=["high", "highest"], help="PyTorch's: high is TF32")
    parser.add_argument("--work", type=Path, help="models, batches and runs; some GB (default: beside FOLDER)")
    parser.add_argument("--text", type=Path, help="JSONL, .xz or not (default: FOLDER's books)")
    parser.add_argument("--lora-text", type=Path, help="likewise (default: FOLDER's mathematics)")
    parser.add_argument("--tokenizer", type=Path, help="SentencePiece model (default: the packed one)")
    parser.add_argument("--documents", action="store_true", help="attention within documents, in both")
    parser.add_argument("--formula", action="store_true", help="attention by its formula, not by PyTorch's kernel")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--lora-rate", type=float, default=4e-4)
    parser.add_argument("--bound", type=float, default=0.01, help="nats")
    for name, value in (("tokens", 30_000_000), ("lora-tokens", 4_000_000), ("seconds", 300), ("window", 50),
                        ("batch", 32), ("micro-batch", 32), ("torch-micro-batch", 16), ("sequence", 1024), ("rank", 16),
                        ("hidden", 576), ("heads", 9), ("kv-heads", 3), ("intermediate", 1536), ("layers", 30),
                        ("vocab", 32000)):
        parser.add_argument("--" + name, type=int, default=value)
    a = parser.parse_args()
    unpacked = Path(str(a.pack.resolve()) + ".unpacked") if a.pack else None
    if a.pack:
        a.work = a.work or unpacked / "curve"
        a.text = a.text or a.pack.resolve() / "english_books.jsonl.xz"
        a.lora_text = a.lora_text or a.pack.resolve() / "math_latex.jsonl.xz"
        a.tokenizer = a.tokenizer or unpacked / "data/tokenizer.model"
    elif not (a.work and a.text and a.lora_text and a.tokenizer):
        parser.error("--lethe needs --work, --text, --lora-text and --tokenizer too")
    return a


def main():
    a = parse_arguments()
    torch.set_float32_matmul_precision(a.products)
    reference.run_lethe(a, "doctor")  # also unpacks what comes packed, and empties an older work folder
    a.work.mkdir(parents=True, exist_ok=True)
    holds = True
    if a.phase in ("full", "both"):
        initial = a.work / "initial"
        config = reference.llama_config(a.hidden, a.heads, a.kv_heads, a.intermediate, a.layers, a.vocab, a.sequence,
                                        tied=True)
        reference.write_model(initial, config, seed=1, spread=0.02)
        holds = compare(a, "full", initial)
    if a.phase in ("lora", "both"):
        base = a.work / "full/model"
        if not base.exists():
            sys.exit(f"{base} is not there: run the full phase first")
        holds = compare(a, "lora", base) and holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
