#!/bin/sh
# Makes tests/golden/eval/*.jsonl: what lm-evaluation-harness (0.4.13) decides on the documents in tests/golden/eval/data,
# which were written for this. ARGS: folder of stories260K-hf.
set -e
cd "$(dirname "$0")/../.."
for shots in 0 2; do
  python3 tests/eval/compare_with_lm_eval.py reference "$1" --data tests/golden/eval/data --shots $shots \
    --tasks hellaswag,arc_challenge,arc_easy,winogrande,piqa,openbookqa,mmlu \
    --out tests/golden/eval/stories260k_${shots}_shots.jsonl
done
