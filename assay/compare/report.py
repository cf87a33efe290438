"""A comparison for programs, and the error that it amounts to."""

from __future__ import annotations

from typing import Any

import msgspec

from assay.compare.answer import Comparison, Problem
from assay.errors import VerificationFailed

MOST_NAMED = 3


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The answers to the questions, what their controls found, and what is wrong, as JSON has it.

    An answer's line is left out but for its values: it stands in the results.
    """
    return {
        "questions": [
            {"name": one.name, "title": one.title, "kind": one.kind, "cells": dict(one.cells)}
            for one in comparison.questions.values()
        ],
        "answers": [
            {
                "question": one.question,
                "cell": one.cell,
                "framework": one.framework,
                "outcome": one.outcome,
                "because": one.because,
                "image": one.line.image if one.line else None,
                "digest": one.line.digest if one.line else None,
                "values": one.line.values if one.line else {},
                "ratios": msgspec.to_builtins(list(one.ratios.values()), str_keys=True),
            }
            for one in comparison.answers
        ],
        "controls": [msgspec.to_builtins(one) for one in comparison.controls],
        "problems": [msgspec.to_builtins(one) for one in comparison.problems],
    }


def require_sound(comparison: Comparison) -> None:
    """Raise `VerificationFailed` (exit 5) where anything must not be in results that are committed."""
    void = [one for one in comparison.problems if one.void]
    lacking = [one for one in comparison.answers if one.outcome == "not measured"]
    named = [_named(one) for one in void[:MOST_NAMED]]
    if not void and not lacking:
        return
    if lacking:
        first = lacking[0]
        named.append(
            f"{len(lacking)} cells are not measured, such as {first.question}, {first.framework}, {first.cell}"
        )
    rest = f"; and {len(void) - MOST_NAMED} problems more" if len(void) > MOST_NAMED else ""
    raise VerificationFailed(
        f"the comparison does not stand: {'; '.join(named)}{rest}",
        "`assay compare --check` lists it all. `assay compare` measures what is missing, and with --again all of it.",
    )


def _named(one: Problem) -> str:
    where = f", line {one.lines[0]}" if one.lines else ""
    return f"{one.file or one.question}{where}: {one.what}"
