"""everyday.extensions: code of a user's own is compiled against the framework, loaded, and computes."""

from __future__ import annotations

from collections.abc import Iterator

from smoke.checks.context import Context
from smoke.checks.files import said
from smoke.report.result import Result, judged, metric, not_run

PREFIX = "everyday.extensions."
REMEDY = "Compile one by hand: the image lacks what it needs (a compiler, ninja, headers), or it cannot be loaded."
RIGHT = [1.0, 3.0, 5.0, 7.0]  # 2 x + 1 of 0, 1, 2, 3


def run(_process: str, context: Context) -> Iterator[Result]:
    """A result for each way that the framework's everyday file names."""
    everyday = context.everyday()
    for name in everyday.EXTENSIONS:
        reason = context.cannot_everyday("extensions", name)
        yield not_run(PREFIX + name, "extensions", reason) if reason else _extended(name, context)


def _extended(name: str, context: Context) -> Result:
    folder = context.scratch / "extensions" / name
    folder.mkdir(parents=True)
    try:
        found = [float(one) for one in context.everyday().extend(name, str(folder))]
    except (Exception, SystemExit) as why:
        return Result(PREFIX + name, "extensions", "error", said(why), REMEDY)
    wrong = sum(one != right for one, right in zip(found, RIGHT)) + abs(len(found) - len(RIGHT))
    numbers = [metric("wrong", wrong, context.gates["everyday"]["wrong"]), metric("numbers", len(found))]
    return judged(PREFIX + name, "extensions", numbers, remedy=REMEDY)
