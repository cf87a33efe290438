"""What CI builds, and what it rests on. In a checkout: .venv/bin/python bench/ci.py lacking|turn|account

`lacking` prints the images that have no committed certificate that holds; for more than two, exit code 5. `turn`
prints one more to build, by the number of commits: of those whose certificate holds and whose image.toml says that
twelve minutes are enough; the smallest is left to bench/fresh_start.py. Why is said on standard error. `account`
says, at the end, which images were certified in this checkout and which rest on what is committed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from assay import catalog, certify
from assay.catalog import Catalog, read_images
from assay.catalog.built import smallest_by_limit
from assay.certify import Standing, records
from assay.certify.standing import lacks
from assay.cli.console import note, show_error
from assay.errors import AssayError, UsageError

MOST_LACKING = 2
MINUTES = 12  # for what a turn builds


def lacking(found: Sequence[Standing]) -> list[str]:
    """The images without a certificate that holds. Raises `VerificationFailed` where these are too many."""
    without = [one for one in found if not one.holds]
    for one in without:
        note(f"{one.image.name}'s certificate does not hold: {one.problem}")
    if len(without) > MOST_LACKING:
        raise lacks(without)
    return [one.image.name for one in without]


def turn(found: Sequence[Standing], smallest: str, commits: int) -> str | None:
    """The image whose turn it is; None where no other can be built in time.

    Raises `UsageError` where no image says how long it takes.
    """
    if not any(one.image.minutes for one in found):
        raise UsageError("no image says how long its build takes", "Set limits.minutes in the image.toml of each.")
    others = [one for one in found if one.holds and one.image.name != smallest]
    able = [one.image.name for one in others if one.image.minutes and one.image.minutes <= MINUTES]
    if not able:
        note(f"no other image can be built in {MINUTES} minutes")
        return None
    chosen = able[commits % len(able)]
    note(f"{chosen} is built and compared: it is its turn among {', '.join(able)}")
    return chosen


def account(cat: Catalog, found: Sequence[Standing]) -> list[str]:
    """What stands for each image: what was found here, or what is committed; in lines."""
    built, here, lines = read_images(cat.root).images, 0, []
    for one in found:
        name = one.image.name
        certified = (cat.root / "build/certificates" / name / "cpu.json").is_file()
        tested = records.marked(cat.root, name, built[name].digest) if name in built else None
        here += tested is not None
        if certified:
            lines.append(f"{name}: certified here; tests/images: {tested or 'did not run on it, or not whole'}")
        else:
            committed = f"rests on its certificate of {one.date}" if one.holds else f"rests on nothing: {one.problem}"
            lines.append(f"{name}: {committed}; tests/images: {one.tested or 'not on record'}")
    return [*lines, f"tests/images ran on {here} of {len(found)}"]


def _commits(root: Path) -> int:
    return int(subprocess.check_output(["git", "rev-list", "--count", "HEAD"], cwd=root, text=True))


def main() -> int:
    """Print what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("asked", choices=["lacking", "turn", "account"])
    asked = parser.parse_args().asked
    try:
        cat = catalog.load(Path.cwd())
        found = certify.standings(cat)
        if asked == "lacking":
            print(*lacking(found))
        elif asked == "turn":
            print(turn(found, smallest_by_limit(cat), _commits(cat.root)) or "")
        else:
            print(*account(cat, found), sep="\n")
    except AssayError as error:
        show_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
