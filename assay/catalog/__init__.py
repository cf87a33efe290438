"""What ``images/`` and build/images.json say: the images of a repository, what they promise, and what was built.

An image's names in an engine are in `assay.catalog.built`; the words for what drifted are in `assay.catalog.drift`.
"""

from assay.catalog.agree import SDIST_BUILDERS, check_contains
from assay.catalog.built import Built, Images, drifts, read_images, write_images
from assay.catalog.drift import Change, Drift
from assay.catalog.image import Catalog, Image
from assay.catalog.inputs import inputs
from assay.catalog.labels import labels
from assay.catalog.load import load
from assay.catalog.pins import Pin
from assay.catalog.plan import framework_version, packages, plan, plan_text
from assay.catalog.policy import policy
from assay.catalog.toml import Framework, Tools

# fmt: off
__all__ = [
    "SDIST_BUILDERS", "Built", "Catalog", "Change", "Drift", "Framework", "Image", "Images", "Pin", "Tools",
    "check_contains", "drifts", "framework_version", "inputs", "labels", "load", "packages", "plan", "plan_text",
    "policy", "read_images", "write_images",
]
