"""Which image runs on this machine, or on one that is described, and why.

`gather` reads what certificates say of images; `diagnose` answers for a machine: this one, `another` by driver and
GPU, or the one that nvidia-smi printed a text on (`pasted`). `assay.doctor.published` asks a registry, and is
imported by whoever does.
"""

from assay.doctor.answer import Diagnosis, Row, as_json, command, diagnose, require_usable
from assay.doctor.compatibility import Answer, Certified, Gpu, Machine, judge, order
from assay.doctor.described import another, decoded, pasted, remarks
from assay.doctor.facts import Gathered, certified, gather, read
from assay.doctor.finding import Finding
from assay.doctor.machine import Surroundings, Tools, findings, this_machine

# fmt: off
__all__ = [
    "Answer", "Certified", "Diagnosis", "Finding", "Gathered", "Gpu", "Machine", "Row", "Surroundings", "Tools",
    "another", "as_json", "certified", "command", "decoded", "diagnose", "findings", "gather", "judge", "order",
    "pasted", "read", "remarks", "require_usable", "this_machine",
]
