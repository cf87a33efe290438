"""What a command's program imports: read from its source, which is parsed and never run.

A program may be a script, a module (``-m``), or a text (``-c``). What it imports of its own folder is followed.
"""

from __future__ import annotations

import ast
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MOST_FILES = 500
LARGEST = 2**20  # bytes of one file
BACKEND = "_BACKEND"  # how variables end that choose what a framework computes with
# What ends with one of these is caught where an import fails: the program can do without.
_CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


@dataclass
class Imports:
    """The top-level modules that a program imports.

    ``always`` are those that it cannot do without, ``perhaps`` those under a condition, in the order of the text.
    ``backends`` is what it sets MODULE_BACKEND to, by module; ``defaults`` where that is not set yet. ``where`` names
    the file in which each module was first seen.
    """

    always: list[str] = field(default_factory=list)
    perhaps: list[str] = field(default_factory=list)
    backends: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)

    def add(self, module: str, file: str, *, perhaps: bool) -> None:
        """Take an import into account; one that is needed anywhere is needed."""
        self.where.setdefault(module, file)
        if module not in self.always:
            (self.perhaps if perhaps else self.always).append(module)


def imports(words: Sequence[str], folder: Path) -> Imports:
    """What the Python programs among the words of a command import; empty where there are none.

    ``python train.py``, ``python -m package``, ``python -c TEXT``, ``torchrun train.py`` and ``./train.py`` all are
    found: every word that is a Python file of ``folder``, and what follows ``-m`` and ``-c``.
    """
    reader = _Reader(folder)
    for word, before in zip(words, ["", *words], strict=False):
        if before == "-c":
            reader.text(word, "-c", folder)
        elif before == "-m":
            reader.module(word, "-m", folder, perhaps=False)
        elif word.endswith(".py"):
            reader.file(folder / word)
    return reader.found


class _Reader:
    """Reads programs of one folder, and what these import of it; each file once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = Imports()
        self._seen: set[Path] = set()

    def file(self, path: Path) -> None:
        """A file, if it can be read and is no larger than programs are."""
        try:
            path = path.resolve()
            about = path.stat()
            if path in self._seen or len(self._seen) >= MOST_FILES:
                return
            if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:  # a pipe would be waited for
                return
            self._seen.add(path)
            text = path.read_bytes()
        except (OSError, ValueError, RuntimeError):  # the last: links that lead back to themselves
            return  # Python will say so
        self.text(text, path.name, path.parent)

    def text(self, text: str | bytes, name: str, beside: Path) -> None:
        """A program's text; bytes are decoded as Python does it. Its own modules are in the folder ``beside``."""
        try:
            tree = ast.parse(text)
            imported = list(_imported(tree.body, perhaps=False))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return  # Python will say so
        for node in ast.walk(tree):
            self._setting(node)
        for module, perhaps in imported:
            self.module(module, name, beside, perhaps=perhaps)

    def module(self, module: str, name: str, beside: Path, *, perhaps: bool) -> None:
        """A module by its dotted name, or, with points before it, by its place from the file that imports it."""
        own = module.lstrip(".")
        above = len(module) - len(own)
        tops = [beside, self.folder] if not above else [beside.joinpath(*[".."] * (above - 1))]
        places = [place for top in tops for place in _places(own, top)]
        for place in places:
            self.file(place)
        if not places and not above:
            self.found.add(own.partition(".")[0], name, perhaps=perhaps)

    def _setting(self, node: ast.AST) -> None:
        """A backend that a statement sets, where it is a literal."""
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            self.found.backends |= _value(node.targets[0].slice, node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setdefault":
            self.found.defaults |= _value(*node.args) if len(node.args) == 2 else {}


def _places(name: str, folder: Path) -> list[Path]:
    """The files of a module or package of a folder."""
    base = folder.joinpath(*name.split("."))
    places = (base.with_suffix(".py"), base / "__init__.py", base / "__main__.py") if name else ()
    return [place for place in places if place.is_file()]


def _imported(body: Iterable[ast.AST], *, perhaps: bool) -> Iterator[tuple[str, bool]]:
    """The dotted names that statements import, each with whether the program may do without."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, perhaps) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            points = "." * node.level
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((points + name, perhaps) for name in names)
        elif isinstance(node, ast.If):
            yield from _imported([*node.body, *node.orelse], perhaps=True)
        elif isinstance(node, ast.Try):
            caught = any(map(_catches_imports, node.handlers))
            yield from _imported(node.body, perhaps=perhaps or caught)
            handled = [statement for handler in node.handlers for statement in handler.body]
            yield from _imported(handled, perhaps=True)
            yield from _imported([*node.orelse, *node.finalbody], perhaps=perhaps or caught)
        else:
            yield from ((name, perhaps) for name in _called_for(node))
            yield from _imported(ast.iter_child_nodes(node), perhaps=perhaps)


def _called_for(node: ast.AST) -> list[str]:
    """The module that a call imports: importlib.import_module("NAME"), __import__("NAME")."""
    if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
        return []
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    name = node.args[0].value
    return [name] if called in {"import_module", "__import__"} and isinstance(name, str) and name else []


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _CAUGHT for kind in kinds)


def _value(name: ast.expr, value: ast.expr) -> dict[str, str]:
    """A backend that a variable of this name would choose, by its module."""
    if isinstance(name, ast.Constant) and isinstance(value, ast.Constant):
        return backend_of(str(name.value), str(value.value))
    return {}


def backend_of(name: str, value: str) -> dict[str, str]:
    """The backend that an environment variable chooses, by its module; nothing for any other variable."""
    module = name.removesuffix(BACKEND).lower()
    return {module: value} if name.endswith(BACKEND) and module else {}
