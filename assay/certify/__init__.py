"""Certify images: train in each, judge the report, and write its certificate; the table of what is certified."""

from assay.certify.asked import Asked, ask
from assay.certify.container import ENTRYPOINT, SUITE, Target, replaced_or_void, require_answer, run_suite
from assay.certify.emulated import emulated, failed, require_sound
from assay.certify.images import certify, pack
from assay.certify.junit import junit
from assay.certify.outcome import Options, Outcome, require_passed, row
from assay.certify.standing import Standing, require_standing, standings

# fmt: off
__all__ = [
    "ENTRYPOINT", "SUITE", "Asked", "Options", "Outcome", "Standing", "Target", "ask", "certify", "emulated",
    "failed", "junit", "pack", "replaced_or_void", "require_answer", "require_passed", "require_sound",
    "require_standing", "row", "run_suite", "standings",
]
