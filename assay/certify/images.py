"""Certify images: the suite's report of each is judged, and becomes its certificate.

Whatever goes wrong with one image is that image's outcome; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from assay.catalog import Catalog, Image, read_images
from assay.catalog.built import repository, select_built, tag, together
from assay.certificate import Suites
from assay.certify.asked import ask, not_built
from assay.certify.container import Target, replaced_or_void, run_suite
from assay.certify.outcome import Options, Outcome
from assay.engine import Engine
from assay.errors import EngineMissing, of_image


def certify(
    cat: Catalog,
    engine: Engine,
    names: Iterable[str],
    options: Options,
    on_image: Callable[[str], None],
    on_outcome: Callable[[Outcome], None],
) -> list[Outcome]:
    """Certify the named images (none: all that are built), one after the other.

    ``on_image`` hears of each in which something is about to be trained, ``on_outcome`` what came of each.
    """
    chosen = together(select_built(cat, names, read_images(cat.root).images))
    suites = Suites.read(cat.root)
    outcomes = []
    for at, image in enumerate(chosen):
        try:
            outcome = _certify(cat, engine, image, suites, options, on_image)
        except Exception as error:
            outcome = _failed(engine, image, options, error)
        try:
            if options.pack:
                pack(engine, image, chosen[at + 1 :])
        except Exception as error:
            outcome = _failed(engine, image, options, error)
        outcomes.append(outcome)
        on_outcome(outcome)
    return outcomes


def pack(engine: Engine, image: Image, later: Sequence[Image]) -> None:
    """Pack an image that has been run; what it stands on, once no image that is still to be run stands on it too."""
    packed = [image.name]
    if image.parent and any(one.parent == image.parent for one in later):
        engine.hold(tag(image.parent, "latest"))
    elif image.parent:
        packed.append(image.parent)
    engine.pack([name for one in packed for name in engine.tags(repository(one))])


def _failed(engine: Engine, image: Image, options: Options, error: Exception) -> Outcome:
    """Whatever was raised for an image is that image's outcome, unless there is no engine left to run the others."""
    if isinstance(error, EngineMissing) and not engine.answers():
        raise error
    return Outcome(image.name, options.device, error=of_image(image.name, error))


def _certify(
    cat: Catalog, engine: Engine, image: Image, suites: Suites, options: Options, on_image: Callable[[str], None]
) -> Outcome:
    asked = ask(cat, image, suites, options)
    if engine.digest(tag(image.name, "latest")) != asked.built.digest:
        raise not_built(image)
    kept = asked.kept()
    if kept:
        return kept
    on_image(image.name)
    target = Target(image.name, image.name, tag(image.name, "latest"))
    with replaced_or_void(asked.path):
        report, seconds = run_suite(cat.root, engine, target, asked.plan, options)
        return asked.certified(report, seconds, engine.description)
