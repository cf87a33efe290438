"""Certify images: the suite's report of each is judged, and becomes its certificate.

Whatever goes wrong with one image is that image's outcome; the others go on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from assay import catalog, certificate
from assay.catalog import Built, Catalog, Image, read_images
from assay.catalog.built import repository, select_built, tag, together
from assay.catalog.drift import drift_inputs
from assay.certificate import Policy, Suites, Verdict
from assay.certify.container import Target, replaced_or_void, run_suite
from assay.certify.outcome import Options, Outcome
from assay.engine import Engine
from assay.errors import EngineMissing, UsageError, VerificationFailed, of_image


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
    built = read_images(cat.root).images.get(image.name)
    if image.framework is None:
        raise UsageError(f"{image.name} has no framework: nothing is trained in it", "Name a framework image.")
    if built is None or engine.digest(tag(image.name, "latest")) != built.digest:
        raise UsageError(f"{image.name} is not built", f"Run `assay build {image.name}` first.")
    if built.suite != suites.current.digest_of(image.framework.name):
        raise UsageError(
            f"{image.name} holds another smoke suite than this checkout",
            "Run `assay build`: only the last, small step of the image is made anew.",
        )
    path = cat.root / "build" / "certificates" / image.name / f"{options.device}.json"
    plan = catalog.plan(image, options.device, options.ranks)
    policy = dataclasses.replace(catalog.policy(cat, image, built, suites, options.device), plan=plan)
    # A mark that it lacks is shown as what failed, with its remedy: the evidence is there, and is of this image.
    shown = dataclasses.replace(policy, marks=())
    if not options.again:
        kept = _kept(path, policy, options)
        if kept:
            return kept
    on_image(image.name)
    target = Target(image.name, image.name, tag(image.name, "latest"))
    with replaced_or_void(path):
        report, seconds = run_suite(cat.root, engine, target, plan, options)
        data = certificate.statement(
            report, certificate.judge(report, suites.current), _subject(cat, image, built), engine.description
        )
        opened = certificate.read(data, shown)
        if opened.origin:
            raise VerificationFailed(opened.origin, "Run the smoke suite again, in the image that is built now.")
        certificate.write(path, data)
    lacking = (
        *(policy.marks if set(policy.marks) - set(opened.verdict.marks) else ()),
        *_lost(opened.verdict, options),
    )
    return Outcome(image.name, options.device, seconds, report, opened.verdict, path, lacking=lacking)


def _lost(verdict: Verdict, options: Options) -> tuple[str, ...]:
    """Marks that were asked for with these options, and that something wrong took away; not those that a framework
    cannot have.
    """
    return tuple(mark for mark in verdict.lost if mark == "ranks" and options.ranks)


def _kept(path: Path, policy: Policy, options: Options) -> Outcome | None:
    """Return the outcome of the certificate that the image has, if that still holds and passed; else None."""
    statement = certificate.read_statement(path)
    if statement is None:
        return None
    try:
        opened = certificate.read(statement, policy)
    except VerificationFailed:
        return None
    if not opened.verdict.passed or _lost(opened.verdict, options):
        return None
    return Outcome(opened.image, opened.device, 0.0, opened.report, opened.verdict, path, kept_from=opened.created)


def _subject(cat: Catalog, image: Image, built: Built) -> dict[str, object]:
    parent = read_images(cat.root).images.get(image.parent or "")
    return {
        "name": image.name,
        "digest": built.digest,
        "configDigest": built.config,
        "diffIDs": built.diff_ids,
        "platform": image.built_for.name,
        "inputs": {**catalog.inputs(cat, image), **drift_inputs(built.drift)},
        "parent": {"name": image.parent, "digest": parent.digest} if parent else None,
    }
