"""everyday.files: what each of the framework's savers writes, a fresh process reads, and it is equal bit for bit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smoke.checks.context import Context
from smoke.report.result import Result, judged, metric, not_run

PREFIX = "everyday.files."
REMEDY = "Save and load by hand in this format: what is loaded is not what was saved."
NUMBERS = "numbers.json"


def run(process: str, context: Context) -> Iterator[Result]:
    """``write`` saves in each format; ``read`` loads, and yields a result for each."""
    everyday, folder = context.everyday(), context.scratch / "files"
    if process == "write":
        folder.mkdir()
    for name in everyday.FORMATS:
        reason = context.cannot_everyday("files", name)
        if process == "write" and not reason:
            _write(everyday, name, folder / name)
        elif process == "read":
            yield not_run(PREFIX + name, "files", reason) if reason else _read(everyday, name, folder / name, context)


def _write(everyday: Any, name: str, folder: Path) -> None:
    """Saves in one format, and keeps the numbers beside, or what went wrong."""
    folder.mkdir()
    try:
        found: Mapping[str, Any] = {"numbers": exact(everyday.write(name, str(folder)))}
    except (Exception, SystemExit) as why:
        found = {"wrong": said(why)}
    folder.with_name(name + "." + NUMBERS).write_text(json.dumps(found))


def _read(everyday: Any, name: str, folder: Path, context: Context) -> Result:
    try:
        written = json.loads(folder.with_name(name + "." + NUMBERS).read_text())
    except (OSError, ValueError):
        return Result(PREFIX + name, "files", "error", "nothing was written")
    if "wrong" in written:
        return Result(PREFIX + name, "files", "error", "it cannot be written: " + written["wrong"], REMEDY)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        read = exact(everyday.read(name, str(folder)))
    except (Exception, SystemExit) as why:
        return Result(PREFIX + name, "files", "error", "it cannot be read: " + said(why), REMEDY)
    return judge(name, written["numbers"], read, size, context.gates["everyday"])


def judge(name: str, written: Sequence[str], read: Sequence[str], size: int, gates: Mapping[str, str]) -> Result:
    """Passes if there are numbers enough, real ones, and each that was read is that which was written."""
    different = sum(one != other for one, other in zip(written, read)) + abs(len(written) - len(read))
    different += sum(not math.isfinite(float.fromhex(one)) for one in written)
    metrics = [
        metric("different", different, gates["different"]),
        metric("numbers", len(set(written)), gates["numbers"], ">="),
        metric("bytes", size, gates["bytes"], ">="),
    ]
    return judged(PREFIX + name, "files", metrics, remedy=REMEDY)


def exact(numbers: Sequence[float]) -> list[str]:
    """Numbers as texts that tell all of their bits."""
    return [float(one).hex() for one in numbers]


def said(why: BaseException) -> str:
    """An exception, short enough for a report."""
    return f"{type(why).__name__}: {why}"[:1000]
