"""Two real engines, and a registry in which what they build meets; images of a newcomer's size."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.catalog import Built, read_images
from assay.engine.embedded import EmbeddedEngine
from tests.integration.conftest import ASSAY, assay, copy_of, embedded_in
from tests.registries import Registry

pytestmark = pytest.mark.engine

BOTH = ("newcomer", "second")


@dataclass(frozen=True)
class Other:
    """An embedded engine of another cache folder: to whoever builds, an engine at an address."""

    environment: dict[str, str]

    @property
    def engine(self) -> EmbeddedEngine:
        return EmbeddedEngine(Path(self.environment["ASSAY_CACHE"]) / "engine")

    def up(self) -> None:
        done = assay(self.engine.home.parent, "engine", "up", **self.environment)
        assert done.returncode == 0, done.stderr

    def down(self) -> None:
        assay(self.engine.home.parent, "engine", "down", **self.environment)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Other, Other]]:
    if os.geteuid() != 0:
        pytest.skip("embedded engines need root")
    with contextlib.ExitStack() as held:
        engines = []
        for _ in range(2):
            one = Other(embedded_in(tmp_path_factory.mktemp("cache")))
            held.callback(one.down)
            one.up()
            engines.append(one)
        yield engines[0], engines[1]


def checkout(root: Path, folder: Path, mark: str) -> Path:
    """A checkout with two small images on one base; no engine has a step of theirs from another test."""
    made = copy_of(root, folder)
    text = (made / "images/Dockerfile").read_text().partition("FROM environment\n")[0]
    first = "ARG SOURCE_DATE_EPOCH\n"
    assert first in text
    shutil.copytree(made / "images/newcomer", made / "images/second")
    for name in BOTH:
        step = f"{first}RUN : {name} {mark}\n"
        (made / f"images/{name}/Dockerfile").write_text(text.replace(first, step, 1))
    return made


def digests(built: dict[str, Built]) -> dict[str, tuple[str, str]]:
    return {name: (one.digest, one.config) for name, one in built.items()}


def on(two: tuple[Other, Other], registry: Registry) -> list[str]:
    return [*(f"--on={one.engine.address}" for one in two), "--through", f"{registry.host}/team"]


def test_the_digests_are_those_of_one_machine(
    two: tuple[Other, Other], registry: Registry, root: Path, tmp_path: Path
) -> None:
    mine = checkout(root, tmp_path / "several", "on several")
    done = assay(mine, "build", *BOTH, *on(two, registry))
    assert done.returncode == 0, done.stderr
    made = read_images(mine).images
    assert [made[name].builder for name in BOTH] == [one.engine.address for one in two]
    for name, one in made.items():
        (tag,) = registry.tags(f"team/{name}")
        assert one.digest.startswith(f"sha256:{tag}")
    for number, one in enumerate(two):
        alone = shutil.copytree(mine, tmp_path / f"alone-{number}", ignore=shutil.ignore_patterns("build"))
        done = assay(alone, "build", *BOTH, **one.environment)
        assert done.returncode == 0, done.stderr
        assert digests(read_images(alone).images) == digests(made)

    # By name of a docker context, in a checkout that knows what was built: it is built by none.
    folder = tmp_path / "docker"
    context = {**one.engine.environment(), "DOCKER_CONFIG": str(folder)}
    del context["DOCKER_HOST"]
    argv = ["docker", "context", "create", "other", "--docker", f"host={one.engine.address}"]
    subprocess.run(argv, env=context, check=True, capture_output=True, timeout=60)
    where = ["--on", "other", "--through", f"{registry.host}/team"]
    done = assay(mine, "build", *BOTH, *where, DOCKER_CONFIG=str(folder))
    assert done.returncode == 0, done.stderr
    assert "newcomer: up to date" in done.stderr
    assert read_images(mine).images == made


def test_another_machine_fetches_what_was_built(
    two: tuple[Other, Other], registry: Registry, root: Path, tmp_path: Path
) -> None:
    mine = checkout(root, tmp_path / "checkout", "to fetch")
    through = ["--through", f"{registry.host}/team"]
    done = assay(mine, "build", "newcomer", f"--on={two[0].engine.address}", *through)
    assert done.returncode == 0, done.stderr
    made = read_images(mine).images
    done = assay(mine, "build", "newcomer", *through, **two[1].environment)
    assert done.returncode == 0, done.stderr
    assert "newcomer: fetching" in done.stderr
    assert "newcomer: building" not in done.stderr
    assert read_images(mine).images == made
    ran = assay(mine, "smoke", "newcomer", "--json", **two[1].environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (certificate,) = (mine / "build/certificates/newcomer").glob("*.json")
    statement = json.loads(certificate.read_text())
    assert statement["subject"][0]["digest"]["sha256"] == made["newcomer"].digest.removeprefix("sha256:")


def test_a_registrys_cache_gives_the_same_image_and_is_said(
    two: tuple[Other, Other], registry: Registry, root: Path, tmp_path: Path
) -> None:
    first = checkout(root, tmp_path / "first", "cached")
    again = shutil.copytree(first, tmp_path / "again")
    cache = f"{registry.host}/cache"
    done = assay(first, "build", "newcomer", "--cache-to", cache, **two[0].environment)
    assert done.returncode == 0, done.stderr
    done = assay(again, "build", "newcomer", "--cache-from", cache, **two[1].environment)
    assert done.returncode == 0, done.stderr
    one, other = read_images(first).images, read_images(again).images
    assert digests(one) == digests(other)
    assert ({each.cache for each in one.values()}, {each.cache for each in other.values()}) == ({""}, {cache})
    ran = "RUN : newcomer cached"
    assert ran in (first / "build/logs/newcomer.log").read_text()
    assert ran not in (again / "build/logs/newcomer.log").read_text()
    done = assay(again, "reproduce", "newcomer", "--json", **two[1].environment)
    assert done.returncode == 0, done.stderr
    assert {row["cache"] for row in json.loads(done.stdout)} == {cache}
    assert ran in (again / "build/logs/newcomer.log").read_text()


def test_a_builder_that_dies_in_the_middle(
    two: tuple[Other, Other], registry: Registry, root: Path, tmp_path: Path
) -> None:
    mine = checkout(root, tmp_path / "checkout", "dies")
    dockerfile = mine / "images/second/Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("RUN : second", "RUN sleep 20; : second"))
    lost = two[1].engine.address
    argv = [ASSAY, "build", *BOTH, *on(two, registry)]
    with subprocess.Popen(argv, cwd=mine, stderr=subprocess.PIPE, text=True) as command:
        assert command.stderr is not None
        for line in command.stderr:
            if line.startswith(f"second on {lost}: building"):
                break
        time.sleep(3)
        pid = two[1].engine.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        said = command.communicate(timeout=300)[1]
    assert command.returncode == 3, said
    assert f"error: the builder {lost} went away: it did not build second" in said
    assert "Traceback" not in said
    assert "newcomer" in read_images(mine).images
    assert "second" not in read_images(mine).images
    dockerfile.write_text(dockerfile.read_text().replace("RUN sleep 20; : second", "RUN : second"))
    two[1].up()
    again = assay(mine, "build", *BOTH, *on(two, registry))
    assert again.returncode == 0, again.stderr
    assert "newcomer: up to date" in again.stderr
    assert set(BOTH) <= set(read_images(mine).images)


def test_what_is_wrong_is_said_before_anything_is_built(
    two: tuple[Other, Other], registry: Registry, root: Path, tmp_path: Path
) -> None:
    mine = checkout(root, tmp_path / "checkout", "wrong")
    one = two[0].engine.address
    alias = tmp_path / "alias.sock"
    alias.symlink_to(two[0].engine.socket)
    there = f"{registry.host}/team"
    for wanted, code, words in (
        (["--on", "nowhere", "--through", there], 2, "there is no Docker context 'nowhere'"),
        (
            ["--on", "unix:///run/nothing.sock", "--through", there],
            3,
            "unix:///run/nothing.sock: no container engine",
        ),
        (["--on", one, "--on", one, "--through", there], 2, "names an engine twice"),
        (["--on", one, "--on", f"unix://{alias}", "--through", there], 2, "are one engine"),
        (["--on", one], 2, "has to meet in a registry"),
        (["--on", one, "--through", "127.0.0.1:1/team"], 6, "127.0.0.1:1"),
        (["--on", one, "--through", there, "--pack"], 2, "do not pack"),
        (["--on", one, "--through", "team"], 2, "no reference"),
    ):
        done = assay(mine, "build", "newcomer", *wanted)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr
        assert "building" not in done.stderr
    assert read_images(mine).images == {}
