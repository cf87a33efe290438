"""Build images: parents first, independent ones side by side, the same bits every time.

Reads ``images/``, writes ``build/images.json`` (schema 1): per image its digests, sizes and seconds, and the key
of all that went into it. An image whose key is unchanged and which the engine still has is not built again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import graphlib
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TextIO

import uv

from assay import base, network, oci, paths, planning
from assay.catalog import Catalog, Image
from assay.certificate import suite_digest
from assay.engine import BuildRequest, Engine, ImageFacts, Step, process
from assay.errors import AssayError, BuildFailed, UsageError
from assay.images import Built, Images, read_images, repository, short, tag, write_images
from assay.planning import ENVIRONMENT

# Content and snapshot of an image, against its uncompressed size: measured 1.55 for PyTorch.
ROOM_FACTOR = 1.6
# The content alone, which is all that is kept of a framework image that is packed.
PACKED_FACTOR = 0.6
SIDE_BY_SIDE = 2
# Raise it when this file changes what goes into an image in a way that no input shows.
RECIPE = 1
# The files of images/common that install; the others go into the image.
INSTALLERS = ("install-lock", "byte-compile")
WHEEL_INSTALLER = "install-wheels"
SOURCE_INSTALLERS = ("split-lock", "install-sources")


class View(Protocol):
    """What a build tells whoever watches it; calls come from several threads."""

    def start(self, name: str) -> None:
        """An image's turn has come."""

    def step(self, name: str, text: str) -> None:
        """What is being done for it."""

    def done(self, name: str, built: Built, fresh: bool) -> None:
        """It is there; ``fresh`` if this run built it."""

    def failed(self, name: str, error: AssayError | None) -> None:
        """It could not be built; without an error, because its parent was not."""


@dataclass(frozen=True)
class Options:
    """How to build. ``suffix`` sets the names of a trial build apart; it leaves no trace in images.json.

    Without the cache the base is bootstrapped anew too, unless ``keep_base``. With ``pack`` the embedded engine holds
    framework images compressed only, from when they are built to when they are run.
    """

    no_cache: bool = False
    keep_base: bool = False
    pack: bool = False
    suffix: str = ""


