"""What `assay run` adds to `docker run`. In a checkout: .venv/bin/python bench/run.py [IMAGE] [--times N]

Turn by turn, the seconds to the end of a Python program that prints a line: by bare docker, by `assay run IMAGE`, and
by `assay run` of a script, which has to find out the image. Prints the medians, and what each is above docker.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from assay import catalog, doctor, engine
from assay.catalog import read_images
from assay.certificate import Suites
from assay.cli.console import say_table

ASSAY = str(Path(sys.executable).parent / "assay")
LINE = "print('a line')"


def seconds(argv: list[str], **options: object) -> float:
    """The seconds that a command takes; it has to end well and print its line."""
    began = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=True, **options)  # type: ignore[call-overload]
    assert done.stdout.endswith("a line\n"), done
    return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?")
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    root = Path.cwd()
    cat, built = catalog.load(root), read_images(root).images
    images, _ = doctor.gather(root, Suites.read(root))
    name = options.image or min(built.keys() & {each.image for each in images})
    one = next(each for each in images if each.image == name)
    digest = built[cat.get(one.image).name].digest
    with engine.find() as found, tempfile.TemporaryDirectory(dir=root / "build") as folder:
        # The import is read, and not made: its seconds are the framework's.
        Path(folder, "line.py").write_text(f"if 0:\n    import {one.module}\n{LINE}\n")
        bare = ["docker", "run", "--rm", "--network", "none", digest, "python", "-c", LINE]
        ways = {
            "docker run": lambda: seconds(bare, env=found.environment),
            f"assay run {one.image}": lambda: seconds([ASSAY, "run", one.image, "python", "-c", LINE], cwd=folder),
            "assay run python line.py": lambda: seconds([ASSAY, "run", "python", "line.py"], cwd=folder),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.times):
            for name, way in ways.items():
                taken[name].append(way())
    medians = {name: statistics.median(each) for name, each in taken.items()}
    rows = ((name, f"{took:.2f}", f"{took - medians['docker run']:+.2f}") for name, took in medians.items())
    say_table(("", "seconds", "above docker"), rows, right=("seconds", "above docker"))


if __name__ == "__main__":
    main()
