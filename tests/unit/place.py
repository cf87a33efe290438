"""A small repository, an engine that only pretends, and a view that writes down: what a build needs."""

from __future__ import annotations

import hashlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from assay import build, catalog
from assay.build import Options
from assay.catalog import Built, read_images
from assay.catalog.drift import DRIFT_LABEL
from assay.engine import BuildRequest, ImageFacts, Step
from assay.errors import AssayError, BuildFailed
from tests.unit.repository import repository

ORDER = ["base/trixie", "cuda/1.0", "plain", "tensory", "torchy"]


STAGED = "ARG PARENT\nFROM ${PARENT} AS environment\nRUN install\n"


TOOLS = '[image]\nsummary = "Compilers"\n[tools]\nsuite = "trixie"\ninclude = ["g++"]\n'


class Engine:
    """Does what `assay.engine.Engine` does for a build, without one; ``on_build`` may interfere."""

    is_here = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requests: list[BuildRequest] = []
        self.names: dict[str, ImageFacts] = {}
        self.on_build: Callable[[str], None] = lambda name: None
        self.content = 0  # another content, another configuration and another digest
        self.compression = 3  # another level, another digest alone
        self.size = 10**9
        self.foreign: set[str] = set()  # images that ignore their parent
        self.lock = threading.Lock()
        self.tidied = 0
        self.packed: list[str] = []
        self.held: list[str] = []

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
        # Labels are inherited from what an image is built on: its parent, or its environment.
        below = [
            request.args.get("PARENT", ""),
            *(at.removeprefix("docker-image://") for at in request.contexts.values()),
        ]
        inherited = {key: text for one in below if one in self.names for key, text in self.names[one].labels.items()}
        labels = {**inherited, **request.labels}
        config = f"{name}{self.content}{labels.get(DRIFT_LABEL, '')}"
        digest = f"sha256:{hashlib.sha256(f'{config}{self.compression}'.encode()).hexdigest()}"
        facts = ImageFacts(digest, f"sha256:{config}", (*parent, name), ((name, 5),), labels, {}, "", self.size)
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

    def hold(self, reference: str) -> None:
        self.held.append(reference)

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

    def phase(self, name: str, text: str) -> None:
        self.events.append(("phase", name, text))

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

    def build(self, *names: str, options: Options | None = None) -> catalog.Images:
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


def failing(*names: str) -> Callable[[str], None]:
    def fail(name: str) -> None:
        if name in names:
            raise BuildFailed(f"{name} broke", "Mend it.")

    return fail


def key(place: Place, name: str = "torchy", parent: str = "sha256:1") -> str:
    return build.input_key(place.catalog, place.catalog.get(name), parent)


def change(place: Place, name: str) -> None:
    path = place.root / name
    before = path.read_text() if path.is_file() else ""
    place.write(name, before + "\n# changed\n")


def targets(place: Place) -> list[str | None]:
    return [request.target for request in place.engine.requests if "torchy" in request.tag]


def until_the_builder_waits() -> None:
    """Come back once the main thread waits for its builds: Python's thread pool can be lost in other moments."""
    while True:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        while frame is not None:
            if frame.f_code.co_name == "wait" and frame.f_code.co_filename.endswith("concurrent/futures/_base.py"):
                return
            frame = frame.f_back
        time.sleep(0.01)


def interrupt_the_builder(ended: threading.Event) -> None:
    until_the_builder_waits()
    while True:  # a signal in the very moment before Python waits is seen only with the next one
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if ended.wait(5):
            return
