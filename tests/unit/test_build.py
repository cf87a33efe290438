from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import base, build, catalog, images, paths, planning
from assay.build import Options
from assay.engine import BuildRequest, ImageFacts, Step, process
from assay.errors import AssayError, BuildFailed, EngineMissing, UsageError
from assay.images import Built, read_images, tag, write_images
from tests.unit.repository import STACK, repository

ORDER = ["base/trixie", "cuda/1.0", "plain", "tensory", "torchy"]


class Engine:
    """Does what `assay.engine.Engine` does for a build, without one; ``on_build`` may interfere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requests: list[BuildRequest] = []
        self.names: dict[str, ImageFacts] = {}
        self.on_build: Callable[[str], None] = lambda name: None
        self.content = 0  # another content, another digest
        self.size = 10**9
        self.foreign: set[str] = set()  # images that ignore their parent
        self.lock = threading.Lock()
        self.tidied = 0
        self.packed: list[str] = []

    def build(self, request: BuildRequest, on_step: Callable[[Step], None]) -> str:
        with self.lock:
            self.requests.append(request)
        name = request.tag.partition("/")[2].partition(":")[0]
        on_step(Step("[1/1] RUN", line="a line"))
        on_step(Step("[1/1] RUN"))
        self.on_build(name)
        parent = self.names[request.args["PARENT"]].diff_ids if "PARENT" in request.args else ()
        if name in self.foreign:
            parent = ("other",)
        digest = f"sha256:{hashlib.sha256(f'{name}{self.content}'.encode()).hexdigest()}"
        facts = ImageFacts(digest, "sha256:c", (*parent, name), ((name, 5),), {}, {}, "", (), self.size)
        with self.lock:
            self.names[request.tag] = facts
        return digest

    def image(self, reference: str) -> ImageFacts | None:
        return self.names.get(reference)

    def digest(self, reference: str) -> str | None:
        facts = self.names.get(reference)
        return facts.digest if facts else None

    def tag(self, reference: str, name: str) -> None:
        with self.lock:
            self.names[name] = self.names[reference]

    def tags(self, repository: str) -> list[str]:
        return [name for name in list(self.names) if name.rpartition(":")[0] == repository]

    def remove(self, reference: str) -> None:
        self.names.pop(reference, None)

    def data_root(self) -> Path:
        return self.root

    def answers(self) -> bool:
        return True

    def tidy(self) -> None:
        self.tidied += 1

    def pack(self, references: Iterable[str]) -> None:
        self.packed += references

    @property
    def built(self) -> list[str]:
        return [request.tag.partition("/")[2].partition(":")[0] for request in self.requests]


class View:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []
        self.errors: dict[str, AssayError | None] = {}

    def start(self, name: str) -> None:
        self.events.append(("start", name))

    def step(self, name: str, text: str) -> None:
        self.events.append(("step", name, text))

    def done(self, name: str, built: Built, fresh: bool) -> None:
        self.events.append(("done", name, "fresh" if fresh else "kept"))

    def failed(self, name: str, error: AssayError | None) -> None:
        self.errors[name] = error

    def told(self, kind: str) -> list[str]:
        return [event[1] for event in self.events if event[0] == kind]


class Place:
    """A repository, an engine and a view."""

    def __init__(self, root: Path) -> None:
        self.root = repository(root)
        self.engine = Engine(root)
        self.view = View()

    def build(self, *names: str, options: Options | None = None) -> images.Images:
        self.view = View()
        self.engine.requests = []
        return build.build(self.catalog, self.engine, names, self.view, options)  # type: ignore[arg-type]

    @property
    def catalog(self) -> catalog.Catalog:
        return catalog.load(self.root)

    def known(self) -> dict[str, Built]:
        return read_images(self.root).images

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    (tmp_path / "tar").write_bytes(b"tar")
    monkeypatch.setattr(base, "rootfs", lambda image, on_step, fresh=False: tmp_path / "tar")
    monkeypatch.setattr(build, "uv_folder", lambda: tmp_path / "uv")
    monkeypatch.setattr(build.network, "secrets", lambda folder: {})
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return Place(tmp_path / "repo")


# ---- the graph -------------------------------------------------------------------------------------


def test_parents_first(place: Place) -> None:
    made = place.build()
    assert sorted(place.engine.built) == ORDER
    at = {name: index for index, name in enumerate(place.engine.built)}
    assert at["base/trixie"] < at["cuda/1.0"] < min(at["torchy"], at["tensory"])
    assert at["base/trixie"] < at["plain"]
    assert list(made.images) == ORDER
    assert place.known() == made.images
    assert place.view.errors == {}


def test_only_what_is_named_and_what_it_stands_on(place: Place) -> None:
    place.build("plain")
    assert place.engine.built == ["base/trixie", "plain"]
    assert list(place.known()) == ["base/trixie", "plain"]


def test_independent_images_are_built_side_by_side(place: Place) -> None:
    together = threading.Barrier(2, timeout=60)

    def meet(name: str) -> None:
        if name in {"torchy", "tensory"}:
            together.wait()  # breaks, if the other one waits for this one's end

    place.build("cuda/1.0")
    place.engine.on_build = meet
    place.build("torchy", "tensory")
    assert sorted(place.engine.built) == ["tensory", "torchy"]


def test_a_child_begins_as_soon_as_its_own_parent_is_there(place: Place) -> None:
    """The stack is held back until the image that stands on the base alone is done."""
    plain = threading.Event()

    def wait(name: str) -> None:
        if name == "cuda/1.0":
            assert plain.wait(60)
        if name == "plain":
            plain.set()

    place.engine.on_build = wait
    place.build()
    assert len(place.engine.built) == 5


def test_what_a_build_is_told(place: Place) -> None:
    place.build()
    requests = dict(zip(place.engine.built, place.engine.requests, strict=True))
    parent = place.known()["cuda/1.0"].digest
    torchy = requests["torchy"]
    assert torchy.args["PARENT"] == tag("cuda/1.0", images.short(parent))
    assert json.loads(torchy.args["PLAN"])["image"] == "torchy"
    assert torchy.labels["assay.cuda"] == "1.0"
    assert torchy.labels["org.opencontainers.image.version"] == "2.0"
    assert set(torchy.contexts) == {"common", "smoke", "uv"}
    assert (torchy.context, torchy.dockerfile) == (place.root / "images/torchy", place.root / "images/Dockerfile")
    assert "PARENT" not in requests["base/trixie"].args
    assert {request.args["SOURCE_DATE_EPOCH"] for request in requests.values()} == {"1767225600"}
    assert (place.root / "build/logs/torchy.log").read_text() == "a line\n# [1/1] RUN\n"
    assert (place.root / "build/logs/cuda-1.0.log").is_file()


def test_nothing_changed_nothing_built(place: Place) -> None:
    before = place.build()
    written = (place.root / "build/images.json").stat().st_mtime_ns
    assert place.build() == before
    assert place.engine.built == []
    assert {event[2] for event in place.view.events if event[0] == "done"} == {"kept"}
    assert (place.root / "build/images.json").stat().st_mtime_ns == written


def test_only_what_changed_is_built(place: Place) -> None:
    place.build()
    place.write("images/torchy/requirements.lock", (place.root / "images/torchy/requirements.lock").read_text() + "#")
    place.build()
    assert place.engine.built == ["torchy"]


def test_an_image_that_the_engine_lost_is_built_again(place: Place) -> None:
    place.build()
    del place.engine.names["assay/plain:latest"]
    place.build()
    assert place.engine.built == ["plain"]


def test_a_parent_with_another_digest_takes_its_children_along(place: Place) -> None:
    place.build()
    old = place.known()["cuda/1.0"].digest
    place.write("images/cuda/Dockerfile", "ARG PARENT\n#")
    place.engine.content = 1
    place.build()
    assert sorted(place.engine.built) == ["cuda/1.0", "tensory", "torchy"]
    assert place.known()["cuda/1.0"].digest != old
    assert tag("cuda/1.0", images.short(old)) not in place.engine.names  # the superseded one is let go
    assert tag("cuda/1.0", images.short(place.known()["cuda/1.0"].digest)) in place.engine.names


def test_a_parent_that_comes_out_the_same_leaves_its_children(place: Place) -> None:
    place.build()
    place.write("images/cuda/Dockerfile", "ARG PARENT\n#")
    place.build()
    assert place.engine.built == ["cuda/1.0"]


# ---- failures --------------------------------------------------------------------------------------


def failing(*names: str) -> Callable[[str], None]:
    def fail(name: str) -> None:
        if name in names:
            raise BuildFailed(f"{name} broke", "Mend it.")

    return fail


def test_a_failed_image_does_not_stop_those_that_do_not_need_it(place: Place) -> None:
    place.engine.on_build = failing("cuda/1.0")
    with pytest.raises(BuildFailed, match=r"cuda/1\.0 broke"):
        place.build()
    assert sorted(place.engine.built) == ["base/trixie", "cuda/1.0", "plain"]
    assert list(place.known()) == ["base/trixie", "plain"]
    assert {name: str(error) for name, error in place.view.errors.items()} == {
        "cuda/1.0": "cuda/1.0 broke\nMend it.",
        "tensory": "None",
        "torchy": "None",
    }
    place.engine.on_build = failing()
    place.build()
    assert sorted(place.engine.built) == ["cuda/1.0", "tensory", "torchy"]
    assert list(place.known()) == ORDER


def test_the_lowest_image_fails(place: Place) -> None:
    place.engine.on_build = failing("base/trixie")
    with pytest.raises(BuildFailed, match="base/trixie broke"):
        place.build()
    assert place.engine.built == ["base/trixie"]
    assert set(place.view.errors) == set(ORDER)
    assert place.known() == {}


def test_an_engine_that_dies(place: Place) -> None:
    def die(name: str) -> None:
        if name == "torchy":
            raise EngineMissing("the engine went away", "Run it again.")

    place.engine.on_build = die
    with pytest.raises(EngineMissing):
        place.build()
    assert "torchy" not in place.known()
    assert "plain" in place.known()


def until_the_builder_waits() -> None:
    """Come back once the main thread waits for its builds: Python's thread pool can be lost in other moments."""
    while True:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        while frame is not None:
            if frame.f_code.co_name == "wait" and frame.f_code.co_filename.endswith("concurrent/futures/_base.py"):
                return
            frame = frame.f_back
        time.sleep(0.01)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set when a build that was interrupted ends its processes; a Ctrl-C is heard even where the tests hear none."""
    event = threading.Event()
    monkeypatch.setattr(process, "end_all", event.set)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield event
    signal.signal(signal.SIGINT, before)


def interrupt_the_builder(ended: threading.Event) -> None:
    until_the_builder_waits()
    while True:  # a signal in the very moment before Python waits is seen only with the next one
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if ended.wait(5):
            return


def test_an_interrupt_keeps_what_is_finished(place: Place, ended: threading.Event) -> None:
    def interrupt(name: str) -> None:
        if name in {"cuda/1.0", "plain"}:
            if name == "cuda/1.0":
                interrupt_the_builder(ended)
            assert ended.wait(60)  # the process of this build, ended
            raise BuildFailed(f"{name} was ended", "Run it again.")

    place.engine.on_build = interrupt
    with pytest.raises(KeyboardInterrupt):
        place.build()
    assert ended.is_set()
    assert list(place.known()) == ["base/trixie"]
    assert not [name for name in threading.enumerate() if name.name.startswith("build")]
    place.engine.on_build = failing()
    place.build()
    assert "base/trixie" not in place.engine.built
    assert list(place.known()) == ORDER


def test_parents_layers_that_are_no_prefix(place: Place) -> None:
    place.engine.foreign = {"torchy"}
    with pytest.raises(BuildFailed, match=r"torchy does not stand on cuda/1\.0") as caught:
        place.build()
    assert "images/Dockerfile" in caught.value.todo
    assert list(place.known()) == [name for name in ORDER if name != "torchy"]
    assert not [name for name in place.engine.names if name.startswith("assay/torchy:") and "latest" not in name]


def test_an_image_above_its_limit(place: Place) -> None:
    place.engine.size = 2 * 10**9
    place.build("plain")
    place.engine.size += 1
    with pytest.raises(BuildFailed, match=r"torchy takes 2\.0 GB, and its limit is 2 GB"):
        place.build("torchy")
    assert "cuda/1.0" in place.known()  # no limit is set for that
    assert "torchy" not in place.known()


def test_an_image_that_is_gone_or_another_after_its_build(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.engine, "image", lambda reference: None)
    with pytest.raises(BuildFailed, match="and then it was gone"):
        place.build("plain")
    other = ImageFacts("sha256:other", "", (), (), {}, {}, "", (), 0)
    monkeypatch.setattr(place.engine, "image", lambda reference: other)
    with pytest.raises(BuildFailed, match="is sha256:other, but sha256:"):
        place.build("plain")


@pytest.mark.parametrize(("free", "enough"), [(2 * 3 * 1.6e9 + 1, True), (2 * 3 * 1.6e9 - 1, False)])
def test_room_is_looked_for_first(place: Place, monkeypatch: pytest.MonkeyPatch, free: float, enough: bool) -> None:
    usage = shutil.disk_usage(place.root)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda path: type(usage)(10**12, 0, int(free)))
    if enough:
        place.build()
        return
    with pytest.raises(BuildFailed, match="10 GB are needed below") as caught:
        place.build()
    assert len(str(caught.value).splitlines()) == 2
    assert place.engine.built == []


def test_room_for_a_stack_is_counted_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("images/cuda/1.0/image.toml", STACK + "[limits]\nsize_gb = 1.5\n")
    usage = shutil.disk_usage(place.root)
    # 2 for plain, 1.5 for the stack, 0.5 each for the two above it
    monkeypatch.setattr(build.shutil, "disk_usage", lambda path: type(usage)(10**12, 0, int(4.5 * 1.6e9)))
    place.build()


def test_what_needs_the_most_room_is_built_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SIDE_BY_SIDE", 1)
    toml = place.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text().replace("size_gb = 2", "size_gb = 3"))
    place.build()
    assert place.engine.built == ["base/trixie", "cuda/1.0", "torchy", "plain", "tensory"]


def test_packed_are_framework_images_and_only_when_asked_for(place: Place) -> None:
    place.build("plain")
    assert place.engine.packed == []
    place.build("torchy", options=Options(pack=True))
    assert {name.rpartition(":")[0] for name in place.engine.packed} == {"assay/torchy"}
    assert set(place.engine.packed) == set(place.engine.tags("assay/torchy"))


def test_room_is_needed_for_what_is_not_there_yet(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.build()
    usage = shutil.disk_usage(place.root)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda path: type(usage)(1, 1, 0))
    place.build()
    monkeypatch.setattr(place.engine, "data_root", lambda: Path("/no/such/folder"))  # an engine elsewhere
    place.write("build/images.json", '{"schema": 1, "images": {}}')
    place.build()


# ---- images.json -----------------------------------------------------------------------------------

BUILT = Built("k", None, "sha256:1", "sha256:2", ("a",), (("l", 3),), 1, 2, 3.5, "2026-01-01T00:00:00Z")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    write_images(tmp_path, {"b": BUILT, "a": BUILT})
    assert list(read_images(tmp_path).images) == ["a", "b"]
    assert read_images(tmp_path).images["b"] == BUILT
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["images.json"]


def test_none_yet(tmp_path: Path) -> None:
    assert read_images(tmp_path) == images.Images()


def written(tmp_path: Path, data: bytes) -> UsageError:
    (tmp_path / "build").mkdir(exist_ok=True)
    (tmp_path / "build/images.json").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_images(tmp_path)
    assert len(str(caught.value).splitlines()) == 2
    assert "Delete it" in caught.value.todo
    return caught.value


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", b"[" * 100000, b'{"schema": 1, "images": {"a": {}}}', b'{"schema": 1, "x": 1}'],
)
def test_a_damaged_list_of_images(tmp_path: Path, data: bytes) -> None:
    written(tmp_path, data)


def test_a_truncated_list_of_images_anywhere(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    write_images(tmp_path, {"a": BUILT})
    data = (tmp_path / "build/images.json").read_bytes().rstrip()
    for stop in range(len(data)):
        written(tmp_path, data[:stop])


@pytest.mark.parametrize("schema", [0, 2])
def test_a_list_of_another_schema(tmp_path: Path, schema: int) -> None:
    assert "schema" in written(tmp_path, json.dumps({"schema": schema, "images": {}}).encode()).what


@given(st.binary())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = tmp_path_factory.getbasetemp() / "images"
    (root / "build").mkdir(parents=True, exist_ok=True)
    (root / "build/images.json").write_bytes(data)
    try:
        read_images(root)
    except UsageError:
        return


def test_a_damaged_list_stops_a_build_before_it_begins(place: Place) -> None:
    place.write("build/images.json", '{"schema": 9}')
    with pytest.raises(UsageError):
        place.build()
    assert place.engine.built == []


def test_one_build_at_a_time(place: Place) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait(name: str) -> None:
        begun.set()
        assert go.wait(60)

    place.engine.on_build = wait
    first = threading.Thread(target=lambda: place.build("base/trixie"))
    first.start()
    assert begun.wait(60)

    class Told(View):
        def step(self, name: str, text: str) -> None:
            assert "waiting for another build" in text
            go.set()

    view = Told()
    build.build(place.catalog, place.engine, ["base/trixie"], view)  # type: ignore[arg-type]
    first.join(60)
    assert ("done", "base/trixie", "kept") in view.events


@pytest.fixture
def elsewhere(place: Place) -> Iterator[TextIO]:
    """A build on the same engine, of another checkout, which is under way."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / "builds.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield handle


