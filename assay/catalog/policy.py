"""What a certificate of an image that was built here must be."""

from __future__ import annotations

from assay.catalog.built import Built
from assay.catalog.drift import drift_inputs
from assay.catalog.image import Catalog, Image
from assay.catalog.inputs import inputs
from assay.catalog.labels import SUITE_LABEL, labels
from assay.catalog.plan import plan
from assay.certificate import LONGEST_LIFE, Configuration, Policy, Suites

# What an image of ours bears beside its level: what people do every day works in it.
MARKS = ("everyday",)


def policy(catalog: Catalog, image: Image, built: Built, suites: Suites, device: str) -> Policy:
    """Return the policy for one image and device: of that build, its plan, its suite, its inputs."""
    promised = {**labels(image), **({SUITE_LABEL: built.suite} if built.suite else {})}
    return Policy(
        suites,
        digest=built.digest,
        configuration=Configuration(built.config, built.diff_ids, image.built_for.name, promised),
        plan=plan(image, device),
        inputs={**inputs(catalog, image), **drift_inputs(built.drift)},
        max_age_days=LONGEST_LIFE,
        marks=MARKS,
    )
