"""Build one image."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from assay import catalog, rootfs
from assay.build.contexts import base_context, context_of, uv_for
from assay.build.foreign import is_foreign
from assay.build.keys import environment_tag
from assay.build.limits import check_built
from assay.build.run import Run
from assay.build.watching import phase_of, tell_rootfs
from assay.catalog import Built, Drift, Image
from assay.catalog.built import repository, short, tag
from assay.catalog.drift import drift_label, drift_of
from assay.catalog.inputs import ENVIRONMENT, has_environment, last_dockerfile
from assay.catalog.labels import SUITE_LABEL
from assay.certificate import suite_files
from assay.engine import BuildRequest, Engine, ImageFacts, Step
from assay.errors import BuildFailed
from assay.host import files, foreign, network, paths
from assay.registry import Reference

# Until BuildKit has read what the first step needs.
PREPARING = "handing over"
CACHE = "cache"  # what the tags of build caches in a registry begin with


def build_image(run: Run, image: Image) -> Built:
    """Build an image whose parent is there, unless it is up to date."""
    parent = run.built[image.parent] if image.parent else None
    before = run.built.get(image.name)
    name = tag(image.name, "latest", run.options.suffix)
    if before and run.is_current(image) and _is_there(run, image, before, name):
        run.keep(image, before)
        run.leave(image)
        return run.end(image, before, fresh=False)
    run.view.start(image.name)
    started = time.monotonic()
    digest = _build(run, image, parent, name)
    built = _facts(run, image, name, digest, time.monotonic() - started)
    check_built(run.catalog.root, image, built, parent)
    run.engine.tag(name, tag(image.name, short(digest), run.options.suffix))
    run.fresh = True
    run.keep(image, built)
    _forget_older(run, image, parent, digest)
    if run.options.pack:
        with run.building(image.name):
            run.view.phase(image.name, "packing")
            _pack(run, image)
    return run.end(image, built, fresh=True)


def _is_there(run: Run, image: Image, before: Built, name: str) -> bool:
    """Whether the engine has an image of this digest, or can fetch it from where results meet."""
    if run.engine.digest(name) == before.digest:
        return True
    through = run.options.through
    if through is None or not through.has(image.name, before.digest):
        return False
    run.view.phase(image.name, "fetching")
    through.fetch(run.engine, image.name, before.digest, run.stop)
    return True


def _pack(run: Run, image: Image) -> None:
    """Drop the build cache, and pack what nothing is to be built on any more; what is still needed is held."""
    suffix = run.options.suffix
    done = run.leave(image) if image.framework else []
    if image.parent and image.parent not in done:
        run.engine.hold(tag(image.parent, "latest", suffix))
    run.engine.tidy()
    if done:
        run.engine.pack([name for one in done for name in run.engine.tags(repository(one, suffix))])


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
        log = run.log(image.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as lines:

            def on_step(step: Step) -> None:
                said = step.line if step.line is not None else f"# {step.name}"
                lines.write(f"{foreign.shown(said)}\n")
                phase = phase_of(step)
                if phase:
                    run.view.phase(image.name, phase)
                run.view.step(image.name, step.line or step.name)

            if has_environment(image):
                environment = _environment(run, image, parent, request, on_step)
                contexts = {**request.contexts, ENVIRONMENT: f"docker-image://{environment}"}
                dockerfile = last_dockerfile(run.catalog, image)
                request = dataclasses.replace(request, dockerfile=dockerfile, contexts=contexts)
            with run.building(image.name):
                run.view.phase(image.name, PREPARING)
                return run.engine.build(request, on_step)


def _environment(
    run: Run, image: Image, parent: Built | None, request: BuildRequest, on_step: Callable[[Step], None]
) -> str:
    """The image of the Dockerfile's stage `environment`: built once for its inputs, whatever becomes of the suite."""
    name = environment_tag(run.catalog, image, parent.digest if parent else None, run.options.suffix)
    if run.options.no_cache or not _has(run, name):
        args = {key: value for key, value in request.args.items() if key != "PLAN"}
        with _tools_context(run, image) as (tools, drift):
            contexts = {**request.contexts, **tools}
            labels = drift_label({**(parent.drift if parent else {}), **drift})
            request = dataclasses.replace(
                request,
                tag=name,
                target=ENVIRONMENT,
                args=args,
                labels=labels,
                contexts=contexts,
                cache_from=_cache(run.options.cache_from, image, ENVIRONMENT),
                cache_to=_cache(run.options.cache_to, image, ENVIRONMENT),
            )
            with run.building(image.name):
                run.view.phase(image.name, PREPARING)
                run.engine.build(request, on_step)
    return name


