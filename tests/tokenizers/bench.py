"""Speed of encoding: Lethe and the `tokenizers` library on the same text, the same cores, in the same run.

    python bench.py TOKENIZER_BENCH SHARED_DATA/tokenizers TEXT... [--document-bytes 4000]

Each text is cut at line ends into documents. The best of three repetitions counts for both; the library's
encode_batch_fast computes no offsets.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def documents(paths, size):
    made = []
    for path in paths:
        text = ""
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            text += line
            if len(text.encode()) >= size:
                made.append(text)
                text = ""
        made += [text] if text else []
    return made


def reference(path, lines):
    """Run as a process of its own, since the library reads the number of threads once."""
    import tokenizers
    texts = [json.loads(line) for line in open(lines, encoding="utf-8")]
    tokenizer = tokenizers.Tokenizer.from_file(path)
    best = 1e9
    for _ in range(3):
        begin = time.perf_counter()
        done = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        best = min(best, time.perf_counter() - begin)
    print(json.dumps({"seconds": best, "ids": sum(len(e.ids) for e in done)}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("shared", type=pathlib.Path)
    parser.add_argument("texts", type=pathlib.Path, nargs="+")
    parser.add_argument("--document-bytes", type=int, default=4000)
    a = parser.parse_args()
    import shared_files
    texts = documents(a.texts, a.document_bytes)
    threads = len(os.sched_getaffinity(0))
    print(f"{'':16} {'threads':>7} {'Lethe MB/s':>11} {'library MB/s':>13} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        lines = pathlib.Path(folder, "lines.jsonl")
        lines.write_text("".join(json.dumps(t) + "\n" for t in texts), encoding="utf-8")
        for name, path in shared_files.make_all(a.shared, pathlib.Path(folder)).items():
            own = json.loads(subprocess.run([a.bench, path, lines], capture_output=True, check=True).stdout)
            for n in sorted({1, threads}):
                environment = {**os.environ, "RAYON_NUM_THREADS": str(n), "TOKENIZERS_PARALLELISM": "true"}
                other = json.loads(subprocess.run([sys.executable, __file__, "--reference", path, lines], env=environment,
                                                  capture_output=True, check=True).stdout)
                assert other["ids"] == own["ids"], (name, other["ids"], own["ids"])
                rates = [own["bytes"] / 1e6 / s for s in (own["seconds"][str(n)], other["seconds"])]
                print(f"{name:16} {n:7} {rates[0]:11.1f} {rates[1]:13.1f} {rates[0] / rates[1]:6.2f}", flush=True)


if __name__ == "__main__":
    reference(*sys.argv[2:]) if sys.argv[1:2] == ["--reference"] else main()
