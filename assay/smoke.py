"""Run the smoke suite in images, and make certificates of what it reports.

Each image gets one container: no network, a read-only root, a UID that has no passwd entry, 64 MB of /dev/shm. The
plan goes in and the report comes out as files. Whatever goes wrong with one image is that image's outcome; the others
go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from assay import catalog, certificate
from assay.catalog import Built, Catalog, Image, read_images
from assay.catalog.built import repository, tag
from assay.catalog.drift import drift_inputs
from assay.certificate import Policy, Report, Suites, Verdict
from assay.engine import MOUNT, Engine, RunRequest, RunResult, run_with_folder
from assay.errors import AssayError, CertificateFailed, EngineMissing, UsageError, VerificationFailed, of_image

UID = 12345
SHM_BYTES = 64 * 2**20
SECONDS = 1200


@dataclass(frozen=True)
class Options:
    """What to run: the device, whether to certify again what has a certificate, and a memory bound in bytes.

    With ``pack`` the embedded engine holds an image compressed only, once it has been run.
    """

    device: str = "cpu"
    again: bool = False
    memory_bytes: int | None = None
    pack: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of one image. Without a report, ``error`` says why there is none."""

    image: str
    device: str
    seconds: float = 0.0
    report: Report | None = None
    verdict: Verdict | None = None
    path: Path | None = None
    error: AssayError | None = None
    kept_from: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the image has a certificate in which nothing failed."""
        return self.verdict is not None and self.verdict.passed


def smoke(
    cat: Catalog,
    engine: Engine,
    names: Iterable[str],
    options: Options,
    on_image: Callable[[str], None],
    on_outcome: Callable[[Outcome], None],
) -> list[Outcome]:
    """Certify the named images (none: all that are built), one after the other."""
    built = read_images(cat.root).images
    chosen = cat.select(names)
    if not names:
        chosen = tuple(image for image in chosen if image.name in built)
    if not chosen:
        raise UsageError("no image is built", "Run `assay build` first.")
    suites = Suites.read(cat.root)
    outcomes = []
    for image in chosen:
        on_image(image.name)
        try:
            outcome = _one(cat, engine, image, built.get(image.name), suites, options)
        except Exception as error:
            outcome = _failed(engine, image, options, error)
        try:
            if options.pack:
                engine.pack(engine.tags(repository(image.name)))
        except Exception as error:
            outcome = _failed(engine, image, options, error)
        outcomes.append(outcome)
        on_outcome(outcome)
    return outcomes


def _failed(engine: Engine, image: Image, options: Options, error: Exception) -> Outcome:
    """Whatever was raised for an image is that image's outcome, unless there is no engine left to run the others."""
    if isinstance(error, EngineMissing) and not engine.answers():
        raise error
    return Outcome(image.name, options.device, error=of_image(image.name, error))


def require_passed(outcomes: Iterable[Outcome]) -> None:
    """Raise `CertificateFailed` (exit 1) unless every image passed."""
    bad = [outcome.image for outcome in outcomes if not outcome.passed]
    if bad:
        raise CertificateFailed(
            f"{', '.join(bad)} did not pass", "What failed, and its remedy, stands in the table above."
        )


def _one(
    cat: Catalog, engine: Engine, image: Image, built: Built | None, suites: Suites, options: Options
) -> Outcome:
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
    policy = catalog.policy(cat, image, built, suites, options.device)
    if not options.again:
        kept = _kept(path, policy)
        if kept:
            return kept
    path.unlink(missing_ok=True)
    plan = catalog.plan(image, options.device)
    report, ran = _run(cat.root, engine, image, plan, options)
    _check_answer(report, plan)
    data = certificate.statement(
        report, certificate.judge(report, suites.current), _subject(cat, image, built), engine.description
    )
    opened = certificate.read(data, policy)
    if opened.origin:
        raise VerificationFailed(opened.origin, "Run the smoke suite again, in the image that is built now.")
    certificate.write(path, data)
    return Outcome(image.name, options.device, ran.seconds, report, opened.verdict, path)


def _check_answer(report: Report, plan: Mapping[str, object]) -> None:
    """A report is of the image that was run, and answers the plan that it was given."""
    if report.image != plan["image"]:
        raise VerificationFailed(
            f"the report is of {report.image[:80]!r}, not of {plan['image']!r}",
            "Run the smoke suite in the right image.",
        )
    if report.plan != dict(plan):
        raise VerificationFailed("the report answers another plan", "Run the smoke suite again.")


def _kept(path: Path, policy: Policy) -> Outcome | None:
    """An unchanged image is not certified twice: the certificate that it has still holds, and passed."""
    statement = certificate.read_statement(path)
    if statement is None:
        return None
    try:
        opened = certificate.read(statement, policy)
    except VerificationFailed:
        return None
    if not opened.verdict.passed:
        return None
    return Outcome(opened.image, opened.device, 0.0, opened.report, opened.verdict, path, kept_from=opened.created)


