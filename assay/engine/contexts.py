"""An engine by the name of its Docker context, or by its address."""

from __future__ import annotations

import os
from pathlib import Path

from docker.context import ContextAPI
from docker.tls import TLSConfig

from assay.engine.choose import find_embedded
from assay.engine.docker import Engine
from assay.engine.embedded import EmbeddedEngine
from assay.errors import EngineMissing, UsageError
from assay.host import files, process

EMBEDDED = "embedded"  # this machine's, which has no context
DEFAULT = "default"  # the context that Docker has without any setting
_SCHEMES = ("unix://", "tcp://", "ssh://", "http://", "https://")


def at(name: str, tell: files.Tell = files.silent) -> Engine:
    """Return the engine of a Docker context, or at an address such as ``ssh://builder``.

    ``embedded`` is the embedded engine of this machine, which is started as needed. Raises `UsageError` where there
    is no such context, `EngineMissing` where nothing answers or what answers will not do; both name it.
    """
    address, tls = _endpoint(name)
    if name == EMBEDDED or address == EmbeddedEngine.here().address:
        return find_embedded(tell)
    try:
        engine = Engine("system", _environment(address, tls), address, tls)
    except EngineMissing as error:
        raise EngineMissing(f"{name}: {error.what}", f"Start it, or leave --on {name} out.") from error
    lacks = engine.shortcomings()
    if lacks:
        engine.close()
        raise EngineMissing(f"{name} will not do: {'; '.join(lacks)}", f"Mend that, or leave --on {name} out.")
    return engine


def _endpoint(name: str) -> tuple[str, TLSConfig | None]:
    """The address that a context has, and its certificates."""
    if name == EMBEDDED:
        return EmbeddedEngine.here().address, None
    if name.startswith(_SCHEMES):
        return name, None
    if name == DEFAULT:
        return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock", None
    try:
        context = ContextAPI.get_context(name)
    except Exception as error:  # the SDK raises that very class
        raise UsageError(f"the Docker context {name} cannot be read: {error}", "Make it anew.") from None
    if context is None or not context.Host:
        raise UsageError(
            f"there is no Docker context {name!r}", "`docker context ls` lists them; or write an address."
        )
    return str(context.Host), context.TLSConfig


def _environment(address: str, tls: TLSConfig | None) -> dict[str, str]:
    """What the docker command needs to reach it; where it lacks buildx, that of the embedded engine's programs."""
    here = EmbeddedEngine.here()
    own = process.run(["docker", "buildx", "version"], timeout=30).returncode == 0
    environment = process.environment() if own or not here.programs.is_dir() else here.environment()
    for variable in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        environment.pop(variable, None)
    environment["DOCKER_HOST"] = address
    if tls is not None and tls.cert:
        environment["DOCKER_CERT_PATH"] = str(Path(tls.cert[0]).parent)
        if tls.verify:
            environment["DOCKER_TLS_VERIFY"] = "1"
        else:
            environment["DOCKER_TLS"] = "1"
    return environment
