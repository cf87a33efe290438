"""A file that a container may write: nobody else gets at it, and what is left in it is read as an enemy's."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from assay.engine import MOUNT, Engine, RunRequest, RunResult, run_with_files
from assay.errors import EngineMissing, VerificationFailed

LIMIT = 2**20
NOBODY = 65534
ENDED = RunResult(0, False, False, "", 1.0)


class Container:
    """What a container does to the files that are mounted into it; here they lie in one folder."""

    def __init__(self, does: Callable[[Path], object]) -> None:
        self.does = does
        self.requests: list[RunRequest] = []

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        self.does(self.folder)
        return ENDED

    @property
    def folder(self) -> Path:
        (wanted,) = self.requests[-1].mounts
        return wanted.parent


def run(does: Callable[[Path], object], limit: int = LIMIT) -> bytes | VerificationFailed:
    engine = Container(does)
    request = RunRequest("image", ("smoke",))
    try:
        ended, left = run_with_files(cast(Engine, engine), request, {"plan.json": b"plan"}, "report.json", limit)
    finally:
        assert engine.requests[0].mounts == {engine.folder / "report.json": f"{MOUNT}/report.json"}
        assert engine.requests[0].given == {engine.folder / "plan.json": f"{MOUNT}/plan.json"}
        assert list(Path(tempfile.gettempdir()).glob("assay-run-*")) == [], "nothing stays"
    assert ended == ENDED
    return left


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for what is temporary, which all can enter and write to, as to the system's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def said(left: bytes | VerificationFailed) -> str:
    assert isinstance(left, VerificationFailed)
    assert len(str(left).splitlines()) == 2
    return left.what


def test_what_a_container_leaves_is_read() -> None:
    def does(folder: Path) -> None:
        assert (folder / "plan.json").read_bytes() == b"plan"
        (folder / "report.json").write_bytes(b"r" * LIMIT)

    assert run(does) == b"r" * LIMIT


# ---- who gets in


def by_nobody(act: Callable[[], object]) -> int:
    """0 if an ordinary user of this machine could do it, else the error's number."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
        except OSError as error:
            os._exit(error.errno or 255)
        except BaseException:
            os._exit(254)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_does_not_get_in_and_the_containers_does() -> None:
    outside: dict[str, int] = {}

    def does(folder: Path) -> None:
        def replace() -> None:
            (folder / "report.json").unlink()
            (folder / "report.json").write_bytes(b"theirs")

        (folder / "report.json").write_bytes(b"ours")
        assert by_nobody(lambda: (folder.parent / "there").write_bytes(b"")) == 0, "they can be here"
        (folder.parent / "there").unlink()
        for name, act in {
            "list": lambda: list(folder.iterdir()),
            "read": (folder / "report.json").read_bytes,
            "replace": replace,
            "rewrite what is given": lambda: (folder / "plan.json").write_bytes(b""),
            "move": lambda: folder.rename(folder.parent / "mine"),
            "open up": lambda: folder.chmod(0o777),
        }.items():
            outside[name] = by_nobody(act)
        # A mount leads past the folder around it, as these descriptors do.
        for name, number in {"report.json": 0, "plan.json": errno.EACCES}.items():
            path = Path(f"/proc/self/fd/{os.open(folder / name, os.O_PATH)}")
            assert by_nobody(lambda path=path: os.open(path, os.O_WRONLY)) == number

    assert run(does) == b"ours"
    assert all(outside.values()), outside


# ---- what is left


def a_hole(folder: Path) -> None:
    os.truncate(folder / "report.json", 2**40)


def a_byte_too_many(folder: Path) -> None:
    (folder / "report.json").write_bytes(b"r" * (LIMIT + 1))


@pytest.mark.parametrize(
    ("does", "words"),
    [
        (lambda folder: None, "left no report.json"),
        (a_hole, "larger than 1 MiB"),
        (a_byte_too_many, "larger than 1 MiB"),
    ],
)
def test_what_is_no_report(does: Callable[[Path], object], words: str) -> None:
    assert words in said(run(does))


def test_what_cannot_be_removed_is_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        engine = Container(lambda folder: patch.setattr(os, "unlink", refuse))
        _, left = run_with_files(cast(Engine, engine), RunRequest("i", ()), {}, "report.json", LIMIT)
    (top,) = place.iterdir()
    assert f"{top} cannot be removed: Operation not permitted" in said(left)


@pytest.mark.parametrize("error", [EngineMissing("gone", "Again."), KeyboardInterrupt()])
def test_nothing_stays_where_the_run_ends_early(error: BaseException) -> None:
    def does(folder: Path) -> None:
        raise error

    with pytest.raises(type(error)):
        run(does)


@pytest.mark.parametrize("how", ["a folder", "a link"])
def test_what_is_put_in_the_folders_place_is_neither_read_nor_emptied(place: Path, how: str) -> None:
    """Where TMPDIR lacks the sticky bit of /tmp, whoever may write there can move ours away."""
    theirs = place / "theirs"
    theirs.mkdir()
    (theirs / "report.json").write_bytes(b"planted")

    def swap(folder: Path) -> None:
        folder.rename(place / "ours")
        if how == "a folder":
            theirs.rename(folder)
        else:
            folder.symlink_to(theirs)

    engine = cast(Engine, Container(swap))
    _, left = run_with_files(engine, RunRequest("image", ("smoke",)), {}, "report.json", LIMIT)
    assert "planted" not in repr(left)
    assert said(left)
    (planted,) = [one for one in place.rglob("report.json") if not one.is_symlink()]
    assert planted.read_bytes() == b"planted"


def test_a_folder_that_is_not_ours_is_not_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "assay-run-open").mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: str(place / "assay-run-open"))
    with pytest.raises(VerificationFailed, match="was put in place of a folder of ours"):
        run_with_files(cast(Engine, Container(print)), RunRequest("image", ("smoke",)), {}, "report.json", LIMIT)
