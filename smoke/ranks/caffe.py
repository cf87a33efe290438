"""Caffe, which has no ranks on the CPU. What each function would do: ``smoke.ranks``."""

# The functions are documented once, in smoke.ranks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

from typing import Any

import numpy as np

from smoke.frameworks import Cannot
from smoke.ranks import Place, Share

CANNOT: dict[str, str] = {
    "ranks": "Caffe's solver trains in one process on the CPU: what it has for several is NCCL, between GPUs",
}
TRANSPORT: dict[str, str] = {}
SWITCHES: tuple[str, ...] = ()


def join(place: Place) -> tuple[int, str]:
    raise Cannot(CANNOT["ranks"])


def total(values: np.ndarray) -> np.ndarray:
    raise Cannot(CANNOT["ranks"])


def split(place: Place, count: int, seed: int) -> list[int]:
    raise Cannot(CANNOT["ranks"])


def train(share: Share) -> dict[str, Any]:
    raise Cannot(CANNOT["ranks"])


def leave() -> None:
    raise Cannot(CANNOT["ranks"])
