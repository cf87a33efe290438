"""Build an image once more, from this checkout or from what a published one says of itself, and compare."""

from assay.reproduce.certified import Against, Layer, against_row, certified, require_certified
from assay.reproduce.rebuild import Rebuilt, as_json, rebuild, require_rebuilt
from assay.reproduce.twice import Reproduced, reproduce, require_same, row, sameness_of
from assay.reproduce.verdict import Sameness

# fmt: off
__all__ = [
    "Against", "Layer", "Rebuilt", "Reproduced", "Sameness",
    "against_row", "as_json", "certified", "rebuild", "reproduce", "require_certified", "require_rebuilt",
    "require_same", "row", "sameness_of",
]
