"""Carry an image to where no network leads: out of a registry into one file, and out of that into another registry.

The file is an OCI image layout in a tar. It has the image under its digest, all that is attached to it, and its tags.
"""

from assay.carry.bring import bring, destination
from assay.carry.layout import Layout, opened
from assay.carry.take import Carried, row, take

__all__ = ["Carried", "Layout", "bring", "destination", "opened", "row", "take"]
