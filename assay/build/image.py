"""Build one image."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import uv

from assay import base, network, oci, paths, planning, suite
from assay.build.keys import environment_tag, input_key
from assay.build.limits import check_built
from assay.build.turns import engine_turn
from assay.build.watching import Options, View
from assay.catalog import Catalog, Image
from assay.engine import BuildRequest, Engine, ImageFacts, Step
from assay.errors import BuildFailed
from assay.images import Built, repository, short, tag, write_images
from assay.planning import ENVIRONMENT


@dataclass
class Run:
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
        return engine_turn(lambda text: self.view.step(name, text), self.stop, alone=self.options.pack)


def build_image(run: Run, image: Image) -> Built:
    """Build an image whose parent is there, unless it is up to date."""
    parent = run.built[image.parent] if image.parent else None
    key = input_key(run.catalog, image, parent.digest if parent else None)
    name = tag(image.name, "latest", run.options.suffix)
    known = run.built.get(image.name)
    if known and known.key == key and not run.options.suffix and run.engine.digest(name) == known.digest:
        run.view.done(image.name, known, fresh=False)
        return known
    run.view.start(image.name)
    started = time.monotonic()
    suite_digest = suite.digest(run.catalog.root / "smoke", image.framework.name) if image.framework else None
    digest = _build(run, image, parent, name)
    built = _facts(run.engine, name, key, suite_digest, digest, time.monotonic() - started)
    check_built(run.catalog.root, image, built, parent)
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


def _forget_older(run: Run, image: Image, parent: Built | None, digest: str) -> None:
    """Take the names of earlier builds away, so that the engine can let go of their layers."""
    suffix = run.options.suffix
    current = {tag(image.name, name, suffix) for name in ("latest", short(digest))}
    current.add(environment_tag(run.catalog, image, parent.digest if parent else None, suffix))
    for other in run.engine.tags(repository(image.name, suffix)):
        if other not in current:
            run.engine.remove(other)


def _build(run: Run, image: Image, parent: Built | None, name: str) -> str:
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
    run: Run, image: Image, parent: Built | None, request: BuildRequest, on_step: Callable[[Step], None]
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
def _tools_context(run: Run, image: Image) -> Iterator[dict[str, str]]:
    """The image's build tools as the context `tools` that a stage can be built from, for as long as that takes."""
    if image.build_tools is None:
        yield {}
        return
    tar = _rootfs(run, image.build_tools, image.name)
    # It is as large as the tar, and so in the cache folder.
    with tempfile.TemporaryDirectory(prefix="layout-", dir=tar.parent) as folder:
        digest = oci.layout(tar, Path(folder))
        yield {"tools": f"oci-layout://{folder}@{digest}"}


def _request(run: Run, image: Image, parent: Built | None, name: str, temporary: Path) -> BuildRequest:
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


def _base_context(run: Run, image: Image, folder: Path) -> Path:
    """A folder with a base's root file system in it."""
    tar = _rootfs(run, image, image.name)
    folder.mkdir()
    _link(tar, folder / "rootfs.tar")
    return folder


def _rootfs(run: Run, image: Image, shown: str) -> Path:
    fresh = run.options.no_cache and not run.options.keep_base
    return base.rootfs(image, lambda text: run.view.step(shown, text), fresh=fresh)


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


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the two are on different disks."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
