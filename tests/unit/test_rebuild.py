"""Building a published image again: what its provenance names, and what differs where the digests do."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from assay import attestations, build, rebuild, view
from assay.errors import UsageError, VerificationFailed
from assay.rebuild import Difference, Rebuilt, Source
from tests import published
from tests.fake_registry import FakeRegistry, serving
from tests.unit.repository import repository

COMMIT = "c" * 40


def layer(**files: str | tuple[str, dict[str, Any]]) -> bytes:
    """A tar with these files: their text, or (text, what else is special about them)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, said in files.items():
            text, special = (said, {}) if isinstance(said, str) else said
            member = tarfile.TarInfo(name)
            member.size = len(text)
            for key, value in special.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


def found(data: bytes, size: int = 1000) -> dict[str, rebuild.Entry]:
    return rebuild.entries(data[at : at + size] for at in range(0, len(data), size))


# ---- what differs ---------------------------------------------------------------------------------------


def test_equal_layers_differ_in_nothing_however_they_come_in_pieces() -> None:
    data = layer(a="1", b="2" * 5000)
    assert rebuild.differences(found(data, 7), found(data, 10**6)) == []


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ("2", "content"),
        ("11", "content"),
        (("1", {"mode": 0o600}), "mode"),
        (("1", {"uid": 7}), "owner"),
        (("1", {"mtime": 9}), "time"),
        (("", {"type": tarfile.SYMTYPE, "linkname": "b"}), "type, link, content"),
    ],
)
def test_a_file_that_differs_is_named_with_what_differs(other: Any, what: str) -> None:
    one, another = found(layer(a="1", same="x")), found(layer(a=other, same="x"))
    assert rebuild.differences(one, another) == [Difference("a", what)]


def test_a_file_that_only_one_of_them_has() -> None:
    assert rebuild.differences(found(layer(a="1", b="2")), found(layer(b="2", c="3"))) == [
        Difference("a", "only in the published"),
        Difference("c", "only in the rebuilt"),
    ]


@pytest.mark.parametrize("data", [b"no tar" * 200, layer(a="1")[:600], b""])
def test_what_is_no_tar_is_said(data: bytes) -> None:
    with pytest.raises(VerificationFailed, match="no tar"):
        found(data)


@given(st.binary(max_size=4096), st.integers(0, 1023))
def test_any_bytes_are_entries_or_a_problem(data: bytes, at: int) -> None:
    whole = layer(a="1")
    for one in (data, whole[:at] + data[:8] + whole[at + len(data[:8]) :]):
        with contextlib.suppress(VerificationFailed):
            found(one)


def test_a_layer_of_too_many_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "MOST_ENTRIES", 2)
    with pytest.raises(VerificationFailed, match="more than 2 files"):
        found(layer(a="", b="", c=""))


# ---- the provenance -------------------------------------------------------------------------------------


def statement(commit: str | None = COMMIT, **inputs: str) -> dict[str, Any]:
    made = published.image().certificate
    made["predicate"]["image"]["inputs"] = {"images/x": "a" * 64, **inputs}
    return attestations.provenance(made, "2026-11-22T17:00:00Z", {"base/x": "sha256:" + "b" * 64}, commit)


def test_what_the_provenance_names() -> None:
    assert rebuild.source_of(statement()) == Source(published.name(), COMMIT, {"images/x": "a" * 64})


def test_a_provenance_without_a_commit_cannot_be_rebuilt() -> None:
    with pytest.raises(VerificationFailed, match="names no commit"):
        rebuild.source_of(statement(None))


@pytest.mark.parametrize("commit", ["--output=/etc/passwd", "HEAD", "c" * 39, COMMIT + "\n", "C" * 40])
def test_what_is_no_commit_is_refused(commit: str) -> None:
    with pytest.raises(VerificationFailed, match="malformed"):
        rebuild.source_of(statement(commit))


NAMES = ["buildDefinition", "externalParameters", "resolvedDependencies", "image", "name", "digest"]
PREDICATES = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


@given(PREDICATES)
def test_any_predicate_is_a_source_or_a_problem(predicate: Any) -> None:
    with pytest.raises(VerificationFailed):
        rebuild.source_of({"predicate": predicate})


# ---- the sources ----------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone whose work tree has gone on since the commit."""
    root = repository(tmp_path / "clone")
    git(root, "init", "-q")
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "one")
    (root / "images/torchy/requirements.in").write_text("torch==3.0")
    return root


