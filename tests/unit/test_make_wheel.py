"""The script that puts compiled files into a wheel: what it brings along, and that it writes the same bits twice."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

(SCRIPT,) = (Path(__file__).parents[2] / "images").glob("*/make_wheel.py")
FILES = {"torchy/__init__.py": b"", "torchy.libs/liba.so.1": b"code", "torchy-1.data/scripts/torchy": b"program"}
RECORD = "torchy-1.dist-info/RECORD"


@pytest.fixture
def script() -> ModuleType:
    module = ModuleType("make_wheel")
    SourceFileLoader("make_wheel", str(SCRIPT)).exec_module(module)
    return module


def test_the_record_has_every_file_and_its_digest(script: ModuleType, tmp_path: Path) -> None:
    script.write(tmp_path / "a.whl", FILES, RECORD)
    with zipfile.ZipFile(tmp_path / "a.whl") as archive:
        assert archive.testzip() is None
        rows = list(csv.reader(io.StringIO(archive.read(RECORD).decode())))
        assert [row[0] for row in rows] == archive.namelist() == [*sorted(FILES), RECORD]
        for name, digest, size in rows[:-1]:
            data = archive.read(name)
            right = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={right}", str(len(data)))
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    assert modes["torchy-1.data/scripts/torchy"] == 0o755
    assert modes["torchy/__init__.py"] == 0o644


def test_the_order_of_the_files_and_the_clock_leave_no_trace(script: ModuleType, tmp_path: Path) -> None:
    script.write(tmp_path / "a.whl", FILES, RECORD)
    script.write(tmp_path / "b.whl", dict(reversed(FILES.items())), RECORD)
    assert (tmp_path / "a.whl").read_bytes() == (tmp_path / "b.whl").read_bytes()


@pytest.fixture
def linked(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack with a C library and a CUDA library; the program needs those, liba, and through it libb."""
    for name in ("lib/x86_64-linux-gnu/libc.so.6", f"{script.SITE}/nvidia/cublas/lib/libcublas.so.11"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    needed = {
        "program": ["liba.so.1", "libc.so.6", "libcublas.so.11"],
        "liba.so.1": ["libb.so.1", "libc.so.6"],
        "libb.so.1": ["liba.so.1"],  # a circle
    }
    monkeypatch.setattr(script, "needs", lambda path: needed[path.name])
    monkeypatch.setattr(script, "locate", lambda name: Path("/usr/lib", name))
    return tmp_path


def test_what_the_stack_lacks_is_brought_along(script: ModuleType, linked: Path) -> None:
    found = script.bundled([linked / "program"], linked)
    assert found == [Path("/usr/lib/liba.so.1"), Path("/usr/lib/libb.so.1")]


def test_a_library_that_is_nowhere_ends_the_build(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "said", lambda *argv: "\tliba.so.1 (libc6,x86-64) => /usr/lib/liba.so.1\n")
    assert script.locate("liba.so.1") == Path("/usr/lib/liba.so.1")
    with pytest.raises(SystemExit, match=r"libb\.so\.1 is needed, and the build tools have no such library"):
        script.locate("libb.so.1")
