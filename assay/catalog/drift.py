"""Drift is how an image differs from its locks. Its label says so, and the inputs of its certificate do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from assay.errors import BuildFailed

# The OCI label of an image that is not as it was locked; whatever is built on it inherits it.
DRIFT_LABEL = "assay.drift"
# What begins the name of an input in a certificate that is no file of the repository: what was there instead.
DRIFT_INPUT = "drift/"


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Debian package that is not at its locked version. None: it was not locked, or is there no more."""

    package: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        return f"{self.package} {self.was or 'absent'} -> {self.now or 'absent'}"


class Drift(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a root file system differs from its lock: by packages, or, where these are the same, by its tar alone.

    ``rootfs`` is the hash of the tar. ``files`` says where it differs from the locked one, or why that is unknown.
    """

    rootfs: str
    changes: tuple[Change, ...] = ()
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.changes:
            noun = "package has" if len(self.changes) == 1 else "packages have"
            return f"{len(self.changes)} {noun} moved: {', '.join(map(str, self.changes))}"
        return f"the same packages gave another tar than the locked one: {'; '.join(self.files)}"


def drift_label(drift: Mapping[str, Drift]) -> dict[str, str]:
    """Return the label that says how an image drifted; none for an exact one."""
    return {DRIFT_LABEL: msgspec.json.encode(drift).decode()} if drift else {}


def drift_of(labels: Mapping[str, str]) -> dict[str, Drift]:
    """Return the drift that an image's labels say, by the name of what drifted; empty for an exact one."""
    try:
        return msgspec.json.decode(labels.get(DRIFT_LABEL, "{}"), type=dict[str, Drift])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BuildFailed(
            f"the label {DRIFT_LABEL} of an image cannot be read: {error}", "Build it again with --no-cache."
        ) from None


def drift_inputs(drift: Mapping[str, Drift]) -> dict[str, str]:
    """Return what drifted as inputs of a certificate: drift/base/trixie/libc6 -> "2.41-12 -> 2.41-13"."""
    inputs = {}
    for name, difference in drift.items():
        inputs[f"{DRIFT_INPUT}{name}"] = f"sha256:{difference.rootfs}"
        for change in difference.changes:
            inputs[f"{DRIFT_INPUT}{name}/{change.package}"] = f"{change.was or 'absent'} -> {change.now or 'absent'}"
    return inputs


def require_exact(name: str, drift: Mapping[str, Drift], refused: str) -> None:
    """Raise `BuildFailed` for a drifted image; ``refused`` says what is not done with such a one."""
    if drift:
        below = ", ".join(drift)
        raise BuildFailed(
            f"{name} has drifted and {refused}: {below}: {'; '.join(map(str, drift.values()))}",
            f"Run `assay lock {' '.join(drift)}` and build again, or `assay build --refresh {name}` where an archive "
            "has the locked versions again.",
        )