def test_a_build_elsewhere_on_the_engine_keeps_its_cache(place: Place, elsewhere: TextIO) -> None:
    place.build()
    assert place.engine.built, "it builds beside it"
    assert not place.engine.tidied
    fcntl.flock(elsewhere, fcntl.LOCK_UN)
    place.write("images/torchy/requirements.lock", (place.root / "images/torchy/requirements.lock").read_text() + "#")
    place.build()
    assert place.engine.tidied


def test_a_packing_build_waits_for_one_elsewhere(place: Place, elsewhere: TextIO) -> None:
    built_before: list[list[str]] = []

    class Told(View):
        def step(self, name: str, text: str) -> None:
            if "waiting for another build on this engine" in text:
                built_before.append(place.engine.built)
                fcntl.flock(elsewhere, fcntl.LOCK_UN)

    build.build(place.catalog, place.engine, ["plain"], Told(), Options(pack=True))  # type: ignore[arg-type]
    assert built_before == [[]]
    assert place.engine.built == ["base/trixie", "plain"]


def test_waiting_for_one_elsewhere_can_be_interrupted(
    place: Place, elsewhere: TextIO, ended: threading.Event
) -> None:
    class Told(View):
        def step(self, name: str, text: str) -> None:
            if "waiting for another build on this engine" in text:
                interrupt_the_builder(ended)

    with pytest.raises(KeyboardInterrupt):
        build.build(place.catalog, place.engine, ["plain"], Told(), Options(pack=True))  # type: ignore[arg-type]
    assert place.engine.built == []


