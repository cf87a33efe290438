"""Build images: parents first, independent ones side by side, the same bits every time."""

from assay.build.ahead import Ahead
from assay.build.builders import Builder, build_on
from assay.build.contexts import uv_folder
from assay.build.foreign import is_foreign, require_runs, suffix_of
from assay.build.graph import build
from assay.build.keys import input_key
from assay.build.through import Through
from assay.build.turns import tidy
from assay.build.watching import Options, View

# fmt: off
__all__ = [
    "Ahead", "Builder", "Options", "Through", "View",
    "build", "build_on", "input_key", "is_foreign", "require_runs", "suffix_of", "tidy", "uv_folder",
]
