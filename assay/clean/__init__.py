"""Make room in the cache folder, without taking anything away from a command that runs."""

from assay.clean.cache import Item, clean, items

__all__ = ["Item", "clean", "items"]
