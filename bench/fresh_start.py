"""A fresh start: a clean clone, an empty HOME and an empty cache, and the README's two commands for one image.

    .venv/bin/python bench/fresh_start.py [IMAGE] [--limit SECONDS] [--json FILE]

Prints the seconds to each stage: the first line, the tools (.venv), the engine, each image, the certificate; then
holds what was built against what this checkout has built, and against the committed certificate. Without an image it
takes the smallest that is not compiled. The clone is of HEAD. Its engine is stopped and its folder removed, whatever
happens. Exit code: 0 if the commands ended well and nothing differs, 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from assay import catalog, certify
from assay.catalog import Built, drifts, read_images
from assay.catalog.built import smallest_by_limit
from assay.engine.embedded import EmbeddedEngine
from assay.reproduce import sameness_of

# What would bring something of this machine's user into the fresh one.
_NOT_HANDED_ON = (
    "XDG_",
    "ASSAY_",
    "DOCKER_",
    "VIRTUAL_ENV",
    "PYTHON",
    "MAKE",
    "MFLAGS",
    "NOX",
    "PIP_CACHE",
    "UV_CACHE",
)
FIRST = 5  # the most seconds to the first line
QUIET = 60  # the most seconds without a line


@dataclass
class Start:
    """A fresh start under way: its folder, its environment, and the seconds to each stage."""

    folder: Path
    image: str
    began: float = field(default_factory=time.monotonic)
    stages: dict[str, float] = field(default_factory=dict)
    longest_silence: float = 0.0

    @property
    def clone(self) -> Path:
        """The clean clone."""
        return self.folder / "clone"

    @property
    def environment(self) -> dict[str, str]:
        """This process's, with a HOME that is empty and nothing that leads out of it."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_HANDED_ON)}
        return {**kept, "HOME": str(self.folder / "home"), "ASSAY_ENGINE": "embedded"}

    def reached(self, stage: str) -> None:
        """Write down when a stage was reached first."""
        if stage not in self.stages:
            self.stages[stage] = time.monotonic() - self.began
            print(f"== {self.stages[stage]:6.1f} s  {stage}", flush=True)


def run(start: Start, argv: list[str]) -> None:
    """Run a command of the README in the clone, and read its lines for the stages."""
    last = time.monotonic()
    process = subprocess.Popen(
        argv,
        cwd=start.clone,
        env=start.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that it can be ended with all that it started
    )
    watch = threading.Thread(target=_watch_files, args=(start, process), daemon=True)
    watch.start()
    assert process.stdout is not None
    try:
        for line in process.stdout:
            now = time.monotonic()
            start.longest_silence, last = max(start.longest_silence, now - last), now
            start.reached("first line")
            print(f"   {now - start.began:6.1f} s  {line.rstrip()}", flush=True)
            _stage_of(start, line)
        status = process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)
        raise
    finally:
        process.stdout.close()
    if status != 0:
        raise SystemExit(f"error: `{' '.join(argv)}` ended with {status}\n  What it said stands above.")


def _stage_of(start: Start, line: str) -> None:
    name, colon, rest = line.strip().partition(": ")
    if colon and name == "engine" and rest.startswith("starting took"):
        start.reached("engine")
    if colon and rest.startswith("built in"):
        start.reached(f"image {name}")


def _watch_files(start: Start, process: subprocess.Popen[str]) -> None:
    """What no line tells: that the tools are there, and the certificate."""
    certificates = start.clone / "build/certificates" / start.image
    while process.poll() is None:
        if (start.clone / ".venv/.ready").is_file():
            start.reached("tools (.venv)")
        if list(certificates.glob("*.json")):
            start.reached("certificate")
        time.sleep(0.2)
    if list(certificates.glob("*.json")):
        start.reached("certificate")


@contextlib.contextmanager
def fresh(root: Path, image: str) -> Iterator[Start]:
    """A clone of HEAD in a temporary folder, with an empty HOME; its engine is stopped and all of it is removed."""
    folder = Path(tempfile.mkdtemp(prefix="assay-fresh-"))
    start = Start(folder, image)
    try:
        (folder / "home").mkdir()
        subprocess.run(["git", "clone", "--quiet", str(root), str(start.clone)], check=True)
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True)
        subprocess.run(["git", "checkout", "--quiet", head.stdout.strip()], cwd=start.clone, check=True)
        yield start
    finally:
        _without_signals(lambda: _remove(folder))


def _remove(folder: Path) -> None:
    EmbeddedEngine(folder / "home/.cache/assay/engine").down()
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        print(f"warning: {folder} could not be removed", file=sys.stderr)


def _without_signals(do: Any) -> None:
    """A second Ctrl-C must not leave an engine running."""
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        do()
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def compare(ours: dict[str, Built], theirs: dict[str, Built]) -> list[tuple[str, str, bool]]:
    """Each image of the clone, how it stands to this checkout's in words, and whether that is as it should be.

    What drifted alike in both has to be the same all the same; otherwise there is nothing to hold it against.
    """
    rows = []
    for name, built in theirs.items():
        here = ours.get(name)
        drift = "; ".join(f"{what}: {how}" for what, how in drifts({name: built}).items())
        said = f" (drifted: {drift})" if drift else ""
        if here is None:
            rows.append((name, f"not built in this checkout{said}", True))
        elif here.drift != built.drift:
            there = "; ".join(f"{what}: {how}" for what, how in drifts({name: here}).items())
            rows.append((name, f"drifted (here: {there or 'exact'}; in the clone: {drift or 'exact'})", True))
        else:
            found = sameness_of(here, built)
            rows.append((name, f"{found.value}{said}", found.holds))
    return rows


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run it, print the stages, and hold the result against this checkout's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?")
    parser.add_argument("--limit", type=float, help="fail if the certificate takes longer, in seconds")
    parser.add_argument("--json", type=Path, help="write the seconds to each stage there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    root = Path(subprocess.check_output(["git", "rev-parse", "--show-toplevel"], text=True).strip())
    cat = catalog.load(root)
    image = options.image or smallest_by_limit(cat)
    (standing,) = certify.standings(cat, [image])
    with fresh(root, image) as start:
        run(start, ["make", "build-all", f"IMAGES={image}"])
        run(start, ["make", "smoke", f"IMAGES={image}"])
        if standing.holds:
            run(start, [".venv/bin/assay", "reproduce", "--certified", image])
        else:
            print(f"not held against its certificate: {standing.problem}")
        rows = compare(read_images(root).images, read_images(start.clone).images)
    problems = [f"{name} came out as another image than here" for name, _, good in rows if not good]
    if start.stages["first line"] > FIRST:
        problems.append(f"the first line came after {start.stages['first line']:.0f} s")
    if start.longest_silence > QUIET:
        problems.append(f"{start.longest_silence:.0f} s went by without a line")
    if options.limit and start.stages["certificate"] > options.limit:
        problems.append(f"the certificate took {start.stages['certificate']:.0f} s, above {options.limit:.0f} s")
    print(f"\nfresh start of {image}")
    for stage, seconds in start.stages.items():
        print(f"  {seconds:6.1f} s  {stage}")
    print(f"  {start.longest_silence:6.1f} s  the longest silence")
    for name, said, _ in rows:
        print(f"  {name}: {said}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if options.json:
        told: dict[str, Any] = {
            "image": image,
            "stages": start.stages,
            "silence": start.longest_silence,
            "compared": rows,
        }
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