# ---- the key ---------------------------------------------------------------------------------------

INPUTS = [
    "images/Dockerfile",
    "images/torchy/requirements.lock",
    "images/common/entrypoint",
    "images/common/new",
    "images/torchy/patch.diff",
    "smoke/run.py",
    "smoke/checks/new.py",
    "smoke/README.md",  # part of the suite, whose digest is in the certificate
]
NO_INPUTS = [
    "README.md",
    "images/README.md",
    "images/torchy/README.md",
    "images/torchy/requirements.in",
    "images/torchy/__pycache__/x.pyc",
    "images/common/__pycache__/x.pyc",
    "smoke/__pycache__/run.pyc",
    "images/tensory/patch.diff",
    "images/tensory/requirements.lock",
    "images/cuda/Dockerfile",  # seen through the parent's digest
    "build/images.json",
    "assay/build.py",
]


def key(place: Place, name: str = "torchy", parent: str = "sha256:1") -> str:
    return build.input_key(place.catalog, place.catalog.get(name), parent)


def change(place: Place, name: str) -> None:
    path = place.root / name
    before = path.read_text() if path.is_file() else ""
    place.write(name, before + "\n# changed\n")


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_changes_the_key(place: Place, name: str) -> None:
    before = key(place)
    change(place, name)
    assert key(place) != before


