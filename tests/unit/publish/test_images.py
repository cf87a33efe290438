"""In which order an image goes to the registry, and what is left when one fails."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import cast

import pytest

from assay import publish
from assay.engine import Engine
from assay.errors import UsageError
from assay.publish import Destination, Signers
from tests.fake_registry import FakeRegistry
from tests.published import Image, image, key
from tests.unit.publish.known import ATTACHED, HOME, LocalEngine, Watched, chosen, go, images_of


def test_an_engine_with_another_image(checkout: Path, fake: FakeRegistry) -> None:
    with pytest.raises(UsageError, match="of the certified digest"):
        go(checkout, fake, image("2.14.0"))
    assert not fake.manifests


def test_the_image_and_what_is_attached_go_first_and_the_tags_last(
    checkout: Path, fake: FakeRegistry, made: Image
) -> None:
    one = go(checkout, fake, made)
    assert one.reference == f"{fake.host}/{HOME}@{made.digest}"
    assert one.attached == ATTACHED
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
    cat = images_of(checkout)
    (good,), _ = chosen(checkout)
    other = next(image for image in cat.frameworks() if image.name != good.image.name)

    def on_phase(image: str, text: str) -> None:
        if image == other.name:
            raise raised

    engine = cast(Engine, LocalEngine(made))
    both = [dataclasses.replace(good, image=other), good]
    there, view = Destination(f"{fake.host}/team"), Watched(on_phase)
    done, failed = publish.publish(cat, engine, Signers(key()), both, there, view)
    assert [one.image for one in done] == [good.image.name]
    assert list(failed) == [other.name]
    assert failed[other.name].what.startswith(f"{other.name}: ")
    assert failed[other.name].exit_code == 4


def test_an_image_that_cannot_say_what_is_in_it_leaves_the_others_alone(
    checkout: Path, fake: FakeRegistry, made: Image
) -> None:
    (good,), _ = chosen(checkout)
    cat = images_of(checkout)
    other = next(image for image in cat.frameworks() if image.name != good.image.name)
    engine = LocalEngine(made)

    def on_run(path: Path) -> None:
        if other.name in engine.runs[-1].image:
            path.write_bytes(b"{")

    engine.on_run = on_run
    both = [dataclasses.replace(good, image=other), good]
    destination = Destination(f"{fake.host}/team")
    done, failed = publish.publish(cat, cast(Engine, engine), Signers(key()), both, destination, Watched())
    assert [one.image for one in done] == [good.image.name]
    assert failed[other.name].what.startswith(f"what {other.name} says is in it is malformed")
    assert fake.tag(f"team/{other.name}", "latest") is None
    assert fake.tag(HOME, "latest") == made.digest
