"""Files that were cut, damaged or made to do harm: each is refused before anything of it is sent."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay import carry
from assay.carry import archive
from assay.carry.content import MOST_ATTACHED, Content
from assay.errors import UsageError, VerificationFailed
from assay.registry import Descriptor, Manifest, digest_of
from tests.published import TAG, image, name
from tests.unit.publish.known import Watched

Members = dict[str, bytes]
SEVERAL = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)


def why(data: bytes, folder: Path) -> str:
    """Why a file is refused."""
    file = folder / "image.tar"
    file.write_bytes(data)
    with pytest.raises(VerificationFailed) as refused, carry.opened(file) as layout:
        layout.check(Watched())
    return refused.value.what


def unpacked(file: Path) -> Members:
    with tarfile.open(file) as found:
        return {one.name: found.extractfile(one).read() for one in found}  # type: ignore[union-attr]


def packed(members: Members) -> bytes:
    out = io.BytesIO()
    for each in sorted(members):
        archive.write(out, each, len(members[each]), [members[each]])
    archive.end(out)
    return out.getvalue()


def test_a_file_that_is_as_it_was_written(carried: Path) -> None:
    assert packed(unpacked(carried)) == carried.read_bytes()
    with carry.opened(carried) as layout:
        layout.check(Watched())
        assert layout.content.tags == (TAG, "latest")


@SEVERAL
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_cut_at_any_byte(carried: Path, tmp_path: Path, part: float) -> None:
    data = carried.read_bytes()
    assert why(data[: int(len(data) * part)], tmp_path)


def test_a_cut_at_and_around_each_border(carried: Path, tmp_path: Path) -> None:
    data = carried.read_bytes()
    for border in range(0, len(data), tarfile.BLOCKSIZE):
        for at in {border - 1, border, border + 1} & set(range(len(data))):
            said = why(data[:at], tmp_path)
            assert ("it was cut" if at else "it is empty") in said, at


@SEVERAL
@given(part=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_any_byte_that_changed(carried: Path, tmp_path: Path, part: float, bits: int) -> None:
    data = bytearray(carried.read_bytes())
    data[int(len(data) * part)] ^= bits
    assert why(bytes(data), tmp_path)


@SEVERAL
@given(at=st.integers(0, 10**9), bits=st.integers(1, 255))
def test_any_byte_of_the_index_that_changed(carried: Path, tmp_path: Path, at: int, bits: int) -> None:
    """No digest of the layout covers it, and its tags say what the image is called."""
    data = bytearray(carried.read_bytes())
    with tarfile.open(carried) as found:
        index = found.getmember("index.json")
    data[index.offset + at % (index.size + tarfile.BLOCKSIZE)] ^= bits
    assert why(bytes(data), tmp_path)


@pytest.mark.parametrize("data", [b"x", b"x" * 512, b"x" * 10**5, b"PK\x03\x04" * 500, b"\x1f\x8b" * 9000])
def test_what_is_no_tar(tmp_path: Path, data: bytes) -> None:
    assert "no archive of `assay export`" in why(data, tmp_path)


def test_what_has_nothing_in_it(tmp_path: Path) -> None:
    assert why(b"", tmp_path) == "it is empty"
    assert "it has no oci-layout" in why(bytes(1024), tmp_path)
    assert "goes on behind its end" in why(bytes(10240), tmp_path)


def header(path: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (header("../../etc/passwd"), "'../../etc/passwd' in it, which is no part"),
        (header("/etc/passwd"), "'/etc/passwd' in it, which is no part"),
        (header("blobs/sha256/../../x"), "which is no part"),
        (header("blobs/sha256/" + "a" * 63 + "\n"), "which is no part"),
        (header("blobs/sha256/" + "a" * 64, tarfile.SYMTYPE, link="/etc/passwd"), "a link in it"),
        (header("blobs/sha256/" + "a" * 64, tarfile.LNKTYPE, link="index.json"), "a link in it"),
        (header("blobs", tarfile.DIRTYPE), "a folder in it"),
        (header("blobs/sha256/" + "a" * 64, tarfile.FIFOTYPE), "the header of blobs/sha256/aaa"),
        (header("blobs/sha256/" + "a" * 64, tarfile.CHRTYPE), "the header of"),
        (header("x", tarfile.GNUTYPE_LONGNAME, 2**40), "which is no part"),
        (header("x" * 300), "is no part of an image"),
        (header("x", tarfile.XHDTYPE, 2**33), "which is no part"),
        (header("blobs/sha256/" + "a" * 64, size=2**40), "the header of"),
        (header("blobs/sha256/" + "a" * 64, size=2**35), "it was cut"),
        (header("index.json", size=2**62), "the header of"),
    ],
)
def test_members_that_no_layout_has(tmp_path: Path, member: bytes, words: str) -> None:
    assert words in why(member + bytes(1024), tmp_path)


def test_a_size_below_nothing(tmp_path: Path) -> None:
    block = bytearray(header("index.json"))
    block[124:136] = b"\xff" * 12
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert "the header of index.json" in why(bytes(block) + bytes(1024), tmp_path)


def test_a_member_twice(carried: Path, tmp_path: Path) -> None:
    data, last = carried.read_bytes()[:-1024], io.BytesIO()
    archive.write(last, "oci-layout", 1, [b"x"])
    assert "it has oci-layout twice" in why(data + last.getvalue() + bytes(1024), tmp_path)


def test_more_members_than_an_image_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    members = {f"blobs/sha256/{number:064x}": b"" for number in range(4)}
    assert "more than 3 members" in why(packed(members), tmp_path)


def test_an_index_without_end(carried: Path, tmp_path: Path) -> None:
    members = unpacked(carried)
    assert "at most 4194304 are read" in why(packed(members | {"index.json": b" " * (2**22 + 1)}), tmp_path)
    index = json.loads(members["index.json"])
    index["manifests"] *= MOST_ATTACHED
    assert "lists 1536 manifests" in why(packed(members | {"index.json": json.dumps(index).encode()}), tmp_path)
    nested = b"[" * 10**6
    assert "index.json is malformed" in why(packed(members | {"index.json": nested}), tmp_path)


def test_what_is_missing_or_too_much(carried: Path, tmp_path: Path) -> None:
    members = unpacked(carried)
    for one in members:
        rest = {path: data for path, data in members.items() if path != one}
        assert ("is not in it" if one.startswith("blobs") else f"it has no {one}") in why(packed(rest), tmp_path)
    more = f"blobs/sha256/{'a' * 64}"
    assert f"it has {more} in it, which no manifest names" in why(packed(members | {more: b"x"}), tmp_path)


def test_a_blob_with_other_bytes(carried: Path, tmp_path: Path) -> None:
    members = unpacked(carried)
    for one, data in members.items():
        if one.startswith("blobs"):
            said = why(packed(members | {one: data[:-1] + bytes([data[-1] ^ 1])}), tmp_path)
            assert "was changed: it has other bytes" in said
            assert f"sha256:{one[13:25]}" in said


def edited(file: Path, change: Callable[[Content], Content]) -> bytes:
    """The file with another index, made as `export` makes one."""
    with carry.opened(file) as layout:
        content = change(layout.content)
    blobs = {f"blobs/sha256/{one.digest[7:]}": one.data for one in content.manifests.values()}
    return packed(unpacked(file) | blobs | {"index.json": content.index()})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "names no image, but ''"),
        ({"name": "../x"}, "names no image"),
        ({"name": "a/b"}, "names no image"),
        ({"name": "x:latest"}, "names no image"),
        ({"tags": ("sha256-" + "a" * 64,)}, "which no image can have"),
        ({"tags": ("../../x",)}, "which no image can have"),
        ({"tags": ("",)}, "which no image can have"),
        ({"tags": ("latest", "latest")}, "or one of them twice"),
        ({"tags": tuple(map(str, range(17)))}, "more than 16 tags"),
        ({"attached": (image("2.16.0").manifest,)}, "2 images in it"),
    ],
)  # fmt: skip
def test_what_an_index_must_not_say(carried: Path, tmp_path: Path, change: dict[str, object], words: str) -> None:
    said = edited(carried, lambda content: dataclasses.replace(content, **change))  # type: ignore[arg-type]
    assert words in why(said, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("image.manifest.v1", "image.index.v1", "is an index of several images"),
        ("vnd.oci.image.manifest.v1+json", "vnd.own", "calls itself"),
        ('"schemaVersion":2', '"schemaVersion":3', "index.json is damaged"),
        ('"assay.index"', '"assay.indox"', "index.json is damaged"),
        ('"annotations":', '"anotations":', "index.json is malformed"),
        ('"size":', '"size":1', "index.json is damaged"),
        ('"digest":"sha256:', '"digest":"sha512:', "index.json is malformed"),
        ("latest", "newest", "index.json is damaged"),
        ("{", '{"more":1,', "index.json is damaged"),
    ],
)
def test_an_index_that_others_wrote(carried: Path, tmp_path: Path, old: str, new: str, words: str) -> None:
    members = unpacked(carried)
    index = members["index.json"].replace(old.encode(), new.encode(), 99 if old.startswith(("image", "vnd")) else 1)
    assert index != members["index.json"]
    assert words in why(packed(members | {"index.json": index}), tmp_path)


def test_what_is_attached_to_another_image(carried: Path, tmp_path: Path) -> None:
    other = image("2.16.0").manifest

    def change(content: Content) -> Content:
        return dataclasses.replace(content, image=other)

    assert "is attached to another image" in why(edited(carried, change), tmp_path)


def test_a_blob_of_two_sizes(carried: Path, tmp_path: Path) -> None:
    manifest = json.loads(image().manifest.data)
    manifest["layers"].append({**manifest["layers"][0], "size": 1})
    changed = Manifest(json.dumps(manifest).encode(), image().manifest.media_type)
    assert "another number of them" in why(
        edited(carried, lambda content: dataclasses.replace(content, image=changed, attached=())), tmp_path
    )


@pytest.mark.parametrize("kind", ["absent", "folder", "pipe"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    {"absent": lambda: None, "folder": place.mkdir, "pipe": lambda: os.mkfifo(place)}[kind]()
    with pytest.raises(UsageError, match="is no file"), carry.opened(place):
        pass


def test_a_file_that_is_cut_while_it_is_read(carried: Path, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(carried.read_bytes())
    with carry.opened(file) as layout:
        layer = layout.content.image.image().layers[0]
        assert digest_of(layout.file(layer.digest).read()) == layer.digest
        os.truncate(file, 10)
        with pytest.raises(VerificationFailed, match="cut while it was read"):
            layout.file(layer.digest).read()
        with pytest.raises(VerificationFailed, match="has other bytes"):
            layout.blob(layer, layer.size)
        assert layout.size(layer.digest) == layer.size
        assert layout.size(f"sha256:{'a' * 64}") is None
        with pytest.raises(VerificationFailed, match="at most 1 are read"):
            layout.blob(Descriptor("x", layer.digest, 2), 1)
    assert name() == layout.content.name