@pytest.mark.parametrize("name", NO_INPUTS)
def test_what_is_no_input_does_not(place: Place, name: str) -> None:
    before = key(place)
    change(place, name)
    assert key(place) == before


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('summary = "A framework"', 'summary = "Another"', False),
        ("[limits]", '[labels]\nextra = "1"\n[limits]', False),
        ('workloads = ["digits"]', 'workloads = ["digits", "sequence"]', False),
        ('module = "torch"', 'module = "torch.x"', False),
        ("size_gb = 2", "size_gb = 3", True),
        ("[framework]", '\nnotes = ["x"]\n[framework]', True),
        ("[image]", "# a remark\n[image]", True),
    ],
)
def test_of_image_toml_what_ends_up_in_the_image(place: Place, old: str, new: str, same: bool) -> None:
    before = key(place)
    text = (place.root / "images/torchy/image.toml").read_text()
    assert old in text
    place.write("images/torchy/image.toml", text.replace(old, new))
    assert (key(place) == before) == same


def test_what_comes_as_source_is_an_input_and_so_is_what_builds_it(place: Place) -> None:
    def environment() -> str:
        return build.environment_tag(place.catalog, place.catalog.get("torchy"), "sha256:1", "")

    for name in build.SOURCE_INSTALLERS:
        place.write(f"images/common/{name}", "")
    lock = (place.root / "images/torchy/requirements.lock").read_text()
    tools = "".join(f"{name}==1.0 --hash=sha256:{'a' * 64}\n" for name in catalog.BUILD_TOOLS)
    place.write("images/torchy/requirements.lock", lock + tools)
    names = [environment(), key(place)]
    toml = (place.root / "images/torchy/image.toml").read_text()
    place.write("images/torchy/image.toml", toml + "[sources]\ntorch = []\n")
    names += [environment(), key(place)]
    change(place, "images/common/install-sources")
    names += [environment(), key(place)]
    assert len(set(names)) == 6
    place.build("torchy")
    assert [request.args.get("SOURCES") for request in place.engine.requests][-1] == "torch"


