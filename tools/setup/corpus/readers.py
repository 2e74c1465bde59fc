"""One reader a package: root folder in, a list of (work, paragraphs) out; FileNotFoundError where it is not there."""
import gzip
import re
import struct
import subprocess
from pathlib import Path

import markup
import rdata

# One form for each mark: the texts differ in these, and a small vocabulary should not spend pieces on it.
MARKS = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "–": "-", "…": "...", "\u00a0": " ", "`": "'"})


def tidy(text):
    """Words with single spaces between them."""
    return " ".join(text.translate(MARKS).split())


def is_prose(paragraph, shortest=80):
    """Whether this reads as sentences: long enough, mostly letters and spaces, with lower case, ended as a sentence."""
    letters = sum(c.isalpha() or c == " " for c in paragraph)
    lower = sum(c.islower() for c in paragraph)
    return (len(paragraph) >= shortest and letters >= 0.88 * len(paragraph) and lower >= 0.6 * len(paragraph)
            and paragraph.rstrip("\"')]")[-1:] in (".", "!", "?", ":", ";", ","))


def blocks(text):
    """Runs of lines between blank lines."""
    return [block for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")) if block.strip()]


def austen(root):
    """janeaustenr: one character vector a novel, a string a line."""
    folder = root / "usr/lib/R/site-library/janeaustenr/data"
    works = []
    for lines in rdata.character_vectors((folder / "Rdata.rdb").read_bytes()):
        title = tidy(next(line for line in lines if line.strip())).title()
        paragraphs = [tidy(block.replace("_", "")) for block in blocks("\n".join(lines))]
        works.append((title, [p for p in paragraphs if is_prose(p, shortest=8)]))
    return works


def bible(root):
    """bible.data: a header that says where 64 kB windows begin, each compressed by compress(1) without its magic."""
    data = (root / "usr/lib/bible.data").read_bytes()
    count = struct.unpack_from(">I", data, 0x58)[0]
    starts = [*struct.unpack_from(f">{count}I", data, 0x5C), len(data)]
    if not data.startswith(b"EC02") or sorted(starts) != starts:
        raise ValueError("bible.data is not in the form of bible-kjv-text 4.38")
    magic = b"\x1f\x9d\x90"  # what gzip needs to know them: compress, block mode, codes of up to 16 bits
    text = b"".join(subprocess.run(["gzip", "-dc"], input=magic + data[begin:end], stdout=subprocess.PIPE,
                                   check=True).stdout for begin, end in zip(starts, starts[1:]))
    return bible_verses(text.decode("latin-1"))


def bible_verses(text, shortest=500):
    """`Ge1:2 words` lines to a work for each book: paragraphs of whole verses, ended at the latest with the chapter."""
    books, chapter, verses = {}, None, []
    for match in re.finditer(r"^((?:\d )?\w+?)(\d+):\d+ (.*)$", text, re.MULTILINE):
        book, number, verse = match.groups()
        if (book, number) != chapter or sum(map(len, verses)) >= shortest:
            verses = []
            books.setdefault(book, []).append(verses)
            chapter = (book, number)
        verses.append(tidy(verse))
    return [(book, [" ".join(verses) for verses in paragraphs]) for book, paragraphs in books.items()]


def anarchist_faq(root):
    """HTML pages, one a section; the citations in brackets say where, not what, and go."""
    pages = sorted((root / "usr/share/doc/anarchism/html").glob("sec[A-J]*.html"))
    if not pages:
        raise FileNotFoundError(root)
    citation = re.compile(r"\s*\[[^\[\]]*\b(?:p|pp|Op|no|vol)\.[^\[\]]*\]")
    works = []
    for page in pages:
        paragraphs = [citation.sub("", tidy(p)) for p in markup.paragraphs(page.read_text(errors="replace"))]
        works.append((page.stem, [p for p in paragraphs if is_prose(p)]))
    return works


def jargon(root):
    """Plain text, indented; entries begin with `:word:`, cross-references stand in braces."""
    text = gzip.decompress((root / "usr/share/doc/jargon-text/jargon.txt.gz").read_bytes()).decode("utf-8", "replace")
    paragraphs = []
    for block in blocks(text):
        pictures = re.search(r"[-=_*|+/\\.]{4,}|^ {6,}\S", block, re.MULTILINE)
        paragraph = tidy(re.sub(r"[{}]", "", block))
        if not pictures and is_prose(paragraph):
            paragraphs.append(paragraph)
    return [("jargon", paragraphs)]


def copyright_does_not_exist(root):
    """HTML, one chapter a page."""
    folder = root / "usr/share/doc/cfi-en/html"
    pages = sorted(folder.glob("ch*web.htm"), key=lambda page: int(re.search(r"\d+", page.name).group()))
    if not pages:
        raise FileNotFoundError(folder)
    works = []
    for page in [folder / "preface.htm", *pages]:
        paragraphs = [tidy(p) for p in markup.paragraphs(page.read_text(encoding="latin-1"))]
        works.append((page.stem, [p for p in paragraphs if is_prose(p)]))
    return works


def devils_dictionary(root):
    """A dictd file: gzip with an index of its own, which gzip skips. Verse is indented; its signatures stand far right."""
    text = gzip.decompress((root / "usr/share/dictd/devil.dict.dz").read_bytes()).decode("utf-8", "replace")
    body = text[text.index("_The Devil's Dictionary_ was begun"):]
    paragraphs = []
    for block in blocks(re.sub(r"\n {4}(?=\S.{50})", "\n\n", body)):
        paragraph = tidy(re.sub(r"[{}_]", "", block))
        if is_prose(paragraph, shortest=40):
            paragraphs.append(paragraph)
    return [("devils-dictionary", paragraphs)]
