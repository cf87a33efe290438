"""Several builders, which only pretend, and a registry in which what they build meets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from assay import build
from assay.build import Builder, Options, Through
from assay.catalog import Built, Images
from assay.catalog.built import short, tag
from assay.errors import AssayError, BuildFailed, EngineMissing, RegistryFailed, UsageError
from assay.host import machine
from tests.fake_registry import Answer, FakeRegistry
from tests.unit.place import ORDER, Engine, Place, failing, interrupt_the_builder

OCI = "application/vnd.oci.image.manifest.v1+json"


class Remote(Engine):
    """A builder that pretends to send to the registry, and to fetch from it; ``dead`` once it went away."""

    def __init__(self, root: Path, registry: FakeRegistry, name: str) -> None:
        super().__init__(root)
        self.registry, self.name, self.processor = registry, name, "x86_64"
        self.dead = False
        self.unreached = ""
        self.fetched: list[str] = []
        self.sent: list[str] = []

    def identity(self) -> tuple[str, str]:
        return self.name, self.processor

    def refusal(self, reference: str, login: object) -> str | None:
        return self.unreached or None

    def answers(self) -> bool:
        return not self.dead

    def digest(self, reference: str) -> str | None:
        if self.dead:
            raise EngineMissing("the engine went away or refused: no", "Run the command again.")
        return super().digest(reference)

    def push(self, local: str, reference: str, login: object, heard: Callable[[], None]) -> None:
        heard()
        facts = self.names[local]
        data = f"{facts.config_digest.removeprefix('sha256:')}{self.compression}".encode()
        path = reference.partition("/")[2].partition(":")[0]
        self.registry.manifests[path, facts.digest] = (OCI, data)
        self.sent.append(path)
        fetchable[facts.digest] = facts

    def fetch(self, reference: str, local: str, login: object, heard: Callable[[], None]) -> None:
        heard()
        self.names[local] = fetchable[reference.partition("@")[2]]
        self.fetched.append(local.partition("/")[2].partition(":")[0])


fetchable: dict[str, object] = {}


class Several:
    """Builders of one repository."""

    def __init__(self, place: Place, registry: FakeRegistry) -> None:
        self.place = place
        self.registry = registry
        self.one, self.two = self.engine("one"), self.engine("two")

    def engine(self, name: str) -> Remote:
        return Remote(self.place.root, self.registry, name)

    def build(self, *names: str, on: tuple[Remote, ...] = (), **options: object) -> Images:
        self.place.view = type(self.place.view)()
        engines = on or (self.one, self.two)
        for engine in engines:
            engine.requests, engine.fetched, engine.sent = [], [], []
        how = {"through": Through(f"{self.registry.host}/team"), **options}
        builders = [Builder(engine.name, engine) for engine in engines]  # type: ignore[arg-type]
        return build.build_on(self.place.catalog, builders, names, self.place.view, Options(**how))  # type: ignore[arg-type]


@pytest.fixture
def several(place: Place, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Several:
    monkeypatch.setattr(machine, "architecture", lambda: "x86_64")
    return Several(place, fake)


def meet_at_the_base(several: Several) -> None:
    """Let both build the base at once; else the slower one may fetch it."""
    both = threading.Barrier(2, timeout=60)

    def wait(name: str) -> None:
        if name == "base/trixie":
            both.wait()

    several.one.on_build = several.two.on_build = wait


def above_the_base(engine: Remote) -> list[str]:
    return sorted(name for name in engine.built if name != "base/trixie")


def content(built: dict[str, Built]) -> dict[str, tuple[str, str]]:
    return {name: (one.digest, one.config) for name, one in built.items()}


def test_each_builder_gets_whole_chains_and_the_digests_are_those_of_one_machine(several: Several) -> None:
    alone = several.place.build().images
    (several.place.root / "build/images.json").unlink()
    meet_at_the_base(several)
    made = several.build().images
    assert content(made) == content(alone)
    assert sorted(several.one.built) == ["base/trixie", "cuda/1.0", "tensory", "torchy"]
    assert several.two.built == ["base/trixie", "plain"]
    assert {name: one.builder for name, one in made.items() if name != "base/trixie"} == {
        "cuda/1.0": "one", "tensory": "one", "torchy": "one", "plain": "two",
    }  # fmt: skip
    assert several.place.known() == made
    for name, one in made.items():
        assert (f"team/{name}", one.digest) in several.registry.manifests
    assert (several.place.root / "build/logs/plain@two.log").is_file()
    assert "plain on two" in several.place.view.told("done")


def test_the_heaviest_chain_goes_first_and_whoever_has_least_takes_the_next(several: Several) -> None:
    toml = several.place.root / "images/plain/image.toml"
    toml.write_text(toml.read_text().replace("size_gb = 2", "size_gb = 2\nminutes = 30"))
    several.build()
    assert above_the_base(several.one) == ["plain"]
    assert above_the_base(several.two) == ["cuda/1.0", "tensory", "torchy"]


def test_more_builders_than_chains(several: Several) -> None:
    three = several.engine("three")
    several.build(on=(several.one, several.two, three))
    assert three.built == []


def test_what_the_registry_has_is_built_by_none(several: Several) -> None:
    first = several.build()
    anew = (several.engine("three"), several.engine("four"))
    assert several.build(on=anew) == first
    assert [engine.built + engine.fetched for engine in anew] == [[], []]
    assert sorted(several.place.view.told("done")) == ["plain", "tensory", "torchy"]


def test_what_is_below_a_changed_image_is_fetched_and_not_built(several: Several) -> None:
    several.build()
    several.place.write("images/torchy/requirements.in", "torch==2.0\n# changed")
    path = several.place.root / "images/torchy/requirements.lock"
    path.write_text(path.read_text() + "#")
    other = several.engine("three")
    several.build(on=(other,))
    assert other.built == ["torchy"]
    assert other.fetched == ["base/trixie", "cuda/1.0"]
    assert several.place.known()["torchy"].builder == "three"
    assert several.place.known()["cuda/1.0"].builder == "one"


def test_this_machine_fetches_what_others_built(several: Several) -> None:
    made = several.build()
    here = several.engine("here")
    through = Options(through=Through(f"{several.registry.host}/team"))
    again = build.build(several.place.catalog, here, ["plain"], several.place.view, through)  # type: ignore[arg-type]
    assert again == made
    assert (here.built, here.fetched) == ([], ["base/trixie", "plain"])
    assert here.digest("assay/plain:latest") == made.images["plain"].digest
    assert here.digest(tag("plain", short(made.images["plain"].digest))) == made.images["plain"].digest


def test_what_was_built_and_did_not_arrive_is_sent_the_next_time(several: Several) -> None:
    several.build()
    several.registry.manifests.clear()
    several.build()
    assert several.one.built + several.two.built == []
    assert sorted({*several.one.sent, *several.two.sent}) == [f"team/{name}" for name in ORDER]


def test_what_is_shared_has_to_come_out_the_same(several: Several) -> None:
    several.two.content = 1
    meet_at_the_base(several)
    with pytest.raises(BuildFailed, match=r"base/trixie is sha256:\w+ on (one|two), and sha256:\w+ on (one|two)"):
        several.build()


def test_a_failed_image_leaves_all_others_alone(several: Several) -> None:
    several.one.on_build = failing("torchy")
    with pytest.raises(BuildFailed, match=r"torchy broke \(on one\)"):
        several.build()
    assert list(several.place.known()) == ["base/trixie", "cuda/1.0", "plain", "tensory"]


def test_a_builder_that_dies_in_the_middle(several: Several) -> None:
    def die(name: str) -> None:
        if name == "cuda/1.0":
            several.one.dead = True
            raise EngineMissing("the engine went away while it built", "Run it again.")

    several.one.on_build = die
    with pytest.raises(EngineMissing) as caught:
        several.build()
    assert caught.value.what.startswith("the builder one went away: it did not build cuda/1.0, ")
    assert {"tensory", "torchy"} <= set(caught.value.what.replace(",", "").split())
    assert list(several.place.known()) == ["base/trixie", "plain"]
    third = several.engine("three")
    made = several.build(on=(several.two, third)).images
    assert list(made) == ORDER
    assert sorted(several.two.built) == ["cuda/1.0", "tensory", "torchy"]
    assert third.built == []


def test_both_builders_die(several: Several) -> None:
    for engine in (several.one, several.two):

        def die(name: str, engine: Remote = engine) -> None:
            engine.dead = True
            raise EngineMissing("the engine went away while it built", "Run it again.")

        engine.on_build = die
    with pytest.raises(EngineMissing, match=r"2 builds failed: the builder one .*; the builder two "):
        several.build()


def test_an_interrupt_keeps_what_is_finished(several: Several, ended: threading.Event) -> None:
    def interrupt(name: str) -> None:
        if name in {"cuda/1.0", "plain"}:
            if name == "cuda/1.0":
                interrupt_the_builder(ended)
            assert ended.wait(60)
            raise BuildFailed(f"{name} was ended", "Run it again.")

    several.one.on_build = several.two.on_build = interrupt
    with pytest.raises(KeyboardInterrupt):
        several.build()
    assert list(several.place.known()) == ["base/trixie"]
    assert several.place.view.errors == {}
    assert not [each for each in threading.enumerate() if each.name.startswith("build")]
    several.one.on_build = several.two.on_build = failing()
    assert list(several.build().images) == ORDER


@pytest.mark.parametrize(
    ("kind", "words", "spoil"),
    [
        (
            UsageError,
            "two has the processor aarch64, and the images",
            lambda s: setattr(s.two, "processor", "aarch64"),
        ),
        (UsageError, "two and one are one engine", lambda s: setattr(s.two, "identity", s.one.identity)),
        (RegistryFailed, "two does not reach .*: dial tcp", lambda s: setattr(s.two, "unreached", "dial tcp: no")),
        (RegistryFailed, "HTTP 418", lambda s: s.registry.always("HEAD", "", Answer(418))),
    ],
    ids=["processor", "twice", "unreached", "registry"],
)
def test_what_is_wrong_is_said_before_anything_is_built(
    several: Several, kind: type[AssayError], words: str, spoil: Callable[[Several], None]
) -> None:
    spoil(several)
    with pytest.raises(kind, match=words) as caught:
        several.build()
    assert len(str(caught.value).splitlines()) == 2
    assert several.one.built + several.two.built == []


@pytest.mark.parametrize(
    ("options", "words"),
    [({"pack": True}, "do not pack"), ({"through": None}, "has to meet in a registry")],
    ids=["pack", "nowhere"],
)
def test_what_several_builders_cannot_do(several: Several, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        several.build(**options)


def test_another_processors_images_are_not_for_several(several: Several, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "architecture", lambda: "aarch64")
    with pytest.raises(UsageError, match="build for this machine's processor, and not for linux/amd64"):
        several.build()


def test_an_unknown_image(several: Several) -> None:
    with pytest.raises(UsageError, match="no image is named"):
        several.build("torchi")


def test_a_stack_alone(several: Several) -> None:
    made = several.build("cuda/1.0").images
    assert list(made) == ["base/trixie", "cuda/1.0"]
    assert several.two.built == []


def test_what_was_sent_and_is_not_there(several: Several, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several.two, "push", lambda *_: None)
    with pytest.raises(RegistryFailed, match="was sent, and the registry has no"):
        several.build("plain", on=(several.two,))
    assert "base/trixie" in several.place.known()
