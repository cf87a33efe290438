"""Build on several engines at once: each gets whole chains, and the results meet in a registry.

A chain is what lies on a base: a stack with the images on it, or an image without one. What two builders both need,
such as a base, both build; it has to come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from assay.build.foreign import is_foreign
from assay.build.graph import ALL, drop_cache, walk
from assay.build.limits import check_room
from assay.build.run import Run
from assay.build.through import Through
from assay.build.turns import checkout_turn
from assay.build.watching import On, Options, View
from assay.catalog import Built, Catalog, Image, Images, read_images
from assay.catalog.built import tag
from assay.engine import Engine
from assay.errors import AssayError, EngineMissing, RegistryFailed, UsageError, of_image, together
from assay.host import process


@dataclass(frozen=True)
class Builder:
    """An engine, by the name of its Docker context or by its address."""

    name: str
    engine: Engine


def build_on(
    cat: Catalog,
    builders: Sequence[Builder],
    names: Iterable[str],
    view: View,
    options: Options,
) -> Images:
    """Build the named images (none: all) on several engines; returns what `images.json` then says.

    What the registry has already is built by none. A builder that goes away leaves the others alone, and what it
    built is kept; at the end one error names all that failed. Raises before anything is built where the builders are
    not what they have to be (`require_builders`).
    """
    chosen = cat.select(names)
    through = _through(options)
    require_builders(cat, builders, through, chosen[0].name)
    with checkout_turn(cat.root, lambda text: view.phase(ALL, text)):
        view.phase(ALL, "")
        built = dict(read_images(cat.root).images)
        first = Run(cat, builders[0].engine, view, options, built=built)
        shares = _shares(cat, tuple(_left(first, through, chosen)), len(builders))
        runs = {builder.name: _run_of(first, builder) for builder in builders}
        orders = {one.name: _order(cat, share) for one, share in zip(builders, shares, strict=True)}
        for name, order in orders.items():
            _check_room(runs[name], order)
        try:
            failures = _side_by_side(runs, orders)
        finally:
            for run in runs.values():
                drop_cache(run)
        if failures:
            raise together(failures, "builds")
        return Images(images=dict(sorted(built.items())))


def require_builders(cat: Catalog, builders: Sequence[Builder], through: Through, name: str) -> None:
    """Hold that the builders are several engines, of the images' processor, which all reach the registry.

    ``name`` is an image to ask for. Raises `UsageError`, or `RegistryFailed` for a registry that this machine or a
    builder does not reach; each names the builder.
    """
    if is_foreign(cat.platform):
        raise UsageError(
            f"several builders build for this machine's processor, and not for {cat.platform.name}",
            "Call the command on a machine of that processor, or leave --on out: its programs are then emulated.",
        )
    known: dict[str, str] = {}
    for builder in builders:
        identity, processor = builder.engine.identity()
        if processor != cat.platform.machine:
            raise UsageError(
                f"{builder.name} has the processor {processor}, and the images are for {cat.platform.machine}",
                f"Leave --on {builder.name} out.",
            )
        if identity in known:
            raise UsageError(
                f"{builder.name} and {known[identity]} are one engine", "Name each engine once: it would build twice."
            )
        known[identity] = builder.name
    through.has(name, f"sha256:{'0' * 64}")
    for builder in builders:
        why = through.refusal(builder.engine, name)
        if why:
            raise RegistryFailed(
                f"{builder.name} does not reach {through.registry}: {why}",
                "Name the registry as the builders reach it, have them trust it, or leave that builder out.",
            )


def chain_of(cat: Catalog, image: Image) -> str:
    """The name of an image's chain: that of what lies on the base, which is below the image or the image itself."""
    members = (image, *cat.ancestors(image))
    return members[-2].name if len(members) > 1 else image.name


def _through(options: Options) -> Through:
    if options.pack:
        raise UsageError("several builders do not pack", "Leave --pack out: it is for this machine's engine.")
    if options.through is None:
        raise UsageError("what several builders build has to meet in a registry", "Name it: --through HOST/PATH.")
    return options.through


def _left(run: Run, through: Through, chosen: Iterable[Image]) -> Iterator[Image]:
    """What is not in the registry as it would be built now; of what is there, the view is told."""
    for image in chosen:
        members = (*reversed(run.catalog.ancestors(image)), image)
        if all(map(run.is_current, members)) and through.has(image.name, run.built[image.name].digest):
            run.view.done(image.name, run.built[image.name], fresh=False)
        else:
            yield image


def _shares(cat: Catalog, images: Iterable[Image], count: int) -> list[list[Image]]:
    """The images of each builder: whole chains, the heaviest first, each to whoever has the least to do."""
    chains: dict[str, list[Image]] = {}
    for image in images:
        chains.setdefault(chain_of(cat, image), []).append(image)
    weights = {name: sum(map(_weight, chain)) for name, chain in chains.items()}
    shares: list[list[Image]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for name in sorted(chains, key=lambda name: (-weights[name], name)):
        least = loads.index(min(loads))
        shares[least] += chains[name]
        loads[least] += weights[name]
    return shares


def _weight(image: Image) -> float:
    """Minutes; where nobody says how many, one for each GB, and something for an image without a limit."""
    return image.minutes or image.size_gb or 0.1


def _run_of(run: Run, builder: Builder) -> Run:
    """A run of another engine, which shares what is known with the others."""
    return Run(
        run.catalog, builder.engine, On(run.view, builder.name), run.options,
        built=run.built, lock=run.lock, stop=run.stop, builder=builder.name, made=run.made,
    )  # fmt: skip


def _order(cat: Catalog, share: Sequence[Image]) -> tuple[Image, ...]:
    return cat.order([image.name for image in share]) if share else ()


def _check_room(run: Run, order: Sequence[Image]) -> None:
    """Refuse to begin what the disk of a builder on this machine cannot hold."""
    there = {image.name: built for image in order if (built := _held(run, image))}
    check_room(run.engine, order, there, pack=False)


def _held(run: Run, image: Image) -> Built | None:
    built = run.built.get(image.name)
    return built if built and run.engine.digest(tag(image.name, "latest")) == built.digest else None


def _side_by_side(runs: Mapping[str, Run], orders: Mapping[str, tuple[Image, ...]]) -> dict[str, AssayError]:
    """Build on all of them; returns what failed, by the image and its builder, or by a builder that went away."""
    stop = next(iter(runs.values())).stop
    pool = ThreadPoolExecutor(max_workers=len(runs), thread_name_prefix="builder")
    try:
        pending = {name: pool.submit(_one(runs[name], order)) for name, order in orders.items() if order}
        wait(pending.values())
    except BaseException:
        stop.set()
        process.end_all()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return {name: error for builder, done in pending.items() for name, error in _failed(builder, done).items()}


def _one(run: Run, order: tuple[Image, ...]) -> Callable[[], dict[str, AssayError]]:
    def build() -> dict[str, AssayError]:
        failures = walk(run, order)
        if failures and not run.engine.answers():
            lost = ", ".join(image.name for image in order if image.name not in run.finished)
            return {
                run.builder: EngineMissing(
                    f"the builder {run.builder} went away: it did not build {lost}",
                    "Run the command again: what is built is kept. Leave that builder out if it stays away.",
                )
            }
        for error in failures.values():
            error.what = f"{error.what} (on {run.builder})"
        return {f"{name} on {run.builder}": error for name, error in failures.items()}

    return build


def _failed(builder: str, done: Future[dict[str, AssayError]]) -> dict[str, AssayError]:
    try:
        return done.result()
    except Exception as error:
        return {builder: of_image(builder, error)}