def test_a_lock_is_split_by_how_its_distributions_come(tmp_path: Path) -> None:
    a, b = "a" * 64, "b" * 64
    wheel, source = f"six==1.17 \\\n    --hash=sha256:{a}\n    # via -r x\n", f"theano==1.0 --hash=sha256:{b}\n"
    (tmp_path / "lock").write_text(f"# Written by\n{source}{wheel}")
    script = Path(__file__).parents[2] / "images/common/split-lock"

    def split(*names: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, str(script), str(tmp_path / "lock"), str(tmp_path), *names]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    assert split("theano").returncode == 0
    assert (tmp_path / "wheels.lock").read_text() == wheel
    assert (tmp_path / "sources.lock").read_text() == source
    done = split("theano", "pygpu")
    assert (done.returncode, done.stderr) == (1, "not in the lock: pygpu\n")


def test_the_parents_digest_the_uv_and_the_recipe(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {key(place), key(place, parent="sha256:2"), key(place, "tensory")}
    monkeypatch.setattr(build, "version", lambda name: "0.0.1")
    keys.add(key(place))
    monkeypatch.setattr(build, "RECIPE", 99)
    keys.add(key(place))
    assert len(keys) == 5


def test_a_stack_has_no_suite_in_it(place: Place) -> None:
    before = key(place, "cuda/1.0"), key(place, "base/trixie")
    change(place, "smoke/run.py")
    assert (key(place, "cuda/1.0"), key(place, "base/trixie")) == before


def test_a_file_that_moved_is_another_input(place: Place) -> None:
    change(place, "images/common/new")
    before = key(place)
    (place.root / "images/common/new").rename(place.root / "images/common/other")
    assert key(place) != before


# ---- building twice --------------------------------------------------------------------------------


def test_reproducing(place: Place) -> None:
    rows = build.reproduce(place.catalog, place.engine, ["torchy"], place.view)  # type: ignore[arg-type]
    assert [row.name for row in rows] == ["base/trixie", "cuda/1.0", "torchy"]
    build.require_same(rows)
    again = place.engine.requests[3:]
    assert all(request.no_cache and request.tag.startswith("assay-trial/") for request in again)
    assert again[2].args["PARENT"].startswith("assay-trial/cuda/1.0:")
    assert not [name for name in place.engine.names if "trial" in name]
    assert list(place.known()) == ["base/trixie", "cuda/1.0", "torchy"]


def test_what_does_not_come_out_the_same(place: Place) -> None:
    place.build()

    def other(name: str) -> None:
        place.engine.content += 1

    place.engine.on_build = other
    before = place.known()
    rows = build.reproduce(place.catalog, place.engine, ["plain"], View())  # type: ignore[arg-type]
    with pytest.raises(BuildFailed, match="base/trixie, plain: a second build gave another digest"):
        build.require_same(rows)
    assert place.known() == before


def test_a_trial_that_fails_leaves_nothing(place: Place) -> None:
    place.build()
    place.engine.on_build = failing("plain")
    before: Any = place.known()
    with pytest.raises(BuildFailed, match="plain broke"):
        build.reproduce(place.catalog, place.engine, ["plain"], View())  # type: ignore[arg-type]
    assert not [name for name in place.engine.names if "trial" in name]
    assert place.known() == before


STAGED = "ARG PARENT\nFROM ${PARENT} AS environment\nRUN install\n"


@pytest.fixture
def staged(place: Place) -> Place:
    """A repository whose framework's Dockerfile has an environment to keep; built once."""
    (place.root / "images/torchy/Dockerfile").write_text(STAGED)
    place.build()
    return place


def targets(place: Place) -> list[str | None]:
    return [request.target for request in place.engine.requests if "torchy" in request.tag]


def test_an_environment_is_built_by_itself_and_the_image_from_it(staged: Place) -> None:
    first, second = [request for request in staged.engine.requests if "torchy" in request.tag]
    assert (first.target, second.target) == ("environment", None)
    assert first.dockerfile == staged.root / "images/torchy/Dockerfile"
    assert second.dockerfile == staged.root / "images/Dockerfile", "which has the last stage of all frameworks"
    assert second.contexts["environment"] == f"docker-image://{first.tag}"
    assert "PLAN" in second.args
    assert "PLAN" not in first.args
    assert first.labels == {}


def test_stages_are_told_apart_however_a_from_is_written(staged: Place) -> None:
    torchy = staged.catalog.get("torchy")
    for text in (
        "FROM --platform=linux/amd64 x AS environment\n",
        "from x as environment\n",
        "FROM x\tAS environment\n",
    ):
        torchy.dockerfile.write_text(text)
        assert planning.has_environment(torchy), text
        assert planning.last_dockerfile(staged.catalog, torchy) == staged.root / "images/Dockerfile"
        torchy.dockerfile.write_text(text + "FROM --platform=linux/amd64 environment\n")
        with pytest.raises(UsageError, match="goes on after its stage"):
            planning.last_dockerfile(staged.catalog, torchy)


def test_a_changed_suite_leaves_the_environment(staged: Place) -> None:
    (staged.root / "smoke/more.py").write_text("")
    staged.build()
    assert targets(staged) == [None]


def test_a_changed_lock_or_installer_does_not(staged: Place) -> None:
    for name in ("images/common/install-lock", "images/common/byte-compile", "images/torchy/extra"):
        (staged.root / name).write_text("# changed")
        staged.build()
        assert targets(staged) == ["environment", None], name
    environments = [name for name in staged.engine.names if ":environment-" in name]
    assert len(environments) == 1, "older ones are let go of"


def test_a_changed_last_stage_is_an_input_of_what_is_put_on_an_environment(staged: Place) -> None:
    place = staged.root / "images/Dockerfile"
    place.write_text(place.read_text() + "\nLABEL changed=1\n")
    staged.build()
    assert targets(staged) == [None]
    torchy = staged.catalog.get("torchy")
    assert "images/Dockerfile" in planning.inputs(staged.catalog, torchy)


def test_a_dockerfile_that_goes_on_after_its_environment_is_refused(staged: Place) -> None:
    (staged.root / "images/torchy/Dockerfile").write_text(STAGED + "FROM environment\nRUN more\n")
    with pytest.raises(UsageError, match="images/torchy/Dockerfile goes on after its stage `environment`"):
        staged.build()


def test_without_the_cache_the_environment_is_built_anew(staged: Place) -> None:
    staged.build(options=Options(no_cache=True, suffix="-trial"))
    assert targets(staged) == ["environment", None]


# ---- build tools -----------------------------------------------------------------------------------

TOOLS = '[image]\nsummary = "Compilers"\n[tools]\nsuite = "trixie"\ninclude = ["g++"]\n'


@pytest.fixture
def with_tools(place: Place) -> Place:
    """A repository with build tools, which the framework with the environment to keep asks for; built once."""
    place.write("images/tools/torchy/image.toml", TOOLS)
    place.write("images/tools/torchy/packages.lock", f"# rootfs sha256:{'a' * 64}\ng++=1 sha256:{'b' * 64}\n")
    toml = place.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text().replace("[framework]", 'build_tools = "tools/torchy"\n[framework]', 1))
    (place.root / "images/torchy/Dockerfile").write_text(STAGED)
    place.build()
    return place


