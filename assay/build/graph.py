"""Build images: parents first, independent ones side by side, the same bits every time.

Reads ``images/``, writes ``build/images.json`` (schema 1): per image its digests, sizes and seconds, and the key
of all that went into it. An image whose key is unchanged and which the engine still has is not built again.
"""

from __future__ import annotations

import contextlib
import graphlib
import traceback
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait

from assay.build.ahead import Ahead
from assay.build.image import build_image
from assay.build.limits import SIDE_BY_SIDE, check_room
from assay.build.run import Run
from assay.build.turns import checkout_turn, tidy
from assay.build.watching import Options, View
from assay.catalog import Built, Catalog, Image, Images, read_images
from assay.engine import Engine
from assay.errors import AssayError, of_image, together
from assay.host import process

# What a view is told that is about no image.
ALL = "this build"


def build(
    cat: Catalog,
    engine: Engine,
    names: Iterable[str],
    view: View,
    options: Options | None = None,
    ahead: Ahead | None = None,
) -> Images:
    """Build the named images (none: all) and what they stand on; returns what `images.json` then says.

    A failed image does not stop those that do not need it, whatever was raised for it; at the end one error names all
    that failed. What was made ``ahead`` is used.
    """
    options = options or Options()
    order = cat.order(names)
    run = Run(cat, engine, view, options, ahead)
    if ahead:
        run.stop = ahead.stop
    with checkout_turn(cat.root, lambda text: view.phase(ALL, text)):
        view.phase(ALL, "")
        before = read_images(cat.root).images if not options.suffix else {}
        run.built.update(before)
        check_room(engine, order, before, pack=options.pack)
        try:
            failures = walk(run, order)
        finally:
            drop_cache(run)
        if failures:
            raise together(failures)
        return Images(images=dict(sorted(run.built.items())))


def drop_cache(run: Run) -> None:
    """Drop the build cache of the engine, if anything was built on it."""
    if run.fresh and run.engine.answers():
        run.view.phase(ALL, "dropping the build cache")
        tidy(run.engine)
        run.view.phase(ALL, "")


def walk(run: Run, order: tuple[Image, ...]) -> dict[str, AssayError]:
    """Build images that are in order, parents first; returns by its name what failed.

    Raises `CancelledError` once the run's ``stop`` is set.
    """
    run.above.update({image.name: {one.name for one in order if one.parent == image.name} for image in order})
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter(
        {image.name: [image.parent] if image.parent else [] for image in order}
    )
    sorter.prepare()
    weights = _weights(order)
    broken: set[str] = set()
    failures: dict[str, AssayError] = {}
    pool = ThreadPoolExecutor(max_workers=SIDE_BY_SIDE, thread_name_prefix="build")
    ready: list[str] = []
    pending: dict[Future[Built], str] = {}
    try:
        while sorter.is_active():
            _require_going_on(run)
            ready = sorted([*ready, *sorter.get_ready()], key=lambda name: (-weights[name], name))
            while ready and len(pending) < SIDE_BY_SIDE:
                name = ready.pop(0)
                if run.catalog.get(name).parent in broken:
                    broken.add(name)
                    run.view.failed(name, None)
                    sorter.done(name)
                else:
                    pending[pool.submit(build_image, run, run.catalog.get(name))] = name
            finished, _ = wait(pending, return_when=FIRST_COMPLETED) if pending else (set(), set())
            for future in finished:
                name = pending.pop(future)
                try:
                    future.result()
                except Exception as error:
                    _require_going_on(run)  # else it was ended, and did not fail
                    broken.add(name)
                    failures[name] = of_image(name, error)
                    _write_down(run, name, error)
                    run.view.failed(name, failures[name])
                sorter.done(name)
    except BaseException:
        run.stop.set()
        process.end_all()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return {image.name: failures[image.name] for image in order if image.name in failures}


def _require_going_on(run: Run) -> None:
    if run.stop.is_set():
        raise CancelledError


def _write_down(run: Run, name: str, error: Exception) -> None:
    """Keep the trace of what no one expected in the image's log: the error has one line of it."""
    if not isinstance(error, AssayError):
        with contextlib.suppress(OSError), run.log(name).open("a") as log:
            log.writelines(traceback.format_exception(error))


def _weights(order: Iterable[Image]) -> dict[str, float]:
    """The limit in GB of the largest image on each: what needs the most room is built while there is the most."""
    weights: dict[str, float] = {}
    for image in reversed(tuple(order)):
        weights[image.name] = max(weights.get(image.name, 0.0), image.size_gb or 0.0)
        if image.parent:
            weights[image.parent] = max(weights.get(image.parent, 0.0), weights[image.name])
    return weights
