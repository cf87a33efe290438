"""`smoke --on`: the same on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from assay.cli.console import note
from assay.cli.options import checkout, plain_option
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.catalog import Catalog
    from assay.certify import Options, Outcome
    from assay.cluster import Place
    from assay.cluster.watch import View

ENGINES = ("slurm", "kubernetes")
_OPTIONS = (
    click.option("--on", type=click.Choice(ENGINES), help="Train on this cluster, a job an image."),
    click.option("--registry", metavar="HOST/PATH", help="With --on: nodes pull IMAGE from HOST/PATH/IMAGE."),
    click.option(
        "--shared",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="With --on: a folder that all nodes see; without one, build/cluster of the checkout.",
    ),
    click.option("--partition", metavar="NAME", help="With --on slurm."),
    click.option(
        "--start-within",
        type=click.IntRange(min=1),
        metavar="MINUTES",
        help="With --on: how long a job may wait for its start.  [default: 60]",
    ),
    plain_option,
    click.option(
        "--print", "printed", is_flag=True, help="With --on: print what would be submitted, and submit nothing."
    ),
    click.option(
        "--collect",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="LOG",
        help="With --on kubernetes: certify by the log of the image's Job.",
    ),
)


def cluster_options(command: Callable[..., None]) -> Callable[..., None]:
    """What `smoke` takes for a cluster."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Asked:
    """What a command line says of a cluster."""

    on: str
    registry: str
    shared: Path | None
    partition: str | None
    start_within: int
    plain_http: bool
    printed: bool
    collect: Path | None

    @classmethod
    def taken(cls, options: dict[str, Any]) -> Self | None:
        """Take what is about a cluster out of a command's options; None where none was asked for.

        Raises `UsageError` for what makes no sense without a cluster, or with one.
        """
        from assay.publish import Destination

        names = ("on", "registry", "shared", "partition", "start_within", "plain_http", "printed", "collect")
        given = {name: options.pop(name) for name in names}
        if given["on"] is None:
            idle = [name for name, value in given.items() if value]
            if idle:
                word = {"printed": "print"}.get(idle[0], idle[0].replace("_", "-"))
                raise UsageError(f"--{word} is about a cluster, and none is named", f"Name it: --on {ENGINES[0]}.")
            return None
        if options["pack"]:
            raise UsageError("--pack is about this machine's engine", "Leave it out, or leave out --on.")
        if given["registry"] is None:
            what = f"{given['on']} takes images from a registry, and none is named"
            raise UsageError(what, "Name it: --registry HOST/PATH. An image that is not there yet is sent there.")
        _check_for(given)
        Destination(given["registry"]).reference("any")
        return cls(**{**given, "start_within": given["start_within"] or 60})

    def smoke(self, cat: Catalog, images: tuple[str, ...], how: Options, view: View) -> list[Outcome]:
        """Certify there."""
        from assay import cluster

        if self.collect:
            outcome = cluster.collect(cat, images, how, self._place(how), self.collect)
            view.done(outcome)
            return [outcome]
        return cluster.certify(cat, images, how, self._place(how), view)

    def print(self, cat: Catalog, images: tuple[str, ...], how: Options) -> None:
        """Print what would be submitted."""
        from assay import cluster

        place = self._place(how)
        if self.on == "kubernetes":
            click.echo(cluster.manifest(cat, images, how, place), nl=False)
            note("after `kubectl create -f`, each Job's log is what --collect takes (docs/scale.md)")
            return
        click.echo(cluster.script(cat, images, how, place), nl=False)
        note(
            f"its tasks are in {place.shared}; after `sbatch`, the same command without --print collects its answers"
        )

    def _place(self, how: Options) -> Place:
        from assay.cluster import Place, Wishes

        wishes = Wishes(how.device == "gpu", how.memory_bytes, self.partition)
        shared = (self.shared or checkout() / "build" / "cluster").absolute()
        return Place(self.registry, shared, wishes, self.plain_http, self.start_within * 60.0)


def _check_for(given: dict[str, Any]) -> None:
    """Raise `UsageError` for what the cluster that is named cannot be told."""
    if given["on"] == "slurm" and given["collect"]:
        raise UsageError("--collect is for a log of Kubernetes", "The same command without it collects from Slurm.")
    if given["on"] == "kubernetes":
        idle = [name for name in ("shared", "partition", "start_within") if given[name]]
        if idle:
            raise UsageError(f"--{idle[0].replace('_', '-')} is about Slurm", "Leave it out.")
        if bool(given["printed"]) == bool(given["collect"]):
            what = "on Kubernetes nothing is submitted: either --print or --collect is wanted"
            raise UsageError(what, "Submit what --print prints by `kubectl create -f -`, and --collect its logs.")
