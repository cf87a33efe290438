"""An engine by the name of its Docker context, or by its address."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from docker.tls import TLSConfig

from assay.engine.choose import find_embedded
from assay.engine.docker import Engine
from assay.engine.embedded import EmbeddedEngine
from assay.errors import EngineMissing, UsageError
from assay.host import files, process

EMBEDDED = "embedded"  # this machine's, which has no context
DEFAULT = "default"  # the context that Docker has without any setting
_SCHEMES = ("unix://", "tcp://", "ssh://", "http://", "https://")


class _Endpoint(msgspec.Struct):
    host: str = msgspec.field(name="Host")
    skip_tls_verify: bool = msgspec.field(default=False, name="SkipTLSVerify")


class _Endpoints(msgspec.Struct):
    docker: _Endpoint


class _Storage(msgspec.Struct):
    tls_path: str = msgspec.field(default="", name="TLSPath")


class _Context(msgspec.Struct):
    """What `docker context inspect` says."""

    endpoints: _Endpoints = msgspec.field(name="Endpoints")
    tls_material: dict[str, list[str]] = msgspec.field(default_factory=dict, name="TLSMaterial")
    storage: _Storage = msgspec.field(default_factory=_Storage, name="Storage")


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
    # docker itself is asked: its SDK finds no context where there is no config.json.
    done = process.run(["docker", "context", "inspect", "--", name], env=_with_docker(), timeout=10)
    if done.returncode != 0:
        raise UsageError(
            f"there is no Docker context {name!r}: {done.last_line()}",
            "`docker context ls` lists them; or write an address.",
        )
    try:
        (found,) = msgspec.json.decode(done.stdout, type=tuple[_Context, ...])
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(f"the Docker context {name} cannot be read: {error}", "Make it anew.") from None
    return found.endpoints.docker.host, _certificates(found)


def _certificates(context: _Context) -> TLSConfig | None:
    folder = Path(context.storage.tls_path, "docker")
    files = {name.partition(".")[0]: str(folder / name) for name in context.tls_material.get("docker", ())}
    if not files:
        return None
    key = (files["cert"], files["key"]) if "cert" in files and "key" in files else None
    return TLSConfig(client_cert=key, ca_cert=files.get("ca"), verify=not context.endpoints.docker.skip_tls_verify)


def _with_docker() -> dict[str, str]:
    """This process's environment, with the embedded engine's programs behind all others."""
    return process.environment(PATH=f"{os.environ.get('PATH', os.defpath)}:{EmbeddedEngine.here().programs}/usr/bin")


def _environment(address: str, tls: TLSConfig | None) -> dict[str, str]:
    """What the docker command needs to reach it; where it lacks buildx, that of the embedded engine's programs."""
    here = EmbeddedEngine.here()
    own = process.run(["docker", "buildx", "version"], timeout=30).returncode == 0
    environment = process.environment() if own or not here.programs.is_dir() else here.environment()
    for variable in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        environment.pop(variable, None)
    environment["DOCKER_HOST"] = address
    if tls is not None:
        (one, *_) = filter(None, (tls.ca_cert, *(tls.cert or ())))
        environment["DOCKER_CERT_PATH"] = str(Path(one).parent)
        if tls.verify:
            environment["DOCKER_TLS_VERIFY"] = "1"
        else:
            environment["DOCKER_TLS"] = "1"
    return environment
