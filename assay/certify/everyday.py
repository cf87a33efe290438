"""How much of what people do every day a certificate shows. What one release shows, the next may not leave out."""

from __future__ import annotations

from collections.abc import Mapping

from assay.certificate.report import Report

# The results that say how many they tried, and those of which each is one thing that was tried.
SUMS = ("everyday.programs", "everyday.modules")
EACH = ("everyday.files", "everyday.extensions")


def tried(report: Report) -> dict[str, int]:
    """The programs and modules that were tried, and the savers and extensions that did as they should."""
    found = dict.fromkeys((*SUMS, *EACH), 0)
    for result in report.results:
        for name in SUMS:
            if result.id == name:
                counts = [one.value for one in result.metrics if one.name == "tried"]
                found[name] = sum(int(one) for one in counts if one.isascii() and one.isdigit())
        for name in EACH:
            if result.id.startswith(f"{name}.") and result.state == "pass":
                found[name] += 1
    return found


def fewer(before: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """What is tried less often than it was, in words."""
    less = {name: now.get(name, 0) for name, most in before.items() if now.get(name, 0) < most}
    return [f"{name} tried {count}, {before[name]} before" for name, count in less.items()]
