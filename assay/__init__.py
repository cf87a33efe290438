"""Assay builds GPU environment images and certifies each by training in it."""

__version__ = "0.1.0"
