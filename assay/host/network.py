"""This machine's way to the network: the package index, proxy and CA bundle that its user configured.

A build gets them as secrets, which are mounted for one step and are in no layer, no history and no lock.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

SYSTEM = Path("/etc")
CA_BUNDLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# All that uv learns from the environment besides the index: none of it can change a pin.
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


def secrets(folder: Path) -> Mapping[str, Path]:
    """Write into ``folder`` the secrets that a build needs here, and return them as id -> file."""
    settings = {name: value for name in PROXIES if (value := _either_case(name))}
    settings |= {name.lower(): value for name, value in settings.items()}
    chosen = index()
    if chosen:
        settings["UV_DEFAULT_INDEX"] = chosen
    secret_files: dict[str, Path] = {}
    if settings:
        path = folder / "network"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(settings.items())))
        secret_files["network"] = path
    bundle = ca_bundle()
    if bundle:
        secret_files["ca"] = bundle
    return secret_files


def ca_bundle() -> Path | None:
    """Return the CA bundle that this machine's programs are told to trust; None if there is none."""
    bundles = (*map(os.environ.get, CA_BUNDLES), _pip_settings().get("cert"))
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


def _either_case(name: str) -> str | None:
    return os.environ.get(name) or os.environ.get(name.lower())


def uv_environment() -> dict[str, str]:
    """Return the environment for uv: the user's network settings, CA bundle and index, and no other preference."""
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