def test_tools_go_into_the_environments_build_and_nowhere_else(with_tools: Place) -> None:
    assert sorted(with_tools.view.told("done")) == ["base/trixie", "cuda/1.0", "plain", "tensory", "torchy"]
    told = {request.target: request.contexts for request in with_tools.engine.requests if "torchy" in request.tag}
    folder, _, digest = told["environment"]["tools"].removeprefix("oci-layout://").partition("@")
    assert digest.startswith("sha256:")
    assert not Path(folder).exists(), "the layout is there for the build only"
    assert "tools" not in told[None]
    others = [request for request in with_tools.engine.requests if "torchy" not in request.tag]
    assert others
    assert all("tools" not in request.contexts for request in others)


def test_tools_are_not_asked_for_while_the_environment_is_there(
    with_tools: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rootfs(image: catalog.Image, *_: object, **__: object) -> Path:
        raise AssertionError(f"{image.name} is made")

    monkeypatch.setattr(base, "rootfs", rootfs)
    (with_tools.root / "smoke/more.py").write_text("")
    with_tools.build("torchy")
    assert targets(with_tools) == [None]


def test_other_tools_another_environment(with_tools: Place) -> None:
    path = with_tools.root / "images/tools/torchy/packages.lock"
    path.write_text(path.read_text().replace("g++=1", "g++=2"))
    with_tools.build()
    assert targets(with_tools) == ["environment", None]
    assert with_tools.view.told("start") == ["torchy"]


def test_a_trial_makes_the_tools_anew(with_tools: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, bool] = {}
    real = base.rootfs

    def rootfs(image: catalog.Image, on_step: Callable[[str], None], *, fresh: bool) -> Path:
        asked[image.name] = fresh
        return real(image, on_step)

    monkeypatch.setattr(base, "rootfs", rootfs)
    with_tools.build("torchy", options=Options(no_cache=True, suffix="-trial"))
    assert asked == {"base/trixie": True, "tools/torchy": True}


def test_tools_are_no_image_to_build(with_tools: Place) -> None:
    with pytest.raises(UsageError, match="tools/torchy are build tools, and no image is made of them"):
        with_tools.build("tools/torchy")


def test_tools_are_among_the_locked_inputs(with_tools: Place) -> None:
    inputs = planning.inputs(with_tools.catalog, with_tools.catalog.get("torchy"))
    assert [name for name in inputs if "tools" in name] == [
        "images/tools/torchy/image.toml",
        "images/tools/torchy/packages.lock",
    ]


def test_what_a_build_does_with_the_locks_is_among_the_inputs(staged: Place) -> None:
    before = planning.inputs(staged.catalog, staged.catalog.get("torchy"))
    staged.write("images/torchy/make-wheel", "#!/usr/bin/python3")
    staged.write("images/common/install-lock", "#!/bin/sh\n# another")
    staged.write("images/torchy/README.md", "What it is.")
    inputs = planning.inputs(staged.catalog, staged.catalog.get("torchy"))
    assert inputs.keys() - before.keys() == {"images/torchy/make-wheel"}
    assert {name for name in before if inputs[name] != before[name]} == {"images/common/install-lock"}


def test_what_is_built_is_among_the_packages(place: Place) -> None:
    toml = place.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text() + '[built]\nPy_Torch = "1.0+git1"\n')
    image = place.catalog.get("torchy")
    assert planning.packages(image) == {"cuda-lib": "1.0", "torch": "2.0", "py-torch": "1.0+git1"}
    assert planning.plan(image)["packages"] == planning.packages(image)


