"""The commands that carry an image, export and import: what they say, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import published
from tests.fake_registry import Answer, FakeRegistry, serving
from tests.unit.cli.ran import Ran

HOME = f"team/{published.name()}"


@dataclass
class Way:
    """A registry with the image, one without it, and the file between them."""

    run: Callable[..., Ran]
    origin: FakeRegistry
    target: FakeRegistry
    file: Path
    key: Path

    def out(self, *options: str) -> Ran:
        return self.run("export", str(published.reference(self.origin.host)), str(self.file), *options)

    def into(self, *options: str) -> Ran:
        return self.run("import", str(self.file), f"{self.target.host}/team", *options)


@pytest.fixture
def way(assay_: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    monkeypatch.delenv("ASSAY_KEY", raising=False)
    (tmp_path / "key.pub").write_bytes(published.key().public.pem())
    with serving(FakeRegistry()) as origin, serving(FakeRegistry(referrers=False)) as target:
        published.put(origin.host, published.fresh())
        yield Way(assay_, origin, target, tmp_path / "image.tar", tmp_path / "key.pub")


def verified(way: Way) -> Ran:
    return way.run("verify", str(published.reference(way.target.host)), "--key", str(way.key), "--layers")


@pytest.mark.parametrize("keys", [True, False], ids=["with-key", "without"])
def test_an_image_is_carried(way: Way, keys: bool) -> None:
    key = ("--key", str(way.key)) if keys else ()
    out, into = way.out(*key), way.into(*key)
    for ran, fake, what in ((out, way.origin, f"{way.file}: "), (into, way.target, "sent: ")):
        assert ran.code == 0, ran.err
        digest = published.image().digest
        lines = ran.out.splitlines()
        assert lines[:3] == [
            f"{fake.host}/{HOME}@{digest}",
            f"  tags      {published.TAG}, latest",
            "  attached  4",
        ]
        assert lines[3].startswith(f"  {what}")
        assert ("nothing was verified: `assay verify" in ran.err) is not keys
    assert f"{published.name()}: reading " in out.err
    assert f"{published.name()}: reading " in into.err
    assert f"{published.name()}: sending " in into.err
    assert verified(way).code == 0


def test_for_programs(way: Way) -> None:
    told = json.loads(way.out("--json").out)
    assert told["bytes"] == way.file.stat().st_size
    assert (told["tags"], told["attached"], told["left_out"]) == ([published.TAG, "latest"], 4, [])
    told = json.loads(way.into("--json").out)
    assert told["reference"] == f"{way.target.host}/{HOME}@{published.image().digest}"
    assert told["bytes"] > 0


def two_lines(ran: Ran, code: int, *words: str) -> None:
    """An error below the lines of the progress."""
    lines = ran.err.splitlines()[-2:]
    Ran(ran.code, ran.out, "\n".join(lines)).refused(code, *words)
    assert ran.err.count("error: ") == 1
    assert "Traceback" not in ran.err


def test_another_key_is_refused_at_both_ends(way: Way) -> None:
    other = way.key.with_name("other.pub")
    other.write_bytes(published.key(2).public.pem())
    two_lines(way.out("--key", str(other)), 5, "signed with another key")
    assert not way.file.exists()
    way.out()
    two_lines(way.into("--key", str(other)), 5, f"{way.file}: ", "signed with another key")
    assert way.target.log == []


def test_a_tag_that_was_moved_is_refused(way: Way) -> None:
    """A file that calls an image by another version's tag: each tag is verified, before anything is sent."""
    published.put(way.origin.host, published.fresh(), tags=("0.1-cpu",))
    moved = published.reference(way.origin.host, "0.1-cpu")
    assert way.run("export", str(moved), str(way.file)).code == 0
    two_lines(way.into("--key", str(way.key)), 5, "the tag 0.1-cpu points to")
    assert way.target.log == []


def test_the_name_of_the_image(way: Way) -> None:
    """What a file calls the image is no more believed than what a registry calls it."""
    for which in (way.origin.blobs, way.origin.manifests):
        which |= {("mirror/other", one): data for (_, one), data in list(which.items())}  # type: ignore[attr-defined]
    mirror = f"{way.origin.host}/mirror/other:{published.TAG}"
    key = ("--key", str(way.key))
    two_lines(way.run("export", mirror, str(way.file), *key), 5, "the repository is mirror/other")
    assert way.run("export", mirror, str(way.file)).code == 0
    two_lines(way.into(*key), 5, "the repository is team/other")
    assert way.target.log == []
    assert way.into(*key, "--name", published.name()).code == 0
    assert verified(way).code == 0
    assert way.run("export", mirror, str(way.file), *key, "--name", published.name()).code == 0
    assert way.into(*key).code == 0
    two_lines(way.into("--name", "a/b"), 2, "can be no image's name")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"", "it is empty"),
        (lambda data: data[:-1], "it was cut"),
        (lambda data: data[: len(data) // 2], "it was cut"),
        (lambda data: b"{}" * 999, "no archive of `assay export`"),
        (lambda data: data.replace(b"index.json", b"../x\0\0\0\0\0\0"), "is damaged"),
        (lambda data: data[:600] + bytes([data[600] ^ 1]) + data[601:], "was changed"),
        (lambda data: data[:-1024] + data, "not in its place"),
    ],
    ids=["empty", "last-byte", "half", "no-tar", "elsewhere", "blob", "twice"],
)
@pytest.mark.parametrize("keys", [True, False], ids=["with-key", "without"])
def test_a_file_that_is_not_as_it_was_written(
    way: Way, change: Callable[[bytes], bytes], words: str, keys: bool
) -> None:
    way.out()
    way.file.write_bytes(change(way.file.read_bytes()))
    two_lines(way.into(*(("--key", str(way.key)) if keys else ())), 5, f"error: {way.file}: ", words)
    assert way.target.log == []


def test_wrong_names_are_2(way: Way) -> None:
    two_lines(way.into(), 2, "is no file")
    two_lines(way.run("export", "nowhere", str(way.file)), 2, "is no reference to an image")
    way.out()
    two_lines(way.run("import", str(way.file), "nowhere"), 2, "is no reference to an image")
    two_lines(way.run("export", str(published.reference(way.origin.host)), str(way.file.parent)), 2, "and no file")
    two_lines(way.into("--key", "absent.pub"), 2)
    assert way.target.log == []


def test_a_registry_that_fails_is_6(way: Way) -> None:
    way.origin.always("GET", f"blobs/{published.image().manifest.image().layers[0].digest}", Answer(404))
    two_lines(way.out(), 6, "has no such thing")
    assert [path.name for path in way.file.parent.glob("*image.tar*")] == []
    way.origin.hook = lambda method, path: None
    way.out()
    way.target.always("POST", "uploads", Answer(403))
    two_lines(way.into(), 6, "denies access")
    assert way.target.manifests == {}
