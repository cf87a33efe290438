"""The labels that every image gets: what is promised, for whoever has the image alone.

What one image adds stands in `[labels]` of its image.toml; the label of drift is in `assay.catalog.drift`.
"""

from __future__ import annotations

import json

from assay.catalog.image import Image
from assay.catalog.plan import framework_version, plan
from assay.certificate import plan_digest

# Which suite is in an image, by its digest: a certificate by another suite is not one of that image.
SUITE_LABEL = "assay.suite"
# What VS Code and the devcontainer command do with the image, where a project names it and nothing else.
# Source: the "Image Metadata" of the Development Containers Specification.
DEVCONTAINER = {
    "remoteUser": "assay",
    "hostRequirements": {"gpu": "optional"},
    "customizations": {
        "vscode": {
            "extensions": ["ms-python.python"],
            "settings": {"python.defaultInterpreterPath": "/opt/env/bin/python"},
        }
    },
}


def labels(image: Image) -> dict[str, str]:
    """Return the OCI labels: what is promised. The certificate holds them against what is loaded."""
    promised = {
        "org.opencontainers.image.title": image.name,
        "org.opencontainers.image.description": image.summary,
        **{f"assay.{name}": value for name, value in image.labels.items()},
    }
    version = framework_version(image)
    if image.framework and version:
        promised |= {"assay.framework": image.framework.name, "org.opencontainers.image.version": version}
    return promised | (_framework_labels(image) if image.framework else {})


def _framework_labels(image: Image) -> dict[str, str]:
    """Return what the image is to be checked for, and how it is worked in.

    A certificate whose plan asks for less is not one of this image.
    """
    backends = image.framework.backends if image.framework else ()
    return {
        "devcontainer.metadata": json.dumps([DEVCONTAINER], sort_keys=True),
        **({"assay.backends": ",".join(backends)} if backends else {}),
        "assay.workloads": ",".join(image.workloads),
        "assay.plan": plan_digest(plan(image)),
    }
