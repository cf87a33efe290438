"""The report: its shape and its file. Standard library only."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoke import SUITE, gates, suite
from smoke.report.result import Fault, Result

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """The whole report; ``complete`` is False if only a part of the plan was asked for."""

    image: str
    plan: Mapping[str, Any]
    host: Mapping[str, Any]
    stack: Mapping[str, Any]
    results: tuple[Result, ...]
    faults: tuple[Fault, ...]
    complete: bool

    def bad(self) -> list[str]:
        """The ids of what failed, ended in error, or was let through."""
        wrong = [result.id for result in self.results if result.state in ("fail", "error")]
        return wrong + [fault.id for fault in self.faults if fault.state != "fail"]

    def as_json(self, version: str) -> dict[str, Any]:
        """The report as plain data, schema 1."""
        return {
            "schema": SCHEMA,
            "suite": {"version": version, "sha256": suite.digest(SUITE, self.plan["framework"]["name"])},
            "gates": {"sha256": gates.digest()},
            "reference": {"sha256": file_digest(SUITE / "reference.py")},
            "image": self.image,
            "plan": dict(self.plan),
            "host": dict(self.host),
            "stack": dict(self.stack),
            "results": [result.as_json() for result in self.results],
            "faults": [fault.as_json() for fault in self.faults],
            "complete": self.complete,
        }


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Writes JSON to ``path``, whole or not at all. Raises OSError if the place cannot be written.

    A single file mounted into a container is the exception: it cannot be replaced (the kernel says busy, and the
    folder around it may be read-only), so it is written in place; its reader waits for the container to end.
    """
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    try:
        _replace(path, text)
    except OSError as why:
        if why.errno not in (errno.EBUSY, errno.EROFS, errno.EACCES, errno.EPERM) or not path.is_file():
            raise
        path.write_text(text, encoding="utf-8")


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=str(path.parent))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp gives 0600, which the host's user may be unable to read
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
