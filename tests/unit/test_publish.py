"""What may be published, and in which order it goes to the registry."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import pytest

from assay import catalog, planning, publish, scripts
from assay.certificate import Suite, Suites
from assay.engine import Engine, RunRequest, RunResult
from assay.errors import RegistryFailed, UsageError, VerificationFailed
from assay.images import Built, write_images
from assay.publish import Candidate
from tests.conftest import ROOT
from tests.fake_registry import Answer, FakeRegistry, serving
from tests.published import Image, fresh, image, key, name
from tests.published import suite as suite_then

HOME = f"team/{name()}"


class LocalEngine:
    """What publishing asks of an engine, answered from memory."""

    def __init__(self, made: Image) -> None:
        self.made = made
        self.handed_over: list[str] = []
        self.runs: list[RunRequest] = []
        self.on_run: Callable[[Path], object] = lambda path: None
        self.ended = RunResult(0, False, False, "", 1.0)

    def digest(self, reference: str) -> str | None:
        return self.made.digest

    def content(self, reference: str, digests: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        for digest in digests:
            self.handed_over.append(digest)
            yield digest, io.BytesIO({**self.made.blobs, self.made.digest: self.made.manifest.data}[digest])

    def run(self, request: RunRequest) -> RunResult:
        self.runs.append(request)
        (shared,) = request.mounts
        assert request.command == ("python", "/run/assay/inventory.py", "/run/assay/inventory.json")
        assert (shared / "inventory.py").read_bytes() == scripts.INVENTORY.read_bytes()
        packages = [{"name": "bash", "version": "5", "licences": ["GPL-3.0-or-later"], "architecture": "amd64"}]
        (shared / "inventory.json").write_text(json.dumps({"schema": 1, "debian": packages, "python": []}))
        self.on_run(shared / "inventory.json")
        return self.ended


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as running:
        yield running


@pytest.fixture
def made() -> Image:
    return fresh()


@pytest.fixture
def checkout(root: Path, tmp_path: Path, made: Image) -> Path:
    """A checkout with the images of this repository, one of them built and certified."""
    (tmp_path / "images").symlink_to(root / "images")
    (tmp_path / "build").mkdir()
    manifest = made.manifest.image()
    facts = made.certificate["predicate"]["image"]
    built = Built(
        key="k",
        suite="s" * 64,
        digest=made.digest,
        config=manifest.config.digest,
        diff_ids=tuple(facts["diffIDs"]),
        layers=tuple((one.digest, one.size) for one in manifest.layers),
        compressed_bytes=1,
        uncompressed_bytes=1,
        seconds=1.0,
        built="2026-11-22T17:00:00Z",
    )
    write_images(tmp_path, {name(): built})
    cat = catalog.load(tmp_path)
    plan = planning.plan(cat.get(name()))
    made.certificate["predicate"]["plan"] = {**plan, "engine": "docker"}
    facts["inputs"] = planning.inputs(cat, cat.get(name()))
    certify(tmp_path, made.certificate)
    return tmp_path


def suite_of_it() -> Suite:
    """The suite of the certificate, as one that looks at all that this checkout's images promise."""
    then, now = suite_then(), Suites.read(ROOT).current
    return msgspec.structs.replace(then, levels=msgspec.structs.replace(then.levels, promises=now.levels.promises))


def certify(checkout: Path, data: Any, device: str = "cpu") -> None:
    path = checkout / "build/certificates" / name() / f"{device}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))


def chosen(checkout: Path, suite: Suites | None = None) -> tuple[list[Candidate], list[publish.Refused]]:
    return publish.candidates(catalog.load(checkout), suite or Suites(suite_of_it()), [name()])


def refused(checkout: Path, suite: Suites | None = None) -> str:
    good, bad = chosen(checkout, suite)
    assert not good
    with pytest.raises(VerificationFailed, match="was not published"):
        publish.require_none_refused(bad)
    return bad[0].why


def go(checkout: Path, fake: FakeRegistry, made: Image, engine: LocalEngine | None = None) -> publish.Published:
    good, _ = chosen(checkout)
    done, failed = publish.publish(
        catalog.load(checkout),
        cast(Engine, engine or LocalEngine(made)),
        key(),
        good,
        f"{fake.host}/team",
        on_step=lambda image, step: None,
    )
    for error in failed.values():
        raise error
    (one,) = done
    return one


