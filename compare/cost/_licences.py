"""Licences from the metadata of Python packages, as SPDX names them where that can be told."""

from __future__ import annotations

import re
from typing import Any, Iterable

# By the newest field that a package has: License-Expression (PEP 639) is exact, classifiers are a list of names,
# and License is any text.
_NAMES = (
    (r"nvidia|proprietary|end user licen[sc]e|\beula\b", "LicenseRef-NVIDIA-Proprietary"),
    (r"\bagpl|affero", "AGPL-3.0"),
    (r"\blgpl|lesser general public|library or lesser", "LGPL"),
    (r"\bgpl|general public", "GPL"),
    (r"\bmpl\b|mozilla", "MPL-2.0"),
    (r"\bepl\b|eclipse", "EPL"),
    (r"apache", "Apache-2.0"),
    (r"python software foundation|\bpsf", "PSF-2.0"),
    (r"bsd[- ]?2|2[- ]clause|simplified bsd", "BSD-2-Clause"),
    (r"bsd[- ]?3|3[- ]clause|new bsd|modified bsd|revised bsd", "BSD-3-Clause"),
    (r"\bbsd\b", "BSD"),
    (r"\bmit\b|expat", "MIT"),
    (r"\bisc\b", "ISC"),
    (r"unlicen[sc]e", "Unlicense"),
    (r"hpnd|historical permission", "HPND"),
    (r"zlib", "Zlib"),
    (r"public domain|cc0", "CC0-1.0"),
)
COPYLEFT = re.compile(r"\b(AGPL|LGPL|GPL|MPL|EPL|CDDL|EUPL|OSL)\b")
PROPRIETARY = re.compile(r"NVIDIA|Proprietary|LicenseRef", re.IGNORECASE)
UNKNOWN = "unknown"


def summed(distributions: Iterable[Any]) -> dict[str, Any]:
    """How many distributions each licence has, and by name those that are copyleft, proprietary or unknown."""
    counts: dict[str, int] = {}
    named: dict[str, list[str]] = {"copyleft": [], "proprietary": [], "unknown": []}
    for one in distributions:
        licence, name = licence_of(one.metadata), str(one.metadata["Name"])
        counts[licence] = counts.get(licence, 0) + 1
        kind = kind_of(licence)
        if kind in named:
            named[kind].append(f"{name}: {licence}")
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {"licences": [f"{licence}: {count}" for licence, count in ordered], **named}


def kind_of(licence: str) -> str:
    """Whether a licence is copyleft, proprietary, unknown or permissive.

    A choice (OR) is what the freest of its parts is; what must be heeded together (AND) is what the strictest is.
    """
    choices = [_strictest(choice) for choice in re.split(r"\s+OR\s+", licence)]
    return min(choices, key=_ORDER.index)


_ORDER = ("permissive", "copyleft", "proprietary", "unknown")


def _strictest(licence: str) -> str:
    if licence == UNKNOWN:
        return "unknown"
    if PROPRIETARY.search(licence):
        return "proprietary"
    return "copyleft" if COPYLEFT.search(licence) else "permissive"


def licence_of(fields: Any) -> str:
    """The licence that a distribution's metadata (an email.message.Message) states, or UNKNOWN."""
    expression = fields.get("License-Expression")
    if expression and expression.strip():
        return " ".join(expression.split())
    stated = [
        one.split("::")[-1].strip() for one in fields.get_all("Classifier") or [] if one.startswith("License ::")
    ]
    found = sorted({spdx(one) for one in stated if one != "OSI Approved"} - {UNKNOWN})
    text = fields.get("License") or ""
    own = spdx(text.strip().splitlines()[0]) if text.strip() else UNKNOWN
    if found in ([], ["BSD"]) and own != UNKNOWN:  # the field often says which BSD licence it is
        return own
    return " AND ".join(found) or UNKNOWN


def spdx(name: str) -> str:
    """The SPDX name of a licence that is written in some other way, or UNKNOWN."""
    for pattern, known in _NAMES:
        if re.search(pattern, name, re.IGNORECASE):
            return known
    return UNKNOWN
