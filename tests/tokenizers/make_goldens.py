"""Makes tests/golden/tokenizers/components.json: what the `tokenizers` library gives for each component, with two small
vocabularies that it learns here.

    python make_goldens.py OUTPUT
"""
import json
import sys

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXT = ["the theatre of the other there, then", "def f(x):\n    return x + 1\n\n\n", "it's we'll they've IT'S 12345 3.14",
        "na\u00efve caf\u00e9 \u0434\u0430 \u0434\u043e\u043c \u4e16\u754c\u4e16\u754c", "    indented\n\ttabbed\n",
        "\u2581the\u2581theatre\u2581of\u2581the\u2581other"] * 4
TEXTS = ["", " ", "the theatre", "  the  other ", "it's WE'LL they'VE\u017f", "x = 12345 + \u0663\u2167\u00b2;\n\n    return\r\n\t",
         "nai\u0308ve cafe\u0301 \u00c5\u212b \ufb01", "\u0130stanbul \u03a3\u03a3 STRASSE", "\u4e16\u754c\U0001f999 \U0001f469\u200d\U0001f4bb",
         "a\u00a0b\u180ec\u0085d\u3000 \u2028", "a<mask>b  <mask>  c <s> </s>x", "word<w>s <w> (<w>)", "\u2581the \u2581 the",
         "...!?  --(x)[y]_z'", "\u0915\u093f\u0915\u094d\u0937 \u0e01\u0e33", "aaaaaaaaaa  \n \n  b"]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")


def learn(pre_tokenizer, size, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre_tokenizer
    special = [f"<0x{b:02X}>" for b in range(256)] if options.get("byte_fallback") else []
    alphabet = pre_tokenizers.ByteLevel.alphabet() if not special else []
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", *special],
                                                            initial_alphabet=alphabet, show_progress=False))
    return json.loads(tokenizer.to_str())["model"]


def added(first, content, **flags):
    fields = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": first, "content": content, **fields, **flags}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def metaspace(scheme="always", cut=True):
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": cut}


def replace(what, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: what}, "content": content}


