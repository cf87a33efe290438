"""Building a published image again: what comes out, and what is said of it."""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import msgspec
import pytest
import zstandard
from rich.console import Console

from assay import attestation, build, reproduce
from assay.cli import console
from assay.cli.publish import show_rebuilt
from assay.errors import VerificationFailed
from assay.registry import OCI_MANIFEST, Descriptor, Manifest, digest_of
from assay.reproduce import Rebuilt, Sameness
from assay.reproduce.differences import Difference, LayerDifference
from tests import published
from tests.fake_registry import FakeRegistry, serving
from tests.unit.reproduce.made import COMMIT, git, layer


class Engine:
    """An engine that has the image that was built again."""

    def __init__(self, made: published.Image) -> None:
        self.blobs = {**made.blobs, made.digest: made.manifest.data}
        self.removed: list[str] = []
        self.tidied = False

    def content(self, reference: str, digests: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        assert reference == "assay-rebuild/torchy:latest"
        for digest in digests:
            yield digest, io.BytesIO(self.blobs[digest])

    def tags(self, repository: str) -> list[str]:
        return [f"{repository}:latest"]

    def remove(self, name: str) -> None:
        self.removed.append(name)

    def tidy(self) -> None:
        self.tidied = True


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as running:
        yield running


def again(
    fake: FakeRegistry,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    theirs: published.Image,
    ours: published.Image,
) -> tuple[Rebuilt, Engine]:
    """Publish one, rebuild the other."""
    theirs.certificate["predicate"]["plan"]["image"] = theirs.certificate["subject"][0]["name"] = "torchy"
    digest = hashlib.sha256((checkout / "images/Dockerfile").read_bytes()).hexdigest()
    theirs.certificate["predicate"]["image"]["inputs"] = {"images/Dockerfile": digest}
    commit = git(checkout, "rev-parse", "HEAD")
    made = attestation.provenance(theirs.certificate, "2026-11-22T17:00:00Z", {}, commit)
    published.put(fake.host, theirs, made)

    def built(cat: Any, engine: Any, names: list[str], seen: Any, options: build.Options) -> Any:
        assert names == ["torchy"]
        assert options == build.Options(no_cache=True, locked=True, suffix="-rebuild")
        assert cat.root != checkout
        return SimpleNamespace(images={"torchy": SimpleNamespace(digest=ours.digest, diff_ids=ours.diff_ids)})

    monkeypatch.setattr(build, "build", built)
    engine = Engine(ours)
    key = published.key().public
    made_again = reproduce.rebuild(checkout, published.reference(fake.host), key, engine, None)  # type: ignore[arg-type]
    return made_again, engine


def test_the_same_bits(fake: FakeRegistry, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = published.image(content=(layer(a="1"),))
    result, engine = again(fake, checkout, monkeypatch, made, made)
    assert result.sameness is Sameness.SAME
    assert result.layers == ()
    reproduce.require_rebuilt(result)
    assert "assay-rebuild/torchy:latest" in engine.removed
    assert engine.tidied


RECOMPRESSED = {
    "zstd of another level": (lambda data: zstandard.compress(data, 19), published.LAYER),
    "gzip": (lambda data: gzip.compress(data, 6, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip"),
    "not at all": (lambda data: data, "application/vnd.oci.image.layer.v1.tar"),
}
REAL = tuple(layer(**{f"{part}{number}": f"{part} {number} " * 500 for number in range(20)}) for part in ("a", "b"))


@pytest.mark.parametrize("how", RECOMPRESSED)
def test_layers_that_were_only_compressed_again_are_the_same(
    fake: FakeRegistry, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    theirs, ours = (
        published.image(content=REAL),
        published.image(content=REAL, compress=RECOMPRESSED[how][0], media_type=RECOMPRESSED[how][1]),
    )
    assert theirs.digest != ours.digest
    result, _ = again(fake, checkout, monkeypatch, theirs, ours)
    assert result.sameness is Sameness.COMPRESSED_DIFFERENTLY
    assert (result.layers, result.configuration, result.recompressed) == ((), (), (1, 2))
    reproduce.require_rebuilt(result)
    data = reproduce.as_json(result)
    assert (data["same"], data["verdict"]) == (True, "same; compressed differently")
    assert (data["published"], data["rebuilt"]) == (theirs.digest, ours.digest)
    show_rebuilt(result)
    said = capsys.readouterr().out
    assert "layer 1, 2: the same content, compressed differently" in said
    assert "only the compression differs" in said


def test_a_layer_that_lies_about_its_content_is_different(
    fake: FakeRegistry, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published configuration names the DiffIDs of the rebuilt one, and a layer holds something else."""
    ours = published.image(content=REAL)
    evil = zstandard.compress(layer(a0="evil"))
    content = ours.manifest.image()
    swapped = msgspec.structs.replace(
        content, layers=(Descriptor(published.LAYER, digest_of(evil), len(evil)), content.layers[1])
    )
    manifest = Manifest(msgspec.json.encode(swapped), OCI_MANIFEST)
    theirs = published.Image(manifest, {**ours.blobs, digest_of(evil): evil}, copy.deepcopy(ours.certificate))
    theirs.certificate["subject"][0]["digest"]["sha256"] = manifest.digest.removeprefix("sha256:")
    result, _ = again(fake, checkout, monkeypatch, theirs, ours)
    assert result.sameness is Sameness.DIFFERENT
    assert [one.number for one in result.layers] == [1]
    assert Difference("a0", "content") in result.layers[0].files


def test_a_configuration_that_is_written_otherwise_is_different(
    fake: FakeRegistry, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = published.image(content=REAL)
    content = ours.manifest.image()
    config = ours.blobs[content.config.digest] + b"\n"
    other = msgspec.structs.replace(content, config=Descriptor(published.CONFIG, digest_of(config), len(config)))
    manifest = Manifest(msgspec.json.encode(other), OCI_MANIFEST)
    theirs = published.Image(manifest, {**ours.blobs, digest_of(config): config}, copy.deepcopy(ours.certificate))
    theirs.certificate["subject"][0]["digest"]["sha256"] = manifest.digest.removeprefix("sha256:")
    result, _ = again(fake, checkout, monkeypatch, theirs, ours)
    assert result.sameness is Sameness.DIFFERENT
    assert result.configuration == ("how its JSON is written",)


def test_other_bits_are_named_by_layer_and_file(
    fake: FakeRegistry, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = published.image(content=(layer(a="1"), layer(b="2", c=("3", {"mtime": 5}))))
    ours = published.image("2.14.0", content=(layer(a="1"), layer(b="2", c=("3", {"mtime": 6})), layer(d="4")))
    result, engine = again(fake, checkout, monkeypatch, theirs, ours)
    assert result.sameness is Sameness.DIFFERENT
    assert [(one.number, one.count, one.files) for one in result.layers] == [
        (2, 1, (Difference("c", "time"),)),
        (3, 1, (Difference("d", "only in the rebuilt"),)),
    ]
    assert result.configuration == ("config.Labels", "rootfs")
    with pytest.raises(VerificationFailed, match="built again it is"):
        reproduce.require_rebuilt(result)
    assert engine.tidied
    data = json.loads(json.dumps(reproduce.as_json(result)))
    assert (data["schema"], data["same"], data["layers"][0]["files"]) == (1, False, [{"path": "c", "what": "time"}])


def test_another_key_or_another_commit_builds_nothing(
    fake: FakeRegistry, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = published.image(content=(layer(a="1"),))
    published.put(fake.host, made)  # its provenance names no commit
    monkeypatch.setattr(build, "build", lambda *_: pytest.fail("it was built"))
    there, engine = published.reference(fake.host), Engine(made)
    for number, said in ((1, "names no commit"), (2, "signed with another key")):
        with pytest.raises(VerificationFailed, match=said):
            reproduce.rebuild(checkout, there, published.key(number).public, engine, None)  # type: ignore[arg-type]
    assert not engine.removed


def test_what_a_person_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    target = io.StringIO()
    shown = Console(file=target, width=200, soft_wrap=True)
    monkeypatch.setattr(console, "standard_output", lambda: shown)
    layers = (LayerDifference(2, "sha256:a", "sha256:b", 101, (Difference("x\x1b[2J", "time"),)),)
    show_rebuilt(Rebuilt("r/x:1", "x", COMMIT, "sha256:p", "sha256:q", layers, ("history",)))
    text = target.getvalue()
    for words in ("layer 2: 101 files differ", "x\\x1b[2J: time", "configuration: history", "commit cccccccccccc"):
        assert words in text
    assert "\x1b" not in text
    show_rebuilt(Rebuilt("r/x:1", "x", COMMIT, "sha256:p", "sha256:p"))
    assert "the same, bit for bit" in target.getvalue()
