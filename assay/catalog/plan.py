"""What an image promises: the plan of its smoke test, and its packages. All of it is in the catalog."""

from __future__ import annotations

import json

from assay.catalog.image import Image
from assay.errors import UsageError


def plan(image: Image, device: str = "cpu", ranks: int = 0) -> dict[str, object]:
    """Return what the smoke suite is to do in this image: the border between the host and the image (schema 1).

    ``ranks``: how many processes are to train as one, beside all else; 0: none.
    """
    if image.framework is None:
        raise UsageError(f"{image.name} has no framework, so nothing is trained in it", "Name a framework image.")
    backends = {"backends": list(image.framework.backends)} if image.framework.backends else {}
    optional = {
        "stderr": list(image.stderr),
        "uncalled": dict(image.uncalled),
        "programs": dict(image.programs),
        "left_out": dict(image.left_out),
        "ranks": ranks,
    }
    return {
        "schema": 1,
        "image": image.name,
        "device": device,
        "framework": {"name": image.framework.name, "module": image.framework.module, **backends},
        "workloads": list(image.workloads),
        "labels": dict(image.labels),
        "packages": packages(image),
        "seconds_per_check": 300,
        **{key: value for key, value in optional.items() if value},
    }


def plan_text(image: Image) -> str:
    """Return the plan as it is baked into the image, for the self-test there."""
    return json.dumps(plan(image), sort_keys=True, separators=(",", ":"))


def packages(image: Image) -> dict[str, str]:
    """Return the Python packages of an image and their versions: those that are locked, built, or ours.

    Raises `UsageError` where the catalog was loaded without its locks.
    """
    if image.pins is None:
        raise UsageError(f"the lock of {image.name} was not read", f"Run `assay lock {image.name}`.")
    return {**{name: pin.version for name, pin in image.pins.items()}, **image.built, **image.beside}


def framework_version(image: Image) -> str | None:
    """Return the framework's version, as the lock has it, or as it is built."""
    if image.framework is None:
        return None
    return packages(image).get(image.framework.distribution or image.framework.name)
