#!/usr/bin/env python3
"""Random models of two layers, one for each family and flag, and what transformers makes of them.

    tests/golden/make_families.py [FOLDER]       default: tests/golden/families

Each NAME/ holds the model as transformers saves it (config.json, model.safetensors) and golden.safetensors: ids and
labels, and logits, loss and every gradient of the mean loss over the targets, in float32 on the CPU with eager
attention. Needs PyTorch, transformers and safetensors. The seed is the name: the same versions write the same files.
"""
import json
import sys
import zlib
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

ROWS, TOKENS, VOCAB = 2, 11, 29
SIZES = {"vocab_size": VOCAB, "hidden_size": 24, "intermediate_size": 18, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
         "bos_token_id": 1, "eos_token_id": 2}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
YARN = {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 16}
# name: (model type, what differs from SIZES)
FAMILIES = {
    "llama": ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
    "llama_biases_llama3_tied": ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True,
                                           "rope_parameters": LLAMA3, "num_key_value_heads": 4}),
    "llama_linear_padding": ("llama", {"pad_token_id": 3, "num_key_value_heads": 1,
                                       "rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.5}}),
    "llama_yarn": ("llama", {"rope_parameters": YARN}),
    "llama_dynamic": ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0}}),
    "mistral_window": ("mistral", {"sliding_window": 4, "head_dim": 8,
                                   "rope_parameters": {"rope_type": "default", "rope_theta": 100.0}}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}),
    "qwen2_window": ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1,
                               "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}),
    "qwen3": ("qwen3", {"head_dim": 10, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}),
    "qwen3_biases_window": ("qwen3", {"head_dim": 8, "attention_bias": True, "use_sliding_window": True,
                                      "sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"],
                                      "tie_word_embeddings": True,
                                      "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 0], "tie_word_embeddings": True, "pad_token_id": None,
                            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}),
    "smollm3_biases_window": ("smollm3", {"no_rope_layers": [0, 1], "attention_bias": True, "mlp_bias": True,
                                          "use_sliding_window": True, "sliding_window": 4, "pad_token_id": None,
                                          "tie_word_embeddings": False,
                                          "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}),
}


def spelled(keys):
    """The keys as this release of transformers takes them: before 5, rope_theta and rope_scaling."""
    if int(transformers.__version__.split(".")[0]) >= 5:
        return keys
    rope = dict(keys["rope_parameters"])
    others = {k: v for k, v in keys.items() if k != "rope_parameters"}
    theta = rope.pop("rope_theta")
    return {**others, "rope_theta": theta, "rope_scaling": None if rope["rope_type"] == "default" else rope}


def make_model(name, sizes=None, spread=None):
    """The model `name` with weights wide enough that no layer is flat; sizes: other values than its own."""
    model_type, differs = FAMILIES[name]
    config = transformers.AutoConfig.for_model(model_type, **spelled({**SIZES, **differs, **(sizes or {})}))
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
    spread = spread or 1.5 * config.hidden_size**-0.5
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    with torch.no_grad():
        for parameter_name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            is_gain = p.dim() == 1 and "norm" in parameter_name
            p.copy_(1 + 0.3 * noise if is_gain else 0.3 * noise if p.dim() == 1 else spread * noise)
    return model


def make_batch(name, vocab=VOCAB, rows=ROWS, tokens=TOKENS):
    """ids, and as labels the next ids of which a few are no target."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + 1)
    ids = torch.randint(vocab, (rows, tokens), generator=generator)
    labels = torch.cat((ids[:, 1:], torch.full((rows, 1), -100)), 1)
    labels[0, 2] = labels[-1, :2] = -100
    return ids, labels


def measure(model, ids, labels):
    model.zero_grad()
    logits = model(input_ids=ids).logits
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100)
    loss.backward()
    found = {"logits": logits, "loss": loss.reshape(1)}
    for name, p in model.named_parameters():
        if p.grad is not None:
            found["gradient." + name] = p.grad
    return {n: t.detach().contiguous() for n, t in found.items()}


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "families"
    torch.set_num_threads(1)
    for name in FAMILIES:
        model = make_model(name)
        ids, labels = make_batch(name)
        model.save_pretrained(folder / name)
        (folder / name / "generation_config.json").unlink(missing_ok=True)
        (folder / name / "ids.json").write_text(json.dumps({"ids": ids.tolist(), "labels": labels.tolist()}) + "\n")
        save_file(measure(model, ids, labels), folder / name / "golden.safetensors", metadata={"format": "pt"})
        print(name, {p.name: p.stat().st_size for p in sorted((folder / name).iterdir())})


if __name__ == "__main__":
    main()
