"""The frameworks' own programs, and those that are compiled against them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

SECONDS = 240


def said(*command: Any) -> str:
    """What a command writes, its errors with the rest. Raises RuntimeError with its last words if it fails."""
    words = [str(word) for word in command]
    ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=SECONDS)
    output = ended.stdout.decode("utf-8", "replace")
    if ended.returncode:
        raise RuntimeError(f"{Path(words[0]).name} ended with {ended.returncode}: {output.strip()[-1500:]}")
    return output
