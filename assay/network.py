"""The way to the package index from inside a build: the host's index, proxy and CA bundle, as build secrets.

They are mounted for one step and are in no layer, no history and no lock.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from assay import lock

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def secrets(folder: Path) -> Mapping[str, Path]:
    """Write the secrets that this host's configuration calls for into ``folder``; returns id -> file."""
    settings = {name: value for name in PROXIES for value in [_either_case(name)] if value}
    settings |= {name.lower(): value for name, value in settings.items()}
    index = lock.index()
    if index:
        settings["UV_DEFAULT_INDEX"] = index
    found: dict[str, Path] = {}
    if settings:
        path = folder / "network"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(settings.items())))
        found["network"] = path
    bundle = lock.ca_bundle()
    if bundle:
        found["ca"] = bundle
    return found


def _either_case(name: str) -> str | None:
    return os.environ.get(name) or os.environ.get(name.lower())
