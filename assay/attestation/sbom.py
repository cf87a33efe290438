"""The SBOM of a published image: CycloneDX, made from the inventory that was taken inside it."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterable
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

from assay.attestation.statement import SBOM
from assay.certificate.statement import in_toto


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A package in an image, with the licences that it states itself; ``source``: Debian's, as name@version."""

    name: str
    version: str
    licences: tuple[str, ...]
    architecture: str | None = None
    source: str | None = None


class Inventory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``assay/scripts/inventory.py`` writes inside an image."""

    schema: Annotated[int, msgspec.Meta(ge=1, le=1)]
    debian: tuple[Package, ...]
    python: tuple[Package, ...]


def sbom(name: str, digest: str, built: str, suite: str | None, inventory: Inventory) -> dict[str, Any]:
    """Return the Debian and Python packages in an image as CycloneDX 1.6; ``suite`` is Debian's, such as trixie."""
    arguments = {"distro": suite} if suite else {}
    components = [
        _component(
            package,
            PackageURL(
                "deb",
                "debian",
                package.name,
                package.version,
                {"arch": package.architecture or "", **_built_of(package), **arguments},
            ),
        )
        for package in inventory.debian
    ]
    components += [
        _component(package, PackageURL("pypi", None, package.name, package.version)) for package in inventory.python
    ]
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


def _built_of(package: Package) -> dict[str, str]:
    """The source that a package was built of, where its name or version is another: as other tools write it."""
    return {"upstream": package.source} if package.source not in {None, f"{package.name}@{package.version}"} else {}


def _component(package: Package, purl: PackageURL) -> Component:
    return Component(
        name=package.name, version=package.version, purl=purl, bom_ref=str(purl), licenses=_licences(package.licences)
    )


def _licences(texts: Iterable[str]) -> list[License]:
    """One text may be an expression; each of several is an identifier or a name: CycloneDX takes one expression."""
    factory, texts = LicenseFactory(), tuple(texts)
    if len(texts) == 1:
        return [factory.make_from_string(texts[0])]
    licences: list[License] = []
    for text in texts:
        try:
            licences.append(factory.make_with_id(text))
        except InvalidSpdxLicenseException:
            licences.append(factory.make_with_name(text))
    return licences
