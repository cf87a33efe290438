"""Headers that all modules of a framework include, compiled once for all of them. Standard library only."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


def precompiled(compiler: Sequence[str], names: Sequence[str], folder: Path) -> Path:
    """The header in ``folder`` that includes ``names``, for the compiler's -include; made once a folder.

    ``compiler`` is g++ with its flags. The compiled form lies beside the header: g++ takes it where the flags agree;
    elsewhere, and where it could not be compiled, g++ reads the text.
    """
    header = folder / "precompiled.h"
    if not header.exists():
        header.write_text("".join(f"#include <{name}>\n" for name in names), encoding="utf-8")
        made = [*compiler, "-x", "c++-header", str(header), "-o", f"{header}.gch"]
        subprocess.run(made, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return header
