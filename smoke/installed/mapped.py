"""The shared libraries that are mapped into this process. Standard library only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

from smoke.installed import versions


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


def versions_of(files: list[str]) -> dict[str, Optional[list[str]]]:
    """What each says that it is (its own version, that of CUDA); None where it cannot be asked."""
    return {name: _version(name) for name in files}


def _version(name: str) -> Optional[list[str]]:
    """The answers of a library that is loaded already; None where it cannot be asked."""
    import ctypes

    if not any(re.match(call[0], Path(name).name) for call in versions.CALLS):
        return None
    try:
        library: Any = ctypes.CDLL(name, mode=os.RTLD_NOW | os.RTLD_NOLOAD)
        return list(versions.versions(Path(name).name, library))
    except (OSError, versions.VersionRefused):
        return None
