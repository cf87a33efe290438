"""What is known of a certified image besides its certificate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.certify import records, standings, table
from assay.certify.records import Record
from assay.errors import UsageError, VerificationFailed
from tests.unit.certificate import reports
from tests.unit.certify.made import DIGEST, Place


@pytest.fixture
def tested(place: Place) -> Place:
    """All images are certified and kept, and one passed its tests."""
    place.smoke()
    table.keep(place.root)
    (place.root / "tests/images").mkdir(parents=True)
    (place.root / "tests/images/test_one.py").write_text("one")
    records.mark(place.root, "plain", DIGEST, 40, {})
    return place


def test_a_line_for_each_certificate_that_is_kept(tested: Place) -> None:
    records.keep(tested.catalog, {"plain"})
    lines = (tested.root / records.FILE).read_text().splitlines()
    assert len(lines) == 3
    found = records.read(tested.root)
    assert list(found) == ["plain", "tensory", "torchy"]
    assert found["plain"].tested is not None
    assert found["plain"].tested.passed == 40
    assert list(found["plain"].outside) == ["report/compare.py"]
    assert found["torchy"].outside == {}  # not built as this checkout says: it is not known what it carries
    assert (found["torchy"].digest, found["torchy"].tested) == (DIGEST, None)


def test_it_is_written_the_same_again(tested: Place) -> None:
    records.keep(tested.catalog, {"plain"})
    before = (tested.root / records.FILE).read_bytes()
    records.unmark(tested.root, "plain")  # kept from the line that there is
    records.keep(tested.catalog, set())
    assert (tested.root / records.FILE).read_bytes() == before


def test_a_mark_goes_with_the_tests_that_it_is_of(tested: Place) -> None:
    assert records.marked(tested.root, "plain", DIGEST) is not None
    assert records.marked(tested.root, "plain", "sha256:" + "e" * 64) is None
    assert records.marked(tested.root, "torchy", DIGEST) is None
    records.keep(tested.catalog, {"plain"})
    (tested.root / "tests/images/new.c").write_text("")
    assert records.marked(tested.root, "plain", DIGEST) is None
    records.keep(tested.catalog, {"plain"})
    assert records.read(tested.root)["plain"].tested is None


def test_a_certificate_that_is_kept_no_more_has_no_line(tested: Place) -> None:
    records.keep(tested.catalog, {"plain"})
    (tested.root / "certificates/plain/cpu.json").unlink()
    records.keep(tested.catalog, {"plain"})
    assert list(records.read(tested.root)) == ["tensory", "torchy"]


def add_a_saver(path: Path) -> None:
    data = json.loads(path.read_text())
    results = data["predicate"]["results"]
    results.append({**results[0], "id": "everyday.files.saver", "family": "files", "metrics": []})
    path.write_text(json.dumps(data))


def drop_a_saver(path: Path) -> None:
    data = json.loads(path.read_text())
    assert data["predicate"]["results"].pop()["id"] == "everyday.files.saver"
    path.write_text(json.dumps(data))


def leave_a_module_out(path: Path) -> None:
    data = json.loads(path.read_text())
    tried = reports.metric(data["predicate"], "everyday.modules", "tried")
    tried["value"] = str(int(tried["value"]) - 1)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(("lose", "of"), [(drop_a_saver, "everyday.files"), (leave_a_module_out, "everyday.modules")])
def test_what_is_tried_may_not_fall(tested: Place, lose: Callable[[Path], None], of: str) -> None:
    add_a_saver(certificate := tested.root / "certificates/plain/cpu.json")
    most = records.keep(tested.catalog, {"plain"})["plain"].tried[of]
    assert most > 0
    before = (tested.root / records.FILE).read_bytes()
    lose(certificate)
    with pytest.raises(VerificationFailed, match=f"plain: {of} tried {most - 1}, {most} before"):
        records.keep(tested.catalog, {"plain"})
    assert (tested.root / records.FILE).read_bytes() == before
    (standing,) = standings(tested.catalog, ["plain"])
    assert f"{of} tried {most - 1}, {most} before" in standing.problem
    assert records.keep(tested.catalog, {"plain"}, fewer=True)["plain"].tried[of] == most - 1


def test_byte_code_is_no_test(tested: Place) -> None:
    before = records.tests_digest(tested.root)
    (tested.root / "tests/images/__pycache__").mkdir()
    (tested.root / "tests/images/__pycache__/test_one.pyc").write_text("")
    assert records.tests_digest(tested.root) == before


def test_no_records_yet(tmp_path: Path) -> None:
    assert records.read(tmp_path) == {}


@given(data=st.binary(max_size=60) | st.sampled_from([b"[]", b"3", b'{"name": "x"}', b'{"name": "x", "digest": 3}']))
def test_whatever_the_file_holds_is_records_or_two_lines(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("records")
    (root / "certificates").mkdir()
    (root / records.FILE).write_bytes(data)
    said = ""
    try:
        assert all(isinstance(one, Record) for one in records.read(root).values())
    except UsageError as error:
        said = str(error)
    assert len(said.splitlines()) in {0, 2}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"image": "x", "more": 1}'])
def test_a_mark_that_cannot_be_read_is_none(tested: Place, data: bytes) -> None:
    (tested.root / records.MARKS / "plain.json").write_bytes(data)
    assert records.marked(tested.root, "plain", DIGEST) is None
