"""Counts the lines of working code of a program."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path
from typing import Any, Optional

NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def lines_of(file: Path, name: str) -> Optional[int]:
    """The lines of code of a function and of what it uses in its file; None where it has no such function."""
    source = file.read_text(encoding="utf-8")
    tree = ast.parse(source)
    defined = {one: node for node in tree.body for one in _names(node)}
    if name not in defined:
        return None
    scaffold = ast.literal_eval(defined["SCAFFOLD"].value) if "SCAFFOLD" in defined else ()
    used: list[ast.stmt] = []
    waiting = [name]
    while waiting:
        node = defined.get(waiting.pop())
        if node is None or node in used:
            continue
        used.append(node)
        inside = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        waiting.extend(sorted(inside - set(scaffold)))
    code = _code_lines(source) - _docstrings(tree)
    return len({line for node in used for line in range(_first(node), (node.end_lineno or 0) + 1)} & code)


def _names(node: ast.stmt) -> list[str]:
    """What a statement of a file defines; imports are not counted."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    targets = (
        node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    )
    return [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]


def _first(node: Any) -> int:
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])


def _code_lines(source: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    code = (token for token in tokens if token.type not in NO_CODE)
    return {line for token in code for line in range(token.start[0], token.end[0] + 1)}


def _docstrings(tree: ast.Module) -> set[int]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None:
            found.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return found
