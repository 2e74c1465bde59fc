#!/usr/bin/env python3
"""One process of a PyTorch trainer over several GPUs, around the model of a one-GPU trainer that is not part of this
project; tools/several_gpus.py starts as many as there are GPUs, with torchrun's variables (torchrun can, too).

    several_gpus_peer.py --peer PATH/torch_tuned.py --shape 7b --method lora --wrap ddp --batch 2 --seq 4096

The peer's file gives SHAPES, Model and flops_per_token; its model, loss, precision, attention and optimizer are taken
as they are. --wrap says what is around them: ddp (gradients summed in buckets beside the backward pass), fsdp2
(fully_shard of each layer: weights, gradients and moments are parts, weights gathered for each pass) or fsdp2-keep (the
same, but weights stay from the forward to the backward pass, as in ZeRO-2). Alone, nothing is around them. Every process
has a batch of its own. Rank 0 prints one JSON line: tokens/s of all processes from the median step.
"""
import argparse
import contextlib
import importlib.util
import json
import os
import sys
import time

BEGAN = time.time()
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch.distributed.fsdp import fully_shard  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

TINY = (64, 2, 4, 2, 128, 256, True, 1e4)  # to try this script on a CPU
WRAPS = ("ddp", "fsdp2", "fsdp2-keep")


def peer_of(path):
    spec = importlib.util.spec_from_file_location("several_gpus_peer_model", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    missing = [name for name in ("SHAPES", "Model", "flops_per_token") if not hasattr(module, name)]
    if missing:
        sys.exit(f"{path} has no {', '.join(missing)}")
    return module


class Processes:
    """Who this process is among the others, and the device that it has."""

    def __init__(self, device):
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.cuda = device == "cuda"
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if self.cuda else torch.device("cpu")
        if self.cuda:
            torch.cuda.set_device(self.device)
        if self.world > 1:
            more = {"device_id": self.device} if self.cuda else {}
            dist.init_process_group("nccl" if self.cuda else "gloo", **more)

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()


def make_model(a, peer, shape, processes):
    """The same random weights in every process, in bfloat16 unless --amp; the rotation's table is rounded last."""
    torch.manual_seed(0)
    rank = a.rank if a.method == "lora" else 0
    with processes.device:
        model = peer.Model(*shape, rank, 2.0 if rank else 0.0, a.seq)
    cos, sin = model.cos.clone(), model.sin.clone()
    if not a.amp:
        model.bfloat16()
    model.cos, model.sin = cos.bfloat16(), sin.bfloat16()
    return model


def wrapped(a, model, processes):
    """Layers compiled, each forward pass alone, so that what DDP and FSDP2 hang on them stays outside."""
    if not a.no_compile:
        for layer in model.layers:
            layer.forward = torch.compile(layer.forward, dynamic=False)
    if processes.world == 1:
        return model
    if a.wrap == "ddp":
        # A layer's gradients are complete at once: nothing is won by cutting its graph where a bucket ends.
        torch._dynamo.config.optimize_ddp = False
        return DistributedDataParallel(model, device_ids=[processes.device] if processes.cuda else None,
                                       gradient_as_bucket_view=True, bucket_cap_mb=a.bucket_mb)
    keep = a.wrap == "fsdp2-keep"
    for layer in model.layers:
        fully_shard(layer, reshard_after_forward=not keep)
    return fully_shard(model, reshard_after_forward=False)


def timed_steps(a, model, vocab, processes):
    """Milliseconds of each step, its last loss, and the seconds from the beginning to the end of the first."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=processes.cuda or None)
    torch.manual_seed(1 + processes.rank)
    ids = torch.randint(0, vocab, (a.batch, a.seq + 1), device=processes.device)
    attention = sdpa_kernel(SDPBackend.CUDNN_ATTENTION) if processes.cuda else contextlib.nullcontext()
    times, first, loss = [], None, None
    with attention:
        for _ in range(a.steps):
            processes.wait()
            began = time.perf_counter()
            with torch.autocast(processes.device.type, torch.bfloat16, enabled=a.amp):
                loss = model(ids[:, :-1], ids[:, 1:], a.chunk, a.checkpoint)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0, foreach=True)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            processes.wait()
            times.append(1e3 * (time.perf_counter() - began))
            first = first or time.time() - BEGAN
    return times, loss.item(), first


def middle(values):
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="the one-GPU trainer's file")
    parser.add_argument("--shape", default="7b", help="one of the peer's, or tiny")
    parser.add_argument("--method", choices=["full", "lora"], default="lora")
    parser.add_argument("--wrap", choices=WRAPS, default="ddp")
    parser.add_argument("--rank", type=int, default=64, help="LoRA's")
    parser.add_argument("--batch", type=int, default=2, help="sequences of each process")
    parser.add_argument("--seq", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=12, help="the first third does not count")
    parser.add_argument("--chunk", type=int, default=4096, help="tokens whose loss is computed at once")
    parser.add_argument("--bucket-mb", type=int, default=64, help="DDP's buckets")
    parser.add_argument("--checkpoint", action="store_true", help="recompute each layer in the backward pass")
    parser.add_argument("--amp", action="store_true", help="float32 weights under autocast")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    a = parser.parse_args()
    if a.steps < 1 or a.batch < 1 or a.seq < 1:
        parser.error("--steps, --batch and --seq must be at least 1")
    peer = peer_of(a.peer)
    shapes = {**peer.SHAPES, "tiny": TINY}
    if a.shape not in shapes:
        parser.error(f"--shape {a.shape} is none of {', '.join(shapes)}")
    torch.backends.cuda.matmul.allow_tf32 = True
    processes = Processes(a.device)
    model = wrapped(a, make_model(a, peer, shapes[a.shape], processes), processes)
    if processes.cuda:  # making whole float32 weights took more than a part of them does
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    times, loss, first = timed_steps(a, model, shapes[a.shape][5], processes)
    kept = times[len(times) // 3:]
    tokens = a.batch * a.seq * processes.world / (middle(kept) / 1e3)
    rank = a.rank if a.method == "lora" else 0
    flops = peer.flops_per_token(*shapes[a.shape], rank, a.seq)
    if processes.rank == 0:
        print(json.dumps({
            "peer": "torch-tuned", "wrap": a.wrap if processes.world > 1 else "none", "world": processes.world,
            "shape": a.shape, "method": a.method, "rank": rank, "batch": a.batch, "seq": a.seq, "amp": a.amp,
            "checkpoint": a.checkpoint, "tokens_per_s": round(tokens),
            "mfu": round(tokens / processes.world * flops / 989e12, 4),
            "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1) if processes.cuda else 0,
            "first_step_s": round(first, 1), "loss": round(loss, 3), "steps": a.steps,
            "step_ms": round(middle(kept), 3), "step_ms_low": round(min(kept), 3), "step_ms_high": round(max(kept), 3),
            "gpu": torch.cuda.get_device_name() if processes.cuda else "", "torch": torch.__version__}), flush=True)
    if processes.world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
