#!/usr/bin/env python3
"""What a machine with several GPUs makes of Lethe, in a few minutes: the same mathematics, speed, faults, a trace.

    tools/several_gpus.py [--lethe build/cuda/tools/lethe] --tokenizer FILE --text FILE [FILE] --output DIR
        [--parts same,alone,speed,fault,trace,peer] [--worlds 1,2,4,8] [--engine auto|mpi|nccl] [--minutes 10]
        [--peer PATH/torch_tuned.py]

same:  trains a 4-layer model for 50 steps with 1, 2, 4, ... processes, every sharding, full and LoRA; losses and weights
       beside those of one process, whose own spread is that between two ways to cut its batch. In deterministic mode the
       shardings must have the same bits.
speed: `lethe bench` of 1B and 7B shapes: tokens/s of 1, 2, 4, ... GPUs, each with a batch of its own.
peer:  the same shapes and batches in PyTorch, DDP and FSDP2 around the model of --peer (several_gpus_peer.py), and the
       ratio of Lethe's best sharding to PyTorch's best wrapping, which may not fall below that of one GPU.
fault: kills a rank amid training, shows how the run ends, and resumes it with another number of processes.
trace: one step's timeline, sums beside the backward pass (for Perfetto).

Results go to DIR/results.jsonl, and `peer` finds there what `speed` measured before. The exit status is 1 if something
does not hold. Processes are started with torchrun's variables; --engine mpi has them share GPUs, through the host's
memory.
"""
import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

MODEL = {"model_type": "llama", "vocab_size": 32000, "hidden_size": 512, "intermediate_size": 1376,
         "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 512,
         "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False}
SHARDINGS = ["none", "zero1", "zero2", "zero3"]
SPEEDS = [("1b", "full", ["zero1", "zero2"]), ("7b", "lora", ["none"]), ("7b", "full", ["zero1", "zero2"])]
PEERS = "1b:full:ddp,1b:full:fsdp2-keep,7b:lora:ddp,7b:full:fsdp2-keep"
# Medians of the same steps in two processes lie up to this far apart.
NOISE = 0.01


def free_port():
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]


def start(world, command, **more):
    """The processes of one run, with torchrun's variables."""
    port, processes = free_port(), []
    for rank in range(world):
        env = dict(os.environ, NCCL_NVLS_ENABLE="0", **more)
        if world > 1:
            env.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(world),
                       MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID=str(port))
        processes.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    return processes


def finish(processes, seconds=300):
    texts, codes = [], []
    for p in processes:
        try:
            texts.append(p.communicate(timeout=seconds)[0])
        except subprocess.TimeoutExpired:
            for q in processes:
                q.kill()
            texts.append(p.communicate()[0] + "\nTIMED OUT")
        codes.append(p.returncode)
    return codes, texts


def finish_together(processes, seconds=240):
    """As finish, but once one has failed, the others, which wait for it, are ended."""
    texts = [""] * len(processes)

    def read(i):
        texts[i] = processes[i].communicate()[0]

    readers = [threading.Thread(target=read, args=(i,)) for i in range(len(processes))]
    for reader in readers:
        reader.start()
    until = time.time() + seconds
    while any(p.poll() is None for p in processes):
        if time.time() > until or any(p.poll() for p in processes):
            time.sleep(2)
            for p in processes:
                p.kill()
            break
        time.sleep(0.05)
    for reader in readers:
        reader.join()
    return [p.returncode for p in processes], texts


def parse_peer(text):
    """SHAPE:METHOD:WRAP[@BATCHxSEQ] as (shape, method, wrap, (batch, seq) or None)."""
    name, _, size = text.partition("@")
    try:
        shape, method, wrap = name.split(":")
        batch, seq = map(int, size.split("x")) if size else (0, 0)
        if method not in ("full", "lora") or wrap not in ("ddp", "fsdp2", "fsdp2-keep"):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not SHAPE:full|lora:ddp|fsdp2|fsdp2-keep[@BATCHxSEQ]") from None
    return shape, method, wrap, (batch, seq) if size else None


