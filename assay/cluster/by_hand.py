"""What is submitted by hand: a batch script or a manifest to print, and the logs of a Kubernetes that come back."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from assay.catalog import Catalog, read_images
from assay.catalog.built import select_built, together
from assay.certificate import Suites
from assay.certify import Asked, Options, Outcome, ask
from assay.cluster import kubernetes, slurm
from assay.cluster.images import named, reference_of
from assay.cluster.judge import judged
from assay.cluster.place import Place
from assay.cluster.tasks import prepare
from assay.errors import UsageError, of_image


def script(cat: Catalog, names: Iterable[str], options: Options, place: Place) -> str:
    """The batch script for the named images, whose tasks are written to the shared folder; nothing is submitted.

    Whoever submits it has `certify` collect what it leaves.
    """
    wanted = named(_asked(cat, names, options), place.registry)
    return slurm.script(prepare(place.shared, wanted, plain_http=place.plain_http), place.wishes)


def manifest(cat: Catalog, names: Iterable[str], options: Options, place: Place) -> str:
    """The manifest for the named images; nothing is submitted. Each Job answers in its log."""
    wanted = named(_asked(cat, names, options), place.registry)
    wishes = place.wishes
    return kubernetes.manifest(secrets.token_hex(8), wanted, gpu=wishes.gpu, memory_bytes=wishes.memory_bytes)


def collect(cat: Catalog, names: Sequence[str], options: Options, place: Place, log: Path) -> Outcome:
    """Certify the one named image by the log of its Job. Raises `UsageError` where none or several are named."""
    if len(names) != 1:
        raise UsageError("a log is of one image", "Name it: assay smoke IMAGE --on kubernetes --collect LOG.")
    (asked,) = _asked(cat, names, options)
    try:
        with log.open("rb") as file:
            data = file.read(kubernetes.LARGEST_LOG)
        answer = kubernetes.answer_of(asked.image.name, asked.built.digest, data)
        return judged(asked, answer, str(reference_of(place.registry, asked)), "kubernetes")
    except Exception as error:
        return Outcome(asked.image.name, options.device, error=of_image(asked.image.name, error))


def _asked(cat: Catalog, names: Iterable[str], options: Options) -> list[Asked]:
    suites = Suites.read(cat.root)
    chosen = together(select_built(cat, names, read_images(cat.root).images))
    return [ask(cat, image, suites, options) for image in chosen]
