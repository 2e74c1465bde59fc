#!/usr/bin/env python3
"""References of single documents from lm-evaluation-harness, and how Lethe's results lie beside them.

  compare_with_lm_eval.py reference MODEL --tasks hellaswag,piqa --data DIR --limit 40 --out reference.jsonl
  lethe eval MODEL --tasks hellaswag,piqa --data DIR --limit 40 --output lethe.jsonl
  compare_with_lm_eval.py compare reference.jsonl lethe.jsonl

`reference` needs lm_eval, torch and transformers (PyPI) and takes its tasks' own definitions, but the documents from
the files that Lethe reads. The softmax is in float32 and no logits are kept from one request for another: lm-eval's
log-softmax in bfloat16 makes ties, and its cache scores some requests at the wrong places. `compare` needs nothing
and ends with 1 where a decision differs or a log-likelihood lies further away than --tolerance.
"""
import argparse
import json
import lzma
import os
import sys
import tempfile
import time

# Split of the documents and that of the examples, by the task's own definition.
FILES = {
    "hellaswag": ("validation", "hellaswag_val.jsonl", "train", "hellaswag_train.jsonl"),
    "arc_challenge": ("test", "arc_challenge_test.jsonl", "train", "arc_challenge_train.jsonl"),
    "arc_easy": ("test", "arc_easy_test.jsonl", "train", "arc_easy_train.jsonl"),
    "winogrande": ("validation", "winogrande_dev.jsonl", "train", "winogrande_train.jsonl"),
    "piqa": ("validation", "piqa_val.jsonl", "train", "piqa_train.jsonl"),
    "openbookqa": ("test", "openbookqa_test.jsonl", "train", "openbookqa_train.jsonl"),
    "wikitext": ("test", "wikitext_test.jsonl", None, None),
    "mmlu": ("test", "mmlu_test.jsonl", "dev", "mmlu_dev.jsonl"),
}


METRICS = ("acc", "acc_norm", "word_perplexity", "byte_perplexity", "bits_per_byte")


def by_subject(path, folder):
    """Files of one subject each, as lm-eval has them, and which lines of `path` each holds."""
    files, places = {}, {}
    with open(path) as lines:
        for number, line in enumerate(lines):
            subject = json.loads(line)["subject"]
            files.setdefault(subject, []).append(line)
            places.setdefault(subject, []).append(number)
    for subject, lines in files.items():
        files[subject] = os.path.join(folder, f"{subject}_{os.path.basename(path)}")
        with open(files[subject], "w") as out:
            out.writelines(lines)
    return files, places


def tasks_of(name, data, shots):
    """(task of lm-eval, its definition, the document's number in our file by its number there)."""
    split, file, pool_split, pool_file = FILES[name]
    path, pool = os.path.join(data, file), os.path.join(data, pool_file or "")
    if not os.path.isfile(pool):
        if shots and pool_file:
            sys.exit(f"{name}: {pool} is not there, and --shots asks for it")
        pool = None
    if name != "mmlu":
        return [(name, task_config(name, {split: path, pool_split: pool}), None)]
    folder = tempfile.mkdtemp()
    files, places = by_subject(path, folder)
    pools = by_subject(pool, folder)[0] if pool else {}
    return [(f"mmlu_{s}", task_config(f"mmlu_{s}", {split: files[s], pool_split: pools.get(s)}), places[s])
            for s in files]