def weights(folder):
    """Tensors of a folder's safetensors as float32."""
    found = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        for name, t in json.loads(data[8:8 + size]).items():
            if name == "__metadata__":
                continue
            begin, end = (8 + size + o for o in t["data_offsets"])
            if t["dtype"] == "BF16":
                values = (np.frombuffer(data[begin:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
            else:
                values = np.frombuffer(data[begin:end], {"F32": np.float32, "F64": np.float64}[t["dtype"]])
            found[name] = values.astype(np.float64)
    return found


def apart(a, b):
    """Root mean square distance over the root mean square of a."""
    size = sum(float(np.sum(a[k] ** 2)) for k in a)
    return (sum(float(np.sum((a[k] - b[k]) ** 2)) for k in a) / size) ** 0.5


class Bench:
    def __init__(self, args):
        self.args, self.failed = args, False
        self.output = Path(args.output)
        self.output.mkdir(parents=True, exist_ok=True)
        earlier = self.output / "results.jsonl"
        self.lines = [json.loads(line) for line in earlier.read_text().splitlines()] if earlier.exists() else []
        self.results = open(earlier, "a")
        self.deadline = time.time() + 60 * args.minutes

    def note(self, part, holds=True, **values):
        self.failed |= not holds
        line = {"part": part, "holds": holds, **values}
        self.lines.append(line)
        self.results.write(json.dumps(line) + "\n")
        self.results.flush()
        print("ok  " if holds else "NOT ", part, ", ".join(f"{k} {v}" for k, v in values.items()), flush=True)

    def config(self):
        path = self.output / "config.yaml"
        if not path.exists():
            path.write_text(json.dumps({
                "model.config": MODEL,
                "data": {"train": [str(Path(t).resolve()) for t in self.args.text], "sequence_length": 256, "held_out_fraction": 0,
                         "tokenizer": str(Path(self.args.tokenizer).resolve()),
                         "cache_dir": str((self.output / "cache").resolve())},
                "train": {"duration": f"{self.args.trained_steps} steps", "batch_size": 16, "micro_batch_size": 2, "save_every": 0, "eval_every": 0},
                "optimizer": {"learning_rate": 1e-3, "weight_decay": 0.1},
                "precision": "bfloat16", "device": self.args.device}))
        return str(path)

    def train(self, name, world, *assignments):
        folder = self.output / name
        if (folder / "metrics.jsonl").exists():
            return folder
        command = [self.args.lethe, "train", self.config()]
        engine = [f"distributed.engine={self.args.engine}"] if world > 1 else []
        for a in [f"output={folder}", *engine, *assignments]:
            command += ["--set", a]
        codes, texts = finish(start(world, command))
        if any(codes):
            self.note("train", False, run=name, codes=codes, text=texts[0][-1500:])
            return None
        return folder

    def losses(self, folder):
        lines = [json.loads(line) for line in open(folder / "metrics.jsonl")]
        return np.array([line["loss"] for line in lines if line.get("kind", "step") == "step" and "loss" in line])

    def same(self):
        for method in ("full", "lora"):
            kind = [f"method={method}"] + (["lora.rank=16", "optimizer.learning_rate=3e-3"] if method == "lora" else [])
            part = "model" if method == "full" else "adapter"
            one = self.train(f"{method}-1", 1, *kind)
            other = self.train(f"{method}-1-cut", 1, *kind, "train.micro_batch_size=4")
            if not one or not other:
                return
            w, cut = weights(one / part), weights(other / part)
            noise = apart(w, cut)
            noise_loss = float(np.max(np.abs(self.losses(one) - self.losses(other))))
            for world in self.args.worlds:
                bits = {}
                for sharding in SHARDINGS if world > 1 else []:
                    run = self.train(f"{method}-{world}-{sharding}", world, *kind, f"distributed.sharding={sharding}")
                    if not run:
                        continue
                    distance = apart(w, weights(run / part))
                    loss = float(np.max(np.abs(self.losses(one) - self.losses(run))))
                    # One process differs from itself by as much where its batch is cut otherwise.
                    self.note("same", distance <= 2 * noise and loss <= 2 * noise_loss, method=method, world=world,
                              sharding=sharding, weights=f"{distance:.2e}", of_one_cut_otherwise=f"{noise:.2e}",
                              loss=f"{loss:.2e}", of_one_cut_otherwise_loss=f"{noise_loss:.2e}")
                    run = self.train(f"{method}-{world}-{sharding}-bits", world, *kind, "train.deterministic=true",
                                     "train.duration=10 steps", f"distributed.sharding={sharding}")
                    if run:
                        bits[sharding] = b"".join(p.read_bytes() for p in sorted((run / part).glob("*.safetensors")))
                if bits:
                    self.note("bits", len(set(bits.values())) == 1 and len(bits) == 4, method=method, world=world,
                              shardings=len(bits), distinct=len(set(bits.values())))

    def alone(self):
        """NCCL's nodes with one process: the same bits, and what they cost."""
        for method in ("full", "lora"):
            kind = [f"method={method}", "train.deterministic=true"] + (["lora.rank=16"] if method == "lora" else [])
            part = "model" if method == "full" else "adapter"
            runs = [self.train(f"{method}-alone-{e}", 1, *kind, f"distributed.engine={e}", "train.duration=10 steps",
                               *(["distributed.sharding=zero2"] if e == "nccl" else [])) for e in ("self", "nccl")]
            if all(runs):
                bits = [b"".join(p.read_bytes() for p in sorted((r / part).glob("*.safetensors"))) for r in runs]
                self.note("alone", bits[0] == bits[1], method=method)
        for shape, method, sharding in (("7b", "lora", "none"), ("1b", "full", "zero2")):
            rates = {}
            for engine in ("self", "nccl", "self", "nccl"):
                rate = self.bench(1, shape, method, sharding if engine == "nccl" else "none", engine)
                if rate:
                    rates.setdefault(engine, []).append(rate["step_ms"])
            if len(rates) == 2:
                cost = float(np.median(rates["nccl"]) / np.median(rates["self"]) - 1)
                self.note("cost alone", cost < (0.01 if method == "lora" else 0.02), shape=shape, method=method,
                          share=round(cost, 4), step_ms=rates)

    def bench(self, world, shape, method, sharding, engine="auto", *more):
        command = [self.args.lethe, "bench", "--device", "cuda", "--shape", shape, "--method", method, "--steps",
                   str(self.args.steps), "--sharding", sharding, "--engine", engine, *more]
        codes, texts = finish(start(world, command))
        line = next((t for t in texts[0].splitlines() if t.startswith("{")), None)
        if any(codes) or not line:
            self.note("bench", False, world=world, shape=shape, method=method, sharding=sharding, codes=codes,
                      text=texts[0][-600:])
            return None
        return json.loads(line)

    def speed(self):
        for shape, method, shardings in SPEEDS:
            base = None
            for world in self.args.worlds:
                for sharding in shardings if world > 1 else ["none"]:
                    if time.time() > self.deadline:
                        return self.note("speed", True, left_out="the minutes are over")
                    made = self.bench(world, shape, method, sharding)
                    if not made:
                        continue
                    base = base or made  # of the fewest that have room for it
                    values = {k: made[k] for k in ("tokens_per_s", "step_ms", "used_gb", "gpu")}
                    values["efficiency"] = round(made["tokens_per_s"] / world * base["world"] / base["tokens_per_s"], 4)
                    self.note("speed", world=world, shape=shape, method=method, sharding=sharding, **values)

    def batch_of(self, shape, method):
        """What lethe bench trains of a shape on a GPU."""
        text = subprocess.run([self.args.lethe, "bench", "--plan", "--device", "cuda", "--shape", shape, "--method", method],
                              capture_output=True, text=True, check=True).stdout
        line = json.loads(text.splitlines()[-1])
        return line["batch"], line["seq"]

    def peer_line(self, world, shape, method, wrap, size):
        """The peer's line; where its memory is too small it tries again and recomputes each layer."""
        cores = len(os.sched_getaffinity(0))
        more = {"TORCHINDUCTOR_COMPILE_THREADS": str(max(1, min(16, cores // world)))}
        command = [self.args.python, str(Path(__file__).resolve().parent / "several_gpus_peer.py"), "--peer",
                   self.args.peer, "--shape", shape, "--method", method, "--wrap", wrap, "--batch", str(size[0]), "--seq",
                   str(size[1]), "--steps", str(self.args.steps), "--device", self.args.device]
        for recompute in ([], ["--checkpoint"]):
            codes, texts = finish_together(start(world, command + recompute, **more))
            if not any("OutOfMemoryError" in text for text in texts):
                break
        line = next((t for t in texts[0].splitlines() if t.startswith("{")), None)
        if any(codes) or not line:
            said = next((text for code, text in zip(codes, texts) if code > 0), texts[0])
            self.note("peer", False, world=world, shape=shape, method=method, wrap=wrap, codes=codes, text=said[-900:])
            return None
        return json.loads(line)

    def peer(self):
        if not self.args.peer:
            sys.exit("--parts peer needs --peer PATH: the file of the one-GPU trainer")
        groups = {}
        for shape, method, wrap, size in self.args.peer_shapes:
            groups.setdefault((shape, method, size), []).append(wrap)
        for (shape, method, size), wraps in groups.items():
            size = size or self.batch_of(shape, method)
            bases = {}
            for world in self.args.worlds:
                for wrap in wraps if world > 1 else wraps[:1]:
                    if time.time() > self.deadline:
                        return self.note("peer", True, left_out="the minutes are over")
                    made = self.peer_line(world, shape, method, wrap, size)
                    if not made:
                        continue
                    rate = made["tokens_per_s"] / world
                    # A step that recomputes is no measure of one that does not.
                    base = bases.setdefault(made["checkpoint"], (world, rate))
                    keys = ("wrap", "checkpoint", "batch", "seq", "tokens_per_s", "step_ms", "peak_gb", "first_step_s",
                            "gpu")
                    self.note("peer", world=world, shape=shape, method=method, **{k: made[k] for k in keys},
                              efficiency=round(rate / base[1], 4), efficiency_from=base[0])
            self.compare(shape, method)

    def compare(self, shape, method):
        """Lethe's best beside the peer's best, by world."""
        best = {}
        for line in self.lines:
            if line["part"] in ("speed", "peer") and (line.get("shape"), line.get("method")) == (shape, method) \
                    and "tokens_per_s" in line:
                side = best.setdefault(line["world"], {})
                if line["tokens_per_s"] > side.get(line["part"], {}).get("tokens_per_s", 0):
                    side[line["part"]] = line
        bases = {}  # a ratio to steps that recompute is no measure of one to those that do not
        for world in sorted(best):
            speed, peer = best[world].get("speed"), best[world].get("peer")
            if world not in self.args.worlds or not speed or not peer:
                continue
            ratio = speed["tokens_per_s"] / peer["tokens_per_s"]
            one = bases.setdefault(peer["checkpoint"], ratio)
            self.note("ratio", ratio >= one * (1 - NOISE), world=world, shape=shape, method=method, ratio=round(ratio, 4),
                      lethe=speed["tokens_per_s"], peer=peer["tokens_per_s"], sharding=speed["sharding"],
                      wrap=peer["wrap"], checkpoint=peer["checkpoint"], efficiency=speed.get("efficiency"),
                      peer_efficiency=peer["efficiency"])

    def fault(self):
        most = max(self.args.worlds)
        folder = self.output / "fault"
        command = [self.args.lethe, "train", self.config(), "--hang-seconds", "10"]
        for a in [f"output={folder}", f"distributed.engine={self.args.engine}", "distributed.sharding=zero1",
                  "train.save_every=10", "train.duration=400 steps"]:
            command += ["--set", a]
        processes = start(most, command)
        until = time.time() + 60
        while time.time() < until and not list(folder.glob("checkpoints/step-*/complete")):
            time.sleep(0.1)
        began = time.time()
        processes[-1].send_signal(signal.SIGKILL)
        codes, texts = finish(processes, 60)
        seconds = time.time() - began
        self.note("fault", all(codes) and seconds < 20, seconds=round(seconds, 1), codes=codes,
                  last_words=texts[0].strip().splitlines()[-8:])
        rest = max(1, most // 2)
        command = command + ["--resume"]
        if rest == 1:
            command += ["--set", "distributed.engine=auto"]
        codes, texts = finish(start(rest, command), 120)
        self.note("resume", not any(codes), world=rest, codes=codes, last_words=texts[0].strip().splitlines()[-3:])

    def trace(self):
        path = self.output / "trace.json"
        world = max(self.args.worlds)
        self.bench(world, "1b", "full", "zero2", "auto", "--trace", str(path))
        if not path.exists():
            return
        events = json.loads(path.read_text())
        events = events["traceEvents"] if isinstance(events, dict) else events
        kernels = [e for e in events if e.get("ph") == "X" and "dur" in e]
        sums = [e for e in kernels if "nccl" in e["name"].lower()]
        streams = {e["tid"] for e in sums}
        others = [e for e in kernels if e["tid"] not in streams and e.get("pid") == (sums[0]["pid"] if sums else None)]
        beside = sum(any(o["ts"] < s["ts"] + s["dur"] and s["ts"] < o["ts"] + o["dur"] for o in others) for s in sums)
        self.note("trace", bool(sums) and beside > 0, sums=len(sums), beside_other_kernels=beside,
                  streams=sorted(map(str, streams)), bytes=path.stat().st_size)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lethe", default="build/cuda/tools/lethe")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--text", required=True, nargs="+")
    parser.add_argument("--output", required=True)
    parser.add_argument("--parts", default="same,alone,speed,fault,trace", type=lambda s: s.split(","))
    parser.add_argument("--worlds", default=None, type=lambda s: [int(x) for x in s.split(",")])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--steps", type=int, default=12, help="timed by lethe bench and by the peer")
    parser.add_argument("--peer", help="the one-GPU trainer's file, whose model the part peer trains")
    parser.add_argument("--peer-shapes", default=PEERS, type=lambda s: [parse_peer(t) for t in s.split(",")],
                        help="SHAPE:METHOD:WRAP[@BATCHxSEQ],...; without @ lethe bench's own batch (%(default)s)")
    parser.add_argument("--python", default=sys.executable, help="that has torch, for the peer")
    parser.add_argument("--trained-steps", type=int, default=50)
    parser.add_argument("--device", default="cuda", help="cpu: try the script itself")
    args = parser.parse_args()
    if args.worlds is None:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout.count("GPU ")
        args.worlds = [w for w in (1, 2, 4, 8) if w <= max(1, listed)]
    bench = Bench(args)
    for part in args.parts:
        getattr(bench, part)()
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
