"""What the host promises about an image and asks of the suite: plan, labels, and the digests of the inputs."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from assay import catalog
from assay.catalog import Catalog, Image
from assay.certificate import LONGEST_LIFE, Configuration, Policy, Suites, plan_digest
from assay.errors import UsageError
from assay.images import Built, drift_inputs

# What decides nothing: what a lock was resolved from, and what is for people.
NO_INPUTS = ("requirements.in", "README.md")
# The stage of a framework's Dockerfile that holds what is installed, without the suite.
ENVIRONMENT = "environment"


def plan(image: Image, device: str = "cpu") -> dict[str, object]:
    """What the smoke suite is to do in this image: the border between the host and the image (schema 1)."""
    if image.framework is None:
        raise UsageError(f"{image.name} has no framework, so nothing is trained in it", "Name a framework image.")
    backends = {"backends": list(image.framework.backends)} if image.framework.backends else {}
    optional = {"stderr": list(image.stderr), "uncalled": dict(image.uncalled)}
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


def packages(image: Image) -> dict[str, str]:
    """The Python packages of an image and their versions: those that are locked, built, or ours."""
    pins = catalog.packages(image.lock) if image.lock else {}
    return {**{name: pin.version for name, pin in pins.items()}, **image.built, **image.beside}


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
    return found | (_plan_labels(image) if image.framework else {})


def _plan_labels(image: Image) -> dict[str, str]:
    """What the image is to be checked for. A certificate whose plan asks for less is not one of this image."""
    backends = image.framework.backends if image.framework else ()
    return {
        **({"assay.backends": ",".join(backends)} if backends else {}),
        "assay.workloads": ",".join(image.workloads),
        "assay.plan": plan_digest(plan(image)),
    }


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
    files = {one.dockerfile for one in members} | {last_dockerfile(cat, image)}
    for folder in (*(one.folder for one in (*members, *tools)), cat.root / "images" / "common"):
        files.update(path for path in folder.rglob("*") if path.is_file() and path.name not in NO_INPUTS)
    return {
        path.relative_to(cat.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if "__pycache__" not in path.parts
    }


def policy(cat: Catalog, image: Image, built: Built, suites: Suites, device: str) -> Policy:
    """What a certificate of an image that was built here must be: of that build, its plan, its suite, its inputs."""
    return Policy(
        suites,
        digest=built.digest,
        configuration=Configuration(built.config, built.diff_ids, "linux/amd64", labels(image)),
        plan=plan(image, device),
        inputs={**inputs(cat, image), **drift_inputs(built.drift)},
        max_age_days=LONGEST_LIFE,
    )


def has_environment(image: Image) -> bool:
    """Whether the image's Dockerfile has a stage of that name to keep."""
    return image.framework is not None and ENVIRONMENT in _stages(image.dockerfile)


def last_dockerfile(cat: Catalog, image: Image) -> Path:
    """Where an image's last stage stands: with an environment of its own, in the Dockerfile of all frameworks.

    Raises `UsageError` for a Dockerfile that goes on after its environment: no one would build what follows.
    """
    shared = cat.root / "images" / "Dockerfile"
    if image.dockerfile == shared or not has_environment(image):
        return image.dockerfile
    if _stages(image.dockerfile)[-1] != ENVIRONMENT:
        shown = image.dockerfile.relative_to(cat.root)
        raise UsageError(
            f"{shown} goes on after its stage `{ENVIRONMENT}`, and the suite is put on that by images/Dockerfile",
            f"End {shown} with that stage.",
        )
    return shared


def _stages(dockerfile: Path) -> list[str]:
    """The names of a Dockerfile's stages in order, empty where a stage has none."""
    text = dockerfile.read_text(encoding="utf-8")
    return re.findall(r"(?im)^FROM[ \t]+(?:--\S+[ \t]+)*\S+(?:[ \t]+AS[ \t]+(\S+))?[ \t]*$", text)