@dataclass
class _Run:
    """One call of `build`: what is known so far."""

    catalog: Catalog
    engine: Engine
    view: View
    options: Options
    built: dict[str, Built] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    fresh: bool = False

    def building(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Where the engine builds: with others, or alone if this run packs and so tidies after each image."""
        return _engine_turn(lambda text: self.view.step(name, text), self.stop, alone=self.options.pack)


def build(cat: Catalog, engine: Engine, names: Iterable[str], view: View, options: Options | None = None) -> Images:
    """Build the named images (none: all) and what they stand on; returns what `images.json` then says.

    A failed image does not stop those that do not need it; the first failure is raised at the end.
    """
    options = options or Options()
    order = cat.order(names)
    run = _Run(cat, engine, view, options)
    with _locked(cat.root, view):
        known = read_images(cat.root).images if not options.suffix else {}
        run.built.update(known)
        _check_room(engine, order, known, pack=options.pack)
        try:
            _graph(run, order)
        finally:
            if run.fresh and engine.answers():
                _tidy(engine)
        return Images(images=dict(sorted(run.built.items())))


def _graph(run: _Run, order: tuple[Image, ...]) -> None:
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter(
        {image.name: [image.parent] if image.parent else [] for image in order}
    )
    sorter.prepare()
    weights = _weights(order)
    broken: set[str] = set()
    failures: list[AssayError] = []
    pool = ThreadPoolExecutor(max_workers=SIDE_BY_SIDE, thread_name_prefix="build")
    ready: list[str] = []
    pending: dict[Future[Built], str] = {}
    try:
        while sorter.is_active():
            ready = sorted([*ready, *sorter.get_ready()], key=lambda name: (-weights[name], name))
            while ready and len(pending) < SIDE_BY_SIDE:
                name = ready.pop(0)
                if run.catalog.get(name).parent in broken:
                    broken.add(name)
                    run.view.failed(name, None)
                    sorter.done(name)
                else:
                    pending[pool.submit(_one, run, run.catalog.get(name))] = name
            finished, _ = wait(pending, return_when=FIRST_COMPLETED) if pending else (set(), set())
            for future in finished:
                name = pending.pop(future)
                try:
                    future.result()
                except AssayError as error:
                    broken.add(name)
                    failures.append(error)
                    run.view.failed(name, error)
                sorter.done(name)
    except BaseException:
        run.stop.set()
        process.end_all()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if failures:
        raise failures[0]


def _weights(order: Iterable[Image]) -> dict[str, float]:
    """The limit in GB of the largest image on each: what needs the most room is built while there is the most."""
    weights: dict[str, float] = {}
    for image in reversed(tuple(order)):
        weights[image.name] = max(weights.get(image.name, 0.0), image.size_gb or 0.0)
        if image.parent:
            weights[image.parent] = max(weights.get(image.parent, 0.0), weights[image.name])
    return weights


def _one(run: _Run, image: Image) -> Built:
    parent = run.built[image.parent] if image.parent else None
    key = input_key(run.catalog, image, parent.digest if parent else None)
    name = tag(image.name, "latest", run.options.suffix)
    known = run.built.get(image.name)
    if known and known.key == key and not run.options.suffix and run.engine.digest(name) == known.digest:
        run.view.done(image.name, known, fresh=False)
        return known
    run.view.start(image.name)
    started = time.monotonic()
    suite = suite_digest(run.catalog.root / "smoke", image.framework.name) if image.framework else None
    digest = _build_one(run, image, parent, name)
    built = _facts(run.engine, name, key, suite, digest, time.monotonic() - started)
    _check_built(run, image, built, parent)
    run.engine.tag(name, tag(image.name, short(digest), run.options.suffix))
    with run.lock:
        run.fresh = True
        run.built[image.name] = built
        if not run.options.suffix:
            write_images(run.catalog.root, run.built)
    _forget_older(run, image, parent, digest)
    if run.options.pack:
        with run.building(image.name):
            run.engine.tidy()
            if image.framework:
                run.engine.pack(run.engine.tags(repository(image.name, run.options.suffix)))
    run.view.done(image.name, built, fresh=True)
    return built


def _forget_older(run: _Run, image: Image, parent: Built | None, digest: str) -> None:
    """Take the names of earlier builds away, so that the engine can let go of their layers."""
    suffix = run.options.suffix
    current = {tag(image.name, name, suffix) for name in ("latest", short(digest))}
    current.add(environment_tag(run.catalog, image, parent.digest if parent else None, suffix))
    for other in run.engine.tags(repository(image.name, suffix)):
        if other not in current:
            run.engine.remove(other)


def _build_one(run: _Run, image: Image, parent: Built | None, name: str) -> str:
    with tempfile.TemporaryDirectory(prefix="assay-") as temporary:
        request = _request(run, image, parent, name, Path(temporary))
        log = run.catalog.root / "build" / "logs" / f"{image.name.replace('/', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as lines:

            def on_step(step: Step) -> None:
                lines.write(f"{step.line if step.line is not None else '# ' + step.name}\n")
                run.view.step(image.name, step.line or step.name)

            if planning.has_environment(image):
                environment = _environment(run, image, parent, request, on_step)
                contexts = {**request.contexts, ENVIRONMENT: f"docker-image://{environment}"}
                dockerfile = planning.last_dockerfile(run.catalog, image)
                request = dataclasses.replace(request, dockerfile=dockerfile, contexts=contexts)
            with run.building(image.name):
                return run.engine.build(request, on_step)


def _environment(
    run: _Run, image: Image, parent: Built | None, request: BuildRequest, on_step: Callable[[Step], None]
) -> str:
    """The image of the Dockerfile's stage `environment`: built once for its inputs, whatever becomes of the suite."""
    name = environment_tag(run.catalog, image, parent.digest if parent else None, run.options.suffix)
    if run.options.no_cache or run.engine.digest(name) is None:
        args = {key: value for key, value in request.args.items() if key != "PLAN"}
        with _tools_context(run, image) as tools:
            contexts = {**request.contexts, **tools}
            request = dataclasses.replace(
                request, tag=name, target=ENVIRONMENT, args=args, labels={}, contexts=contexts
            )
            with run.building(image.name):
                run.engine.build(request, on_step)
    return name


@contextlib.contextmanager
def _tools_context(run: _Run, image: Image) -> Iterator[dict[str, str]]:
    """The image's build tools as the context `tools` that a stage can be built from, for as long as that takes."""
    if image.build_tools is None:
        yield {}
        return
    tar = _rootfs(run, image.build_tools, image.name)
    # It is as large as the tar, and so in the cache folder.
    with tempfile.TemporaryDirectory(prefix="layout-", dir=tar.parent) as folder:
        digest = oci.layout(tar, Path(folder))
        yield {"tools": f"oci-layout://{folder}@{digest}"}


def environment_tag(cat: Catalog, image: Image, parent_digest: str | None, suffix: str) -> str:
    """The local name of an image's environment, after all that goes into it."""
    parts = {"parent": parent_digest, **_inputs(image), "files": _hashes(cat, _environment_files(cat, image))}
    return tag(image.name, f"{ENVIRONMENT}-{_digest_of(parts)[:16]}", suffix)


def _request(run: _Run, image: Image, parent: Built | None, name: str, temporary: Path) -> BuildRequest:
    args = {"SOURCE_DATE_EPOCH": str(base.SOURCE_DATE_EPOCH)}
    if parent and image.parent:
        args["PARENT"] = tag(image.parent, short(parent.digest), run.options.suffix)
    if image.sources:
        args["SOURCES"] = " ".join(image.sources)
    if image.framework:
        args["PLAN"] = planning.plan_text(image)
    return BuildRequest(
        tag=name,
        dockerfile=image.dockerfile,
        context=_base_context(run, image, temporary / "context") if image.suite else image.folder,
        args=args,
        contexts={
            "common": str(run.catalog.root / "images" / "common"),
            "smoke": str(run.catalog.root / "smoke"),
            "uv": str(uv_folder()),
        },
        secrets=network.secrets(temporary),
        labels=planning.labels(image),
        no_cache=run.options.no_cache,
    )


def _base_context(run: _Run, image: Image, folder: Path) -> Path:
    """A folder with a base's root file system in it."""
    tar = _rootfs(run, image, image.name)
    folder.mkdir()
    _link(tar, folder / "rootfs.tar")
    return folder


def _rootfs(run: _Run, image: Image, shown: str) -> Path:
    fresh = run.options.no_cache and not run.options.keep_base
    return base.rootfs(image, lambda text: run.view.step(shown, text), fresh=fresh)


@dataclass(frozen=True)
class Reproduced:
    """One image, built twice."""

    name: str
    first: str
    again: str

    @property
    def same(self) -> bool:
        """Whether both builds gave the same manifest digest."""
        return self.first == self.again


def reproduce(cat: Catalog, engine: Engine, names: Iterable[str], view: View) -> list[Reproduced]:
    """Build images once more with no cache, from a base bootstrapped anew, and compare manifest digests.

    Images that were never built are built first. The second build leaves nothing behind.
    """
    order = cat.order(names)
    first = build(cat, engine, names, view).images
    trial = Options(no_cache=True, suffix="-trial")
    try:
        again = build(cat, engine, names, view, trial).images
    finally:
        for image in reversed(order):
            for name in engine.tags(repository(image.name, trial.suffix)):
                engine.remove(name)
        _tidy(engine)
    return [Reproduced(image.name, first[image.name].digest, again[image.name].digest) for image in order]


def smallest(cat: Catalog) -> str:
    """The built framework image that takes the least room; of those alone that are not compiled, if there are any."""
    built = read_images(cat.root).images
    sizes = {
        image.name: (image.build_tools is not None, built[image.name].uncompressed_bytes)
        for image in cat.frameworks()
        if image.name in built
    }
    if not sizes:
        raise UsageError("no framework image is built", "Run `assay build` first.")
    return min(sizes, key=lambda name: sizes[name])


def require_same(rows: Iterable[Reproduced]) -> None:
    """Raise `BuildFailed` unless every image came out the same."""
    other = [row.name for row in rows if not row.same]
    if other:
        raise BuildFailed(
            f"{', '.join(other)}: a second build gave another digest",
            "Compare the two with a tool such as diffoci; something in a step depends on time or place.",
        )


def input_key(cat: Catalog, image: Image, parent_digest: str | None) -> str:
    """A hash over everything that decides what an image will be."""
    parts: dict[str, object] = {"parent": parent_digest, "labels": planning.labels(image), **_inputs(image)}
    files = _environment_files(cat, image)
    if image.framework:
        parts["plan"] = planning.plan_text(image)
        parts["suite"] = suite_digest(cat.root / "smoke", image.framework.name)
        files += [planning.last_dockerfile(cat, image), *_tree(cat.root / "images" / "common")]
    return _digest_of({**parts, "files": _hashes(cat, files)})


def _inputs(image: Image) -> dict[str, object]:
    inputs: dict[str, object] = {"recipe": RECIPE, "epoch": base.SOURCE_DATE_EPOCH, "uv": version("uv")}
    return {**inputs, "sources": sorted(image.sources)} if image.sources else inputs


def _environment_files(cat: Catalog, image: Image) -> list[Path]:
    """The files that decide what is installed; of the common ones only those that do it."""
    tools = image.build_tools.packages_lock if image.build_tools else None
    files = [path for path in (image.dockerfile, image.lock, image.packages_lock, tools) if path]
    if image.suite is None:
        files += _tree(image.folder)
        installers = [*INSTALLERS, *((WHEEL_INSTALLER,) if image.built else ())]
        installers += SOURCE_INSTALLERS if image.sources else ()
        files += [cat.root / "images" / "common" / name for name in installers]
    return files


def _hashes(cat: Catalog, files: Iterable[Path]) -> dict[str, str]:
    return {
        path.relative_to(cat.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(set(files))
    }


def _digest_of(parts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


# What of an image.toml goes into an image stands in its plan and labels.
_NOT_INPUTS = ("image.toml", *planning.NO_INPUTS)


def _tree(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.name not in _NOT_INPUTS
    ]


def uv_folder() -> Path:
    """A folder that holds the uv program and nothing else, for the builds to mount."""
    folder = paths.cache() / "tools" / f"uv-{version('uv')}"
    if not (folder / "uv").is_file():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        partial.mkdir(parents=True, exist_ok=True)
        shutil.copy(uv.find_uv_bin(), partial / "uv")
        with contextlib.suppress(OSError):  # another command was first
            partial.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _facts(engine: Engine, name: str, key: str, suite: str | None, digest: str, seconds: float) -> Built:
    facts = _seen(engine, name)
    if facts.digest != digest:
        raise BuildFailed(f"{name} is {facts.digest}, but {digest} was just built", "Is another build running?")
    return Built(
        key=key,
        suite=suite,
        digest=digest,
        config=facts.config_digest,
        diff_ids=facts.diff_ids,
        layers=facts.layers,
        compressed_bytes=facts.compressed_bytes,
        uncompressed_bytes=facts.uncompressed_bytes,
        seconds=round(seconds, 1),
        built=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _seen(engine: Engine, name: str) -> ImageFacts:
    facts = engine.image(name)
    if facts is None:
        raise BuildFailed(f"{name} was built, and then it was gone", "Is something pruning the engine's images?")
    return facts


def _check_built(run: _Run, image: Image, built: Built, parent: Built | None) -> None:
    if parent and built.diff_ids[: len(parent.diff_ids)] != parent.diff_ids:
        raise BuildFailed(
            f"{image.name} does not stand on {image.parent}: its lowest layers are others",
            f"Begin {image.dockerfile.relative_to(run.catalog.root)} with ARG PARENT and FROM ${{PARENT}}.",
        )
    if image.size_gb and built.uncompressed_bytes > image.size_gb * 1e9:
        raise BuildFailed(
            f"{image.name} takes {built.uncompressed_bytes / 1e9:.1f} GB, and its limit is {image.size_gb:g} GB",
            "Find what grew with `docker history`, or raise limits.size_gb in its image.toml.",
        )


def _check_room(engine: Engine, order: Iterable[Image], known: Mapping[str, Built], *, pack: bool) -> None:
    """Refuse to begin what the disk cannot hold; what an image has from its parent is counted there."""
    root = engine.data_root()
    if not root.is_dir():
        return  # an engine on another machine
    limits = {image.name: image.size_gb or 0.0 for image in order}
    needed = 0.0
    for image in order:
        if image.name not in known:
            own = limits[image.name] - limits.get(image.parent or "", 0.0)
            needed += max(own, 0.0) * (PACKED_FACTOR if pack and image.framework else ROOM_FACTOR) * 1e9
    free = shutil.disk_usage(root).free
    if free < needed:
        raise BuildFailed(
            f"{needed / 1e9:.0f} GB are needed below {root} and {free / 1e9:.0f} GB are free",
            "Make room (`assay engine prune` drops the build cache), or build fewer images at a time.",
        )


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the two are on different disks."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextlib.contextmanager
def _locked(root: Path, view: View) -> Iterator[None]:
    """One build at a time in one checkout; the kernel lets go of the lock when a command dies."""
    folder = root / "build"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        if not _taken(handle, fcntl.LOCK_EX):
            view.step("", "waiting for another build in this checkout")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _engine_turn(tell: Callable[[str], None], stop: threading.Event, *, alone: bool) -> Iterator[None]:
    """Keep builds, of this checkout and of others, from losing the build cache to one that drops it.

    Raises `CancelledError` if ``stop`` is set while another one builds: a lock that is waited for could not be left.
    """
    with _engine_lock() as handle:
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        if not _taken(handle, kind):
            tell("waiting for another build on this engine")
            while not _taken(handle, kind):
                if stop.wait(0.2):
                    raise CancelledError
        yield


def _tidy(engine: Engine) -> None:
    """Drop the build cache. While something on the engine is built from it, that build is left to do it."""
    with _engine_lock() as handle:
        if _taken(handle, fcntl.LOCK_EX):
            engine.tidy()


def _engine_lock() -> TextIO:
    paths.cache().mkdir(parents=True, exist_ok=True)
    return (paths.cache() / "builds.lock").open("w")


def _taken(handle: TextIO, kind: int) -> bool:
    """Take a lock if it is free; the kernel lets go of it when the file is closed."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
