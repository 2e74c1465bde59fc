"""The corpora of the default study: documents of the promised size, nothing lost, two disjoint sets of code."""
import gzip
import json
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

SETUP = Path(__file__).resolve().parents[2] / "tools" / "setup"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SETUP / "corpus"))
import documents
import markup
import rdata
import readers


class Documents(unittest.TestCase):
    def test_documents_end_with_a_paragraph_and_lose_nothing(self):
        for count in (1, 2, 7, 300):
            paragraphs = [f"Paragraph {i}: " + "word " * (i % 97) + "end." for i in range(count)]
            found = documents.split(paragraphs)
            self.assertEqual("\n\n".join(found), "\n\n".join(paragraphs))
            for text in found[:-1]:
                self.assertGreaterEqual(len(text), documents.SHORTEST - 2)
                self.assertLessEqual(len(text), documents.LONGEST + 2 * text.count("\n\n"))

    def test_a_paragraph_longer_than_a_document_is_cut_at_a_sentence(self):
        paragraph = " ".join(f"This is sentence number {i}." for i in range(500))
        found = documents.split([paragraph])
        self.assertGreater(len(found), 1)
        self.assertTrue(all(text.endswith(".") for text in found))
        self.assertEqual(" ".join(found).replace("\n\n", " "), paragraph)

    def test_no_paragraphs_give_no_documents(self):
        self.assertEqual(documents.split([]), [])

    def test_thinning_keeps_the_share_asked_for_from_everywhere(self):
        records = [{"text": "x" * 100, "source": str(i)} for i in range(1000)]
        kept = documents.thin(records, 25_000)
        self.assertEqual(len(kept), 250)
        self.assertLess(int(kept[0]["source"]), 5)
        self.assertGreater(int(kept[-1]["source"]), 994)

    def test_shuffling_drops_duplicates_and_does_not_depend_on_the_order(self):
        records = [{"text": str(i % 7), "source": ""} for i in range(20)]
        self.assertEqual(documents.shuffled(records), documents.shuffled(records[::-1]))
        self.assertEqual(len(documents.shuffled(records)), 7)


class Readers(unittest.TestCase):
    def test_verses_become_paragraphs_that_end_with_the_chapter(self):
        text = "A title.\nGe1:1 In the beginning.\nGe1:2 And the earth.\nGe2:1 Thus.\n1Sm1:1 Now there was.\n"
        self.assertEqual(readers.bible_verses(text), [("Ge", ["In the beginning. And the earth.", "Thus."]),
                                                      ("1Sm", ["Now there was."])])

    def test_a_compressed_bible_is_read_and_another_format_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "usr/lib/bible.data")
            with self.assertRaises(FileNotFoundError):
                readers.bible(Path(folder))
            file.parent.mkdir(parents=True)
            file.write_bytes(b"EC99" + bytes(200))
            with self.assertRaises(ValueError):
                readers.bible(Path(folder))

    def test_r_character_vectors_are_read_in_both_versions_of_the_format(self):
        def item(text):
            return struct.pack(">ii", rdata.CHARSXP, len(text)) + text

        body = struct.pack(">ii", rdata.STRSXP, 2) + item(b"EMMA") + struct.pack(">ii", rdata.CHARSXP, -1)
        for version, extra in ((2, b""), (3, struct.pack(">i", 5) + b"UTF-8")):
            record = b"X\n" + struct.pack(">iii", version, 0, 0) + extra + body
            data = struct.pack(">I", len(record)) + zlib.compress(record)
            self.assertEqual(list(rdata.character_vectors(data * 2)), [["EMMA", ""]] * 2)
        with self.assertRaises(ValueError):
            list(rdata.character_vectors(struct.pack(">I", 7) + zlib.compress(record)))

    def test_markup_headings_and_scripts_are_left_out(self):
        page = "<head><title>T</title></head><h1>Head</h1><p>One <b>bold</b>\nword.</p><script>x</script><li>Two."
        self.assertEqual(markup.paragraphs(page), ["One bold\nword.", "Two."])

    def test_tables_and_headings_are_not_prose(self):
        self.assertTrue(readers.is_prose("It is a truth universally acknowledged, that a single man must want.", 40))
        for text in ("CHAPTER I.", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19.", "no end of a sentence here",
                     "THIS IS A HEADING OF SOME LENGTH IN CAPITAL LETTERS THAT ENDS WITH A FULL STOP."):
            self.assertFalse(readers.is_prose(text, 20), text)

    def test_jargon_entries_keep_their_sentences_only(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "usr/share/doc/jargon-text/jargon.txt.gz")
            file.parent.mkdir(parents=True)
            sentence = "A word that hackers use of {software} when it has grown far beyond the needs of its users."
            file.write_bytes(gzip.compress(f"   :baroque: adj.\n\n   {sentence}\n\n   +---+---+\n   | a | b |\n".encode()))
            self.assertEqual(readers.jargon(Path(folder)), [("jargon", [sentence.replace("{", "").replace("}", "")])])


class Code(unittest.TestCase):
    def test_the_two_sets_share_no_package_and_leave_out_what_is_not_code(self):
        with tempfile.TemporaryDirectory() as folder:
            library, out = Path(folder, "library"), Path(folder, "out")
            module = "def f(x):\n    return x\n\n\n" * 60
            for i in range(40):
                (library / f"package{i}").mkdir(parents=True)
                for name in ("one", "two"):
                    (library / f"package{i}" / f"{name}.py").write_text(f"# {i} {name}\n{module}")
            (library / "package0" / "test_one.py").write_text("# a test\n" + module)
            (library / "wide.py").write_text("x = '" + "a" * 500 + "'\n" + module)
            (library / "broken.py").write_text("def\n" + module)
            (library / "numbers_list.py").write_text("x = [" + "1234,\n" * 500 + "]\n")
            (library / "short.py").write_text("x = 1\n")
            summary = json.loads(subprocess.run(
                [sys.executable, SETUP / "code_corpus", "--out", out, "--library", library],
                check=True, stdout=subprocess.PIPE).stdout)
            packages = {}
            for name in ("code_mix", "code_target"):
                records = [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]
                self.assertEqual(summary[name]["documents"], len(records))
                packages[name] = {record["source"].split("/")[0] for record in records}
                self.assertEqual(len(records), 2 * len(packages[name]))
            self.assertFalse(packages["code_mix"] & packages["code_target"])
            self.assertEqual(len(packages["code_mix"] | packages["code_target"]), 40)

    def test_a_folder_without_sources_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, SETUP / "code_corpus", "--out", folder, "--library", folder],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no Python sources", done.stderr)


if __name__ == "__main__":
    unittest.main()
