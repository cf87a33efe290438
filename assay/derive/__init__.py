"""Certify an image that somebody derived from a certified one: `FROM assay/pytorch`, and packages added.

`certify(root, engine, "mine", of_checkout(root, suites), (suites, Options()), tell)` gives a `Certified`.
"""

from assay.derive.base import of_checkout, of_file, of_registry
from assay.derive.certify import Certified, as_json, certify

__all__ = ["Certified", "as_json", "certify", "of_checkout", "of_file", "of_registry"]
