"""Programs that checks run: what they wrote, or why they failed."""

from __future__ import annotations

import sys

import pytest

from smoke.kit import programs


def test_a_program_tells_what_it_wrote_errors_too():
    script = "import sys; print('out', flush=True); print('log', file=sys.stderr)"
    assert programs.said(sys.executable, "-c", script).split() == ["out", "log"]


def test_arguments_are_put_into_words(tmp_path):
    assert programs.said(sys.executable, "-c", "import sys; print(sys.argv[1:])", 3, tmp_path).strip() == str(
        ["3", str(tmp_path)]
    )


def test_a_failure_is_raised_with_the_last_words():
    with pytest.raises(RuntimeError, match=r"ended with 3: no such solver"):
        programs.said(sys.executable, "-c", "import sys; print('no such solver'); sys.exit(3)")


def test_a_program_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(programs, "SECONDS", 0.2)
    with pytest.raises(programs.subprocess.TimeoutExpired):
        programs.said(sys.executable, "-c", "import time; time.sleep(60)")
