"""Where images are certified, and what is asked of a cluster for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wishes:
    """What is asked for each image. What one cluster alone wants, variables such as SBATCH_ACCOUNT say."""

    gpu: bool = False
    memory_bytes: int | None = None
    partition: str | None = None


NOTHING_MORE = Wishes()


@dataclass(frozen=True)
class Place:
    """Where images are pulled from, the folder that all nodes see, and what is asked of the cluster.

    ``start_within`` bounds the seconds that a job may wait for its start.
    """

    registry: str
    shared: Path
    wishes: Wishes = NOTHING_MORE
    plain_http: bool = False
    start_within: float = 3600.0
