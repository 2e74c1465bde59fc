"""Makes a tokenizer.json of each vocabulary of the shared test data with the `tokenizers` library.

    python shared_files.py SHARED_DATA/tokenizers OUTPUT_FOLDER
"""
import base64
import json
import pathlib
import shutil
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = WORDS + r"\p{N}{1,3}" + REST
QWEN2 = WORDS + r"\p{N}" + REST


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def merges_of(path):
    lines = path.read_text(encoding="utf-8").split("\n")[1:]
    return [tuple(line.split(" ")) for line in lines if line]


def byte_characters():
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in own]
    return {b: chr(b) for b in own} | {b: chr(0x100 + i) for i, b in enumerate(others)}


def tiktoken(path):
    """Vocabulary and merges: a pair merges into a token when both halves are tokens, by the token's rank."""
    characters = byte_characters()
    ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in path.read_text().splitlines())}
    write = lambda token: "".join(characters[b] for b in token)
    merges = []
    for token, rank in ranks.items():
        halves = [(token[:i], token[i:]) for i in range(1, len(token))]
        halves = [(a, b) for a, b in halves if a in ranks and b in ranks]
        halves.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        merges += [(rank, write(a), write(b)) for a, b in halves]
    merges.sort(key=lambda merge: merge[0])
    return {write(token): rank for token, rank in ranks.items()}, [(a, b) for _, a, b in merges]


def byte_level(vocab, merges, pre_tokenizer, special, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special])
    return tokenizer


def make_all(shared, output):
    """Returns the paths, by name."""
    output.mkdir(parents=True, exist_ok=True)
    gpt2 = json.loads((shared / "gpt2.vocab.json").read_text(encoding="utf-8"))
    gpt2_merges = merges_of(shared / "gpt2.merges.txt")
    qwen2 = json.loads((shared / "qwen2.vocab.json").read_text(encoding="utf-8"))
    qwen2_added = json.loads((shared / "qwen2.added_tokens.json").read_text(encoding="utf-8"))
    llama3, llama3_merges = tiktoken(shared / "llama3.tiktoken.model")
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), whole])
    made = {
        "gpt-2": byte_level(gpt2, gpt2_merges, whole, ["<|endoftext|>"]),
        # SmolLM's way to cut, with a vocabulary that is here.
        "smollm": byte_level(gpt2, gpt2_merges, digits, ["<|endoftext|>"]),
        "qwen2": byte_level(qwen2, merges_of(shared / "qwen2.merges.txt"), split(QWEN2),
                            sorted(qwen2_added, key=qwen2_added.get), normalizers.NFC()),
        "llama-bpe": byte_level(llama3, llama3_merges, split(LLAMA3),
                                ["<|begin_of_text|>", "<|end_of_text|>"], ignore_merges=True),
    }
    paths = {}
    for name, tokenizer in made.items():
        paths[name] = output / name / "tokenizer.json"
        paths[name].parent.mkdir(exist_ok=True)
        tokenizer.save(str(paths[name]))
    paths["llama-spm"] = output / "llama-spm" / "tokenizer.json"
    paths["llama-spm"].parent.mkdir(exist_ok=True)
    shutil.copyfile(shared / "llama2.tokenizer.json", paths["llama-spm"])
    metaspace = json.loads(paths["llama-spm"].read_text(encoding="utf-8"))
    metaspace["normalizer"] = None
    metaspace["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    paths["llama-metaspace"] = output / "llama-metaspace" / "tokenizer.json"
    paths["llama-metaspace"].parent.mkdir(exist_ok=True)
    paths["llama-metaspace"].write_text(json.dumps(metaspace, ensure_ascii=False), encoding="utf-8")
    return paths


if __name__ == "__main__":
    for name, path in make_all(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])).items():
        print(name, path)
