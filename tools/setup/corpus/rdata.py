"""Character vectors out of an R package's data base of lazy-loaded objects (`Rdata.rdb`).

The file is a row of records: the unpacked length as four bytes, big end first, then a zlib stream. A record is an
object in R's XDR serialization ("R Internals", section 1.8): a format line, versions, then tagged items.
"""
import struct
import zlib

CHARSXP, STRSXP = 9, 16


def records(data):
    while data:
        length = struct.unpack(">I", data[:4])[0]
        stream = zlib.decompressobj()
        unpacked = stream.decompress(data[4:])
        if len(unpacked) != length:
            raise ValueError(f"Rdata.rdb: a record has {len(unpacked)} bytes and says {length}")
        yield unpacked
        data = stream.unused_data


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def integer(self):
        self.at += 4
        return struct.unpack_from(">i", self.data, self.at - 4)[0]

    def bytes(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def string(self):
        if self.integer() & 0xFF != CHARSXP:
            raise ValueError("Rdata.rdb: a string was expected")
        length = self.integer()
        return "" if length < 0 else self.bytes(length).decode("utf-8", "replace")  # -1 is R's NA


def character_vectors(data):
    """Each record that is a character vector, as a list of strings."""
    for record in records(data):
        reader = Reader(record)
        if reader.bytes(2) != b"X\n":
            raise ValueError("Rdata.rdb: not XDR serialization")
        version = reader.integer()
        reader.bytes(8)  # the R that wrote it, the oldest R that can read it
        if version >= 3:
            reader.bytes(reader.integer())  # the native encoding
        if reader.integer() & 0xFF == STRSXP:
            yield [reader.string() for _ in range(reader.integer())]
