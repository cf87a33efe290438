"""Platforms: which an image declares, the locks that each needs, and that another one changes no certificate."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import catalog
from assay.errors import UsageError
from tests.unit.catalog.refusals import edit, refused, write
from tests.unit.repository import STACK_LOCK, B

BOTH = 'platforms = ["linux/amd64", "linux/arm64"]\n'
TORCHY = ("base/trixie", "cuda/1.0", "torchy")


def declare(root: Path, *names: str, line: str = BOTH) -> None:
    for name in names:
        edit(root, name, "summary", f"{line}summary")


@pytest.fixture
def both(root: Path) -> Path:
    """A repository with one framework that is built for two platforms."""
    declare(root, *TORCHY)
    write(root, "cuda/1.0/requirements.arm64.lock", STACK_LOCK)
    write(root, "torchy/requirements.arm64.lock", STACK_LOCK + f"torch==2.1 --hash=sha256:{B}\n")
    return root


def test_each_platform_has_its_images_locks_and_wheels(both: Path) -> None:
    first, other = catalog.load(both), catalog.load(both, platform="linux/arm64")
    assert set(other.images) == set(TORCHY)
    assert {"plain", "tensory"} <= first.images.keys()
    assert [catalog.framework_version(each.get("torchy")) for each in (first, other)] == ["2.0", "2.1"]
    assert [each.get("torchy").platform for each in (first, other)] == [
        "x86_64-manylinux_2_40",
        "aarch64-manylinux_2_40",
    ]
    assert other.get("torchy").lock == both / "images/torchy/requirements.arm64.lock"


def test_another_platform_changes_no_certificate(root: Path) -> None:
    image = catalog.load(root)
    before = catalog.inputs(image, image.get("torchy"))
    declare(root, *TORCHY)
    write(root, "cuda/1.0/requirements.arm64.lock", STACK_LOCK)
    write(root, "torchy/requirements.arm64.lock", STACK_LOCK)
    after = catalog.load(root)
    assert catalog.inputs(after, after.get("torchy")) == before
    other = catalog.load(root, platform="arm64")
    of_other = catalog.inputs(other, other.get("torchy"))
    assert {name for name in of_other if name.endswith(".lock")} == {
        "images/cuda/1.0/requirements.arm64.lock",
        "images/torchy/requirements.arm64.lock",
    }
    edit(root, "torchy", "summary", "notes = ['x']\nsummary")
    changed = catalog.load(root)
    assert catalog.inputs(changed, changed.get("torchy")) != before


def test_an_image_that_does_not_declare_the_platform(both: Path) -> None:
    other = catalog.load(both, platform="linux/arm64")
    with pytest.raises(UsageError, match=r"^plain is not built for linux/arm64: it declares linux/amd64\nAdd it to "):
        other.get("plain")
    with pytest.raises(UsageError, match=r"^no image is named 'nope'\n"):
        other.get("nope")


def test_a_platform_that_there_is_not(root: Path) -> None:
    with pytest.raises(UsageError, match=r"^no image is built for 'linux/riscv64'\nThere are linux/amd64 and "):
        catalog.load(root, platform="linux/riscv64")
    declare(root, "plain", line='platforms = ["linux/riscv64"]\n')
    refused(root, "images/plain/image.toml", "image.platforms", "linux/riscv64")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('platforms = ["linux/amd64", "linux/amd64"]\n', "image.platforms names one twice"),
        (BOTH, "image.platforms: linux/arm64 is not declared by base/trixie, which it takes"),
    ],
)
def test_what_an_image_must_not_declare(root: Path, line: str, said: str) -> None:
    declare(root, "plain", line=line)
    refused(root, f"images/plain/image.toml: {said}")


def test_platforms_stand_in_one_line(root: Path) -> None:
    declare(root, "base/trixie", line=BOTH.replace(", ", ",\n  "))
    refused(root, "images/base/trixie/image.toml: image.platforms does not stand in a line of its own")


def test_a_platform_without_its_lock(both: Path) -> None:
    (both / "images/torchy/requirements.arm64.lock").unlink()
    refused(both, "images/torchy/requirements.arm64.lock is missing", "Run `assay lock torchy`.")


@pytest.mark.parametrize("name", ["requirements.arm64.lock", "packages.arm64.lock", "requirements.s390x.lock"])
def test_a_lock_of_a_platform_that_is_not_declared(root: Path, name: str) -> None:
    write(root, f"plain/{name}", STACK_LOCK)
    refused(root, f"images/plain/{name} is of ", "which images/plain/image.toml does not declare")


def test_the_locks_of_another_platform_agree_too(both: Path) -> None:
    write(both, "torchy/requirements.arm64.lock", f"torch==2.1 --hash=sha256:{B}\n")
    with pytest.raises(UsageError, match=r"^images/torchy/requirements\.arm64\.lock: cuda-lib is 1\.0 in cuda/1\.0"):
        catalog.load(both, platform="linux/arm64")
