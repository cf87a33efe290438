"""Provenance and test results of a published image, as Statements.

All of it comes from the certificate and from what the build wrote down, so an image always has the same statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from assay.attestation.statement import PROVENANCE, TEST_RESULT
from assay.certificate import Report, Verdict
from assay.certificate.statement import in_toto
from assay.host.release import version

BUILD_TYPE = "urn:assay:build:v1"


def provenance(
    certificate: Mapping[str, Any],
    built: str,
    parents: Mapping[str, str],
    commit: str | None,
    caches: Iterable[str] = (),
) -> dict[str, Any]:
    """Return SLSA provenance v1: with the commit and the inputs' hashes it says how to build the same digest again.

    ``built`` is a time (RFC 3339); ``parents`` are digests by name, the closest first; ``commit`` is None if the
    checkout had changes that were not committed. ``caches`` are the registries whose build caches may have given some
    layers: those were not seen to be built.
    """
    predicate, subject = certificate["predicate"], certificate["subject"][0]
    materials: list[dict[str, Any]] = []
    if commit:
        materials.append({"name": "source", "digest": {"gitCommit": commit}})
    materials += [{"name": path, "digest": {"sha256": value}} for path, value in predicate["image"]["inputs"].items()]
    materials += [
        {"name": name, "digest": {"sha256": value.removeprefix("sha256:")}} for name, value in parents.items()
    ]
    return in_toto(
        subject["name"],
        subject["digest"]["sha256"],
        PROVENANCE,
        {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"image": subject["name"], "platform": predicate["image"]["platform"]},
                "internalParameters": {
                    "suite": predicate["suite"]["digest"],
                    **({"caches": sorted(set(caches))} if caches else {}),
                },
                "resolvedDependencies": materials,
            },
            "runDetails": {
                "builder": {"id": "urn:assay:builder", "version": {"assay": version()}},
                "metadata": {"finishedOn": built},
                "byproducts": [{"name": "diffIDs", "annotations": {"diffIDs": predicate["image"]["diffIDs"]}}],
            },
        },
    )


def test_result(certificate: Mapping[str, Any], report: Report, verdict: Verdict) -> dict[str, Any]:
    """Return the verdict in the form of in-toto's test result, for verifiers that do not know our certificates."""
    subject = certificate["subject"][0]
    bad = {name for name, _ in verdict.problems}
    faults = [name for name in (f"fault {fault.id}" for fault in report.faults) if name not in bad]
    passed = [result.id for result in report.results if result.state == "pass" and result.id not in bad]
    return in_toto(
        subject["name"],
        subject["digest"]["sha256"],
        TEST_RESULT,
        {
            "result": "PASSED" if verdict.passed else "FAILED",
            "configuration": [
                {"name": "suite", "digest": {"sha256": report.suite.sha256}},
                {"name": "gates.json", "digest": {"sha256": report.gates.sha256}},
                {"name": "device", "annotations": {"device": report.plan["device"]}},
            ],
            "passedTests": passed + faults,
            "warnedTests": [name for name, _ in verdict.not_run],
            "failedTests": sorted(bad),
        },
    )
