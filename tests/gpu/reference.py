"""The reference of tests/gpu: a Llama of plain PyTorch operations whose parameters have the names of Hugging Face's
files, with LoRA under PEFT's, and what the scripts share."""
import json
import math
import subprocess
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

HERE = Path(__file__).resolve().parent
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PEFT_PREFIX = "base_model.model."


class Linear(nn.Module):
    """y = x W^T + scale (x A^T) B^T, the second term where rank > 0."""

    def __init__(self, inside, outside, rank, scale):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outside, inside))
        self.scale = scale
        if rank:
            self.lora_A = nn.Linear(inside, rank, bias=False)
            self.lora_B = nn.Linear(rank, outside, bias=False)

    def forward(self, x):
        y = F.linear(x, self.weight)
        return y + self.scale * self.lora_B(self.lora_A(x)) if hasattr(self, "lora_A") else y


class Norm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        wide = x.float() if x.dtype == torch.bfloat16 else x
        return self.weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)).to(x.dtype)


def turned(x, cos, sin):
    """Rotary positions in halves; x [B, H, T, D], cos and sin [B, 1, T, D / 2] in float."""
    a, b = x.chunk(2, -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def attention(q, k, v, mask, fused):
    """q, k, v: [B, H, T, D]; mask [B, 1, T, T], true where a query sees a key; None: causal."""
    if fused:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    tokens = q.shape[2]
    sees = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).tril() if mask is None else mask
    scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(~sees, -math.inf)
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(-1, dtype=wide).to(q.dtype) @ v


class Attention(nn.Module):
    def __init__(self, c, rank, scale, fused):
        super().__init__()
        self.heads, self.groups, self.fused = c["num_attention_heads"], c["num_key_value_heads"], fused
        self.width = c["hidden_size"] // self.heads
        for name, heads in (("q_proj", self.heads), ("k_proj", self.groups), ("v_proj", self.groups)):
            setattr(self, name, Linear(c["hidden_size"], heads * self.width, rank, scale))
        self.o_proj = Linear(self.heads * self.width, c["hidden_size"], rank, scale)

    def forward(self, x, cos, sin, mask):
        batch, tokens, _ = x.shape

        def heads(y, count):
            return y.view(batch, tokens, count, self.width).transpose(1, 2)

        q, k = heads(self.q_proj(x), self.heads), heads(self.k_proj(x), self.groups)
        v, each = heads(self.v_proj(x), self.groups), self.heads // self.groups
        q, k = turned(q, cos, sin), turned(k, cos, sin).repeat_interleave(each, 1)
        y = attention(q, k, v.repeat_interleave(each, 1), mask, self.fused)
        return self.o_proj(y.transpose(1, 2).reshape(batch, tokens, -1))


