"""A file of functions against the protocol that it keeps, by its syntax tree: no framework is imported."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

Contract = Mapping[str, tuple[str, ...]]


def contract(protocol: Any) -> Contract:
    """The parameters of each of a protocol's functions."""
    return {
        name: tuple(inspect.signature(function).parameters)[1:]
        for name, function in vars(protocol).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """The functions of a file that others may call."""
    return {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")}


def drift(tree: ast.Module, wanted: Contract) -> list[str]:
    """What of a file differs from its contract, as texts."""
    found = functions(tree)
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    wrong += [f"{name} is not in the contract" for name in found if name not in wanted]
    for name, function in found.items():
        arguments = function.args
        names = tuple(one.arg for one in arguments.args)
        plain = not (arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults)
        if name in wanted and (names != wanted[name] or not plain):
            wrong.append(f"{name} takes {names}")
    return wrong
