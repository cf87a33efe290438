"""The locks: exact versions and hashes for what each ``requirements.in`` asks for, resolved by uv.

A lock holds for one Python on one platform, contains the lock of every stack below it to the hash, and says
nothing about the machine that wrote it: no index, no address, no path. A base's ``packages.lock`` is resolved
by `assay.rootfs`; it moves only where it is named, since that takes root and apt, and locking wheels does not.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from assay import catalog as cat
from assay import rootfs
from assay.catalog import Catalog, Image, Pin
from assay.engine import process
from assay.errors import AssayError, BuildFailed, UsageError

SYSTEM = Path("/etc")
_TIMEOUT = 600.0
_SETTINGS = "uv.toml"
# All that uv may learn from the environment besides the index: nothing here can change a pin.
_UV_VARIABLES = {
    "UV_CACHE_DIR",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_NO_CACHE",
    "UV_OFFLINE",
    "UV_SYSTEM_CERTS",
}
_CA_BUNDLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Result:
    """What became of one lock: the pins that changed, each as "six 1.16.0 -> 1.17.0"."""

    image: str
    path: Path
    written: bool
    changes: tuple[str, ...]


def choose(catalog: Catalog, names: Iterable[str]) -> tuple[Image, ...]:
    """Return what is to be locked, what is below first: the images of these names that have anything to lock.

    Without names it is all that have requirements, and the bases and build tools that have no lock yet.
    """
    able = {**catalog.images, **catalog.tools}
    chosen = [able.get(name) or catalog.get(name) for name in names]
    if not chosen:
        chosen = [image for image in able.values() if not (image.suite and image.packages_lock)]
    return _lockable(catalog, chosen)


def _lockable(catalog: Catalog, images: Iterable[Image]) -> tuple[Image, ...]:
    able = {image for image in images if image.requirements or image.suite}
    return tuple(sorted(able, key=lambda image: (len(catalog.ancestors(image)), image.name)))


def lock(
    catalog: Catalog,
    images: Iterable[Image],
    *,
    upgrade: bool,
    on_step: Callable[[str], None] = lambda _: None,
) -> list[Result]:
    """Resolve the locks of these images anew; either all that change are written, or none.

    Without ``upgrade`` the pin of a wheel stays as it is while the requirements allow it. Stacks below that
    have no lock yet get one, and images above whose stack has changed are resolved with it.
    """
    wanted = set(images)
    for image in tuple(wanted):
        wanted |= {below for below in catalog.ancestors(image) if below.requirements and not below.lock}
    fresh: dict[str, str] = {}
    texts: dict[Path, str] = {}
    results: list[Result] = []
    for image in _lockable(catalog, (*catalog.images.values(), *catalog.tools.values())):
        stacks = _stacks(catalog, image, fresh)
        moved = any(result.written and result.image in stacks for result in results)
        if image not in wanted and not moved:
            continue
        on_step(f"{image.name}: resolving")
        path = image.folder / ("packages.lock" if image.suite else "requirements.lock")
        old = _text(path)
        if image.suite:
            text = rootfs.lock(image, on_step).text(image.name)
        else:
            text = fresh[image.name] = _locked(image, stacks, () if upgrade else _kept(old).items())
        results.append(Result(image.name, path, text != old, _changes(old, text)))
        texts[path] = text
    for result in results:
        if result.written:
            try:
                _write(result.path, texts[result.path])
            except OSError as error:
                raise BuildFailed(
                    f"{result.path} cannot be written: {error.strerror}", "See to the disk and its rights."
                ) from None
    return results


def check(catalog: Catalog, images: Iterable[Image]) -> list[Result]:
    """Prove that these locks, and those of their bases and build tools, agree with their inputs; change nothing.

    Raises a ``UsageError`` that names every image whose lock is not what its inputs give.
    """
    wanted = set(images)
    wanted |= {below for image in wanted for below in catalog.ancestors(image) if below.suite}
    wanted |= {image.build_tools for image in wanted if image.build_tools}
    results: list[Result] = []
    problems: dict[str, str] = {}
    for image in _lockable(catalog, wanted):
        path = image.folder / ("packages.lock" if image.suite else "requirements.lock")
        try:
            (_check_base if image.suite else _check)(catalog, image)
        except UsageError as error:
            problems[image.name] = error.what
        results.append(Result(image.name, path, written=False, changes=()))
    if problems:
        raise UsageError("; ".join(problems.values()), f"Run `assay lock {' '.join(problems)}`.")
    return results


def _check_base(catalog: Catalog, image: Image) -> None:
    """Hold a base to what it includes; that its packages give the locked tar is proved by every build."""
    where = (image.folder / "packages.lock").relative_to(catalog.root).as_posix()
    if image.packages_lock is None:
        raise UsageError(f"{where} is missing", "")
    locked = {package.name for package in rootfs.PackagesLock.read(image.packages_lock).packages}
    asked = image.include
    if image.tools:
        asked += (*image.tools.unpack, *(f"{rootfs.SOURCE}{name}" for name in image.tools.sources))
    for name in asked:
        if name not in locked:
            raise UsageError(f"{where}: {name} is to be included, and the lock lacks it", "")


def _check(catalog: Catalog, image: Image) -> None:
    """Ask the cheap questions first, and the index last."""
    where = f"{cat.IMAGES}/{image.name}/requirements.lock"
    path = image.folder / "requirements.lock"
    if not path.exists():
        raise UsageError(f"{where} is missing", "")
    pins = cat.packages(path, shown=where)
    _check_asked(image, pins, where)
    stacks = _stacks(catalog, image, {})
    for name, text in stacks.items():
        cat.check_contains(image.name, pins, name, _parsed(text))
    text = _text(path)
    header, body = _split(text)
    if header != _header(image, body):
        python, platform = _target(image)
        raise UsageError(f"{where} was edited, or written for another Python than {python} on {platform}", "")
    answer = _parsed(_resolve(image, stacks, [(pin.name, pin.version) for pin in pins.values()]))
    changes = _changes(body, _lines(answer))
    if changes:
        raise UsageError(f"{where}: its inputs give {', '.join(changes)}", "")
    for name in sorted(pins.keys() - _all_pins(stacks).keys()):
        if not set(pins[name].hashes) <= set(answer[name].hashes):
            raise UsageError(f"{where}: {name} {pins[name].version} has a hash that the index does not know", "")


def _check_asked(image: Image, pins: Mapping[str, Pin], where: str) -> None:
    for asked in _asked(image):
        if asked.marker is not None:
            continue  # uv knows what holds on the image's platform
        pin = pins.get(canonicalize_name(asked.name))
        if pin is None or not asked.specifier.contains(pin.version, prereleases=True):
            has = f"has {pin.version}" if pin else "lacks it"
            raise UsageError(f"{where}: {asked.name}{asked.specifier} is asked for, and the lock {has}", "")


# ---- resolving ------------------------------------------------------------------------------------


def _locked(image: Image, stacks: Mapping[str, str], keep: Iterable[tuple[str, str]]) -> str:
    """Return the new text of an image's lock."""
    body = _resolve(image, stacks, keep)
    pins = _parsed(body)
    for name, text in stacks.items():
        cat.check_contains(image.name, pins, name, _parsed(text))
    return _header(image, body) + body


