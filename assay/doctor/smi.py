"""Reads what nvidia-smi printed: its table, -q (also -x), -L, --version, or the CSV of --query-gpu; or why it failed.

What stands around it, such as a prompt, quotation marks or a container's greeting, is passed over.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from assay.host.gpus import Listed

LONGEST_LINE = 2**14  # all fields that --query-gpu knows make a line of 4000 characters
_DRIVER = r"[3-9]\d\d\.\d{1,4}(?:\.\d{1,4})?"
_VERSION = re.compile(_DRIVER, re.ASCII)
# "Driver Version" until branch R610, which calls it "KMD Version" and CUDA's "CUDA UMD Version".
_HEADER = re.compile(rf"NVIDIA-SMI\s+(\S+)\s+(?:Driver|KMD) Version:\s*({_DRIVER})", re.IGNORECASE | re.ASCII)
_DRIVER_LINE = re.compile(rf"[^\w\n]*(?:driver|KMD)[ _]version\s*:\s*({_DRIVER})", re.IGNORECASE | re.ASCII)
_CUDA = re.compile(
    r"CUDA(?:[ _]UMD)?[ _]version\s*:\s*(\d{1,2}\.\d{1,2}|N/A|ERR!|Not Found)", re.IGNORECASE | re.ASCII
)
_FAILURE = re.compile(
    r"NVIDIA-SMI (?:has failed|couldn't find).*|Failed to initialize NVML.*|Unable to determine the device handle.*"
    r"|No devices were found|GPU access blocked.*"
)
_ABSENT = re.compile(r"nvidia-smi.{0,60}(?:not found|not recognized|No such file)", re.IGNORECASE | re.ASCII)
_FIELD = re.compile(r'Field "([\w.]{1,60})" is not a valid field')
# |   0  NVIDIA H100 80GB HBM3          On  |   00000000:00:09.0 Off |                   On |
_ROW = re.compile(
    r"\|\s*\d{1,3}\s+(\S.*?)\s+(On|Off|N/A|ERR!|WDDM|TCC|MCDM)\s*\|"
    r"\s*(?:[\dA-F]{4,8}:[\dA-F]{2}:[\dA-F]{2}\.[\dA-F]|N/A|ERR!)\s",
    re.IGNORECASE | re.ASCII,
)
_ROW_MEMORY = re.compile(r"\|\s*\d{1,9}Mi?B\s*/\s*(\d{1,9})Mi?B\s*\|", re.ASCII)
_ROW_MIG = re.compile(r"\|\s*Enabled\s*\|\s*$")
_NO_MIG = "No MIG devices found"
_LISTED = re.compile(r"\W*GPU \d{1,3}: (.+?) \(UUID")
_LISTED_MIG = re.compile(r"\W*MIG \S+\s+Device\s+\d{1,3}:")
_TAG = re.compile(r"<(\w{1,60})>([^<>\n]*)</\w{1,60}>")
_OF_WINDOWS = {"WDDM", "TCC", "MCDM"}
_MEMORY = re.compile(r"(\d{1,9}) MiB", re.ASCII)
_CAPABILITY = re.compile(r"(\d{1,2})\.(\d)", re.ASCII)
_FIELDS = {"name", "gpu_name", "driver_version", "kmd_version", "compute_cap"}
_COLUMN = re.compile(r"([a-zA-Z][\w.]{0,60})(?: \[\S{1,9}\])?", re.ASCII)
_NAME = re.compile(r"(?:NVIDIA |Tesla |GeForce |Quadro |GRID |TITAN |A100-|Orin \().{0,80}")


@dataclass(frozen=True)
class Said:
    """What nvidia-smi said of a machine.

    ``drivers`` has one version, unless several machines' output was put together. ``cuda`` is the version that it
    names, or what it prints in place of one: N/A, ERR!, Not Found. ``gpus`` are those that can be used; ``undivided``
    counts those that MIG is on for, without any MIG device. ``failure`` is nvidia-smi's own message, and ``absent`` a
    shell's that there is no such program. ``field`` is one that --query-gpu did not know.
    """

    drivers: frozenset[str] = frozenset()
    cuda: str = ""
    gpus: tuple[Listed, ...] = ()
    windows: bool = False
    mig: bool = False
    undivided: int = 0
    failure: str = ""
    absent: bool = False
    field: str = ""


@dataclass(frozen=True)
class _Gpu:
    """A GPU, and what its form of the output says beside."""

    listed: Listed
    driver: str = ""
    mig: bool = False
    windows: bool = False


def read(text: str) -> Said | None:
    """What nvidia-smi said; None if nothing in the text is nvidia-smi's."""
    lines = [line[:LONGEST_LINE] for line in _TAG.sub(r"\1: \2", text).splitlines()]
    forms = [list(form(lines)) for form in (_csv, _report, _list, _table)]
    gpus = next(filter(None, forms), [])  # of the form that says the most: the table cuts names off
    headers = _found(_HEADER.search, lines)
    drivers = {found[2] for found in headers} | {gpu.driver for gpu in gpus if gpu.driver}
    drivers |= {found[1] for found in _found(_DRIVER_LINE.match, lines)}
    cuda = [found[1] for found in _found(_CUDA.search, lines)]
    failures = [found[0].strip()[:300] for found in _found(_FAILURE.search, lines)]
    fields = [found[1] for found in _found(_FIELD.search, lines)]
    absent = bool(_found(_ABSENT.search, lines))
    if not (gpus or drivers or failures or fields or absent):
        return None
    usable = [gpu for gpu in gpus if not gpu.mig or not any(_NO_MIG in line for line in lines)]
    return Said(
        drivers=frozenset(drivers),
        cuda=next((version for version in cuda if version[0].isdigit()), (cuda or [""])[0]),
        gpus=tuple(gpu.listed for gpu in usable),
        windows=any(gpu.windows for form in forms for gpu in form) or any(map(_differ, headers)),
        mig=any(gpu.mig for gpu in usable) or bool(_found(_LISTED_MIG.match, lines)),
        undivided=len(gpus) - len(usable),
        failure=next(iter(failures), ""),
        absent=absent,
        field=next(iter(fields), ""),
    )