def cases():
    """Name, which vocabulary, and the parts of the file."""
    words = {"pre_tokenizer": byte_level(), "decoder": byte_level()}
    yield "ByteLevel", "byte", words
    yield "ByteLevel with a prefix space", "byte", {"pre_tokenizer": byte_level(prefix=True), "decoder": byte_level()}
    llama3 = sequence("pretokenizers", split(LLAMA3), byte_level(regex=False))
    yield "Split by Llama-3's expression", "byte", {"pre_tokenizer": llama3, "decoder": byte_level()}
    yield "ignore_merges", "byte", {"pre_tokenizer": llama3, "decoder": byte_level(), "model": {"ignore_merges": True}}
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            steps = sequence("pretokenizers", split(r"\s|[aeiou]", behavior, invert), byte_level(regex=False))
            yield f"Split {behavior}{' inverted' if invert else ''}", "byte", {"pre_tokenizer": steps}
    yield "Split at a string", "byte", {"pre_tokenizer": sequence(
        "pretokenizers", split("the", "Isolated", kind="String"), byte_level(regex=False))}
    yield "Split with empty matches", "byte", {"pre_tokenizer": sequence(
        "pretokenizers", split("a*", "Isolated"), byte_level(regex=False))}
    for pattern in (r"\w+", r"\W", r"[^\s\w]+", r"\p{N}{1,3}+", r"(?>a+)b|\d", r"\p{Han}+|\p{Lu}", r"(?i)THE|\x{e9}"):
        yield f"Split by {pattern}", "byte", {"pre_tokenizer": sequence(
            "pretokenizers", split(pattern), byte_level(regex=False))}
    for individual in (False, True):
        digits = {"type": "Digits", "individual_digits": individual}
        yield f"Digits {individual}", "byte", {"pre_tokenizer": sequence("pretokenizers", digits, byte_level())}
    yield "Punctuation", "byte", {"pre_tokenizer": sequence(
        "pretokenizers", {"type": "Punctuation", "behavior": "Contiguous"}, byte_level(regex=False))}
    for kind in ("Whitespace", "WhitespaceSplit"):
        yield kind, "byte", {"pre_tokenizer": sequence("pretokenizers", {"type": kind}, byte_level(regex=False))}
    yield "ByteLevel before another step", "byte", {"pre_tokenizer": sequence(
        "pretokenizers", byte_level(), split("\u0120", "Isolated", kind="String"))}
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"):
        yield form, "byte", {**words, "normalizer": {"type": form}}
    yield "Strip", "byte", {**words, "normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}}
    yield "Replace by an expression", "byte", {**words, "normalizer": replace(r"\s+", " ", "Regex")}
    yield "a sequence of normalizers", "byte", {**words, "normalizer": sequence(
        "normalizers", {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"})}
    for flags in ({}, {"lstrip": True}, {"rstrip": True}, {"single_word": True}, {"lstrip": True, "rstrip": True}):
        tokens = [added(1000, "<mask>", **flags), added(1001, "<w>", **flags), added(1002, "<s>", special=True),
                  added(1003, "</s>", special=True)]
        yield f"added tokens {sorted(flags)}", "byte", {**words, "added_tokens": tokens}
    normal = [added(1000, "<MASK>", normalized=True), added(1001, "<mask>", special=True)]
    yield "normalized added tokens", "byte", {**words, "added_tokens": normal, "normalizer": {"type": "Lowercase"}}

    llama = {"normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "\u2581"}, replace(" ", "\u2581")),
             "decoder": sequence("decoders", replace("\u2581", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                                 {"type": "Strip", "content": " ", "start": 1, "stop": 0}),
             "added_tokens": [added(1000, "<s>", special=True), added(1001, "</s>", special=True)],
             "post_processor": {"type": "TemplateProcessing",
                                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                           {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                                "special_tokens": {"<s>": {"id": "<s>", "ids": [1000], "tokens": ["<s>"]},
                                                   "</s>": {"id": "</s>", "ids": [1001], "tokens": ["</s>"]}}}}
    yield "Llama-2", "char", llama
    # Its decoding is left out: the library then shows a special token in its normalised form, even when it is to skip it.
    yield "normalized special token", "char", {**llama, "added_tokens": [
        added(1000, "<s>", special=True), added(1001, "</s>", special=True, normalized=True)]}
    yield "no byte fallback", "char", {**llama, "model": {"byte_fallback": False}}
    yield "unknown characters fused", "char", {**llama, "model": {"byte_fallback": False, "fuse_unk": True}}
    yield "unknown characters dropped", "char", {**llama, "model": {"byte_fallback": False, "unk_token": None}}
    for scheme in ("always", "first", "never"):
        for cut in (False, True):
            yield f"Metaspace {scheme} {cut}", "char", {**llama, "normalizer": None, "pre_tokenizer": metaspace(scheme, cut),
                                                        "decoder": metaspace(scheme, cut)}
    yield "no decoder", "char", {**llama, "decoder": None}


def document(vocabulary, parts):
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
             "pre_tokenizer": None, "post_processor": None, "decoder": None}
    whole.update({key: value for key, value in parts.items() if key != "model"})
    size = len(vocabulary["vocab"])
    # The library gives an added token the next free id, whatever the file says.
    text = json.dumps(whole)
    for i, token in enumerate(whole["added_tokens"]):
        text = text.replace(str(token["id"]), str(size + i))
    return {**json.loads(text), "model": {**vocabulary, **parts.get("model", {})}}


def main():
    vocabularies = {"byte": learn(pre_tokenizers.ByteLevel(add_prefix_space=False), 360),
                    "char": learn(None, 380, unk_token="<unk>", byte_fallback=True)}
    made = []
    for name, which, parts in cases():
        whole = document(vocabularies[which], parts)
        tokenizer = Tokenizer.from_str(json.dumps(whole))
        record = {"name": name, "vocabulary": which, "parts": {k: v for k, v in whole.items() if k != "model"},
                  "model": parts.get("model", {}), "ids": [], "parsed": [], "decoded": []}
        for text in TEXTS:
            tokenizer.encode_special_tokens = True
            record["ids"].append(tokenizer.encode(text, add_special_tokens=True).ids)
            tokenizer.encode_special_tokens = False
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            record["parsed"].append(ids)
            if name != "normalized special token":
                record["decoded"].append([tokenizer.decode(ids, skip_special_tokens=skip) for skip in (True, False)])
        made.append(record)
    with open(sys.argv[1], "w", encoding="ascii") as file:
        lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in made)
        head = json.dumps({"made_by": f"tokenizers {tokenizers.__version__}", "vocabularies": vocabularies, "texts": TEXTS},
                          separators=(",", ":"))
        file.write(head[:-1] + ',\n"cases":[\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
