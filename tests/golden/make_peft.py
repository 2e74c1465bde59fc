#!/usr/bin/env python3
"""Adapters that PEFT makes of a tiny Llama, and the logits it has with them: plain LoRA with patterns, rsLoRA,
DoRA, and modules trained whole; which maps PEFT adapts for each; and what PiSSA leaves of a base's weights.

    python tests/golden/make_peft.py tests/golden/peft

Reading what Lethe wrote, the other direction:

    python tests/golden/make_peft.py --check BASE ADAPTER LOGITS

holds the logits that PEFT has with an adapter's folder against those in a safetensors file of `lethe inspect`."""
import json
import os
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

IDS = [[3, 7, 1, 12, 5, 9], [0, 2, 11, 4, 8, 6]]
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def model():
    torch.manual_seed(1)
    config = LlamaConfig(vocab_size=13, hidden_size=12, intermediate_size=10, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, head_dim=4, rms_norm_eps=1e-5,
                         max_position_embeddings=64, tie_word_embeddings=False, initializer_range=0.3)
    return LlamaForCausalLM(config).float().eval()


CASES = {
    "patterns": dict(r=4, lora_alpha=6, target_modules=r".*\.(self_attn\.[qkv]_proj|mlp\.\w+_proj)",
                     exclude_modules=["layers.0.mlp.up_proj"], rank_pattern={"layers.1.self_attn.q_proj": 2, "k_proj": 3},
                     alpha_pattern={"down_proj": 10}),
    "rslora": dict(r=4, lora_alpha=6, use_rslora=True, target_modules="all-linear"),
    "dora": dict(r=3, lora_alpha=6, use_dora=True, target_modules=SEVEN, rank_pattern={"k_proj": 2}),
    "whole": dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], layers_to_transform=[1],
                  modules_to_save=["embed_tokens", "lm_head", "model.norm"]),
}


def make(folder):
    base = model()
    base.save_pretrained(os.path.join(folder, "base"))
    os.remove(os.path.join(folder, "base", "generation_config.json"))
    os.chmod(os.path.join(folder, "base", "model.safetensors"), 0o644)
    with open(os.path.join(folder, "ids.json"), "w") as out:
        json.dump({"ids": IDS, "labels": IDS}, out)
    golden = {"base": base(torch.tensor(IDS)).logits.flatten().tolist()}
    for name, options in CASES.items():
        adapted = get_peft_model(model(), LoraConfig(task_type="CAUSAL_LM", **options)).eval()
        torch.manual_seed(2)
        for key, value in adapted.named_parameters():
            if "lora_B" in key:
                value.data.normal_(0, 0.2)
            elif "magnitude" in key:
                value.data *= 1 + 0.3 * torch.randn_like(value)
            elif "modules_to_save" in key:
                value.data += 0.1 * torch.randn_like(value)
        adapted.save_pretrained(os.path.join(folder, name))
        os.remove(os.path.join(folder, name, "README.md"))
        os.chmod(os.path.join(folder, name, "adapter_model.safetensors"), 0o644)
        golden[name] = adapted(torch.tensor(IDS)).logits.flatten().tolist()
        golden[name + ".modules"] = sorted(n for n, m in adapted.base_model.model.named_modules()
                                           if hasattr(m, "lora_A"))
    pissa = get_peft_model(model(), LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=6, target_modules=SEVEN,
                                               init_lora_weights="pissa"))
    golden["pissa.rest"] = {n.replace(".base_layer", ""): w.flatten().tolist()
                            for n, w in pissa.base_model.model.named_parameters() if "base_layer" in n and ".1." in n}
    with open(os.path.join(folder, "golden.json"), "w") as out:
        json.dump(golden, out)


def check(base, adapter, logits):
    wanted = load_file(logits)
    loaded = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base, dtype=torch.float32), adapter).eval()
    ids = wanted["ids"].long() if "ids" in wanted else torch.tensor(IDS)
    got = loaded(ids).logits.flatten()
    difference = (got - wanted["logits"].flatten()).abs().max().item()
    print(f"{adapter}: largest difference {difference:.3g}, largest logit {got.abs().max().item():.3g}")
    return 0 if difference < 1e-4 * got.abs().max().item() else 1


if __name__ == "__main__":
    sys.exit(check(*sys.argv[2:]) if sys.argv[1] == "--check" else make(sys.argv[1]))
