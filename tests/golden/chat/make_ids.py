#!/usr/bin/env python3
"""Token ids of conversations under Llama-2's tokenizer as transformers makes them, into llama2_ids.json.

    make_ids.py FOLDER TOKENIZER_JSON

FOLDER as for make.py; TOKENIZER_JSON is Llama-2's tokenizer.json.
"""
import json
import sys
from pathlib import Path

from transformers import PreTrainedTokenizerFast


def ask(*texts):
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


CONVERSATIONS = [
    ask("Hi", "Hello!"),
    ask("What is 2+2?\nThink.", "It is 4.\n\n#### 4"),
    ask("Caf\u00e9 \u751f\u6d3b", "\U0001f642 ok"),
    ask("a", "b", "c  d", "  e\n"),
]


def main():
    cases = []
    for name in ("llama-2", "mistral-system"):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=sys.argv[2], bos_token="<s>", eos_token="</s>",
            chat_template=(Path(sys.argv[1]) / f"{name}.jinja").read_text().removesuffix("\n"))
        def ids(messages):
            return tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
        for messages in CONVERSATIONS:
            cases.append({"template": name, "messages": messages, "ids": ids(messages),
                          "prompt_tokens": len(ids(messages[:1]))})
    (Path(__file__).parent / "llama2_ids.json").write_text(
        "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


main()
