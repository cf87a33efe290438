"""static.contract: the image keeps what it promises to whoever starts it.

The promises are about the user, home, paths, NVIDIA's variables, and that no driver is in the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Optional

from smoke.checks.static.judge import judge
from smoke.installed.facts import Libcuda, Surroundings
from smoke.plan import Plan
from smoke.report.result import Result

# The names by which a driver's library is found; no stub may bear one of them.
OF_A_DRIVER = ("libcuda.so.1", "libcuda.so")
Broken = tuple[str, str]  # what is wrong, and the remedy


def judge_contract(now: Surroundings, plan: Plan) -> Result:
    """Every promise is kept."""
    wrong = broken(now, plan.labels, plan.device)
    remedy = " ".join(dict.fromkeys(remedy for _, remedy in wrong))
    return judge("static.contract", [what for what, _ in wrong], (), remedy)


def broken(now: Surroundings, labels: Mapping[str, str], device: str) -> list[Broken]:
    """The promises that are not kept."""
    wrong = [*_user(now), *_path(now), *_python(now, labels)]
    if "cuda" in labels:
        wrong += [*_nvidia(now, device), *_driver(now, labels.get("libcuda") == "stub")]
    return wrong


def _user(now: Surroundings) -> Iterator[Broken]:
    if now.uid == 0:
        yield "it runs as root", "Give the image an ordinary USER, and start it without --user 0."
    home = now.environment.get("HOME", "")
    if not home:
        yield "HOME is not set", "Set HOME in the image, to a folder that any user may write to."
    elif not now.home_writable:
        yield (
            f"HOME ({home}) cannot be written to",
            "Start the image with its own entrypoint, which finds a place, and with --tmpfs /tmp if it is read-only.",
        )
    if not now.environment.get("USER"):
        yield "USER is not set", "Set USER in the image: a UID without a passwd entry has no other name."


def _path(now: Surroundings) -> Iterator[Broken]:
    """The environment stands first, behind nothing but the suite's own folder, which holds no Python."""
    own = {str(now.suite.parent / "bin")}
    entries = [entry for entry in now.environment.get("PATH", "").split(":") if entry not in own]
    wanted = now.prefix / "bin"
    if not entries or Path(entries[0]) != wanted:
        yield f"PATH begins with {entries[0] if entries else 'nothing'}, not {wanted}", f"Put {wanted} first in PATH."


def _python(now: Surroundings, labels: Mapping[str, str]) -> Iterator[Broken]:
    label = labels.get("python", "")
    have = ".".join(str(number) for number in now.python)
    if not label:
        yield "no Python is promised", "Give the image the label python."
    elif have.split(".")[: len(label.split("."))] != label.split("."):
        yield f"Python {label} is promised, {have} runs", "Correct the label python, or the base image."


def _nvidia(now: Surroundings, device: str) -> Iterator[Broken]:
    visible = now.environment.get("NVIDIA_VISIBLE_DEVICES", "")
    # On a machine with CDI the engine itself sets "void": the devices come another way.
    if not visible or (device == "cpu" and visible in ("void", "none")):
        yield (
            f"NVIDIA_VISIBLE_DEVICES is {visible or 'not set'}",
            "Set NVIDIA_VISIBLE_DEVICES=all in the image: the NVIDIA runtime gives no GPU without it.",
        )
    capabilities = set(now.environment.get("NVIDIA_DRIVER_CAPABILITIES", "").split(","))
    if "all" not in capabilities and not {"compute", "utility"} <= capabilities:
        yield (
            "NVIDIA_DRIVER_CAPABILITIES is {}".format(",".join(sorted(capabilities)) or "not set"),
            "Set NVIDIA_DRIVER_CAPABILITIES=compute,utility in the image.",
        )


def _driver(now: Surroundings, stub: bool) -> Iterator[Broken]:
    """No libcuda but a driver's, or but the one stub that is declared and yields to a driver's."""
    if stub and not now.libcudas:
        yield (
            "a stub of libcuda is promised, and there is none",
            "Correct the label libcuda, or build the image again.",
        )
    for library in now.libcudas:
        if is_driver(library, now.driver):
            continue
        if not stub:
            yield (
                f"{library.path} is not the driver's, and lies where the loader looks first or too",
                "Move it where only a process without a driver looks, or take it out.",
            )
        elif not _yields(library, now):
            yield (
                f"{library.path} is not the driver's, and may be found before it",
                f"Put a stub into {now.last_folder}, with another soname than {library.path.name}: "
                "no cache will name it.",
            )


def is_driver(library: Libcuda, running: Optional[str]) -> bool:
    """True if this libcuda comes with a driver: its file bears a driver's version, the running one's if one runs."""
    version = re.fullmatch(r"libcuda\.so\.(\d+(?:\.\d+){1,2})", library.real.name)
    return version is not None and (running is None or version.group(1) == running or "compat" in library.path.parts)


def _yields(stub: Libcuda, now: Surroundings) -> bool:
    """True if the loader finds every real library first: the stub is in its last folder and can be in no cache.

    ldconfig enters a file under the soname that the file itself bears.
    """
    named = str(now.last_folder) in now.environment.get("LD_LIBRARY_PATH", "").split(":")
    can_be_cached = stub.soname in ("", *OF_A_DRIVER) or stub.path in now.cached
    return stub.last and not named and not can_be_cached