class Mlp(nn.Module):
    def __init__(self, c, rank, scale):
        super().__init__()
        hidden, inner = c["hidden_size"], c["intermediate_size"]
        self.gate_proj, self.up_proj = Linear(hidden, inner, rank, scale), Linear(hidden, inner, rank, scale)
        self.down_proj = Linear(inner, hidden, rank, scale)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c, rank, scale, fused):
        super().__init__()
        self.input_layernorm = Norm(c["hidden_size"], c["rms_norm_eps"])
        self.self_attn = Attention(c, rank, scale, fused)
        self.post_attention_layernorm = Norm(c["hidden_size"], c["rms_norm_eps"])
        self.mlp = Mlp(c, rank, scale)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """config: config.json's keys. fused: PyTorch's attention rather than the formula."""

    def __init__(self, config, rank=0, scale=0.0, fused=False):
        super().__init__()
        c = config
        self.config = c
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.model.layers = nn.ModuleList(Layer(c, rank, scale, fused) for _ in range(c["num_hidden_layers"]))
        self.model.norm = Norm(c["hidden_size"], c["rms_norm_eps"])
        if not c["tie_word_embeddings"]:
            self.lm_head = Linear(c["hidden_size"], c["vocab_size"], 0, 0)

    def load(self, folder, adapter=None):
        """Weights from Hugging Face's file, factors from PEFT's; every parameter is set, and with an adapter its
        factors alone are trained."""
        found = load_file(Path(folder, "model.safetensors"))
        if adapter:
            factors = load_file(Path(adapter, "adapter_model.safetensors"))
            found.update({name.removeprefix(PEFT_PREFIX): value for name, value in factors.items()})
        for name, p in self.named_parameters():
            p.data.copy_(found[name].to(p.dtype))
            p.requires_grad_(not adapter or ".lora_" in name)
        return self

    def compile_layers(self):
        for layer in self.model.layers:
            layer.compile(dynamic=False)

    def forward(self, ids, positions=None, mask=None):
        """Logits [B, T, V]."""
        c, width = self.config, self.config["hidden_size"] // self.config["num_attention_heads"]
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        powers = torch.arange(0, width, 2, dtype=torch.float64, device=ids.device) / width
        angles = (positions[..., None].double() * c["rope_theta"] ** -powers)[:, None]
        cos, sin = angles.cos().float(), angles.sin().float()
        x = self.model.embed_tokens(ids)
        if torch.is_grad_enabled() and not x.requires_grad:
            x.requires_grad_(True)
        for layer in self.model.layers:
            x = layer(x, cos, sin, mask)
        head = self.model.embed_tokens.weight if c["tie_word_embeddings"] else self.lm_head.weight
        return F.linear(self.model.norm(x), head)


def loss_sum(logits, labels):
    """Nats over all targets; -100 is none."""
    return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=-100, reduction="sum")


def document_mask(document_start):
    """[B, 1, T, T] from [B, T]: a token sees from its document's start to itself."""
    at = torch.arange(document_start.shape[1], device=document_start.device)
    return ((at[None, None] >= document_start[..., None]) & (at[None, None] <= at[None, :, None]))[:, None]


def rounded(values):
    """To the nearest bf16, kept in float: both sides hold the same weights whatever type they compute in."""
    return values.bfloat16().float()


def write_model(folder, config, seed, spread, gain_spread=0.0):
    """A Hugging Face folder of random weights: normal, gains around one."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    draw = torch.Generator().manual_seed(seed)
    weights = {}
    for name, p in Llama(config).named_parameters():
        noise = torch.randn(p.shape, generator=draw)
        weights[name] = rounded(1 + gain_spread * noise if p.dim() == 1 else spread * noise)
    save_file(weights, Path(folder, "model.safetensors"), metadata={"format": "pt"})
    Path(folder, "config.json").write_text(json.dumps(config, indent=1))


def write_adapter(folder, config, rank, alpha, seed):
    """A PEFT folder on all seven maps whose B is not zero, so that A has a gradient."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    draw = torch.Generator().manual_seed(seed)
    factors = {}
    for name, p in Llama(config, rank, alpha / rank).named_parameters():
        if ".lora_" in name:
            factors[PEFT_PREFIX + name] = rounded(torch.randn(p.shape, generator=draw) / math.sqrt(p.shape[1]))
    save_file(factors, Path(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    Path(folder, "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": alpha, "lora_dropout": 0.0,
        "bias": "none", "base_model_name_or_path": "", "target_modules": MODULES}))


def llama_config(hidden, heads, kv_heads, intermediate, layers, vocab, tokens, tied):
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": hidden,
            "intermediate_size": intermediate, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "vocab_size": vocab, "max_position_embeddings": tokens,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": tied}


def add_lethe_arguments(parser):
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--pack", type=Path, help="the folder that tests/gpu/pack made")
    group.add_argument("--lethe", help="the command, where it needs no packed libraries")


def run_lethe(arguments, *words):
    """Runs the command; its messages go through. Raises CalledProcessError if it fails."""
    command = [arguments.lethe] if arguments.lethe else [str(HERE / "with"), str(arguments.pack), "lethe"]
    subprocess.run(command + [str(w) for w in words], check=True)
