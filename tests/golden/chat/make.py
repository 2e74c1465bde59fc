#!/usr/bin/env python3
"""Renders conversations with the chat templates that models publish, as transformers does, into renderings.json.

    make.py FOLDER

FOLDER holds the templates: chatml.jinja (Hermes and plain ChatML), llama-2.jinja, llama-3.jinja, mistral.jinja
(Mistral-7B-Instruct-v0.2 as first published) and mistral-system.jinja (as it is since), each the chat_template of the
model's tokenizer_config.json. Needs transformers and tokenizers; written with transformers 5.24.
"""
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

TOKENS = {"llama-3": ("<|begin_of_text|>", "<|eot_id|>"), "chatml": ("<|im_start|>", "<|im_end|>")}


def message(role, content):
    return {"role": role, "content": content}


USER, BOT = "user", "assistant"
CONVERSATIONS = [
    [message(USER, "Hi"), message(BOT, "Hello!")],
    [message(USER, "  Hi \n"), message(BOT, "\n\u00a0Hello!\u2003\t")],
    [message(USER, "Caf\u00e9 \u751f\u6d3b \U0001f642\n\n[INST] </s>"), message(BOT, "a\r\nb"), message(USER, ""), message(BOT, "")],
    [message("system", " Be brief. "), message(USER, " Hi "), message(BOT, " Yo "), message(USER, "Q"), message(BOT, "A")],
    [message(USER, "Hi"), message(BOT, "Yo"), message(USER, "Q")],
    [message("system", "S"), message(USER, "Q")],
    [message(USER, "one"), message(USER, "two"), message(BOT, "three")],
]


def main():
    folder = Path(sys.argv[1])
    cases = []
    for path in sorted(folder.glob("*.jinja")):
        bos, eos = TOKENS.get(path.stem, ("<s>", "</s>"))
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.BPE()), bos_token=bos, eos_token=eos,
            chat_template=path.read_text().removesuffix("\n"))
        for messages in CONVERSATIONS:
            prompt = messages[-1]["role"] == USER
            try:
                text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
            except Exception:  # the template refuses: so must ours
                text = None
            cases.append({"template": path.stem, "bos": bos, "eos": eos, "messages": messages, "text": text})
    lines = ",\n".join(json.dumps(case) for case in cases)
    (Path(__file__).parent / "renderings.json").write_text(f"[\n{lines}\n]\n")


main()
