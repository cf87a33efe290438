"""What can be said of an image whose programs are only emulated here: that it is built right, and can be imported.

No certificate is made: one names the processor that it was made on, and an emulator's arithmetic is not that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from assay import catalog, certificate
from assay.catalog import Catalog, Image
from assay.catalog.built import tag
from assay.certificate import Suites
from assay.certify.container import Target, run_suite
from assay.certify.outcome import Options, Outcome
from assay.engine import Engine
from assay.errors import CertificateFailed, UsageError, of_image

CHECKS = ("static", "imports")


def emulated(
    cat: Catalog, engine: Engine, names: Iterable[str], suffix: str, on_image: Callable[[str], None]
) -> Iterator[Outcome]:
    """Look at the named images, which are built for another processor: all that level E1 needs, and their imports."""
    suites = Suites.read(cat.root)
    for image in cat.select(names):
        on_image(image.name)
        try:
            yield _looked_at(cat, engine, image, suites, suffix)
        except Exception as error:
            yield Outcome(image.name, "cpu", error=of_image(image.name, error))


def require_sound(outcomes: Iterable[Outcome]) -> None:
    """Raise `CertificateFailed` (exit 1) where a check failed, or nothing could be run."""
    bad = [outcome.image for outcome in outcomes if outcome.error or failed(outcome)]
    if bad:
        raise CertificateFailed(f"{', '.join(bad)}: not as it has to be", "What is wrong stands above.")


def failed(outcome: Outcome) -> list[str]:
    """The checks that failed, by their ids."""
    results = outcome.report.results if outcome.report else ()
    return [result.id for result in results if result.state in {"fail", "error"}]


def _looked_at(cat: Catalog, engine: Engine, image: Image, suites: Suites, suffix: str) -> Outcome:
    name = tag(image.name, "latest", suffix)
    if engine.digest(name) is None:
        raise UsageError(
            f"{image.name} is not built for {cat.platform.name}",
            f"Run `assay build --platform {cat.platform.name} {image.name}` first.",
        )
    target = Target(image.name, f"{image.name}{suffix}", name, platform=cat.platform.name)
    report, seconds = run_suite(cat.root, engine, target, catalog.plan(image), Options(only=CHECKS))
    return Outcome(image.name, "cpu", seconds, report, certificate.judge(report, suites.current))