# ---- what may be published


def test_a_certified_image_may(checkout: Path, made: Image) -> None:
    (good,), bad = chosen(checkout)
    assert not bad
    publish.require_none_refused(bad)
    version = planning.framework_version(good.image)
    assert version
    assert good.tags[0].startswith(f"{version.partition('+')[0]}-c")
    assert good.tags[1:] == ("latest",)
    assert [one.device for one in good.certified] == ["cpu"]


def test_one_without_a_certificate_may_not(checkout: Path) -> None:
    (checkout / "build/certificates" / name() / "cpu.json").unlink()
    assert "has no certificate" in refused(checkout)


def test_one_that_is_not_built_may_not(checkout: Path) -> None:
    write_images(checkout, {})
    assert "is not built" in refused(checkout)
    with pytest.raises(UsageError, match="no image is built"):
        publish.candidates(catalog.load(checkout), Suites(suite_of_it()), [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["subject"][0]["digest"].update(sha256="0" * 64), "another image"),
        (lambda one: one["predicate"]["results"].pop(), "does not hold"),
        (lambda one: one["predicate"]["faults"].pop(), "does not hold"),
        (lambda one: one["predicate"]["image"].update(diffIDs=[]), "other layers"),
        (lambda one: one["predicate"]["image"].update(configDigest=""), "another image configuration"),
        (lambda one: one["predicate"]["image"]["inputs"].popitem(), "other inputs"),
        (lambda one: one["predicate"]["plan"].update(workloads=[]), "another plan"),
        (lambda one: one["predicate"]["plan"].update(device="gpu"), "another plan"),
        (lambda one: one["predicate"].update(schema=7), "schema 7"),
    ],
)
def test_a_certificate_that_does_not_hold(checkout: Path, made: Image, change: Any, said: str) -> None:
    change(made.certificate)
    certify(checkout, made.certificate)
    assert said in refused(checkout)


def test_a_certificate_that_cannot_be_read(checkout: Path) -> None:
    certify(checkout, "{")
    assert "cannot be read" in refused(checkout)


def test_a_certificate_of_another_suite(checkout: Path) -> None:
    later = msgspec.structs.replace(suite_of_it(), digests={})
    assert "is unknown to this Assay" in refused(checkout, Suites(later))
    assert "it is of an earlier suite than this checkout's" in refused(checkout, Suites(later, (suite_of_it(),)))


def test_one_bad_certificate_of_two_is_enough(checkout: Path, made: Image) -> None:
    certify(checkout, made.certificate, "gpu")
    assert "another plan" in refused(checkout)


def test_an_engine_with_another_image(checkout: Path, fake: FakeRegistry) -> None:
    with pytest.raises(UsageError, match="of the certified digest"):
        go(checkout, fake, image("2.14.0"))
    assert not fake.manifests


# ---- what goes to the registry


def test_the_image_and_what_is_attached_go_first_and_the_tags_last(
    checkout: Path, fake: FakeRegistry, made: Image
) -> None:
    one = go(checkout, fake, made)
    assert one.reference == f"{fake.host}/{HOME}@{made.digest}"
    assert one.attached == 4
    assert [fake.tag(HOME, tag) for tag in one.tags] == [made.digest, made.digest]
    manifests = [path.rpartition("/")[2] for path in fake.written() if "/manifests/" in path]
    assert manifests[0] == made.digest
    assert manifests[-2:] == list(one.tags)
    assert all(path.startswith("sha256:") for path in manifests[:-2])


def test_again_nothing_is_sent_and_the_engine_hands_nothing_over(
    checkout: Path, fake: FakeRegistry, made: Image
) -> None:
    go(checkout, fake, made)
    before, engine = fake.written(), LocalEngine(made)
    again = go(checkout, fake, made, engine)
    assert (again.sent, again.attached) == (0, 0)
    assert fake.written() == before
    assert (engine.handed_over, engine.runs) == ([], [])