def test_the_tree_of_the_commit_and_not_the_work_tree(checkout: Path) -> None:
    with rebuild.exported(checkout, git(checkout, "rev-parse", "HEAD")) as tree:
        assert (tree / "images/torchy/requirements.in").read_text() == "torch==2.0"
    assert not tree.exists()


def test_a_commit_that_is_not_there(checkout: Path) -> None:
    with pytest.raises(UsageError, match="the commit cccccccccccc cannot be had"), rebuild.exported(checkout, COMMIT):
        pass


def test_inputs_are_held_against_the_provenance(tmp_path: Path) -> None:
    (tmp_path / "tree/images").mkdir(parents=True)
    (tmp_path / "tree/images/x").write_text("x")
    (tmp_path / "outside").write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    rebuild.check_inputs(Source("i", COMMIT, {"images/x": digest}), tmp_path / "tree")
    for inputs, said in (
        ({"images/x": "0" * 64}, "images/x is 2d711642b726 at cccccccccccc, and the provenance says 000000000000"),
        ({"images/y": digest}, "images/y is nothing"),
        ({"images/../../outside": digest}, "outside is nothing"),
        ({}, "names no inputs"),
    ):
        with pytest.raises(VerificationFailed, match=said):
            rebuild.check_inputs(Source("i", COMMIT, inputs), tmp_path / "tree")


# ---- the whole ------------------------------------------------------------------------------------------


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
    made = attestations.provenance(theirs.certificate, "2026-11-22T17:00:00Z", {}, commit)
    published.put(fake.host, theirs, made)

    def built(cat: Any, engine: Any, names: list[str], seen: Any, options: build.Options) -> Any:
        assert names == ["torchy"]
        assert options == build.Options(no_cache=True, suffix="-rebuild")
        assert cat.root != checkout
        return SimpleNamespace(images={"torchy": SimpleNamespace(digest=ours.digest)})

    monkeypatch.setattr(build, "build", built)
    engine = Engine(ours)
    key = published.key().public
    made_again = rebuild.rebuild(checkout, published.reference(fake.host), key, engine, None)  # type: ignore[arg-type]
    return made_again, engine


def test_the_same_bits(fake: FakeRegistry, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = published.image(content=(layer(a="1"),))
    result, engine = again(fake, checkout, monkeypatch, made, made)
    assert result.same
    assert result.layers == ()
    rebuild.require_same(result)
    assert "assay-rebuild/torchy:latest" in engine.removed
    assert engine.tidied


def test_other_bits_are_named_by_layer_and_file(
    fake: FakeRegistry, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = published.image(content=(layer(a="1"), layer(b="2", c=("3", {"mtime": 5}))))
    ours = published.image("2.14.0", content=(layer(a="1"), layer(b="2", c=("3", {"mtime": 6})), layer(d="4")))
    result, engine = again(fake, checkout, monkeypatch, theirs, ours)
    assert not result.same
    assert [(one.number, one.count, one.files) for one in result.layers] == [
        (2, 1, (Difference("c", "time"),)),
        (3, 1, (Difference("d", "only in the rebuilt"),)),
    ]
    assert result.configuration == ("config.Labels", "rootfs")
    with pytest.raises(VerificationFailed, match="built again it is"):
        rebuild.require_same(result)
    assert engine.tidied
    data = json.loads(json.dumps(rebuild.as_json(result)))
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
            rebuild.rebuild(checkout, there, published.key(number).public, engine, None)  # type: ignore[arg-type]
    assert not engine.removed


def test_what_a_person_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    target = io.StringIO()
    monkeypatch.setattr(view, "out", Console(file=target, width=200, soft_wrap=True))
    layers = (rebuild.LayerDifference(2, "sha256:a", "sha256:b", 101, (Difference("x\x1b[2J", "time"),)),)
    view.show_rebuilt(Rebuilt("r/x:1", "x", COMMIT, "sha256:p", "sha256:q", layers, ("history",)))
    text = target.getvalue()
    for words in ("layer 2: 101 files differ", "x[2J: time", "configuration: history", "commit cccccccccccc"):
        assert words in text
    assert "\x1b" not in text
    view.show_rebuilt(Rebuilt("r/x:1", "x", COMMIT, "sha256:p", "sha256:p"))
    assert "the same, bit for bit" in target.getvalue()
