"""Which GPUs the framework has code for, in one small file: python -m smoke.installed.coverage ROOT > FILE.

Reading it from the libraries takes seconds, so it is done once, when the image is built. What is kept is each
library's containers (see ``fatbin``) and its size; a library that is gone, or has another size, makes the file
void, and whoever reads it hears of it. Standard library only.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Optional

from smoke.installed import fatbin
from smoke.installed.fatbin import Code
from smoke.installed.served import Served

SCHEMA = 1
BAKED = Path("/opt/assay/coverage.json")
_NAME = re.compile(r"(sm|compute)_(\d{1,4})(\d)([af]?)")


class Stale(Exception):
    """The file is not what it should be, or no longer what the libraries are: the text says why."""


def describe(root: Path, libraries: Iterable[tuple[Path, fatbin.Coverage]]) -> dict[str, Any]:
    """What goes into the file, in one order wherever it is made."""
    rows = [
        {
            "path": str(path.relative_to(root)),
            "size": path.stat().st_size,
            "containers": [list(names) for names in sorted(Counter(map(_names, code.containers)))],
        }
        for path, code in libraries
    ]
    return {"schema": SCHEMA, "root": str(root), "libraries": sorted(rows, key=lambda row: str(row["path"]))}


def _names(container: Iterable[Code]) -> tuple[str, ...]:
    return tuple("{}_{}{}{}".format("compute" if code.ptx else "sm", *code[1:]) for code in sorted(container))


def read(path: Path = BAKED) -> Served:
    """The file's content, with the libraries still as they were. Raises Stale."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise Stale("{} has schema {!r}, not {}".format(path.name, data["schema"], SCHEMA))
        root = Path(data["root"])
        return Served(tuple(_library(root, row) for row in data["libraries"]))
    except OSError as why:
        raise Stale(f"{path.name} cannot be read: {why.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Stale(f"{path.name} is malformed") from None


def _library(root: Path, row: Any) -> fatbin.Coverage:
    path = root / row["path"]
    size = path.stat().st_size if path.is_file() else None
    if size != row["size"]:
        raise Stale("{} {}".format(path.name, "is gone" if size is None else "was changed"))
    return fatbin.Coverage(tuple(frozenset(map(_code, names)) for names in row["containers"]))


def _code(name: str) -> Code:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(name)
    kind, major, minor, only = match.groups()
    return Code(kind == "compute", int(major), int(minor), only)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Prints the file for the environment below a folder."""
    from smoke.installed import nvrtc  # only here: whoever reads the file is in a hurry
    from smoke.installed.survey import survey

    root = Path((sys.argv[1:] if arguments is None else arguments)[0])
    own = nvrtc.with_run_time_code(survey(root)).own_libraries
    libraries = [(library.path, library.code) for library in own]
    print(json.dumps(describe(root, libraries), separators=(",", ":")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
