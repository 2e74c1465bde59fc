#!/usr/bin/env python3
"""Writes texts.parquet (two row groups, an empty text) and null.parquet. Needs pyarrow."""
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent
TEXTS = ["one", "zwei\nz\u00e4hlt", " ", "three"]
pq.write_table(pa.table({"text": TEXTS, "number": [1, 2, 3, 4]}), FOLDER / "texts.parquet", row_group_size=2,
               compression="snappy")
pq.write_table(pa.table({"text": ["one", None]}), FOLDER / "null.parquet")
