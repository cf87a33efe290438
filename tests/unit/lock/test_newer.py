"""What moved on the index, as uv says it: its own lines, recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from assay import lock
from assay.errors import BuildFailed
from assay.host import process
from assay.host.process import Completed
from assay.lock import Newer, Yanked
from tests.unit.lock.resolver import UNREACHABLE, read

SAID = """\
Resolved 2 packages in 224ms
warning: `six==1.16` is yanked (reason: "Installable but not importable on Python 3.4.")
warning: `torch==2.0` is yanked
"""


@pytest.fixture
def asked(locked: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What uv is asked for, one file of requirements after the other."""
    seen: list[str] = []

    def run(argv: Sequence[str], *, cwd: Path, **_: Any) -> Completed:
        seen.append((cwd / "requirements.in").read_text())
        assert "--no-deps" in argv
        return Completed(0, "six==1.17\ntorch==2.0\ncuda-lib==1.0\n", SAID)

    monkeypatch.setattr(process, "run", run)
    return seen


def test_newer_and_withdrawn_wheels_are_told(locked: Path, asked: list[str]) -> None:
    moved, yanked = lock.newer(read(locked).get("torchy"))
    assert moved == [Newer("six", "1.16", "1.17")]
    assert yanked == [
        Yanked("six", "1.16", "Installable but not importable on Python 3.4."),
        Yanked("torch", "2.0", ""),
    ]
    assert asked[0].split() == [line.partition("==")[0] for line in asked[1].split()]


def test_an_image_without_a_lock_has_nothing_that_moves(locked: Path) -> None:
    assert lock.newer(read(locked).get("base/trixie")) == ([], [])


def test_an_index_that_does_not_answer(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "run", lambda *_, **__: Completed(2, "", UNREACHABLE))
    with pytest.raises(BuildFailed) as failed:
        lock.newer(read(locked).get("torchy"))
    assert len(str(failed.value).splitlines()) == 2
