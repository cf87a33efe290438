"""The fresh start of bench/: what it makes of two builds, and that it leaves nothing behind."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

import msgspec
import pytest

from assay.catalog import Built, Change, Drift
from bench import fresh_start

EXACT = Built("k", None, "sha256:1", "sha256:c", ("a",), (), 1, 2, 3.0, "now")
MOVED = {"base/x": Drift("0" * 64, (Change("libc6", "1", "2"),))}


@pytest.mark.parametrize(
    ("here", "clone", "said", "good"),
    [
        ({}, {}, "same", True),
        ({}, {"digest": "sha256:2"}, "same; compressed differently", True),
        ({}, {"config": "sha256:d"}, "different", False),
        ({"drift": MOVED}, {"drift": MOVED}, "same (drifted: base/x: ", True),
        ({"drift": MOVED}, {"drift": MOVED, "diff_ids": ("b",)}, "different (drifted: base/x: ", False),
        ({}, {"drift": MOVED, "config": "sha256:d"}, "drifted (here: exact; in the clone: base/x: ", True),
        ({"drift": MOVED}, {"config": "sha256:d"}, "drifted (here: base/x: ", True),
        (None, {"drift": MOVED}, "not built in this checkout (drifted: base/x: ", True),
    ],
)
def test_the_clone_s_image_is_held_against_this_checkout_s(
    here: dict[str, object] | None, clone: dict[str, object], said: str, good: bool
) -> None:
    ours = {"image": msgspec.structs.replace(EXACT, **here)} if here is not None else {}
    ((name, words, verdict),) = fresh_start.compare(ours, {"image": msgspec.structs.replace(EXACT, **clone)})
    assert (name, verdict) == ("image", good)
    assert words.startswith(said)


MAKEFILE = """
build-all:
\t@echo first; sleep 1000 & echo $$! > child; echo "engine: starting took 1 s"; echo "$(IMAGES): built in 3 s"
\t@{last}
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return root


def committed(root: Path, last: str) -> Path:
    (root / "Makefile").write_text(MAKEFILE.format(last=last))
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "--all"], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)
    return root


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_stages_are_read_from_what_is_said(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", "/nowhere")
    committed(repository, 'test -z "$$ASSAY_CACHE" && test -z "$$(ls $$HOME)" && kill $$(cat child)')
    with fresh_start.fresh(repository, "torchy") as start:
        fresh_start.run(start, ["make", "build-all", "IMAGES=torchy"])
    assert list(start.stages) == ["first line", "engine", "image torchy"]
    assert not start.folder.exists()


def test_a_command_that_fails_or_is_interrupted_leaves_nothing(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed(repository, "sleep 1000")
    children: list[int] = []

    def interrupt(start: object, line: str) -> None:
        if "built in" in line:
            children.append(int((start.clone / "child").read_text()))  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    monkeypatch.setattr(fresh_start, "_stage_of", interrupt)
    folders: list[Path] = []

    def start_fresh() -> None:
        with fresh_start.fresh(repository, "torchy") as start:
            folders.append(start.folder)
            fresh_start.run(start, ["make", "build-all", "IMAGES=torchy"])

    with pytest.raises(KeyboardInterrupt):
        start_fresh()
    assert not folders[0].exists()
    deadline = time.monotonic() + 30
    while alive(children[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(children[0])


def test_a_command_that_fails_is_said(repository: Path) -> None:
    committed(repository, "kill $$(cat child); false")
    with (
        pytest.raises(SystemExit, match="`make build-all` ended with 2"),
        fresh_start.fresh(repository, "x") as start,
    ):
        fresh_start.run(start, ["make", "build-all"])
    assert list(Path(tempfile.gettempdir()).iterdir()) == []
