"""Assay builds GPU environment images and certifies each by training in it."""