def test_what_is_put_beside_and_what_may_be_said_reach_the_plan(place: Place) -> None:
    toml = place.root / "images/torchy/image.toml"
    (place.root / "images/common/beside/ours").mkdir(parents=True)
    more = "[beside]\nours = '2'\n[as_found]\nstderr = ['a .*']\n[uncalled]\n'libx.so.1' = 'nothing asks it'\n"
    assert not {"stderr", "uncalled"} & planning.plan(place.catalog.get("torchy")).keys()
    toml.write_text(toml.read_text() + more)
    plan = planning.plan(place.catalog.get("torchy"))
    assert (plan["stderr"], plan["uncalled"]) == (["a .*"], {"libx.so.1": "nothing asks it"})
    assert planning.packages(place.catalog.get("torchy"))["ours"] == "2"


def test_what_is_put_beside_comes_with_the_suite_and_builds_no_environment_anew(staged: Place) -> None:
    staged.write("images/common/beside/ours/module.py", "")
    toml = staged.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text() + "[beside]\nours = '2'\n")
    staged.build()
    staged.write("images/common/beside/ours/module.py", "# changed")
    staged.build()
    assert targets(staged)[-1:] == [None]
    assert targets(staged).count("environment") <= 1


def test_what_installs_built_wheels_is_an_input_of_those_who_build_any(staged: Place) -> None:
    staged.write("images/common/install-wheels", "#!/bin/sh")
    staged.build()
    assert targets(staged) == [None], "it is among the common files, as each of them is"
    toml = staged.root / "images/torchy/image.toml"
    toml.write_text(toml.read_text() + '[built]\ntorchy = "1.0"\n')
    staged.build()
    staged.write("images/common/install-wheels", "# changed")
    staged.build()
    assert targets(staged) == ["environment", None]