def _found(pattern: Callable[[str], re.Match[str] | None], lines: Iterable[str]) -> list[re.Match[str]]:
    return [match for match in map(pattern, lines) if match]


def _differ(header: re.Match[str]) -> bool:
    """Whether nvidia-smi is of another version than the driver: in WSL the one is of Linux, the other of Windows.

    A driver of Windows has two numbers.
    """
    return header[1] != header[2] and _VERSION.fullmatch(header[1]) is not None and header[2].count(".") == 1


def _table(lines: Iterable[str]) -> Iterator[_Gpu]:
    """Three lines for a GPU: name; memory; MIG."""
    gpu: _Gpu | None = None
    for line in (line[:300] for line in lines):
        if found := _ROW.search(line):
            if gpu:
                yield gpu
            gpu = _Gpu(Listed(found[1], None, 0), windows=found[2].upper() in _OF_WINDOWS)
        elif gpu and not gpu.listed.memory and (found := _ROW_MEMORY.search(line)):
            gpu = _with_memory(gpu, int(found[1]))
        elif gpu and _ROW_MIG.search(line):
            gpu = dataclasses.replace(gpu, mig=True)
    if gpu:
        yield gpu


def _report(lines: Iterable[str]) -> Iterator[_Gpu]:
    """-q, and -q -x: sections that are indented, with a key, a colon and a value on each line."""
    gpu: _Gpu | None = None
    section = ""
    for line in lines:
        key, colon, value = line.partition(":")
        key, value = key.strip(" \t|>").strip("</>").replace("_", " ").lower(), value.strip()
        if not colon:
            section = key
        elif key == "product name":
            if gpu:
                yield gpu
            gpu = _Gpu(Listed(value[:80] or "GPU", None, 0))
        elif gpu and (section, key) == ("fb memory usage", "total") and (found := _MEMORY.fullmatch(value)):
            gpu = _with_memory(gpu, int(found[1]))
        elif gpu and value == "Enabled" and (section, key) in {("mig mode", "current"), ("mig mode", "current mig")}:
            gpu = dataclasses.replace(gpu, mig=True)
        elif gpu and value in _OF_WINDOWS:
            gpu = dataclasses.replace(gpu, windows=True)
    if gpu:
        yield gpu


def _list(lines: Iterable[str]) -> Iterator[_Gpu]:
    """-L: a line for a GPU, and below it one for each of its MIG devices."""
    for line in lines:
        if found := _LISTED.match(line[:300]):
            yield _Gpu(Listed(found[1], None, 0))


def _csv(lines: Iterable[str]) -> Iterator[_Gpu]:
    """--query-gpu: by the names of the columns; without these, by what the cells look like."""
    columns: list[str] = []
    for line in lines:
        cells = [cell.strip() for cell in line.split(",")]
        names = [found[1] for cell in cells if (found := _COLUMN.fullmatch(cell))]
        if len(names) == len(cells) and _FIELDS & set(names):
            columns = names
            continue
        if "pid" in columns:  # a row for each process
            continue
        if len(cells) != len(columns):
            columns = []
        gpu = _of_cells(dict(zip(columns, cells, strict=True)) if columns else _guessed(cells), cells)
        if gpu:
            yield gpu


def _guessed(cells: Sequence[str]) -> dict[str, str]:
    """Which cell is which, by forms that one cell alone has. A name alone is none: a sentence may begin with it."""
    forms = {"name": _NAME, "driver_version": _VERSION, "compute_cap": _CAPABILITY, "memory.total": _MEMORY}
    alike = {column: list(filter(form.fullmatch, cells)) for column, form in forms.items()}
    found = {column: each[0] for column, each in alike.items() if len(each) == 1}
    return found if "name" in found and len(found) > 1 else {}


def _of_cells(named: Mapping[str, str], cells: Sequence[str]) -> _Gpu | None:
    """A GPU, if one of these cells can only be of nvidia-smi."""
    name = named.get("name") or named.get("gpu_name") or ""
    driver = _VERSION.fullmatch(named.get("driver_version") or named.get("kmd_version") or "")
    capability = _CAPABILITY.fullmatch(named.get("compute_cap", ""))
    memory = _MEMORY.fullmatch(named.get("memory.total", ""))
    if not (driver or capability or _NAME.fullmatch(name)):
        return None
    known = (int(capability[1]), int(capability[2])) if capability else None
    return _Gpu(
        Listed(name[:80] or "GPU", known, int(memory[1]) << 20 if memory else 0),
        driver=driver[0] if driver else "",
        mig=named.get("mig.mode.current") == "Enabled",
        windows=not _OF_WINDOWS.isdisjoint(cells),
    )


def _with_memory(gpu: _Gpu, mebibytes: int) -> _Gpu:
    return dataclasses.replace(gpu, listed=dataclasses.replace(gpu.listed, memory=mebibytes << 20))
