"""static.contract: each promise broken in turn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from smoke.checks.static.contract import broken
from smoke.installed.facts import Surroundings
from smoke.installed.surroundings import libcudas
from tests.unit.smoke.environment import library


@pytest.fixture
def now() -> Surroundings:
    environment = {
        "HOME": "/home/someone",
        "USER": "someone",
        "PATH": "/opt/assay/bin:/opt/env/bin:/usr/bin",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    }
    return Surroundings(
        environment,
        home_writable=True,
        uid=12345,
        prefix=Path("/opt/env"),
        suite=Path("/opt/assay/smoke"),
        python=(3, 13, 5),
        libcudas=(),
        driver=None,
        cached=frozenset(),
        last_folder=Path("/usr/lib"),
    )


LABELS = {"python": "3.13", "cuda": "13.2"}


def test_a_kept_contract_has_nothing_broken(now: Surroundings) -> None:
    assert broken(now, LABELS, "cpu") == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("HOME", "", "HOME is not set"),
        ("USER", "", "USER is not set"),
        ("PATH", "/usr/bin:/opt/env/bin", "PATH begins with /usr/bin"),
        ("PATH", "", "PATH begins with"),
        ("NVIDIA_VISIBLE_DEVICES", "", "NVIDIA_VISIBLE_DEVICES is not set"),
        ("NVIDIA_VISIBLE_DEVICES", "void", "NVIDIA_VISIBLE_DEVICES is void"),
        ("NVIDIA_DRIVER_CAPABILITIES", "utility", "NVIDIA_DRIVER_CAPABILITIES is utility"),
        ("NVIDIA_DRIVER_CAPABILITIES", "", "NVIDIA_DRIVER_CAPABILITIES is not set"),
    ],
)
def test_a_broken_promise_is_told_with_a_remedy(now: Surroundings, name: str, value: str, told: str) -> None:
    changed = dataclasses.replace(now, environment={**now.environment, name: value})
    ((wrong, remedy),) = broken(changed, LABELS, "cpu")
    assert told in wrong
    assert remedy


def test_root_another_python_and_no_python_label_are_told(now: Surroundings) -> None:
    assert broken(dataclasses.replace(now, uid=0), LABELS, "cpu")[0][0] == "it runs as root"
    assert broken(now, {"python": "3.1"}, "cpu")[0][0] == "Python 3.1 is promised, 3.13.5 runs"
    assert broken(now, {}, "cpu")[0][0] == "no Python is promised"


def test_a_home_that_cannot_be_written_to_is_told(now: Surroundings) -> None:
    ((wrong, remedy),) = broken(dataclasses.replace(now, home_writable=False), LABELS, "cpu")
    assert wrong == "HOME (/home/someone) cannot be written to"
    assert remedy


def beside(now: Surroundings, *folders: Path, last: Path, **changed: Any) -> Surroundings:
    """The surroundings of a process whose loader searches these folders."""
    return dataclasses.replace(now, libcudas=libcudas(folders, last), last_folder=last, **changed)


def test_a_stub_in_the_loader_s_way_is_told_and_a_driver_is_not(now: Surroundings, tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_bytes(b"stub")
    last = Path("/usr/lib")
    assert "is not the driver's" in broken(beside(now, tmp_path, last=last), LABELS, "cpu")[0][0]
    (tmp_path / "libcuda.so.580.65.06").write_bytes(b"driver")
    (tmp_path / "libcuda.so.1").unlink()
    (tmp_path / "libcuda.so.1").symlink_to("libcuda.so.580.65.06")
    assert broken(beside(now, tmp_path, last=last), LABELS, "gpu") == []
    assert broken(beside(now, tmp_path, last=last, driver="580.65.06"), LABELS, "gpu") == []
    assert broken(beside(now, tmp_path, last=last, driver="575.57.08"), LABELS, "gpu") != []


STUB = {**LABELS, "libcuda": "stub"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a stub, under another soname."""
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "libcuda-stub.so").write_bytes(library("libcuda-stub.so"))
    (folder / "libcuda.so.1").symlink_to("libcuda-stub.so")
    return folder


def test_a_declared_stub_that_yields_keeps_the_contract(now: Surroundings, folder: Path) -> None:
    stubbed = beside(now, folder, last=folder)
    assert broken(stubbed, STUB, "cpu") == []
    assert "is not the driver's" in broken(stubbed, LABELS, "cpu")[0][0]


def test_a_declared_stub_must_be_there(now: Surroundings) -> None:
    assert broken(now, STUB, "cpu")[0][0] == "a stub of libcuda is promised, and there is none"


@pytest.mark.parametrize("soname", ["libcuda.so.1", "libcuda.so", "", "no library", "no bytes"])
def test_a_stub_that_ldconfig_would_take_for_a_driver_does_not_yield(
    now: Surroundings, folder: Path, soname: str
) -> None:
    data = {"no library": b"\x7fELF", "no bytes": b""}.get(soname) if soname.startswith("no ") else library(soname)
    assert data is not None
    (folder / "libcuda-stub.so").write_bytes(data)
    assert "may be found before it" in broken(beside(now, folder, last=folder), STUB, "cpu")[0][0]


def test_a_stub_elsewhere_or_in_the_cache_does_not_yield(now: Surroundings, folder: Path, tmp_path: Path) -> None:
    named = {**now.environment, "LD_LIBRARY_PATH": f"/a:{folder}"}
    for changed in (
        beside(now, folder, last=tmp_path / "other"),
        beside(now, folder, last=folder, cached=frozenset({folder / "libcuda.so.1"})),
        beside(now, folder, last=folder, environment=named),
    ):
        assert "may be found before it" in broken(changed, STUB, "cpu")[0][0]


def test_beside_a_driver_the_stub_may_stay(now: Surroundings, folder: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    (first / "libcuda.so.580.65.06").write_bytes(b"driver")
    (first / "libcuda.so.1").symlink_to("libcuda.so.580.65.06")
    assert broken(beside(now, first, folder, last=folder, driver="580.65.06"), STUB, "gpu") == []
