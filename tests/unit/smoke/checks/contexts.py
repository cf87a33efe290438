"""Contexts whose framework is autograd, changed in one thing or another."""

from __future__ import annotations

import importlib.metadata
import sys
from types import SimpleNamespace
from unittest import mock

from smoke.checks.context import Context
from smoke.frameworks import autograd
from smoke.plan import from_json

PLAN = {
    "schema": 1,
    "image": "small",
    "device": "cpu",
    "framework": {"name": "autograd", "module": "autograd"},
    "workloads": [],
    "labels": {"python": "3"},
    "packages": {"autograd": importlib.metadata.version("autograd")},
    "seconds_per_check": 60,
}


def context(tmp_path, **changed):
    """A context whose framework is autograd with these changes."""
    made = Context(from_json(PLAN), tmp_path, deterministic=False)
    framework = SimpleNamespace(**{**vars(autograd), **changed})
    with mock.patch.dict(sys.modules, {"smoke.frameworks.autograd": framework}):
        made.load()
    return made


def states(results):
    return {one.id: one.state for one in results}
