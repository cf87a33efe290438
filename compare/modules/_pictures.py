"""Transforms of pictures: what NumPy makes in float64, and how fast a framework makes the same."""

from __future__ import annotations

import statistics
import time
from typing import Any, Callable, NamedTuple

import numpy as np

COUNT, SIDE, SMALLER, CROPPED = 16, 64, 40, 48  # pictures, and their sides in pixels
MEAN, DEVIATION = (0.5, 0.4, 0.3), 0.25
GATE = 1e-4  # of how far a pixel may be from NumPy's; pixels are from 0 to 1
TIMES, SECONDS = 5, 0.2  # how often it is timed, and how long each time at least


class Transforms(NamedTuple):
    """A framework's own: ``taken`` makes its array of (count, side, side, 3), float32; ``given`` makes NumPy's of it.

    ``named`` has the transforms by the names of EXPECTED, as functions of its array.
    """

    taken: Callable[[np.ndarray], Any]
    given: Callable[[Any], np.ndarray]
    named: dict[str, Callable[[Any], Any]]


def made() -> np.ndarray:
    """The pictures (COUNT, SIDE, SIDE, 3), float32 from 0 to 1."""
    return np.random.RandomState(1).random_sample((COUNT, SIDE, SIDE, 3)).astype(np.float32)


def _resized(pictures: np.ndarray) -> np.ndarray:
    """Bilinear, with pixels that have their centres in their middle, and without a filter before it."""
    for axis in (1, 2):
        at = np.clip((np.arange(SMALLER) + 0.5) * SIDE / SMALLER - 0.5, 0, SIDE - 1)
        low = np.minimum(at.astype(int), SIDE - 2)
        part = (at - low).reshape([-1 if one == axis else 1 for one in range(4)])
        pictures = pictures.take(low, axis) * (1 - part) + pictures.take(low + 1, axis) * part
    return pictures


def _cropped(pictures: np.ndarray) -> np.ndarray:
    first = (SIDE - CROPPED) // 2
    return pictures[:, first : first + CROPPED, first : first + CROPPED]


EXPECTED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "resize": _resized,
    "crop": _cropped,
    "flip": lambda pictures: pictures[:, :, ::-1],
    "normalize": lambda pictures: (pictures - np.array(MEAN)) / DEVIATION,
}


def measured(transforms: Transforms) -> dict[str, Any]:
    """Pictures a second, to NumPy's arrays, for each transform whose result is NumPy's; which are not, or lack."""
    pictures = made()
    taken = transforms.taken(pictures)
    values: dict[str, Any] = {"unequal": [], "lacks": [name for name in EXPECTED if name not in transforms.named]}
    for name, transform in transforms.named.items():
        found = np.asarray(transforms.given(transform(taken)), np.float64)
        expected = EXPECTED[name](pictures.astype(np.float64))
        if found.shape != expected.shape:
            values["unequal"].append(f"{name}: its shape is {found.shape}, and NumPy's {expected.shape}")
            continue
        difference = float(np.abs(found - expected).max())
        values[f"{name}_difference"] = difference
        if difference > GATE:
            values["unequal"].append(f"{name}: it is {difference:.2g} away from NumPy's")
        else:
            values[f"{name}_per_second"] = round(_per_second(lambda: transforms.given(transform(taken))))  # noqa: B023
    values["equal"] = [name for name in EXPECTED if f"{name}_per_second" in values]
    return values


def _per_second(run: Callable[[], Any]) -> float:
    """Pictures a second, the median of several times."""
    run()
    rates = []
    for _ in range(TIMES):
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            run()
            count += 1
        rates.append(count * COUNT / (time.perf_counter() - start))
    return statistics.median(rates)
