"""The CUDA libraries that are mapped into this process, asked what they are. Standard library only."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from smoke.installed.cuda import CUDA
from smoke.installed.facts import Mapped
from smoke.installed.versions import Refused, has_version, versions


def mapped_cuda(maps: Path = Path("/proc/self/maps")) -> tuple[Mapped, ...]:
    """The CUDA libraries that are mapped into this process, each once. Raises OSError."""
    lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    chosen = (Path(name) for name in sorted(set(paths(lines))) if CUDA.match(Path(name).name))
    return tuple(Mapped(path, path.resolve(), *_versions(path)) for path in chosen)


def paths(lines: Iterable[str]) -> list[str]:
    """The files in lines of /proc/PID/maps that are shared libraries by their names, deleted ones too."""
    names = []
    for line in lines:
        fields = line.split(None, 5)
        name = fields[5].rstrip("\n") if len(fields) == 6 else ""
        base = Path(name).name
        if name.startswith("/") and (base.endswith(".so") or ".so." in base):
            names.append(name)
    return names


def _versions(path: Path) -> tuple[str, str]:
    """The answers of a library that is loaded already; empty where it cannot be asked."""
    if not has_version(path.name):
        return "", ""
    try:
        return versions(path.name, ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_NOLOAD))
    except (OSError, Refused):
        return "", ""
