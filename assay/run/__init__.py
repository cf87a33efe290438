"""A command in the right image: with the current folder, as the user himself, on the GPU where there is one."""

from assay.run.choose import Choice, Undecided, choose, named
from assay.run.given import Device, Given
from assay.run.imports import Imports, imports
from assay.run.start import (
    Images,
    environment_of,
    is_reference,
    on_gpu,
    recipe,
    recipe_here,
    require_reference,
    session,
    told,
)

# fmt: off
__all__ = [
    "Choice", "Device", "Given", "Images", "Imports", "Undecided", "choose", "environment_of", "imports",
    "is_reference", "named", "on_gpu", "recipe", "recipe_here", "require_reference", "session", "told",
]
