"""Build an image once more, from this checkout or from what a published one says of itself, and compare."""

from assay.reproduce.rebuild import Rebuilt, as_json, rebuild, require_rebuilt
from assay.reproduce.twice import Reproduced, reproduce, require_same, row, sameness_of
from assay.reproduce.verdict import Sameness

__all__ = [
    "Rebuilt",
    "Reproduced",
    "Sameness",
    "as_json",
    "rebuild",
    "reproduce",
    "require_rebuilt",
    "require_same",
    "row",
    "sameness_of",
]