def _run(
    root: Path, engine: Engine, image: Image, plan: dict[str, object], options: Options
) -> tuple[Report, RunResult]:
    if options.device == "gpu" and engine.gpu_access() is None:
        raise CertificateFailed(
            f"{image.name}: a GPU was asked for, and this engine has neither CDI nor the NVIDIA runtime",
            "Install the NVIDIA container toolkit and run `nvidia-ctk cdi generate`, or use --device cpu.",
        )
    folder = root / "build" / "reports" / image.name
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{options.device}.json"
    kept.unlink(missing_ok=True)
    request = RunRequest(
        image=tag(image.name, "latest"),
        command=("smoke", "--plan", f"{MOUNT}/plan.json", "--report", f"{MOUNT}/report.json"),
        user=f"{UID}:{UID}",
        device=options.device,
        shm_bytes=SHM_BYTES,
        memory_bytes=options.memory_bytes,
        seconds=SECONDS,
    )
    given = {"plan.json": json.dumps(plan).encode()}
    ran, left = run_with_folder(engine, request, given, "report.json", certificate.LARGEST_REPORT)
    (folder / f"{options.device}.log").write_text(ran.output, encoding="utf-8")
    _check_ending(image.name, ran)
    if isinstance(left, VerificationFailed):
        raise left
    report = certificate.parse_report(left)
    kept.write_bytes(left)
    return report, ran


def _check_ending(name: str, ran: RunResult) -> None:
    last = next((line.strip() for line in reversed(ran.output.splitlines()) if line.strip()), "it printed nothing")
    if ran.out_of_memory and ran.exit_code != 0:
        raise CertificateFailed(
            f"{name}: the kernel ended the suite for want of memory", "Give it more: --memory 8g."
        )
    if ran.timed_out:
        raise CertificateFailed(f"{name}: the suite came to no end in {SECONDS} s: {last}", "Look at where it hangs.")
    if ran.exit_code != 0:
        raise CertificateFailed(
            f"{name}: the suite crashed with exit code {ran.exit_code}: {last}",
            f"Its last output is in build/reports/{name}.",
        )


def _subject(cat: Catalog, image: Image, built: Built) -> dict[str, object]:
    parent = read_images(cat.root).images.get(image.parent or "")
    return {
        "name": image.name,
        "digest": built.digest,
        "configDigest": built.config,
        "diffIDs": built.diff_ids,
        "inputs": {**catalog.inputs(cat, image), **drift_inputs(built.drift)},
        "parent": {"name": image.parent, "digest": parent.digest} if parent else None,
    }


def row(outcome: Outcome) -> dict[str, object]:
    """An outcome for programs."""
    verdict = outcome.verdict
    return {
        "image": outcome.image,
        "device": outcome.device,
        "passed": outcome.passed,
        "level": verdict.level if verdict else None,
        "seconds": round(outcome.seconds, 1),
        "certificate": str(outcome.path) if outcome.path else None,
        "unchanged_since": outcome.kept_from,
        "problems": [{"id": name, "problem": problem} for name, problem in verdict.problems] if verdict else [],
        "error": outcome.error.what if outcome.error else None,
    }


def junit(outcomes: Iterable[Outcome]) -> bytes:
    """JUnit XML: a suite per image, a case per check and per fault."""
    top = ElementTree.Element("testsuites")
    for outcome in outcomes:
        suite = ElementTree.SubElement(top, "testsuite", name=f"{outcome.image}.{outcome.device}")
        if outcome.report is None or outcome.verdict is None:
            case = ElementTree.SubElement(suite, "testcase", classname=outcome.image, name="suite")
            what = outcome.error.what if outcome.error else "no report"
            ElementTree.SubElement(case, "error", message=_xml(what))
        problems = dict(outcome.verdict.problems) if outcome.verdict else {}
        for result in outcome.report.results if outcome.report else ():
            case = ElementTree.SubElement(
                suite, "testcase", classname=outcome.image, name=_xml(result.id), time=_xml(result.seconds)
            )
            if result.state == "not-run":
                ElementTree.SubElement(case, "skipped", message=_xml(result.reason))
            elif result.id in problems:
                kind = "error" if result.state == "error" else "failure"
                ElementTree.SubElement(case, kind, message=_xml(problems.pop(result.id)))
        for name, problem in problems.items():
            case = ElementTree.SubElement(suite, "testcase", classname=outcome.image, name=_xml(name))
            ElementTree.SubElement(case, "failure", message=_xml(problem))
        cases = list(suite)
        suite.set("tests", str(len(cases)))
        for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(plural, str(sum(case.find(kind) is not None for case in cases)))
    return bytes(ElementTree.tostring(top, encoding="utf-8", xml_declaration=True))


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return "".join(one for one in text if one in "\t\n" or (one >= " " and one not in "\ufffe\uffff"))
