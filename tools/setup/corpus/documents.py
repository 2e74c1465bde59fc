"""Paragraphs to documents, and documents to a JSONL file; shared by prose_corpus and code_corpus."""
import hashlib
import json
import re
from pathlib import Path

SHORTEST, LONGEST = 2000, 4000

SENTENCE_END = re.compile(r"(?<=[.!?;:])[\"')]* +")


def pieces(paragraph):
    """The paragraph, or, where it is longer than a document may be, parts of it that end with a sentence."""
    while len(paragraph) > LONGEST:
        ends = [match.end() for match in SENTENCE_END.finditer(paragraph, SHORTEST, LONGEST)]
        cut = ends[-1] if ends else LONGEST
        yield paragraph[:cut].rstrip()
        paragraph = paragraph[cut:]
    yield paragraph


def split(paragraphs):
    """Documents of SHORTEST to LONGEST characters, cut between paragraphs; the rest of a work joins its last one."""
    found, parts, length = [], [], 0
    for paragraph in (piece for whole in paragraphs for piece in pieces(whole)):
        if parts and length + len(paragraph) > LONGEST:
            found.append("\n\n".join(parts))
            parts, length = [], 0
        parts.append(paragraph)
        length += len(paragraph) + 2
        if length >= SHORTEST:
            found.append("\n\n".join(parts))
            parts, length = [], 0
    if parts and found and length < SHORTEST:
        found[-1] += "\n\n" + "\n\n".join(parts)
    elif parts:
        found.append("\n\n".join(parts))
    return found


def size(records):
    return sum(len(record["text"].encode()) for record in records)


def thin(records, most_bytes):
    """At most about most_bytes of them, taken evenly from first to last."""
    total = size(records)
    if total <= most_bytes:
        return records
    share = most_bytes / total
    return [record for i, record in enumerate(records) if int((i + 1) * share) > int(i * share)]


def shuffled(records):
    """In the order of their texts' hashes, each text once."""
    by_hash = {hashlib.sha256(record["text"].encode()).hexdigest(): record for record in records}
    return [by_hash[key] for key in sorted(by_hash)]


def write(path: Path, records):
    """Writes to a temporary name first, so that an interrupted call leaves no short file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    temporary.replace(path)
