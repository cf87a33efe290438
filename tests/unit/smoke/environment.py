"""A made-up environment: a folder that looks like site-packages, with libraries that hold nothing but names."""

from __future__ import annotations

import base64
import hashlib
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from smoke.installed import elf
from smoke.plan import Plan


def library(soname: str = "libx.so.1", needed: tuple[str, ...] = ("liby.so.2",), text: bytes = b"") -> bytes:
    """A 64-bit little-endian ELF file that holds nothing but names, and a text."""
    strings, dynamic = b"\0", b""
    for tag, name in [(elf.SONAME, soname), *((elf.NEEDED, one) for one in needed)]:
        dynamic += struct.pack("<QQ", tag, len(strings))
        strings += name.encode() + b"\0"
    dynamic += struct.pack("<QQ", 0, 0)
    titles = b"\0.dynamic\0.dynstr\0.shstrtab\0.rodata\0"
    at = 64
    places = []
    for blob in (dynamic, strings, titles, text):
        places.append((at, len(blob)))
        at += len(blob)
    header = elf.MAGIC.ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, at, 0, 64, 56, 0, 64, 5, 3)
    table = bytes(64)
    for name, kind, (offset, size), link in zip(
        (1, 10, 18, 28), (elf.DYNAMIC, 3, 3, 1), places, (2, 0, 0, 0), strict=True
    ):
        table += struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, link, 0, 1, 0)
    return header + dynamic + strings + titles + text + table


class Environment:
    """A folder that looks like site-packages."""

    def __init__(self, root: Path) -> None:
        self.site = root / "lib" / "site-packages"
        self.site.mkdir(parents=True)

    def add(self, name: str, version: str, files: Mapping[str, bytes]) -> None:
        lines = []
        for path, data in files.items():
            place = self.site / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(data)}")
        about = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        about.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (about / "METADATA").write_text(metadata)
        (about / "RECORD").write_text(
            "\n".join([*lines, f"{about.name}/METADATA,,", f"{about.name}/RECORD,,"]) + "\n"
        )


def compiled(source: str, path: Path) -> Path:
    """A shared library made of C."""
    made = subprocess.run(["gcc", "-shared", "-fPIC", "-o", path, "-xc", "-"], input=source.encode(), check=False)
    assert made.returncode == 0
    return path


def planned(label: str = "13.2", device: str = "cpu", uncalled: Mapping[str, str] | None = None) -> Plan:
    """A plan that promises this CUDA."""
    return Plan("small", device, "autograd", "autograd", (), {"cuda": label}, {}, 60, uncalled=uncalled or {})
