"""Runs uv, which resolves an image's requirements: its command line, settings, environment, answer and errors."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import uv

from assay.catalog import Image, check_contains
from assay.catalog.files import IMAGES
from assay.errors import AssayError, BuildFailed, UsageError
from assay.host import network, process
from assay.lock.text import all_pins, header_for, parse_answer, pin_lines, requirements_of, target_of

_TIMEOUT = 600.0
_SETTINGS = "uv.toml"


def new_lock(image: Image, stacks: Mapping[str, str], keep: Iterable[tuple[str, str]]) -> str:
    """Return the new text of an image's lock."""
    body = resolve(image, stacks, keep)
    pins = parse_answer(body)
    for name, text in stacks.items():
        check_contains(image, pins, name, parse_answer(text))
    return header_for(image, body) + body


def resolve(image: Image, stacks: Mapping[str, str], keep: Iterable[tuple[str, str]]) -> str:
    """Return uv's answer to an image's requirements on top of these stacks; it prefers the versions in ``keep``.

    uv runs in a folder with the same names as the repository, so that its remarks ("via -r images/…") are the same
    wherever the repository is.
    """
    requirements_of(image)  # raises for whatever uv would follow to other files
    assert image.requirements is not None  # noqa: S101 - the callers asked
    with tempfile.TemporaryDirectory(prefix="assay-lock-") as folder:
        top = Path(folder)
        source = _copy(top, image.name, "requirements.in", image.requirements.read_text("utf-8"))
        locks = [_copy(top, name, "requirements.lock", text) for name, text in stacks.items()]
        # uv prefers the versions and hashes of an output file that exists. So it gets the stacks' pins with their
        # hashes, so that the two locks agree even when the index has got more files since.
        below = all_pins(stacks)
        kept = "".join(f"{name}=={version}\n" for name, version in keep if name not in below)
        output = _copy(top, image.name, "requirements.lock", pin_lines(below) + kept)
        (top / _SETTINGS).write_text(_settings(image), "utf-8")
        done = process.run(
            command(image, [source, *locks], output), env=network.uv_environment(), cwd=top, timeout=_TIMEOUT
        )
        if done.returncode != 0:
            raise failure(image.name, done, image.built_for.suffix)
        return (top / output).read_text("utf-8")


def command(image: Image, sources: Sequence[Path], output: Path) -> list[str]:
    """Return the command line that resolves an image's own requirements together with its stacks' locks."""
    python, platform = target_of(image)
    try:
        binary = uv.find_uv_bin()
    except FileNotFoundError:
        raise BuildFailed("uv is missing from this Python", "Install Assay again, with its dependencies.") from None
    return [
        binary,
        *("pip", "compile", *map(str, sources), "--output-file", str(output)),
        *("--python", sys.executable, "--python-version", python, "--python-platform", platform),
        # Only wheels, except where image.toml says otherwise: a source needs build tools.
        *("--only-binary", ":all:", *(word for name in image.sources for word in ("--no-binary", name))),
        *(("--config-file", _SETTINGS) if image.sources else ("--no-config",)),
        *("--generate-hashes", "--no-header", "--no-python-downloads"),
        *("--quiet", "--color", "never"),
    ]


def _settings(image: Image) -> str:
    """Return uv's settings: they say what the image's sources need, so that uv runs none of the sources' code.

    `pip check` proves in the image that it is true.
    """
    return "".join(
        f"[[dependency-metadata]]\nname = {json.dumps(name)}\nrequires-dist = {json.dumps(needs)}\n"
        for name, needs in image.sources.items()
    )


def failure(image: str, done: process.Completed, where: str = "") -> AssayError:
    """Return the error for uv's failure: the requirements are at fault (exit code 2), or the network is (4)."""
    printed = done.stderr.splitlines()
    causes = [line.partition(":")[2].strip() for line in printed if line.startswith("  cause:")]
    errors = [line.partition(":")[2].strip() for line in printed if line.startswith("error:")]
    hints = [line.partition(":")[2].strip() for line in printed if line.startswith("hint:")]
    refused = [hint for hint in hints if re.search(r"^An index |^An index URL|network was disabled", hint)]
    if done.returncode == 1 and not refused:
        reason = (causes or errors or [done.last_line()])[0]
        return UsageError(
            f"{image}: no versions fit its requirements{where}: {reason}",
            f"Correct {IMAGES}/{image}/requirements.in. {' '.join(hints)}",
        )
    reason = (refused or causes[-1:] or errors or [done.last_line()])[0]
    return BuildFailed(
        f"{image}: its requirements could not be resolved{where}: {reason}",
        "See to the network, the proxy and the index that the configuration of uv or pip names; no lock was changed.",
    )


def _copy(top: Path, image: str, name: str, text: str) -> Path:
    path = Path(IMAGES, image, name)
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    (top / path).write_text(text, "utf-8")
    return path
