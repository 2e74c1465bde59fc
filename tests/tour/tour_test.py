"""The pages tell the truth: their commands give the output they quote, their links resolve, their code is the code.

A block fenced as ```console holds lines `$ command` and, below each, lines of its output: every one must be in the
output, in that order, and `...` stands for any number of lines. A block fenced as ```cpp with a link to a file in
the line above it must be part of that file.
"""
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LETHE, TAPE_EXAMPLE = (Path(p).resolve() for p in sys.argv[1:3])
# Built and written things; the pictures of the report come from a study.
NOT_SOURCES = {"build", "runs", ".lethe", ".git", "lethe"}
# A study as small as it gets, so that its model and its tokenizer are where the pages say.
SMALL_STUDY = ["study.base_steps=4", "study.continue_steps=2", "study.sweep_steps=1", "study.ranks=2",
               "study.learning_rates_full=1e-3", "study.learning_rates_lora=1e-3", "study.vocab_size=512",
               "study.hidden_size=32", "study.layers=1", "study.heads=4", "study.intermediate_size=48",
               "study.sequence_length=64", "study.eval_tokens=512", "study.eval_points=1"]


def pages():
    return sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def fenced(page, info):
    """(line before the block, its text) of each block with that info string."""
    return [(m[1], m[2]) for m in re.finditer(rf"([^\n]*)\n+```{info}\n(.*?)^```", page.read_text(), re.S | re.M)]


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def missing_line(quoted, output):
    """The first quoted line that the output does not hold after those before it, or None."""
    rest = iter(squeezed(output))
    for line in squeezed(quoted):
        if line != "..." and not any(line == found for found in rest):
            return line
    return None


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        place = Path(cls.folder.name)
        for entry in ROOT.iterdir():
            if entry.name not in NOT_SOURCES:
                (place / entry.name).symlink_to(entry)
        (place / "lethe").symlink_to(LETHE)
        (place / "tape_example").symlink_to(TAPE_EXAMPLE)
        sets = [word for s in SMALL_STUDY for word in ("--set", s)]
        done = subprocess.run([LETHE, "study", "--source", "engine", "--target", "tools", "--output", "runs/study", *sets],
                              cwd=place, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"the small study failed: {done.stderr}")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_block(self, page, text):
        steps = re.split(r"^\$ ", text, flags=re.M)
        self.assertEqual(steps[0].strip(), "", f"{page.name}: a console block begins with a command")
        for step in steps[1:]:
            command, _, quoted = step.partition("\n")
            while command.endswith("\\"):
                more, _, quoted = quoted.partition("\n")
                command = command[:-1] + more.strip()
            done = subprocess.run(["bash", "-c", command], cwd=self.folder.name, text=True, timeout=120,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            lost = missing_line(quoted, done.stdout)
            self.assertIsNone(lost, f"{page.name}: `{command}` no longer prints that line; it prints\n{done.stdout}")
            if "exit status" not in quoted:
                self.assertEqual(done.returncode, 0, f"{page.name}: `{command}` failed:\n{done.stdout}")

    def test_every_console_block_prints_what_is_quoted(self):
        count = 0
        for page in pages():
            for _, text in fenced(page, "console"):
                with self.subTest(page=page.name, command=text.splitlines()[0]):
                    self.run_block(page, text)
                    count += 1
        self.assertGreater(count, 8)

    def test_every_configuration_is_accepted(self):
        for path in sorted((ROOT / "configs").rglob("*.yaml")):
            with self.subTest(config=path.name):
                self.assertRegex(path.read_text().splitlines()[0], r"^# \S.{20}")
                if path.parent.name == "chat":
                    continue  # a chat template, which a configuration in docs/instructions.md uses
                table = "study" if path.parent.name == "study" else "train"
                command = [LETHE, "options", table, "--check", path]
                if "\ngrid:" in path.read_text():
                    command = [LETHE, "study", path, "--dry-run"]
                done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
                if "data/models/" in done.stderr and "cannot be opened" in done.stderr:
                    continue  # read whole, up to a model that is not here
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_unknown_key_is_refused(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write((ROOT / "configs/train/one-layer.yaml").read_text() + "thread: 1\n")
            file.flush()
            done = subprocess.run([LETHE, "options", "train", "--check", file.name], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("threads", done.stderr)

    def test_the_mini_study_is_the_default_one(self):
        def values(*arguments):
            done = subprocess.run([LETHE, "options", "study", "--json", *arguments], capture_output=True, text=True, check=True)
            return {key: v["value"] for key, v in json.loads(done.stdout).items()}
        self.assertEqual(values("--check", ROOT / "configs/study/mini.yaml"), values("--set", "study.name=mini"))


class Pages(unittest.TestCase):
    def test_every_relative_link_resolves(self):
        for page in pages():
            text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                with self.subTest(page=page.name, link=target):
                    if re.match(r"https?:", target):
                        continue
                    path, _, anchor = target.partition("#")
                    file = (page.parent / path).resolve() if path else page
                    if file == ROOT / "docs/images/report.png":
                        continue  # made by a study, put there by hand
                    self.assertTrue(file.exists(), f"{page}: {target}")
                    if re.fullmatch(r"L\d+(-L\d+)?", anchor):
                        self.assertLessEqual(int(re.findall(r"\d+", anchor)[-1]), len(file.read_text().splitlines()))
                    elif anchor:
                        titles = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
                        self.assertIn(anchor, [re.sub(r"[^\w\- ]", "", t).lower().replace(" ", "-") for t in titles])

    def test_quoted_code_is_in_the_file_it_is_said_to_be_in(self):
        count = 0
        for page in pages():
            for above, code in fenced(page, "cpp"):
                with self.subTest(page=page.name, code=code.splitlines()[0]):
                    link = re.findall(r"\]\(([^)\s]+)\)", above)
                    self.assertTrue(link, f"{page.name}: no link in the line above a cpp block")
                    self.assertIn(" ".join(code.split()), " ".join((page.parent / link[-1]).read_text().split()))
                    count += 1
        self.assertGreater(count, 2)

    def test_every_operation_is_in_the_table(self):
        table = (ROOT / "docs/operations.md").read_text()
        for file in sorted((ROOT / "engine/ops").glob("*.cpp")):
            self.assertIn(f"(../engine/ops/{file.name})", table)
        for file in sorted((ROOT / "kernels").glob("*.h")):
            if file.name not in ("rows.h", "bf16.h", "philox.h", "stream.h"):
                self.assertIn(f"(../kernels/{file.name})", table)

    def test_pages_of_the_tour_are_short(self):
        for page in (ROOT / "docs/tour").glob("*.md"):
            self.assertLess(len(page.read_text().splitlines()), 125, page.name)


class Checker(unittest.TestCase):
    def test_a_line_that_is_not_printed_is_named(self):
        self.assertIsNone(missing_line("a  b\n...\nc\n", "a b\nx\n c\n"))
        self.assertEqual(missing_line("c\na b\n", "a b\nc\n"), "a b")
        self.assertEqual(missing_line("a\n", "aa\n"), "a")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
