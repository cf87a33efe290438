from __future__ import annotations

from pathlib import Path

import pytest

from assay import catalog
from assay.catalog import SDIST_BUILDERS, Pin
from tests.unit.catalog.refusals import A, B, refused, write
from tests.unit.repository import FRAMEWORK, STACK_LOCK

LOCK = f"{STACK_LOCK}torch==2.0 --hash=sha256:{B}\n"
TORCHY = FRAMEWORK.format(parent="cuda/1.0", name="torch")
BUILDERS = "".join(f"{name}==1.0 --hash=sha256:{B}\n" for name in SDIST_BUILDERS)


def test_an_image_has_the_pins_of_its_lock(root: Path) -> None:
    images = catalog.load(root)
    stack = {"cuda-lib": Pin("cuda-lib", "1.0", (f"sha256:{A}",))}
    assert images.get("base/trixie").pins == {}
    assert images.get("cuda/1.0").pins == stack
    assert images.get("torchy").pins == {**stack, "torch": Pin("torch", "2.0", (f"sha256:{B}",))}


def test_requirements_and_lock_come_together(root: Path) -> None:
    lock = root / "images/torchy/requirements.lock"
    lock.unlink()
    refused(root, "images/torchy/requirements.lock is missing", "assay lock torchy")
    assert catalog.load(root, locked=False).get("torchy").lock is None
    lock.write_text(LOCK)
    (root / "images/torchy/requirements.in").unlink()
    refused(root, "has no requirements.in")


@pytest.mark.parametrize(
    ("pin", "fragment"),
    [
        (f"cuda-lib==1.1 --hash=sha256:{A}", "cuda-lib is 1.0 in cuda/1.0, and this lock has 1.1"),
        (f"cuda-lib==1.0 --hash=sha256:{B}", "has other hashes"),
        (f"cuda-lib==1.0 --hash=sha256:{A} --hash=sha256:{B}", "has other hashes"),
        ("", "lacks it"),
    ],
)
def test_a_lock_contains_that_of_its_stack(root: Path, pin: str, fragment: str) -> None:
    write(root, "torchy/requirements.lock", pin)
    refused(root, "images/torchy/requirements.lock: cuda-lib", fragment, "assay lock torchy")


def test_what_comes_as_source(root: Path) -> None:
    write(root, "torchy/image.toml", TORCHY + '[sources]\nTorch = ["cuda-lib>=1.0"]\n')
    write(root, "torchy/requirements.lock", LOCK + BUILDERS)
    assert catalog.load(root).get("torchy").sources == {"torch": ("cuda-lib>=1.0",)}


@pytest.mark.parametrize(
    ("table", "lock", "fragment"),
    [
        ("theano = []", LOCK + BUILDERS, "sources.theano takes theano, which its requirements.lock lacks"),
        ("torch = []", LOCK, "sources.torch takes setuptools, which its requirements.lock lacks"),
        ('torch = ["a b c"]', LOCK + BUILDERS, "sources.torch: 'a b c' is no requirement"),
        ('torch = ["a @ https://x.example/a"]', LOCK + BUILDERS, "a comes from an address"),
        ("torch = 1", LOCK + BUILDERS, "sources"),
    ],
)
def test_a_source_is_locked_and_so_is_what_builds_it(root: Path, table: str, lock: str, fragment: str) -> None:
    write(root, "torchy/image.toml", f"{TORCHY}[sources]\n{table}\n")
    write(root, "torchy/requirements.lock", lock)
    refused(root, "images/torchy/image.toml", fragment)
