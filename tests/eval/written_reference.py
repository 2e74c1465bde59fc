#!/usr/bin/env python3
"""GSM8K's texts as transformers writes them greedily, held against those that `lethe eval --output FILE` wrote.

    tests/eval/written_reference.py MODEL DATA FILE [--documents N] [--device cuda]

Prompts are made here from the data alone, with Python's own generator, as lm-evaluation-harness does (5 shots, seed
1234); texts end at its stop strings or after as many tokens as FILE's settings say. Prints how many texts and how many
prompts are equal; the exit status is 1 if any is not. Needs PyTorch and transformers, float32.
"""
import argparse
import hashlib
import json
import random
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

STOPS = ["Question:", "</s>", "<|im_end|>"]


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def prompts(data, count):
    documents, pool = records(data / "gsm8k_test.jsonl"), records(data / "gsm8k_train.jsonl")
    draw = random.Random(1234)
    for document in documents[:count]:
        shots = draw.sample(pool, 5)
        yield ("".join(f"Question: {s['question']}\nAnswer: {s['answer']}\n\n" for s in shots)
               + f"Question: {document['question']}\nAnswer:")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--documents", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    settings, *lines = records(a.file)
    new_tokens = settings["settings"]["written"].get("max_new_tokens", 256)
    found = {line["document"]: line for line in lines if line["task"] == "gsm8k"}
    tokenizer = AutoTokenizer.from_pretrained(a.model)
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32).to(a.device).eval()
    same = same_prompts = 0
    for i, prompt in enumerate(prompts(a.data, a.documents)):
        ids = tokenizer(prompt, return_tensors="pt").input_ids.to(a.device)
        with torch.no_grad():
            made = model.generate(ids, max_new_tokens=new_tokens, do_sample=False, stop_strings=STOPS,
                                  tokenizer=tokenizer, pad_token_id=tokenizer.eos_token_id)
        text = tokenizer.decode(made[0, ids.shape[1]:], skip_special_tokens=True)
        for stop in STOPS:
            text = text.split(stop)[0]
        line = found[i]
        same += text == line["texts"][0]
        same_prompts += hashlib.sha256(prompt.encode()).hexdigest() == line["prompt_sha256"]
        if text != line["texts"][0]:
            print(f"document {i}:\n  transformers: {text!r}\n  lethe:        {line['texts'][0]!r}")
    print(json.dumps({"documents": a.documents, "same_prompts": same_prompts, "same_texts": same}))
    return 0 if same == same_prompts == a.documents else 1


if __name__ == "__main__":
    raise SystemExit(main())
