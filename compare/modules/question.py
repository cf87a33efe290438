"""What is ready-made? Counted by construction: nothing counts for its name alone.

A framework's file finds what its public namespaces hold, and gives *trials*: a name, and a function that constructs
the thing, runs it and returns the numbers that came out. What raises, gives no numbers or none that are finite, or
takes too long, did not run, and stands there with its reason. Of transforms the file gives those that are ready-made
and leave nothing to chance; their results are held against NumPy's.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Callable

from modules import _pictures
from modules._counting import counted

TITLE = "What is ready-made?"
CLAIM = "PyTorch has prebuilt modules and a strong ecosystem, with TorchVision and TorchText."
KIND = "facts"
CELLS = {
    "layers": "Layers that can be constructed and run forward",
    "losses": "Losses that give a number and a gradient",
    "optimizers": "Optimizers that lower a loss in ten steps",
    "models": "Models without weights that can be built and run forward",
    "transforms": "Images a second through transforms whose results are NumPy's",
}
LIMIT = 1200  # seconds on a machine that others load; the limits below are of processor time
# Seconds for one trial and for all trials of a cell: six minutes for a framework.
SECONDS = {"layers": (20, 80), "losses": (20, 30), "optimizers": (20, 50), "models": (30, 180)}


def measure(cell: str, function: Callable[..., Any], task: SimpleNamespace) -> dict[str, Any]:
    """The answer of a cell."""
    if cell == "transforms":
        return {"values": _pictures.measured(function())}
    each, whole = SECONDS[cell]
    values = counted(function(), each, whole, getattr(task.module, "TRIALS_APART", False))
    assert values["found"], "nothing was found that could be tried"
    return {"values": values}