def a_link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (a_link, "inventory.json cannot be read"),
        (Path.unlink, "left no inventory.json"),
        (lambda path: os.truncate(path, publish.LARGEST_INVENTORY + 1), "larger than 16 MiB"),
        (lambda path: path.write_bytes(b"{"), "says is in it is malformed"),
        (lambda path: path.write_bytes(b"[" * 10**6), "says is in it is malformed"),
    ],
)
def test_an_inventory_that_is_none_is_not_kept(
    checkout: Path, fake: FakeRegistry, made: Image, does: Callable[[Path], object], said: str
) -> None:
    engine = LocalEngine(made)
    engine.on_run = does
    with pytest.raises(VerificationFailed, match=said):
        go(checkout, fake, made, engine)
    assert fake.tag(HOME, "latest") is None
    assert list((checkout / "build").glob("inventories/*")) == []
    engine.on_run = lambda path: None
    assert go(checkout, fake, made, engine).attached == 4
    (kept,) = (checkout / "build/inventories").iterdir()
    assert kept.name == f"{made.digest.removeprefix('sha256:')}.json"


def test_an_image_that_cannot_say_what_is_in_it(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    engine = LocalEngine(made)
    engine.ended = RunResult(1, False, False, "Traceback\nno dpkg here\n", 1.0)
    with pytest.raises(VerificationFailed, match="cannot say what is in it: no dpkg here"):
        go(checkout, fake, made, engine)


def test_only_what_is_missing_is_handed_over(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    first, second = (one.digest for one in made.manifest.image().layers)
    fake.blobs[HOME, first] = made.blobs[first]
    engine = LocalEngine(made)
    go(checkout, fake, made, engine)
    assert first not in engine.handed_over
    assert second in engine.handed_over


def test_a_layer_that_another_image_has_is_mounted(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    first = made.manifest.image().layers[0].digest
    other = next(one.name for one in catalog.load(checkout).frameworks() if one.name != name())
    built = publish.read_images(checkout).images
    write_images(checkout, {**built, other: built[name()]})
    fake.blobs[f"team/{other}", first] = made.blobs[first]
    engine = LocalEngine(made)
    go(checkout, fake, made, engine)
    assert first not in engine.handed_over
    assert fake.blobs[HOME, first] == made.blobs[first]


@pytest.mark.parametrize(
    ("method", "pattern"), [("PATCH", "/uploads/"), ("PUT", "/manifests/sha256:"), ("POST", "/uploads/")]
)
def test_what_breaks_off_leaves_no_tag_and_goes_on(
    checkout: Path, fake: FakeRegistry, made: Image, method: str, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.registry.repository.time.sleep", lambda seconds: None)
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda seconds: None)
    fake.always(method, pattern, Answer(500))
    with pytest.raises(RegistryFailed):
        go(checkout, fake, made)
    assert fake.tag(HOME, "latest") is None
    fake.hook = lambda method, path: None
    assert go(checkout, fake, made).attached == 4
    assert fake.tag(HOME, "latest") == made.digest


def test_no_secret_is_kept(checkout: Path, fake: FakeRegistry, made: Image) -> None:
    go(checkout, fake, made)
    for path in (checkout / "build").rglob("*"):
        assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes()


def test_the_commit_is_the_sources(tmp_path: Path) -> None:
    assert publish.source_commit(tmp_path) is None
    (tmp_path / "images").mkdir()
    (tmp_path / "images/x").write_text("x")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x.example"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "x"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    commit = publish.source_commit(tmp_path)
    assert commit
    assert len(commit) in {40, 64}
    (tmp_path / "images/x").write_text("y")
    assert publish.source_commit(tmp_path) is None


@pytest.mark.parametrize("raised", [OSError(28, "No space left on device"), KeyError("a bug")])
def test_an_image_that_fails_is_named_and_the_others_are_published(
    checkout: Path, fake: FakeRegistry, made: Image, raised: Exception
) -> None:
    cat = catalog.load(checkout)
    (good,), _ = chosen(checkout)
    other = next(image for image in cat.frameworks() if image.name != good.image.name)

    def on_step(image: str, step: str) -> None:
        if image == other.name:
            raise raised

    engine = cast(Engine, LocalEngine(made))
    both = [dataclasses.replace(good, image=other), good]
    done, failed = publish.publish(cat, engine, key(), both, f"{fake.host}/team", on_step=on_step)
    assert [one.image for one in done] == [good.image.name]
    assert list(failed) == [other.name]
    assert failed[other.name].what.startswith(f"{other.name}: ")
    assert failed[other.name].exit_code == 4
