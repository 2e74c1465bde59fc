"""Holds Lethe's ids against those of `tokenizers` and `sentencepiece`, chunk by chunk, on mixed text made from a seed.

    python compare.py LETHE SHARED_DATA/tokenizers [--megabytes 10] [--seed 1] [--only NAME]

The text: several scripts, emoji, code, combining marks, runs of blanks, special tokens, and broken UTF-8, which both
sides must refuse or, as here, see only after it was repaired with U+FFFD. Exit status 1 at the first difference.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import sentencepiece
import tokenizers

import shared_files

SCRIPTS = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x530), (0x590, 0x600), (0x600, 0x700), (0x900, 0xA00), (0xE00, 0xE80),
           (0x1100, 0x1200), (0x1780, 0x1800), (0x3040, 0x3100), (0x4E00, 0x9FA0), (0xAC00, 0xD7A4), (0x1F300, 0x1F650),
           (0x2000, 0x2070), (0x2150, 0x2190), (0xFF00, 0xFFEF), (0x10330, 0x10350)]
BLANKS = [" ", "  ", "\t", "\n", "\r\n", "\n\n\n", "\u00a0", "\u1680", "\u180e", "\u2003", "\u2028", "\u3000", "\x85", "\x0b", "\x0c"]
SPECIALS = ["<|endoftext|>", "<|im_end|>", "<s>", "</s>", "<unk>", "<|begin_of_text|>", "<0x0A>", "\u2581", "\u2581\u2581"]
ENGLISH = ("the of and to in is that it was for on are as with his they at be this have from or had by word but what "
           "some we can out other were all there when up use your how said an each she don't I'LL we've it'\u017f").split()
CODE = ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\t\ta[i] *= 2;\n}\n", "if (a && b || !c)",
        "x = {'k': [1, 2.5e-3, None]}\n", "// ---- 0xDEADBEEF ----\n", "SELECT * FROM t WHERE a >= 10;\n", "<div class=\"x\">&nbsp;</div>"]


def known(r):
    """A character that all Unicode versions in play know in the same way, none of it unassigned or newer than 13."""
    while True:
        c = chr(r.randrange(*r.choice(SCRIPTS)))
        if unicodedata.category(c) not in ("Cn", "Cs", "Co"):
            return c


def fragment(r):
    kind = r.randrange(12)
    if kind < 3:
        return " ".join(r.choice(ENGLISH) for _ in range(r.randrange(1, 12))) + r.choice(["", " ", ". ", ", ", "\n"])
    if kind == 3:
        low, high = r.choice(SCRIPTS)
        return "".join(c for c in (chr(r.randrange(low, high)) for _ in range(r.randrange(1, 20)))
                       if unicodedata.category(c) not in ("Cn", "Cs", "Co"))
    if kind == 4:
        return r.choice(CODE)
    if kind == 5:
        return r.choice(BLANKS) * r.choice([1, 1, 2, 3, 7, 50])
    if kind == 6:
        return r.choice("aeioun\u0915\u05d0") + "".join(chr(r.randrange(0x300, 0x36F)) for _ in range(r.randrange(1, 6)))
    if kind == 7:
        return str(r.randrange(10 ** r.randrange(1, 12))) + r.choice(["", "%", ".5", "\u00b2", "\u0663\u0664", "\u2167"])
    if kind == 8:
        return "".join(known(r) for _ in range(r.randrange(1, 15)))
    if kind == 9:
        return r.choice(["\U0001F469\u200d\U0001F4BB", "\U0001F1E9\U0001F1EA", "\u2764\ufe0f", "\U0001F44D\U0001F3FD", "\u1e9b\u0323"])
    if kind == 10:
        return bytes(r.randrange(256) for _ in range(r.randrange(1, 8))).decode("utf-8", "replace")
    return r.choice(SPECIALS) if r.random() < 0.3 else r.choice("!?.,;:-_()[]{}'\"`~@#$%^&*+=/\\|<>") * r.randrange(1, 6)


def chunks_of(seed, size):
    r = random.Random(seed)
    chunks, total = [], 0
    while total < size:
        chunk = "".join(fragment(r) for _ in range(r.randrange(1, 200)))
        chunk = "".join(c if unicodedata.category(c) != "Cn" else "?" for c in chunk)
        chunks.append(chunk)
        total += len(chunk.encode())
    chunks += ["", " ", " " * 100000, "\n" * 5000, "a" * 20000, "ab" * 5000, "\u0301" * 1000, "1" * 1000]
    return chunks


def lethe(command, tokenizer, lines, *arguments):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([command, "tokenize", str(tokenizer), "--json-lines", *arguments], input=text.encode(),
                          capture_output=True)
    if done.returncode != 0:
        sys.exit(f"lethe tokenize failed: {done.stderr.decode()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def hold(name, chunks, got, expected, show):
    for i, (chunk, a, b) in enumerate(zip(chunks, got, expected, strict=True)):
        if a == b:
            continue
        at = next((k for k, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        print(f"{name}: chunk {i} differs at token {at}: {a[max(0, at - 3):at + 5]} instead of {b[max(0, at - 3):at + 5]}")
        print(f"  after {show(b[max(0, at - 8):at])!r} instead of {show(b[at:at + 3])!r}: {show(a[at:at + 3])!r}")
        pathlib.Path(tempfile.gettempdir(), "tokenizer_difference.txt").write_text(chunk, encoding="utf-8")
        return False
    print(f"{name}: {len(chunks)} chunks, {sum(map(len, got))} tokens, all identical", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lethe")
    parser.add_argument("shared", type=pathlib.Path)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    a = parser.parse_args()
    chunks = chunks_of(a.seed, a.megabytes * 1e6)
    print(f"{sum(len(c.encode()) for c in chunks)} bytes in {len(chunks)} chunks, seed {a.seed}")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for name, path in shared_files.make_all(a.shared, pathlib.Path(folder)).items():
            if a.only and a.only != name:
                continue
            reference = tokenizers.Tokenizer.from_file(str(path))
            for special in (True, False):
                reference.encode_special_tokens = not special
                got = lethe(a.lethe, path, chunks, "--drop-unknown", *(["--special"] if special else []))
                expected = [e.ids for e in reference.encode_batch(chunks, add_special_tokens=False)]
                good &= hold(f"{name}{', special tokens parsed' if special else ''}", chunks, got, expected,
                             lambda ids: reference.decode(ids, skip_special_tokens=False))
            texts = lethe(a.lethe, path, expected, "--decode", "--special")
            decoded = [reference.decode(ids, skip_special_tokens=False) for ids in expected]
            good &= hold(f"{name}, decoded", chunks, texts, decoded, lambda text: text)
            if path.parent.name in ("gpt-2", "smollm", "llama-bpe"):
                good &= hold(f"{name}, there and back", chunks, texts, chunks, lambda text: text)
    if not a.only or a.only == "sentencepiece":
        model = a.shared / "llama2.tokenizer.model"
        reference = sentencepiece.SentencePieceProcessor(model_file=str(model))
        good &= hold("sentencepiece", chunks, lethe(a.lethe, model, chunks), [reference.encode(c) for c in chunks],
                     reference.decode)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
