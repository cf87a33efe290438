"""Which image runs on this machine, or on one that is described, and why.

`gather` reads what certificates say of images; `diagnose` answers for a machine. `assay.doctor.published` asks a
registry, and is imported by whoever does.
"""

from assay.doctor.answer import Diagnosis, Row, as_json, command, diagnose, require_usable
from assay.doctor.compatibility import Answer, Certified, Gpu, Machine, judge, order
from assay.doctor.facts import Gathered, certified, gather, read
from assay.doctor.machine import Finding, Surroundings, Tools, another, findings, this_machine

# fmt: off
__all__ = [
    "Answer", "Certified", "Diagnosis", "Finding", "Gathered", "Gpu", "Machine", "Row", "Surroundings", "Tools",
    "another", "as_json", "certified", "command", "diagnose", "findings", "gather", "judge", "order", "read",
    "require_usable", "this_machine",
]
