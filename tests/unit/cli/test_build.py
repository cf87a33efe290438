"""What the commands about images print: images, plan, reproduce, lock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from assay import reproduce, rootfs
from assay.catalog import Built, Change, Drift, write_images
from tests.unit.cli.ran import Ran

BASE = SimpleNamespace(name="base/trixie")


BUILT = Built("k", None, "sha256:" + "d" * 64, "sha256:c", (), (), 1_500_000_000, 4 * 10**9, 3.0, "now")


def test_images(assay_: Callable[..., Ran]) -> None:
    write_images(Path.cwd(), {"torchy": BUILT})
    ran = assay_("images")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].split() == [
        "image",
        "on",
        "version",
        "compressed",
        "on",
        "disk",
        "digest",
        "Debian",
        "until",
        "what",
    ]
    torchy = next(line for line in lines if line.startswith("torchy"))
    assert torchy.split()[:8] == ["torchy", "cuda/1.0", "2.0", "1.50", "GB", "4.00", "GB", "d" * 12]
    assert "\x1b" not in ran.out
    rows = json.loads(assay_("images", "--json").out)
    assert [row["name"] for row in rows] == ["base/trixie", "cuda/1.0", "plain", "tensory", "torchy"]
    assert rows[4] == {
        "name": "torchy",
        "parent": "cuda/1.0",
        "summary": "A framework",
        "framework": "torch",
        "version": "2.0",
        "labels": {"python": "3.13", "cuda": "1.0"},
        "digest": BUILT.digest,
        "compressed_bytes": 1_500_000_000,
        "uncompressed_bytes": 4 * 10**9,
        "supported_until": None,
        "support": None,
        "drift": {},
    }
    assert rows[0]["digest"] is None

    drift = {"base/trixie": Drift("b" * 64, (Change("libc6", "2.41-12", "2.41-13"), Change("bash", None, "5")))}
    write_images(Path.cwd(), {"torchy": msgspec.structs.replace(BUILT, drift=drift)})
    said = assay_("images").out
    assert f"{'d' * 12} drifted" in said
    assert "base/trixie has drifted: 2 packages have moved: libc6 2.41-12 -> 2.41-13, bash absent -> 5\n" in said
    (row,) = [row for row in json.loads(assay_("images", "--json").out) if row["drift"]]
    assert row["drift"]["base/trixie"]["changes"][0] == {"package": "libc6", "was": "2.41-12", "now": "2.41-13"}


@pytest.mark.parametrize(("month", "shown"), [("2020-01", "2020-01 (over)"), ("2099-12", "2099-12  ")])
def test_images_says_whether_debian_still_supports_what_they_stand_on(
    assay_: Callable[..., Ran], month: str, shown: str
) -> None:
    base = Path("images/base/trixie/image.toml")
    base.write_text(base.read_text().replace('suite = "trixie"', f'suite = "trixie"\nsupported_until = "{month}"'))
    assert shown in assay_("images").out
    assert {row["supported_until"] for row in json.loads(assay_("images", "--json").out)} == {month}


def test_images_says_what_sharing_saves_in_a_registry(assay_: Callable[..., Ran]) -> None:
    stack = ("sha256:stack", 2_000_000_000)
    layers = {"torchy": (stack, ("sha256:t", 500_000_000)), "tensory": (stack, ("sha256:u", 250_000_000))}
    write_images(Path.cwd(), {name: msgspec.structs.replace(BUILT, layers=own) for name, own in layers.items()})
    said = " ".join(assay_("images").out.split())
    assert "The 2 framework images take 2.75 GB in a registry" in said
    assert said.endswith("each alone, 4.75 GB.")


def test_the_command_works_below_the_top_of_the_checkout(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("images/torchy")
    assert assay_("images").code == 0


def test_plan(assay_: Callable[..., Ran]) -> None:
    plan = json.loads(assay_("plan", "torchy", "--device", "gpu").out)
    assert (plan["schema"], plan["image"], plan["device"]) == (1, "torchy", "gpu")


def test_reproduce(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    other = msgspec.structs.replace(BUILT, digest="sha256:2")
    rows = [
        reproduce.Reproduced("a", BUILT, BUILT),
        reproduce.Reproduced("b", BUILT, msgspec.structs.replace(other, diff_ids=("another",))),
        reproduce.Reproduced("c", BUILT, other),
    ]
    monkeypatch.setattr(reproduce, "reproduce", lambda *a: rows)
    ran = assay_("reproduce")
    ran.refused(4, "b: a second build gave other content")
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["image", "verdict"],
        ["a", "same"],
        ["b", "different"],
        ["c", "same;"],
    ]
    said = json.loads(assay_("reproduce", "--json").out)
    assert [(one["image"], one["same"], one["verdict"]) for one in said] == [
        ("a", True, "same"),
        ("b", False, "different"),
        ("c", True, "same; compressed differently"),
    ]
    rows.pop(1)
    assert assay_("reproduce").code == 0


def test_reproduce_against_what_was_certified(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    moved = reproduce.Layer(4, "sh /run/install", ("python3.13 1 -> 2",))
    fault = reproduce.Layer(5, "WORKDIR /", ())
    good = reproduce.Against("a", "2026-01-02", 5, "1 package has moved: python3.13 1 -> 2", (moved,), ())
    bad = reproduce.Against("b", "2026-01-02", 5, "", (fault,), ("layer 5 (WORKDIR /) differs",))
    rows = [good, bad]
    asked: list[Any] = []
    monkeypatch.setattr(reproduce, "certified", lambda cat, found, names, view: asked.append(names) or rows)
    ran = assay_("reproduce", "--certified", "torchy")
    ran.refused(5, "b: layer 5 (WORKDIR /) differs")
    assert ran.out.splitlines() == [
        "a: 5 layers above the base, 1 differ from what was certified on 2026-01-02",
        "  its base: 1 package has moved: python3.13 1 -> 2",
        "  layer 4 (sh /run/install): python3.13 1 -> 2",
        "b: 5 layers above the base, 1 differ from what was certified on 2026-01-02",
        "  layer 5 (WORKDIR /): ran nothing that moved",
    ]
    said = json.loads(assay_("reproduce", "--certified", "--json").out)
    assert [(one["image"], one["same"]) for one in said] == [("a", True), ("b", False)]
    rows.pop()
    assert assay_("reproduce", "--certified").code == 0
    assert asked == [("torchy",), (), ()]


@pytest.mark.parametrize("command", ["build", "smoke", "lock"])
def test_a_platform_that_there_is_not_or_that_an_image_does_not_declare(
    assay_: Callable[..., Ran], command: str
) -> None:
    assay_(command, "plain", "--platform", "linux/riscv64").refused(2, "no image is built for 'linux/riscv64'")
    ran = assay_(command, "plain", "--platform", "linux/arm64")
    ran.refused(2, "plain is not built for linux/arm64: it declares linux/amd64")


def test_lock(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def bootstrap(image: Any, on_step: Any) -> rootfs.PackagesLock:
        called.append(image.name)
        return rootfs.PackagesLock((rootfs.Package("python3", "3", "a" * 64),), "b" * 64)

    monkeypatch.setattr(rootfs, "lock", bootstrap)
    ran = assay_("lock", "base/trixie", "--upgrade")
    assert ran.code == 0
    assert called == ["base/trixie"]
    assert ran.out == "base/trixie: python3 3.13.5-1 -> 3\n"
    assert ran.err == "base/trixie: resolving\n"
    assert assay_("lock", "base/trixie").out == "base/trixie: unchanged\n"
    assert Path("images/base/trixie/packages.lock").read_text() == bootstrap(BASE, None).text("base/trixie")


def test_a_base_whose_lock_does_not_agree(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    assert assay_("lock", "--check", "base/trixie").out == "base/trixie: agrees\n"
    path = Path("images/base/trixie/packages.lock")
    path.write_text(path.read_text().replace("python3=", "python4="))
    before = path.read_bytes()
    assay_("lock", "--check", "base/trixie").refused(2, "python3 is to be included, and the lock lacks it")
    assert path.read_bytes() == before


@pytest.mark.parametrize("option", ["--cache-from", "--cache-to"])
def test_a_registrys_cache_is_for_build_alone(assay_: Callable[..., Ran], option: str) -> None:
    for command in (["reproduce", "plain"], ["rebuild", "r.example/team/plain", "--key", "assay.pub"]):
        assay_(*command, option, "r.example/cache").refused(2, f"No such option '{option}'")
    assay_("build", "plain", "--no-cache", option, "r.example/cache").refused(2, "a build without any cache")


def test_the_same_builder_twice(assay_: Callable[..., Ran]) -> None:
    ran = assay_("build", "plain", "--on", "a", "--on", "a", "--through", "r.example/team")
    ran.refused(2, "--on names an engine twice")


def test_a_builder_that_does_not_exist(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(Path.cwd()))
    ran = assay_("build", "plain", "--on", "nowhere", "--through", "r.example/team")
    assert ran.code == 2
    assert "error: there is no Docker context 'nowhere'" in ran.err
