"""Locks of an image that is built for two platforms."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.catalog.pins import read_pins
from assay.errors import UsageError
from assay.host.process import Completed
from tests.unit.lock.resolver import Resolver, checked, edit, write_locks

NO_WHEEL = """\
error: No solution found when resolving dependencies
  cause: Because torch==2.1 has no wheels with a matching platform tag (e.g., `manylinux_2_40_aarch64`), it fails.

hint: Wheels are available for `torch` (v2.1) on the following platform: `manylinux_2_17_x86_64`
"""


@pytest.fixture
def both(root: Path, uv: Resolver) -> Path:
    for name in ("base/trixie", "cuda/1.0", "torchy"):
        edit(root, f"{name}/image.toml", "summary=", 'platforms = ["linux/amd64", "linux/arm64"]\nsummary=')
    lock = root / "images/base/trixie/packages.lock"
    lock.with_name("packages.arm64.lock").write_text(lock.read_text())
    return root


def test_each_platform_gets_its_lock(both: Path, uv: Resolver) -> None:
    results = write_locks(both)
    assert [(result.image, result.platform.name) for result in results] == [
        ("cuda/1.0", "linux/amd64"),
        ("torchy", "linux/amd64"),
        ("cuda/1.0", "linux/arm64"),
        ("torchy", "linux/arm64"),
    ]
    assert [argv[argv.index("--python-platform") + 1].partition("-")[0] for argv, _ in uv.calls] == [
        "x86_64",
        "x86_64",
        "aarch64",
        "aarch64",
    ]
    text = (both / "images/torchy/requirements.arm64.lock").read_text()
    assert "# For Python 3.13 on aarch64-manylinux_2_40." in text
    assert [(one.image, one.platform.name) for one in checked(both, "torchy")] == [
        ("base/trixie", "linux/amd64"),
        ("torchy", "linux/amd64"),
        ("base/trixie", "linux/arm64"),
        ("torchy", "linux/arm64"),
    ]
    assert not any(result.written for result in write_locks(both))


def test_the_second_platform_keeps_to_the_first_one(both: Path, uv: Resolver) -> None:
    uv.index["torch"] = ["2.0"]
    write_locks(both)
    uv.index["torch"] = ["2.0", "2.1"]
    (both / "images/torchy/requirements.arm64.lock").unlink()
    write_locks(both)
    assert read_pins(both / "images/torchy/requirements.arm64.lock")["torch"].version == "2.0"
    results = write_locks(both, "torchy", upgrade=True)
    assert [result.changes for result in results] == [("torch 2.0 -> 2.1",)] * 2


def test_a_lock_that_one_platform_lacks_is_missing(both: Path) -> None:
    write_locks(both)
    (both / "images/torchy/requirements.arm64.lock").unlink()
    with pytest.raises(UsageError) as caught:
        checked(both)
    assert str(caught.value).splitlines() == [
        "images/torchy/requirements.arm64.lock is missing",
        "Run `assay lock torchy`.",
    ]


def test_a_lock_of_the_other_platform_in_its_place(both: Path) -> None:
    write_locks(both)
    text = (both / "images/torchy/requirements.lock").read_text()
    (both / "images/torchy/requirements.arm64.lock").write_text(text)
    with pytest.raises(UsageError, match=r"requirements\.arm64\.lock was edited, or written for another Python"):
        checked(both)


def test_a_pin_that_one_platform_lacks(both: Path, uv: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written, and the message names the platform."""
    real = uv.__class__.__call__

    def lacking(self: Resolver, argv: list[str], **options: object) -> Completed:
        if any("aarch64" in word for word in argv):
            return Completed(1, "", NO_WHEEL)
        return real(self, argv, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Resolver, "__call__", lacking)
    with pytest.raises(UsageError) as caught:
        write_locks(both)
    assert str(caught.value).startswith(
        "cuda/1.0: no versions fit its requirements on linux/arm64: Because torch==2.1"
    )
    assert len(str(caught.value).splitlines()) == 2
    assert not list(both.rglob("requirements*.lock"))