def _has(run: Run, name: str) -> bool:
    """Whether the engine has an environment that will do: a drifted one does not if drift is looked at anew."""
    if run.engine.digest(name) is None:
        return False
    anew = run.options.locked or run.options.refresh
    return not (anew and drift_of(_seen(run.engine, name).labels))


@contextlib.contextmanager
def _tools_context(run: Run, image: Image) -> Iterator[tuple[dict[str, str], dict[str, Drift]]]:
    """The image's build tools as the context `tools` of a stage, while it is built, and how they drifted."""
    if image.build_tools is None:
        yield {}, {}
        return
    made = _rootfs(run, image.build_tools, image.name)
    # It is as large as the tar, and so in the cache folder.
    with files.workspace(paths.cache() / "base", "layout") as folder:
        digest = rootfs.layout(made.tar, folder / "layout", image.built_for.architecture)
        drift = {image.build_tools.name: made.drift} if made.drift else {}
        yield {"tools": f"oci-layout://{folder / 'layout'}@{digest}"}, drift


def _request(run: Run, image: Image, parent: Built | None, name: str, temporary: Path) -> BuildRequest:
    args = {"SOURCE_DATE_EPOCH": str(rootfs.SOURCE_DATE_EPOCH)}
    if parent and image.parent:
        args["PARENT"] = tag(image.parent, short(parent.digest), run.options.suffix)
    if image.sources:
        args["SOURCES"] = " ".join(image.sources)
    if image.first and not image.suite:
        args["FIRST"] = " ".join(image.first)
    if image.framework:
        args["PLAN"] = catalog.plan_text(image)
    made = _rootfs(run, image, image.name) if image.suite else None
    drift = {image.name: made.drift} if made and made.drift else {}
    suite = _suite(run, image)
    return BuildRequest(
        tag=name,
        dockerfile=image.dockerfile,
        context=base_context(made.tar, image.first, temporary / "context")
        if made
        else context_of(image, temporary / "context"),
        args=args,
        contexts={
            "common": str(run.catalog.root / "images" / "common"),
            "smoke": str(run.catalog.root / "smoke"),
            "uv": str(uv_for(image, lambda text: run.view.phase(image.name, text))),
        },
        secrets=network.secrets(temporary),
        labels={**catalog.labels(image), **({SUITE_LABEL: suite} if suite else {}), **drift_label(drift)},
        no_cache=run.options.no_cache,
        platform=image.built_for.name if is_foreign(image.built_for) else None,
        cache_from=_cache(run.options.cache_from, image),
        cache_to=_cache(run.options.cache_to, image),
    )


def _cache(registry: str, image: Image, stage: str = "image") -> str | None:
    """The reference of the build cache of an image, or of its environment; None without a registry."""
    return str(Reference.parse(f"{registry.rstrip('/')}/{image.name}:{CACHE}-{stage}")) if registry else None


def _suite(run: Run, image: Image) -> str | None:
    """The digest of the suite that goes into an image; None where none does."""
    return suite_files.digest(run.catalog.root / "smoke", image.framework.name) if image.framework else None


def _rootfs(run: Run, image: Image, shown: str) -> rootfs.Rootfs:
    options = run.options
    made = run.ahead.take(image.name) if run.ahead else None
    if made:
        return made
    fresh = options.no_cache and not options.keep_base
    how = rootfs.How(fresh, options.locked, options.refresh, run.stop)
    return rootfs.rootfs(image, tell_rootfs(run.view, image, shown), how)


def _facts(run: Run, image: Image, name: str, digest: str, seconds: float) -> Built:
    facts = _seen(run.engine, name)
    if facts.digest != digest:
        raise BuildFailed(f"{name} is {facts.digest}, but {digest} was just built", "Is another build running?")
    before, options = run.built.get(image.name), run.options
    # The engine keeps steps: what once came from a registry's cache stays said until it is built without any.
    earlier = before.cache if before and not options.no_cache else ""
    return Built(
        key=run.key(image),
        suite=_suite(run, image),
        digest=digest,
        config=facts.config_digest,
        diff_ids=facts.diff_ids,
        layers=facts.layers,
        compressed_bytes=facts.compressed_bytes,
        uncompressed_bytes=facts.uncompressed_bytes,
        seconds=round(seconds, 1),
        built=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        drift=drift_of(facts.labels),
        builder=run.builder,
        cache=options.cache_from or earlier,
    )


def _seen(engine: Engine, name: str) -> ImageFacts:
    facts = engine.image(name)
    if facts is None:
        raise BuildFailed(f"{name} was built, and then it was gone", "Is something pruning the engine's images?")
    return facts
