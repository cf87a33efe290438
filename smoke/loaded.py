"""Trains one step in a process of its own and tells which libraries were loaded: python -m smoke.loaded PLAN OUT.

Then it imports the packages beside the framework that have code of their own for it (TorchVision, say): each checks
by itself whether it was made for this framework.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

from smoke import closure, plan, reference
from smoke.bench import Bench


def main(arguments: list[str]) -> int:
    """Writes ``described``, ``maps`` (path -> the library's own version) and ``imports`` (module -> error) to OUT."""
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(plan.read(Path(arguments[0])), Path(scratch), deterministic=False)
        problem = dataclasses.replace(reference.problem(), steps=1)
        bench.framework.train_parity(problem, "f32", "")
        failed = {module: _import(module) for module in arguments[2:]}
        told = {"described": bench.stack(), "maps": _versions(mapped()), "imports": failed}
        Path(arguments[1]).write_text(json.dumps(told), encoding="utf-8")
    return 0


def _import(module: str) -> str:
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as why:
        return f"{type(why).__name__}: {why}"[:500]
    return ""


def mapped(maps: Path = Path("/proc/self/maps")) -> list[str]:
    """The shared libraries that are mapped into this process, each once."""
    return sorted(set(paths(maps.read_text(encoding="utf-8", errors="replace").splitlines())))


def paths(lines: Iterable[str]) -> list[str]:
    """The files in lines of /proc/PID/maps that are shared libraries by their names, deleted ones too."""
    found = []
    for line in lines:
        fields = line.split(None, 5)
        name = fields[5].rstrip("\n") if len(fields) == 6 else ""
        base = Path(name).name
        if name.startswith("/") and (base.endswith(".so") or ".so." in base):
            found.append(name)
    return found


def _versions(files: list[str]) -> dict[str, Optional[list[str]]]:
    return {name: _version(name) for name in files}


def _version(name: str) -> Optional[list[str]]:
    """The answers of a library that is loaded already; None where it cannot be asked."""
    import ctypes

    if not any(closure.re.match(call[0], Path(name).name) for call in closure.CALLS):
        return None
    try:
        library: Any = ctypes.CDLL(name, mode=os.RTLD_NOW | os.RTLD_NOLOAD)
        return list(closure.versions(Path(name).name, library))
    except (OSError, closure.VersionRefused):
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
