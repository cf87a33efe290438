from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.catalog import Built, Change, Drift, Images, read_images, write_images
from assay.errors import UsageError

BUILT = Built("k", None, "sha256:1", "sha256:2", ("a",), (("l", 3),), 1, 2, 3.5, "2026-01-01T00:00:00Z")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    write_images(tmp_path, {"b": BUILT, "a": BUILT})
    assert list(read_images(tmp_path).images) == ["a", "b"]
    assert read_images(tmp_path).images["b"] == BUILT
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["images.json"]


def test_a_list_from_before_there_was_drift_and_one_with_it(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    write_images(tmp_path, {"a": BUILT})
    assert b"drift" not in (tmp_path / "build/images.json").read_bytes(), "an exact image reads as it always did"
    drift = {"base/trixie": Drift("b" * 64, (Change("libc6", "1", "2"), Change("bash", None, "5")), ("x",))}
    drifted = msgspec.structs.replace(BUILT, drift=drift)
    write_images(tmp_path, {"a": drifted})
    assert read_images(tmp_path).images["a"] == drifted


def test_none_yet(tmp_path: Path) -> None:
    assert read_images(tmp_path) == Images()


def written(tmp_path: Path, data: bytes) -> UsageError:
    (tmp_path / "build").mkdir(exist_ok=True)
    (tmp_path / "build/images.json").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_images(tmp_path)
    assert len(str(caught.value).splitlines()) == 2
    assert "Delete it" in caught.value.todo
    return caught.value


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", b"[" * 100000, b'{"schema": 1, "images": {"a": {}}}', b'{"schema": 1, "x": 1}'],
)
def test_a_damaged_list_of_images(tmp_path: Path, data: bytes) -> None:
    written(tmp_path, data)


def test_a_truncated_list_of_images_anywhere(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    write_images(tmp_path, {"a": BUILT})
    data = (tmp_path / "build/images.json").read_bytes().rstrip()
    for stop in range(len(data)):
        written(tmp_path, data[:stop])


@pytest.mark.parametrize("schema", [0, 2])
def test_a_list_of_another_schema(tmp_path: Path, schema: int) -> None:
    assert "schema" in written(tmp_path, json.dumps({"schema": schema, "images": {}}).encode()).what


@given(st.binary())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = tmp_path_factory.getbasetemp() / "images"
    (root / "build").mkdir(parents=True, exist_ok=True)
    (root / "build/images.json").write_bytes(data)
    try:
        read_images(root)
    except UsageError:
        return
