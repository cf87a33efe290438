"""Which files of the suite an image carries, and which of them its certificate depends on.

python -m smoke.suite PLAN prints what the image of that plan carries, one path a line. suite.json holds what the host
must know too: the folders with a file for each framework, and the files that no certifying run uses. Standard library
only.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from smoke import SUITE


def carried(root: Path, framework: str) -> list[str]:
    """The files below ``root`` but for byte code and other frameworks' files: POSIX paths, sorted."""
    folders = _table(root)["by_framework"]
    names = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(name for name in names if not _is_byte_code(name) and _is_for(name, folders, framework))


def files(root: Path, framework: str) -> list[str]:
    """Of the files that an image carries, those that a certificate depends on."""
    outside = _table(root)["outside"]
    return [name for name in carried(root, framework) if not any(_is_below(name, one) for one in outside)]


def digest(root: Path, framework: str) -> str:
    """SHA-256 over those files: for each, in order, path + NUL + length + NUL + content."""
    found = hashlib.sha256()
    for name in files(root, framework):
        content = (root / name).read_bytes()
        found.update(name.encode() + b"\0%d\0" % len(content) + content)
    return found.hexdigest()


def _table(root: Path) -> Any:
    return json.loads((root / "suite.json").read_text(encoding="utf-8"))


def _is_byte_code(name: str) -> bool:
    return "__pycache__" in name.split("/") or name.endswith(".pyc")


def _is_below(name: str, place: str) -> bool:
    return name == place or name.startswith(place + "/")


def _is_for(name: str, folders: Sequence[str], framework: str) -> bool:
    """False for what belongs to another framework. What begins with an underscore belongs to all of them."""
    folder, _, rest = name.partition("/")
    if folder not in folders:
        return True
    entry = rest.split("/", maxsplit=1)[0]
    if entry.startswith("_"):
        return True
    if entry.endswith(".py"):
        return entry == framework + ".py"
    return entry.split(".")[0] == framework or entry.startswith(framework + "_")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command line; returns the exit code."""
    (plan,) = sys.argv[1:] if arguments is None else arguments
    framework = json.loads(Path(plan).read_text(encoding="utf-8"))["framework"]["name"]
    names = carried(SUITE, framework)
    for wanted in (f"{folder}/{framework}.py" for folder in _table(SUITE)["by_framework"]):
        if wanted in names:
            continue
        print(f"smoke: the suite has no {wanted}", file=sys.stderr)
        print("Write that file, or name another framework in the image's image.toml.", file=sys.stderr)
        return 2
    print("\n".join(names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
