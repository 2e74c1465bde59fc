"""Both sides run by turns, the row has the median pair and is one that benchmarks_page takes."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SETUP = Path(__file__).resolve().parents[2] / "tools" / "setup"

# Stands for either side: notes its name, and prints the next of its speeds.
SIDE = '''#!/usr/bin/env python3
import json, pathlib, sys
folder, name, words = pathlib.Path(__file__).parent, pathlib.Path(__file__).stem, sys.argv[1:]
value = lambda option: words[words.index(option) + 1]
line = {"shape": value("--shape"), "method": value("--method"), "batch": 2, "seq": 4096}
if "--plan" not in words:
    assert value("--batch") == "2" and value("--seq") == "4096"
    log = folder / "log"
    log.write_text((log.read_text() if log.exists() else "") + name + "\\n")
    speeds = folder / (name + ".speeds")
    first, *rest = speeds.read_text().split()
    speeds.write_text(" ".join(rest))
    line.update(tokens_per_s=float(first), peak_gb=10.0, mfu=0.5, rank=64, state="bf16", precision="bfloat16", gpu="G")
print("something else")
print(json.dumps(line))
'''


class PairBench(unittest.TestCase):
    def run_pairs(self, folder, *words):
        for name, speeds in (("lethe", "120 110 150"), ("peer", "100 100 100")):
            Path(folder, f"{name}.py").write_text(SIDE)
            Path(folder, f"{name}.speeds").write_text(speeds)
        return subprocess.run([sys.executable, SETUP / "pair_bench", "--lethe", f"{sys.executable} {folder}/lethe.py",
                               "--peer", f"{folder}/peer.py", "--commit", "abc", "--rows", f"{folder}/rows.jsonl", *words],
                              capture_output=True, text=True)

    def test_the_row_is_the_median_pair_of_sides_that_took_turns(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_pairs(folder, "--config", "7b:lora:64")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(Path(folder, "log").read_text().split(), ["lethe", "peer", "peer", "lethe", "lethe", "peer"])
            rows = [json.loads(line) for line in Path(folder, "rows.jsonl").read_text().splitlines()]
            self.assertEqual(len(rows), 1)
            self.assertEqual(rows[0]["ratio"], 1.2)
            self.assertEqual(rows[0]["value"], 120)
            self.assertEqual(rows[0]["ratios"], [1.2, 1.1, 1.5])
            self.assertTrue(rows[0]["command"].startswith("lethe bench --json --device cuda --shape 7b"))
            page = subprocess.run([sys.executable, SETUP / "benchmarks_page", "--jsonl", f"{folder}/rows.jsonl", "--page",
                                   f"{folder}/page.md"], capture_output=True, text=True)
            self.assertEqual(page.returncode, 0, page.stderr)
            self.assertIn("| 7b | LoRA r=64 |", Path(folder, "page.md").read_text())

    def test_a_side_that_fails_is_named_and_leaves_no_row(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_pairs(folder, "--config", "7b:full@3x512")
            self.assertEqual(done.returncode, 1)
            self.assertIn("AssertionError", done.stderr)
            self.assertFalse(Path(folder, "rows.jsonl").exists())

    def test_a_configuration_that_is_none_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            for text in ("7b", "7b:half", "7b:full:64", "7b:lora:x", "7b:lora@2"):
                done = self.run_pairs(folder, "--config", text)
                self.assertEqual(done.returncode, 2, text)
                self.assertIn(text, done.stderr)


if __name__ == "__main__":
    unittest.main()
