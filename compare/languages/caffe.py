"""Caffe is a library in C++; what is installed of it are the library and its programs, without any headers."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import caffe

from languages._program import Network

CANNOT = {"c": "Caffe has no functions for C: its library is C++ alone"}


def cpp(folder: Path, network: Network) -> Any:
    """Looks for the headers, which a program must include."""
    found = [path for path in _files() if path.name in ("caffe.hpp", "net.hpp", "caffe.pb.h")]
    if found:
        raise RuntimeError(f"{found[0]} is there now: what is said below is no longer so")
    programs = sorted(path.name for path in _files() if path.parent.name == "bin")
    return (
        "libcaffe.so.1 is there without its headers, and without those of protobuf, Boost and glog, which they need; "
        f"what C++ serves are its programs: {', '.join(programs)}"
    )


def others() -> list[Path]:
    return [Path(caffe.__file__).parent]


def _files() -> list[Path]:
    return [Path(str(one.locate())) for one in metadata.files("caffe") or []]
