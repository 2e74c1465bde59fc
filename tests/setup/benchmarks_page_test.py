"""docs/benchmarks.md is what docs/benchmarks.jsonl gives, and a bad line is named."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "setup" / "benchmarks_page"
ROW = {"date": "2025-01-02", "commit": "0123456789abcdef", "device": "2 cores", "command": "lethe bench",
       "name": "training step", "value": 12.5, "unit": "GFLOP/s"}

PAIR = {**ROW, "name": "7b", "value": 20000, "unit": "tokens/s", "peer": "tuned PyTorch", "peer_value": 16000,
        "ratio": 1.25, "ratios": [1.25, 1.2, 1.3], "peer_line": {"tokens_per_s": 16000, "peak_gb": 46.9},
        "lethe": {"shape": "7b", "method": "lora", "rank": 64, "batch": 2, "seq": 4096, "state": "fp32",
                  "tokens_per_s": 20000, "mfu": 0.512, "peak_gb": 40.2}}


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


class Page(unittest.TestCase):
    def make(self, *lines):
        with tempfile.TemporaryDirectory() as folder:
            jsonl, page = Path(folder, "b.jsonl"), Path(folder, "b.md")
            jsonl.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
            done = run("--jsonl", jsonl, "--page", page)
            return done, page.read_text() if page.exists() else None

    def test_the_page_in_docs_is_current(self):
        done = run("--check")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_no_measurements_give_a_page_that_says_so(self):
        self.assertIn("No figures yet.", self.make()[1])

    def test_the_newest_of_a_name_is_shown_with_its_peer(self):
        newer = {**ROW, "date": "2025-02-01", "value": 20, "peer": "numpy", "peer_value": 40, "ratio": 0.5}
        page = self.make(newer, ROW)[1]
        self.assertIn("| training step | 20 GFLOP/s | numpy | 40 GFLOP/s | 0.5 | `lethe bench` | 012345678 |", page)
        self.assertNotIn("12.5", page)

    def test_a_pair_has_a_table_of_its_own(self):
        page = self.make(PAIR, ROW)[1]
        self.assertIn("| 7b | LoRA r=64 | 2 x 4096 | fp32 | 20,000 | tuned PyTorch | 16,000 | 1.250 | 1.200 to 1.300, "
                      "3 pairs | 0.512 | 40.2 | 46.9 | `lethe bench` |", page)
        self.assertIn("| training step | 12.5 GFLOP/s |", page)

    def test_a_pair_that_lacks_something_is_refused(self):
        line = {**PAIR["lethe"]}
        del line["mfu"]
        without = {key: value for key, value in PAIR.items() if key != "peer_line"}
        for row, word in ((without, "lacks 'peer_line'"), ({**PAIR, "ratios": []}, "'ratios' is []"),
                          ({**PAIR, "lethe": line}, "'lethe' has no number 'mfu'"),
                          ({**PAIR, "lethe": {**PAIR["lethe"], "shape": 7}}, "'lethe' has no text 'shape'")):
            done, page = self.make(row)
            self.assertEqual(done.returncode, 1)
            self.assertIn(word, done.stderr)
            self.assertIsNone(page)

    def test_a_bad_line_is_named_and_no_page_written(self):
        without = {key: value for key, value in ROW.items() if key != "unit"}
        for line, word in ((without, "'unit' is missing"), ({**ROW, "value": "fast"}, "'value' is 'fast'"),
                           ({**ROW, "extra": 1}, "unknown field 'extra'"), ("{", "not JSON"), ("[]", "not an object"),
                           ({**ROW, "ratio": 1.0}, "needs a peer")):
            done, page = self.make(ROW, line)
            self.assertEqual(done.returncode, 1)
            self.assertIn("b.jsonl:2", done.stderr)
            self.assertIn(word, done.stderr)
            self.assertIsNone(page)

    def test_check_fails_where_the_page_is_old(self):
        with tempfile.TemporaryDirectory() as folder:
            jsonl, page = Path(folder, "b.jsonl"), Path(folder, "b.md")
            jsonl.write_text(json.dumps(ROW) + "\n")
            page.write_text("old")
            self.assertEqual(run("--check", "--jsonl", jsonl, "--page", page).returncode, 1)
            self.assertEqual(page.read_text(), "old")


if __name__ == "__main__":
    unittest.main()
