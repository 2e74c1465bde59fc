"""The tables of a profile's line, and their place in a page."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "setup" / "profile_table"
PRODUCT = {"form": "nt", "m": 8, "n": 4, "k": 2, "types": "bf16 bf16 bf16", "calls": 3, "ms": 2.0, "flops": 4e9}
LINE = {"gpu": "G", "shape": "7b", "method": "lora", "rank": 64, "batch": 2, "seq": 4096, "precision": "bfloat16",
        "state": "fp32", "recompute": "norms", "step_ms": 9.0, "tokens_per_s": 12345, "mfu": 0.5,
        "profile": {"nodes_ms": 8.0, "product_tflops": 700.0, "copy_tb_per_s": 3.0,
                    "kinds": [{"kind": "add", "calls": 2, "ms": 2.0, "flops": 1e9, "bytes": 4e9, "limit": 0.5},
                              {"kind": "rope", "calls": 2, "ms": 6.0, "flops": 0, "bytes": 6e9, "limit": 0.75}],
                    "products": [{**PRODUCT, "best_ms": 1.0}, {**PRODUCT, "form": "tn +=", "ms": 0, "best_ms": 0}]}}


class Tables(unittest.TestCase):
    def run_script(self, text, page=None):
        with tempfile.TemporaryDirectory() as folder:
            file, target = Path(folder, "line"), Path(folder, "page.md")
            file.write_text(text)
            target.write_text(page or "")
            done = subprocess.run([sys.executable, SCRIPT, file, *(["--into", target] if page else [])],
                                  capture_output=True, text=True)
            return done, target.read_text()

    def test_slowest_first_with_rates_and_limits(self):
        done, _ = self.run_script("something\n" + json.dumps(LINE) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| rope | 2 | 6.000 | 75.0% | 0.0 | 1.000 | 75% |\n| add | 2 | 2.000 | 25.0% | 0.5 | 2.000 | 50% |",
                      done.stdout)
        self.assertIn("| nt | 8 | 4 | 2 | bf16 bf16 bf16 | 3 | 2.000 | 2.0 | 4.0 | 50% |", done.stdout)

    def test_they_replace_what_stands_between_the_marks(self):
        done, page = self.run_script(json.dumps(LINE), "# A\n<!-- readings -->\nold\n<!-- end of readings -->\nlast\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("old", page)
        self.assertIn("| rope |", page)
        self.assertTrue(page.startswith("# A\n<!-- readings -->\n"))
        self.assertTrue(page.endswith("\n<!-- end of readings -->\nlast\n"))

    def test_what_is_no_profile_is_refused_and_the_page_kept(self):
        for text, page in (("", "x"), ("{}", "x"), (json.dumps(LINE), "no marks")):
            done, left = self.run_script(text, page)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(left, page)


if __name__ == "__main__":
    unittest.main()