def _resolve(image: Image, stacks: Mapping[str, str], keep: Iterable[tuple[str, str]]) -> str:
    """Return what uv makes of an image's requirements on top of these stacks, preferring the pins to keep.

    It runs in a folder that holds the same names as the repository, so that its remarks ("via -r images/…")
    are the same wherever the repository stands.
    """
    _asked(image)  # requirements and nothing else: what uv would follow to other files is refused here
    assert image.requirements is not None  # noqa: S101 - the callers have asked
    with tempfile.TemporaryDirectory(prefix="assay-lock-") as folder:
        top = Path(folder)
        source = _copy(top, image.name, "requirements.in", image.requirements.read_text("utf-8"))
        locks = [_copy(top, name, "requirements.lock", text) for name, text in stacks.items()]
        # uv takes versions, and hashes where there are any, from the output that it finds: the stacks' pins
        # with theirs, so that a file added to the index since does not set the two locks apart.
        below = _all_pins(stacks)
        kept = "".join(f"{name}=={version}\n" for name, version in keep if name not in below)
        output = _copy(top, image.name, "requirements.lock", _lines(below) + kept)
        (top / _SETTINGS).write_text(_settings(image), "utf-8")
        done = process.run(command(image, [source, *locks], output), env=environment(), cwd=top, timeout=_TIMEOUT)
        if done.returncode != 0:
            raise failure(image.name, done)
        return (top / output).read_text("utf-8")


