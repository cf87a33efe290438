"""What the page says that answers which image runs on which machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.doctor import names
from assay.doctor.cuda import dotted
from assay.doctor.table import decision_table
from assay.site.subject import Subject


def words(subjects: Sequence[Subject]) -> dict[str, Any]:
    """What the template of the page is filled with."""
    rules = decision_table(one.certified for one in subjects)
    by_name = {one.name: one for one in subjects}
    gpus = names.listed()
    return {
        "rules": rules,
        "ranked": [by_name[row["image"]] for row in rules["images"]],
        "gpus": {kind: [(gpu, names.on_arm(gpu)) for gpu in found] for kind, found in gpus.items()},
        "least": {kind: [_least(rules, row["steps"]["linux"][kind]) for row in rules["images"]] for kind in gpus},
    }


def _least(rules: Mapping[str, Any], ladder: int) -> str:
    """From which driver on an image runs on the GPU, and before which; else where it runs."""
    steps = [(first, rules["answers"][answer][0]) for first, answer in rules["ladders"][ladder]]
    on_gpu = [at for at, (_, runs) in enumerate(steps) if runs == "gpu"]
    if not on_gpu:
        return "CPU" if steps[-1][1] == "cpu" else "no"
    after = steps[on_gpu[-1] + 1 :]
    return dotted(steps[on_gpu[0]][0]) + (f" to {after[0][0][0] - 1}" if after else "")
