"""Records what cuobjdump says of a real library, with the library's own headers, for test_fatbin.py.

    python tests/unit/smoke/installed/record_fatbin.py CUOBJDUMP LIBRARY...

CUOBJDUMP comes from nvidia-cuda-cuobjdump on PyPI.

Of the library only the ELF header, the section headers and their names, and the headers within its fat binaries are
kept: a few kilobytes, at their places in an otherwise empty file of the same size.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).with_name("fatbin")
SAID = re.compile(r"^Fatbin (elf|ptx) code:\n=+\narch = sm_(\w+)$", re.MULTILINE)


def main() -> None:
    cuobjdump, *libraries = sys.argv[1:]
    told = subprocess.run([cuobjdump, "--version"], capture_output=True, text=True, check=True).stdout
    for library in libraries:
        path = Path(library)
        said = subprocess.run([cuobjdump, "-all", library], capture_output=True, text=True, check=True).stdout
        data = {
            "library": path.name,
            "cuobjdump": told.split("\n")[-2 if told.endswith("\n") else -1],
            "said": dict(sorted(Counter(f"{kind} {name}" for kind, name in SAID.findall(said)).items())),
            "size": path.stat().st_size,
            "pieces": [[at, base64.b64encode(piece).decode()] for at, piece in pieces(path.read_bytes())],
        }
        into = FOLDER / f"{path.name}.json.gz"
        into.write_bytes(gzip.compress(json.dumps(data, indent=1).encode(), mtime=0))
        print(into, into.stat().st_size, data["said"])


def pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The headers, and where they are."""
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", data, table + number * size) for number in range(count)]
    start, length = sections[names][4:6]
    strings = data[start : start + length]
    yield 0, data[:64]
    yield table, data[table : table + size * count]
    yield start, strings
    for name, *_, offset, length in sections:
        if strings[name : strings.index(b"\0", name)] in (b".nv_fatbin", b"__nv_relfatbin"):
            yield from headers(data, offset, offset + length)


def headers(data: bytes, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    while at + 16 <= end:
        magic, _, header, size = struct.unpack_from("<IHHQ", data, at)
        if magic != 0xBA55ED50:
            at += 8
            continue
        yield at, data[at : at + header]
        entry, at = at + header, at + header + size
        while entry < at:
            length, payload = struct.unpack_from("<IQ", data, entry + 4)
            yield entry, data[entry : entry + length]
            entry += length + payload


if __name__ == "__main__":
    main()
