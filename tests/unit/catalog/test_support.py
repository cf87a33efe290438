"""Upstream's support: said of an image, and no input of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import catalog
from assay.catalog.support import ended, supports, without_support
from assay.catalog.toml import Support
from assay.errors import UsageError
from tests.conftest import ROOT
from tests.unit.catalog.refusals import refused
from tests.unit.repository import repository

TABLE = '\n[support]\n# Where it is said.\nsince = "2020-01"\nuntil = "2021-12"\nwhy = "it was retired"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path)


def add(root: Path, text: str, image: str = "torchy") -> None:
    path = root / "images" / image / "image.toml"
    path.write_text(path.read_text() + text)


def of(root: Path) -> dict[str, str]:
    cat = catalog.load(root)
    return catalog.inputs(cat, cat.get("torchy"))


def test_it_is_read_and_changes_no_input(root: Path) -> None:
    before = of(root)
    add(root, TABLE)
    assert catalog.load(root).get("torchy").support == Support("2021-12", "it was retired", "2020-01")
    assert supports(root) == {"torchy": Support("2021-12", "it was retired", "2020-01")}
    assert of(root) == before
    add(root, "# A word more about it.\n")
    assert of(root) == before


def test_what_stands_before_it_is_an_input_as_ever(root: Path) -> None:
    before = of(root)
    path = root / "images/torchy/image.toml"
    path.write_text(path.read_text().replace("A framework", "Another") + TABLE)
    after = of(root)
    assert {name for name in before if before[name] != after[name]} == {"images/torchy/image.toml"}


@pytest.mark.parametrize("below", ["[beside]\n", "[labels]\nx = '1'\n", "[framework.more]\n"])
def test_nothing_stands_after_it(root: Path, below: str) -> None:
    data = (root / "images/torchy/image.toml").read_bytes() + TABLE.encode()
    with pytest.raises(UsageError, match="does not stand last"):
        without_support(data + below.encode(), "torchy")


def test_a_text_that_looks_like_it_is_none() -> None:
    data = b'[image]\nsummary = """\n[support]\n"""\nother = 1\n'
    with pytest.raises(UsageError, match="does not stand last"):
        without_support(data, "x")


@given(st.binary() | st.text().map(str.encode))
def test_any_file_is_kept_cut_or_refused(data: bytes) -> None:
    try:
        assert data.startswith(without_support(data, "x").rstrip(b"\n"))
    except UsageError as error:
        assert len(str(error).splitlines()) == 2  # noqa: PT017


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('until = "2021-12"', "", "support.until is missing"),
        ('"2021-12"', '"soon"', "support.until"),
        ('"it was retired"', '""', "support.why"),
        ('"2021-12"', '"2019-12"', "comes before support.since"),
        ("since", "form", "unknown key support.form"),
    ],
)
def test_what_is_none_is_refused(root: Path, old: str, new: str, words: str) -> None:
    add(root, TABLE.replace(old, new))
    refused(root, "images/torchy/image.toml", words)


def test_it_has_ended_once_its_last_month_is_over() -> None:
    support = Support("2021-12", "it was retired")
    assert ended(support, "2021-12") == ""
    assert ended(support, "2022-01") == "upstream's support ended 2021-12: it was retired"
    assert ended(None) == ""


def test_the_committed_certificates_name_each_image_toml_without_it() -> None:
    """As one that verifies by hand would find it: in the commit, up to that table."""
    told = {
        name: digest
        for path in (ROOT / "certificates").rglob("*.json")
        for name, digest in json.loads(path.read_text())["predicate"]["image"]["inputs"].items()
        if name.endswith("image.toml")
    }
    for name in supports(ROOT):
        whole = (ROOT / "images" / name / "image.toml").read_text()
        before = whole.partition("\n[support]")[0]
        assert hashlib.sha256(before.encode()).hexdigest() == told[f"images/{name}/image.toml"]