def command(image: Image, sources: Sequence[Path], output: Path) -> list[str]:
    """Return the command line that resolves one image: its own requirements, and all that its stacks hold."""
    python, platform = _target(image)
    try:
        binary = uv.find_uv_bin()
    except FileNotFoundError:
        raise BuildFailed("uv is missing from this Python", "Install Assay again, with its dependencies.") from None
    return [
        binary,
        *("pip", "compile", *map(str, sources), "--output-file", str(output)),
        *("--python", sys.executable, "--python-version", python, "--python-platform", platform),
        # Wheels, except where image.toml says otherwise: what is built from source pulls in build tools.
        *("--only-binary", ":all:", *(word for name in image.sources for word in ("--no-binary", name))),
        *(("--config-file", _SETTINGS) if image.sources else ("--no-config",)),
        *("--generate-hashes", "--no-header", "--no-python-downloads"),
        *("--quiet", "--color", "never"),
    ]


def _settings(image: Image) -> str:
    """Return uv's settings: what the image's sources need, so that locking runs none of their code.

    That it is the truth, `pip check` proves in the image.
    """
    return "".join(
        f"[[dependency-metadata]]\nname = {json.dumps(name)}\nrequires-dist = {json.dumps(needs)}\n"
        for name, needs in image.sources.items()
    )


def failure(image: str, done: process.Completed) -> AssayError:
    """Say in two lines why uv found no answer: the requirements are at fault (2), or the network is (4)."""
    said = done.stderr.splitlines()
    causes = [line.partition(":")[2].strip() for line in said if line.startswith("  cause:")]
    errors = [line.partition(":")[2].strip() for line in said if line.startswith("error:")]
    hints = [line.partition(":")[2].strip() for line in said if line.startswith("hint:")]
    refused = [hint for hint in hints if re.search(r"^An index |^An index URL|network was disabled", hint)]
    if done.returncode == 1 and not refused:
        reason = (causes or errors or [done.last_line()])[0]
        return UsageError(
            f"{image}: no versions fit its requirements: {reason}",
            f"Correct {cat.IMAGES}/{image}/requirements.in. {' '.join(hints)}",
        )
    reason = (refused or causes[-1:] or errors or [done.last_line()])[0]
    return BuildFailed(
        f"{image}: its requirements could not be resolved: {reason}",
        "See to the network, the proxy and the index that the configuration of uv or pip names; no lock was changed.",
    )


def _copy(top: Path, image: str, name: str, text: str) -> Path:
    path = Path(cat.IMAGES, image, name)
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    (top / path).write_text(text, "utf-8")
    return path


# ---- what uv may know of this machine ---------------------------------------------------------------


def environment() -> dict[str, str]:
    """Return the environment for uv: the user's network, CA bundle and index, and no other preference."""
    result = {
        key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_")) or key in _UV_VARIABLES
    }
    chosen = index()
    if chosen is not None:
        result["UV_DEFAULT_INDEX"] = chosen
    bundle = ca_bundle()
    if bundle:
        result["SSL_CERT_FILE"] = str(bundle)
    return result


def ca_bundle() -> Path | None:
    """Return the CA bundle that this host's programs are told to trust, if they are told."""
    bundles = (*map(os.environ.get, _CA_BUNDLES), _pip_settings().get("cert"))
    return next((Path(path) for path in bundles if path and Path(path).is_file()), None)


def index() -> str | None:
    """Return the index that the user's configuration of uv, or else of pip, names; None for the default one.

    Only what is served over HTTP counts: a folder of wheels on this machine must not decide what is locked.
    """
    candidates = (
        os.environ.get("UV_DEFAULT_INDEX"),
        os.environ.get("UV_INDEX_URL"),
        *_uv_settings(),
        os.environ.get("PIP_INDEX_URL"),
        _pip_settings().get("index-url"),
    )
    for candidate in candidates:
        # UV_DEFAULT_INDEX may have a name: "corporate=https://..."
        match = re.search(r"(?:^|=)(https?://\S+)$", candidate.strip()) if candidate else None
        if match:
            return match[1]
    return None


