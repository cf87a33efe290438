"""What nodes pull: an image in a registry, under the very digest that it was built with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from assay import engine
from assay.catalog import Catalog
from assay.certify import Asked
from assay.publish import Destination
from assay.publish.candidates import Candidate
from assay.publish.push import homes_of_layers, push
from assay.registry import Reference, Repository


def reference_of(registry: str, asked: Asked) -> Reference:
    """An image's name in a registry, by its digest. Raises `UsageError` where that is no reference."""
    return Destination(registry).reference(asked.image.name).at(asked.built.digest)


def named(wanted: Iterable[Asked], registry: str) -> list[tuple[Asked, str]]:
    """Each image with its reference."""
    return [(each, str(reference_of(registry, each))) for each in wanted]


def ensure(cat: Catalog, asked: Asked, registry: str, tell: Callable[[str, str], None], *, plain_http: bool) -> None:
    """See that the registry has an image, and send it there if it has not; under its digest and no tag.

    A tag would be a name for what is not certified yet. The engine is asked only for what is to be sent.
    """
    reference = reference_of(registry, asked)
    with Repository(reference, plain_http=plain_http) as repository:
        if repository.digest(asked.built.digest) == asked.built.digest:
            return
        name = asked.image.name
        tell(name, f"sending to {reference.host}")
        path = Destination(registry).reference("any").path.rpartition("/")[0]
        with engine.find(lambda text: tell("engine", text)) as found:
            candidate = Candidate(asked.image, asked.built, ())
            push(found, candidate, repository, homes_of_layers(cat, path), _Silent())


class _Silent:
    """Hears of each blob and says nothing: the phase was told."""

    def phase(self, image: str, text: str) -> None:
        """Nothing is shown."""

    def sending(self, image: str, sizes: Mapping[str, int]) -> None:
        """Nothing is shown."""

    def gone(self, image: str, digest: str, count: int) -> None:
        """Nothing is shown."""

    def sent(self, image: str, digest: str) -> None:
        """Nothing is shown."""
