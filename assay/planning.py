"""What the host promises about an image and asks of the suite: plan, labels, and the digests of the inputs."""

from __future__ import annotations

import hashlib
import json

from assay import catalog
from assay.catalog import Catalog, Image
from assay.errors import UsageError


def plan(image: Image, device: str = "cpu") -> dict[str, object]:
    """What the smoke suite is to do in this image: the border between the host and the image (schema 1)."""
    if image.framework is None:
        raise UsageError(f"{image.name} has no framework, so nothing is trained in it", "Name a framework image.")
    backends = {"backends": list(image.framework.backends)} if image.framework.backends else {}
    return {
        "schema": 1,
        "image": image.name,
        "device": device,
        "framework": {"name": image.framework.name, "module": image.framework.module, **backends},
        "workloads": list(image.workloads),
        "labels": dict(image.labels),
        "packages": packages(image),
        "seconds_per_check": 300,
    }


def packages(image: Image) -> dict[str, str]:
    """The Python packages of an image and their versions: those that are locked, and those that it builds."""
    pins = catalog.packages(image.lock) if image.lock else {}
    return {**{name: pin.version for name, pin in pins.items()}, **image.built}


def plan_text(image: Image) -> str:
    """The plan as it is baked into the image, for the self-test there."""
    return json.dumps(plan(image), sort_keys=True, separators=(",", ":"))


def labels(image: Image) -> dict[str, str]:
    """The OCI labels: what is promised. The certificate holds them against what is loaded."""
    found = {
        "org.opencontainers.image.title": image.name,
        "org.opencontainers.image.description": image.summary,
        **{f"assay.{name}": value for name, value in image.labels.items()},
    }
    version = framework_version(image)
    if image.framework and version:
        found |= {"assay.framework": image.framework.name, "org.opencontainers.image.version": version}
    return found


def framework_version(image: Image) -> str | None:
    """The framework's version, as the lock has it, or as it is built."""
    if image.framework is None:
        return None
    return packages(image).get(image.framework.distribution or image.framework.name)


def inputs(cat: Catalog, image: Image) -> dict[str, str]:
    """SHA-256 of each input of an image and of all that it stands on, by path in the repository.

    The locks, what a build does with them, and each image.toml. What a lock was resolved from is none: the lock is.
    """
    members = (image, *cat.ancestors(image))
    tools = [one.build_tools for one in members if one.build_tools]
    files = {one.dockerfile for one in members}
    for folder in (*(one.folder for one in (*members, *tools)), cat.root / "images" / "common"):
        files.update(path for path in folder.rglob("*") if path.is_file() and path.name not in _NO_INPUTS)
    return {
        path.relative_to(cat.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if "__pycache__" not in path.parts
    }


_NO_INPUTS = ("requirements.in", "README.md")
