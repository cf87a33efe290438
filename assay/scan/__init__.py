"""Holds what is in an image, by its SBOM, against advisories in OSV's format, but for what is allowed, and why."""

from assay.scan.advisories import Advisory, advisories
from assay.scan.allowed import Allowed, allowed
from assay.scan.components import Component, components, of_registry
from assay.scan.scan import Finding, Scan, require_clean, row, scan

# fmt: off
__all__ = [
    "Advisory", "Allowed", "Component", "Finding", "Scan", "advisories", "allowed", "components", "of_registry",
    "require_clean", "row", "scan",
]
