"""The command, run in a small repository."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay import cli, engine
from tests.unit.cli.ran import Found, Ran
from tests.unit.repository import repository


@pytest.fixture
def assay_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """The command, in a repository whose images were never built, with an engine that does nothing."""
    root = repository(tmp_path / "repo")
    (root / "build").mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(engine, "find", lambda tell=None: Found())

    def run(*arguments: str) -> Ran:
        before = signal.getsignal(signal.SIGTERM)
        monkeypatch.setattr("sys.argv", ["assay", *arguments])
        try:
            cli.main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
        finally:
            signal.signal(signal.SIGTERM, before)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run
