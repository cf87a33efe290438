"""What is in an image, as its SBOM says: packages of PyPI, and Debian's with the source that they were built of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from assay import verify
from assay.attestation import SBOM, Keys
from assay.errors import UsageError
from assay.registry import Reference
from assay.scan.versions import DEBIAN, PYPI

LARGEST = 64 * 2**20
# Advisories name Debian's releases by number, and packages by suite.
_RELEASES = {"buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14"}
_TODO = "Give the SBOM of an image in CycloneDX, as `assay publish` attaches it, or an image of a registry and --key."


class _Part(msgspec.Struct, frozen=True):
    purl: str = ""


class _Bom(msgspec.Struct, frozen=True, rename={"format": "bomFormat"}):
    format: Literal["CycloneDX"]
    components: Annotated[tuple[_Part, ...], msgspec.Meta(min_length=1)]


@dataclass(frozen=True)
class Component:
    """A package at a version. Advisories know Debian's by ``source``, with a version of its own.

    ``release`` is Debian's number, empty where the SBOM does not say.
    """

    ecosystem: str
    name: str
    version: str
    source: str
    source_version: str
    release: str = ""


def components(path: Path) -> list[Component]:
    """Read a file: an SBOM, or a Statement that has one. Raises `UsageError` for anything else."""
    try:
        with path.open("rb") as file:
            data = msgspec.json.decode(file.read(LARGEST))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", _TODO) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no SBOM: {error}", _TODO) from None
    return _of(data.get("predicate", data) if isinstance(data, dict) else data, str(path))


def of_registry(reference: Reference, keys: Keys, *, plain_http: bool = False) -> tuple[str, list[Component]]:
    """Read the signed SBOM that is attached to an image; returns its reference by digest, too.

    Raises `VerificationFailed` where none is signed with these keys.
    """
    digest, statements = verify.evidence(reference, keys, SBOM, plain_http=plain_http)
    return str(reference.at(digest)), _of(statements[0]["predicate"], str(reference))


def _of(data: object, where: str) -> list[Component]:
    try:
        bom = msgspec.convert(data, type=_Bom)
        parts = [PackageURL.from_string(part.purl) for part in bom.components if part.purl]
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: it is no SBOM in CycloneDX: {error}", _TODO) from None
    found = [_component(part) for part in parts if part.type in {"deb", "pypi"} and part.version]
    if not found:
        raise UsageError(f"{where}: its SBOM names no package of Debian or PyPI", _TODO)
    return found


def _component(part: PackageURL) -> Component:
    version = str(part.version)
    if part.type == "pypi":
        name = canonicalize_name(part.name)
        return Component(PYPI, name, version, name, version)
    qualifiers: Mapping[str, Any] = part.qualifiers if isinstance(part.qualifiers, dict) else {}
    source, _, built_of = str(qualifiers.get("upstream") or part.name).partition("@")
    release = _RELEASES.get(str(qualifiers.get("distro", "")), "")
    return Component(DEBIAN, part.name, version, source, built_of or version, release)
