"""Layers, laid on each other as an engine does."""

from __future__ import annotations

import io
import itertools
import tarfile
from typing import Any

import pytest

from assay.derive.image import read
from assay.derive.layers import Tree, trees
from assay.errors import VerificationFailed
from assay.host import tars
from tests.unit.derive.made import Derivations, Files, digest_of, layer


def tree(*layers: Files) -> Tree:
    found = Tree()
    for each in layers:
        found.lay(list(tars.members(iter([layer(each)]), lambda _: True)))
    return found


def paths(*layers: Files) -> list[str]:
    return sorted(tree(*layers).files)


def test_a_file_has_its_content_and_a_link_its_target() -> None:
    found = tree({"./a/": None, "/a/b": "text", "a/c": "-> b", "a/d": "=> a/b", "a/e": "=> nothing"})
    text = digest_of(b"text").removeprefix("sha256:")
    assert found.files == {
        "a": ("folder", ""),
        "a/b": ("file", text),
        "a/c": ("link", "b"),
        "a/d": ("file", text),
        "a/e": ("other", "nothing"),
    }
    assert found.data == {"a/b": b"text", "a/d": b"text"}


def test_a_whiteout_removes_what_lies_below_the_layer() -> None:
    base: Files = {"a": None, "a/b": "1", "a/c/d": "2", "e": "3"}
    assert paths(base, {"a/.wh.b": ""}) == ["a", "a/c/d", "e"]
    assert paths(base, {".wh.a": ""}) == ["e"]
    assert paths(base, {"a/.wh..wh..opq": "", "a/new": "4"}) == ["a", "a/new", "e"]
    assert paths(base, {"a/new": "4", "a/.wh..wh..opq": ""}) == ["a", "a/new", "e"]
    assert paths(base, {".wh..wh..opq": ""}) == []


def test_what_is_put_over_a_folder_takes_its_place() -> None:
    assert paths({"a/b": "1", "a": None}, {"a": "-> elsewhere"}) == ["a"]
    assert paths({"a/b": "1", "a": None}, {"a": None}) == ["a", "a/b"]


def test_links_on_the_way_to_a_file_are_followed() -> None:
    """As engines do: a file below a link changes what the link leads to."""
    base: Files = {"bin": "-> usr/bin", "usr/bin": None, "usr/bin/python3": "it", "opt/x": "-> ../usr/bin"}
    for way in ("bin/python3", "opt/x/python3", "opt/../bin/python3", "/bin/python3", "../../bin/python3"):
        found = tree(base, {way: "evil"})
        assert found.files["usr/bin/python3"] == ("file", digest_of(b"evil").removeprefix("sha256:"))
    assert "usr/bin/python3" not in paths(base, {"bin/.wh.python3": ""})
    assert "usr/bin/python3" not in paths(base, {"new": "-> /usr", "new/bin/.wh.python3": ""})


def test_what_an_overlay_would_lay_in_another_way() -> None:
    """A folder with this attribute shows another folder's files, whatever the layers hold at its path."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("opt")
        member.type = tarfile.DIRTYPE
        member.pax_headers = {"SCHILY.xattr.trusted.overlay.redirect": "/home/assay"}
        archive.addfile(member)
    with pytest.raises(VerificationFailed, match="laid in another way"):
        list(tars.members(iter([made.getvalue()]), lambda _: False))


def test_a_file_that_is_too_large_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "LARGEST_KEPT", 3)
    (small, large) = tars.members(iter([layer({"a": "123", "b": "1234"})]), lambda _: True)
    assert (small.data, large.data) == (b"123", b"")
    assert large.what == digest_of(b"1234").removeprefix("sha256:")


def test_links_in_a_circle_end() -> None:
    assert paths({"a": "-> b", "b": "-> a"}, {"a/c": "x"})


def test_the_trees_of_an_image(place: Derivations) -> None:
    name = place.derived({"etc/more": "x", "etc/passwd": "root and me"})
    engine: Any = place.engine
    told: list[str] = []
    below, whole = trees(engine, read(engine, name), 3, told.append)
    assert whole.files.keys() - below.files.keys() == {"etc/more"}
    assert [path for path in below.files if below.files[path] != whole.files[path]] == ["etc/passwd"]
    assert below.data["opt/assay/bin/entrypoint"] == b"#!/bin/sh"
    assert not {path for path in whole.data if not path.startswith("opt/assay/")}
    assert told == [f"reading its layers ({at} of 4)" for at in range(1, 5)]


def test_a_layer_that_is_not_what_the_image_says(place: Derivations) -> None:
    """What a container sees goes by DiffIDs: a manifest with other layers would show us other files."""
    first = place.derived({"a": "1"})
    manifest = dict(place.engine.manifest(place.engine.names[first], ""))
    other = place.engine.put(layer({"b": "2"}))
    manifest["layers"] = [*manifest["layers"][:-1], {**manifest["layers"][-1], "digest": other}]
    place.engine.names["mine"] = place.engine.put_json(manifest)
    with pytest.raises(VerificationFailed, match="a layer unpacks to other content than its image says"):
        place.certify()


def test_more_than_is_kept(place: Derivations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.derive.layers.MOST_KEPT", 10)
    place.derived({})
    with pytest.raises(VerificationFailed, match="more of the packages' own files than are read"):
        place.certify()


def test_the_order_in_which_layers_come_does_not_matter(place: Derivations) -> None:
    engine: Any = place.engine
    image = read(engine, place.derived({"a": "1"}, {"a": "2"}, {".wh.a": ""}, {"a": "3"}))
    found = set()
    for several in itertools.islice(itertools.permutations([digest for digest, _ in image.layers]), 20):
        engine.content = lambda _, __, order=several: ((one, io.BytesIO(engine.blobs[one])) for one in order)
        found.add(trees(engine, image, 3, lambda _: None)[1].files["a"])
    assert found == {("file", digest_of(b"3").removeprefix("sha256:"))}
