"""How it is measured."""

from __future__ import annotations

from dataclasses import dataclass

from assay.compare.line import Device

BLOCKS = 15  # the fewest of a set that a comparison rests on
MOST_LOAD = 0.25  # processors that others may keep busy while seconds are measured
PATIENCE = 600.0  # seconds that a busy machine is waited for
MEMORY = 8 * 2**30


@dataclass(frozen=True)
class Options:
    """How it is measured: on what, in how many blocks, as which set; what the containers may use.

    ``cpus`` are processors as ``--cpuset-cpus`` names them, ``threads`` how many threads the programs use, ``load``
    how many processors others may keep busy. ``again`` measures also what stands.
    """

    cpus: str
    threads: int
    device: Device = "cpu"
    blocks: int = BLOCKS
    set: str = "1"
    again: bool = False
    memory_bytes: int = MEMORY
    load: float = MOST_LOAD
    patience: float = PATIENCE
