"""A static site of images, their certificates and what was measured with them: pages that need no server.

`of_checkout` and `of_registry` gather what is shown; `write` makes the pages of it.
"""

from assay.site.subject import Subject, of_checkout, of_registry
from assay.site.write import Site, write

__all__ = ["Site", "Subject", "of_checkout", "of_registry", "write"]
