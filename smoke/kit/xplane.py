"""Counts kernels in a profile that XLA's profiler wrote (TensorFlow, JAX). Standard library only.

The file is a protocol buffer: XSpace.planes = 1; XPlane.name = 2, .lines = 3; XLine.events = 4. Those four numbers
are all that is read, which spares a dependency on the package that the frameworks keep moving the schema to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Union


def kernels(folder: Path, plane: str = "/device:GPU") -> int:
    """How many events the profiles under ``folder`` hold on planes whose name begins with ``plane``.

    Raises FileNotFoundError if there is no profile, ValueError if one is cut off.
    """
    files = sorted(folder.rglob("*.xplane.pb"))
    if not files:
        raise FileNotFoundError(f"the profiler wrote nothing under {folder}")
    return sum(_events(file.read_bytes(), plane.encode()) for file in files)


def _events(space: bytes, plane: bytes) -> int:
    count = 0
    for content in _parts(space, 1):
        if any(name.startswith(plane) for name in _parts(content, 2)):
            count += sum(1 for line in _parts(content, 3) for _ in _parts(line, 4))
    return count


def _parts(message: bytes, number: int) -> Iterator[bytes]:
    """The values of one length-delimited field of a message."""
    for field, value in _fields(message):
        if field == number and isinstance(value, bytes):
            yield value


def _fields(message: bytes) -> Iterator[tuple[int, Union[int, bytes]]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"not a profile: field type {kind}")
        if at + size > len(message):
            raise ValueError("the profile is cut off")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("the profile is cut off")
