"""What is attached to a published image beside its certificates: provenance, SBOM, test results, as Statements.

Everything in them is taken from the certificate and from what the build wrote down, so the same image has the same
statements whenever they are made.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from cyclonedx.contrib.license.exceptions import InvalidSpdxLicenseException
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from assay import __version__
from assay.certificate import Report, Verdict
from assay.certificate.statement import in_toto

PROVENANCE = "https://slsa.dev/provenance/v1"
SBOM = "https://cyclonedx.org/bom"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
BUILD_TYPE = "urn:assay:build:v1"

# The labels of an image that its published name is made from (see assay/planning.py).
VERSION_LABEL = "org.opencontainers.image.version"
CUDA_LABEL = "assay.cuda"


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A package in an image, with the licences that it states itself."""

    name: str
    version: str
    licences: tuple[str, ...]
    architecture: str | None = None


class Inventory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``assay/inventory.py`` writes inside an image."""

    schema: Annotated[int, msgspec.Meta(ge=1, le=1)]
    debian: tuple[Package, ...]
    python: tuple[Package, ...]


def tag(labels: Mapping[str, str]) -> str:
    """The tag that an image is published under, from its labels: VERSION-cudaCUDA, or VERSION-cpu without CUDA.

    A local part (+cu132) is left out: it says again what CUDA it is, and + is for no tag.
    """
    version = labels.get(VERSION_LABEL, "0").partition("+")[0]
    cuda = labels.get(CUDA_LABEL)
    return f"{version}-cuda{cuda}" if cuda else f"{version}-cpu"


def provenance(
    certificate: Mapping[str, Any], built: str, parents: Mapping[str, str], commit: str | None
) -> dict[str, Any]:
    """SLSA provenance v1. With the commit, ``images/`` and the inputs' hashes it says how to build the same digest.

    ``built`` is when (RFC 3339); ``parents`` are digests by name, the closest first; ``commit`` is None where the
    checkout had changes of its own.
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
                "internalParameters": {"suite": predicate["suite"]["digest"]},
                "resolvedDependencies": materials,
            },
            "runDetails": {
                "builder": {"id": "urn:assay:builder", "version": {"assay": __version__}},
                "metadata": {"finishedOn": built},
                "byproducts": [{"name": "diffIDs", "annotations": {"diffIDs": predicate["image"]["diffIDs"]}}],
            },
        },
    )


def test_result(certificate: Mapping[str, Any], report: Report, verdict: Verdict) -> dict[str, Any]:
    """The verdict for verifiers that know nothing of our certificates."""
    subject = certificate["subject"][0]
    bad = {name for name, _ in verdict.problems}
    passed = [one.id for one in report.results if one.state == "pass" and one.id not in bad]
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
            "passedTests": passed + [f"fault {one.id}" for one in report.faults if f"fault {one.id}" not in bad],
            "warnedTests": [name for name, _ in verdict.not_run],
            "failedTests": sorted(bad),
        },
    )


def sbom(name: str, digest: str, built: str, suite: str | None, inventory: Inventory) -> dict[str, Any]:
    """The Debian and Python packages in an image, as CycloneDX 1.6. ``suite`` is Debian's, such as trixie."""
    arguments = {"distro": suite} if suite else {}
    components = [
        _component(
            one, PackageURL("deb", "debian", one.name, one.version, {"arch": one.architecture or "", **arguments})
        )
        for one in inventory.debian
    ]
    components += [_component(one, PackageURL("pypi", None, one.name, one.version)) for one in inventory.python]
    image = Component(name=name, type=ComponentType.CONTAINER, version=digest, bom_ref=digest)
    bom = Bom(
        components=components,
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"oci:{digest}"),
        metadata=BomMetaData(
            component=image,
            tools=[],
            timestamp=datetime.datetime.fromisoformat(built),
        ),
    )
    bom.register_dependency(image, components)
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    return in_toto(name, digest, SBOM, json.loads(text))


def _component(package: Package, purl: PackageURL) -> Component:
    return Component(
        name=package.name, version=package.version, purl=purl, bom_ref=str(purl), licenses=_licences(package.licences)
    )


def _licences(texts: Iterable[str]) -> list[License]:
    """One may be an expression; several are identifiers and names, since CycloneDX has one expression at most."""
    factory, texts = LicenseFactory(), tuple(texts)
    if len(texts) == 1:
        return [factory.make_from_string(texts[0])]
    found: list[License] = []
    for text in texts:
        try:
            found.append(factory.make_with_id(text))
        except InvalidSpdxLicenseException:
            found.append(factory.make_with_name(text))
    return found