def _uv_settings() -> Iterator[str]:
    """Yield the default indexes of uv's own files, the user's first."""
    chosen = os.environ.get("UV_CONFIG_FILE")
    if os.environ.get("UV_NO_CONFIG"):
        return
    paths = [Path(chosen)] if chosen else [_config_home() / "uv/uv.toml", SYSTEM / "uv/uv.toml"]
    for path in paths:
        try:
            settings = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        listed = settings.get("index", [])
        for entry in listed if isinstance(listed, list) else []:
            if isinstance(entry, dict) and entry.get("default") is True:
                yield str(entry.get("url", ""))
        pip = settings.get("pip", {})
        for table in (pip, settings):
            if isinstance(table, dict) and isinstance(table.get("index-url"), str):
                yield table["index-url"]


def _pip_settings() -> dict[str, str]:
    """Return what pip's own files say, [install] over [global] and the user's over the system's."""
    chosen = os.environ.get("PIP_CONFIG_FILE")
    paths = [SYSTEM / "pip.conf", Path.home() / ".pip/pip.conf", _config_home() / "pip/pip.conf"]
    if chosen:
        paths = [] if chosen == os.devnull else [*paths, Path(chosen)]
    settings: dict[str, str] = {}
    for section in ("global", "install"):
        for path in paths:
            parser = configparser.RawConfigParser()
            try:
                parser.read(path, "utf-8")
            except (configparser.Error, UnicodeDecodeError):
                continue
            if parser.has_section(section):
                settings |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    return settings


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


# ---- the text of a lock -----------------------------------------------------------------------------


def _header(image: Image, body: str) -> str:
    """Name the command that writes the file, and seal the lines below, so that an edit by hand is seen."""
    python, platform = _target(image)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return (
        f"# Written by `assay lock {image.name}` from requirements.in; do not edit.\n"
        f"# For Python {python} on {platform}. The lines below: sha256 {digest}\n"
    )


def _split(text: str) -> tuple[str, str]:
    lines = text.splitlines(keepends=True)
    return "".join(lines[:2]), "".join(lines[2:])


def _target(image: Image) -> tuple[str, str]:
    python = image.labels.get("python")
    if python is None or not re.fullmatch(r"\d+\.\d+", python):
        raise UsageError(
            f"{image.name}: labels.python is not set to a version such as 3.13, neither in it nor below it",
            f"Set labels.python in {cat.IMAGES}/{image.name}/image.toml or in that of its base.",
        )
    if image.platform is None:
        raise UsageError(f"{image.name}: no base below it has a platform", "Set base.platform in its base.")
    return python, image.platform


def _asked(image: Image) -> tuple[Requirement, ...]:
    if image.requirements is None:
        return ()
    return cat.requirements(image.requirements, shown=f"{cat.IMAGES}/{image.name}/requirements.in")


def _stacks(catalog: Catalog, image: Image, fresh: Mapping[str, str]) -> dict[str, str]:
    """Return the locks below an image, those just resolved before those on disk."""
    found: dict[str, str] = {}
    for below in catalog.ancestors(image):
        if below.name in fresh:
            found[below.name] = fresh[below.name]
        elif below.lock is not None:
            cat.packages(below.lock, shown=f"{cat.IMAGES}/{below.name}/requirements.lock")
            found[below.name] = below.lock.read_text("utf-8")
    return found


def _all_pins(stacks: Mapping[str, str]) -> dict[str, Pin]:
    return {name: pin for text in stacks.values() for name, pin in _parsed(text).items()}


def _lines(pins: Mapping[str, Pin]) -> str:
    return "".join(f"{pin.name}=={pin.version} --hash={' --hash='.join(pin.hashes)}\n" for pin in pins.values())


def _parsed(text: str) -> Mapping[str, Pin]:
    return cat.parse_lock(text, "the answer of uv")


def _kept(text: str) -> dict[str, str]:
    """Return the pins of a lock, even of one that is damaged: conflict marks must not lose them all."""
    return dict(re.findall(r"^([A-Za-z0-9][A-Za-z0-9.+_-]*)==?([A-Za-z0-9.:!+~_-]+)", text, re.MULTILINE))


def _changes(old: str, new: str) -> tuple[str, ...]:
    before, after = _kept(old), _kept(new)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return tuple(_change(name, before.get(name), after.get(name)) for name in names)


def _change(name: str, old: str | None, new: str | None) -> str:
    return f"{name} {old or 'absent'} -> {new or 'absent'}"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    """Put the whole file in place at once; whoever reads it meanwhile sees the old one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