def task_config(name, files):
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(TaskManager()._entry(name).yaml_path)
    files = {split: path for split, path in files.items() if path}
    config.update(dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": files})
    for key in ("training_split", "validation_split", "test_split", "fewshot_split"):
        if config.get(key) and config[key] not in files:
            config[key] = None
    config.pop("tag", None)
    return config


def write_line(out, name, sample, places):
    line = {"task": name, "document": places[sample["doc_id"]] if places else sample["doc_id"],
            "prompt_sha256": sample["prompt_hash"]}
    if name == "wikitext":
        line["log_likelihood"], line["words"] = sample["word_perplexity"]
        line["bytes"] = sample["byte_perplexity"][1]
    else:
        answers = [r[0] if isinstance(r[0], (list, tuple)) else r for r in sample["resps"]]
        line.update(log_likelihoods=[float(a[0]) for a in answers], greedy=[str(a[1]) == "True" for a in answers])
        line.update({m: int(sample[m]) for m in ("acc", "acc_norm") if m in sample})
    out.write(json.dumps(line) + "\n")


def reference(args):
    os.environ.setdefault("HF_HOME", tempfile.mkdtemp())
    os.environ["HF_HUB_OFFLINE"] = "1"
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    own_ways = {} if args.timing else {"softmax_dtype": "float32", "logits_cache": False}
    model = HFLM(pretrained=args.model, dtype=args.dtype, device=args.device, batch_size=args.batch,
                 peft=args.adapter or None, **own_ways)
    tasks = {name: tasks_of(name, args.data, args.shots) for name in args.tasks.split(",")}
    start = time.time()
    results = lm_eval.simple_evaluate(model=model, tasks=[t[1] for ts in tasks.values() for t in ts],
                                      num_fewshot=args.shots, limit=args.limit, bootstrap_iters=0, log_samples=True)
    seconds = time.time() - start
    with open(args.out, "w") as out:
        for name, parts in tasks.items():
            for part, _, places in parts:
                for sample in results["samples"][part]:
                    write_line(out, name, sample, places)
    for parts in tasks.values():
        for part, _, _ in parts:
            print(part, {k: v for k, v in results["results"][part].items() if k.split(",")[0] in METRICS})
    print(f"{seconds:.1f} s, tokenizing included")


def read(path):
    with (lzma.open if path.endswith(".xz") else open)(path, "rt") as lines:
        records = [json.loads(line) for line in lines]
    return {(r["task"], r["document"]): r for r in records if "task" in r}


def likelihoods(record):
    return record.get("log_likelihoods") or [record["log_likelihood"]]


def margin(values):
    first, second = sorted(values, reverse=True)[:2]
    return first - second


def compare(args):
    theirs, ours = read(args.reference), read(args.results)
    failed = False
    for task in dict.fromkeys(key[0] for key in theirs):
        keys = [k for k in theirs if k[0] == task]
        missing = [k for k in keys if k not in ours]
        shared = [k for k in keys if k in ours]
        furthest, prompts, decisions, greedy, close = 0.0, 0, 0, 0, 0
        for key in shared:
            a, b = theirs[key], ours[key]
            prompts += not b["prompt_sha256"].startswith(a["prompt_sha256"])
            greedy += a.get("greedy") != b.get("greedy")
            pairs = zip(likelihoods(a), likelihoods(b), strict=True)
            furthest = max([furthest] + [abs(x - y) for x, y in pairs])
            if any(a.get(m) != b.get(m) for m in ("acc", "acc_norm", "words", "bytes")):
                decisions += 1
                close += margin(likelihoods(a)) < args.tolerance
                print(f"  {task} {key[1]}: {a} against {b}")
        print(f"{task}: {len(shared)} documents, furthest log-likelihood {furthest:.2e}, other prompts {prompts}, "
              f"other decisions {decisions} ({close} of them closer than {args.tolerance}), other greedy {greedy}, "
              f"missing {len(missing)}")
        failed |= bool(missing or prompts or decisions) or not furthest <= args.tolerance
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    make = commands.add_parser("reference")
    make.add_argument("model")
    make.add_argument("--tasks", required=True)
    make.add_argument("--data", required=True)
    make.add_argument("--out", required=True)
    make.add_argument("--limit", type=int)
    make.add_argument("--shots", type=int, default=0)
    make.add_argument("--batch", default="8")
    make.add_argument("--dtype", default="float32")
    make.add_argument("--device", default="cpu")
    make.add_argument("--adapter", default="")
    make.add_argument("--timing", action="store_true", help="as fast as it comes: its own softmax and cache")
    make.set_defaults(run=reference)
    beside = commands.add_parser("compare")
    beside.add_argument("reference")
    beside.add_argument("results")
    beside.add_argument("--tolerance", type=float, default=1e-3)
    beside.set_defaults(run=compare)
    args = parser.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
