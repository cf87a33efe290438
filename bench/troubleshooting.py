"""docs/troubleshooting.md, from the texts of the errors: .venv/bin/python bench/troubleshooting.py [--write]

Every error of `assay` is two lines where it is raised. What the code puts in stands as an ellipsis.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/troubleshooting.md"
HEAD = """\
# Troubleshooting

Each error of `assay` is two lines: what is wrong, and what to do. Here are all of them by their exit code, in
alphabetical order; an ellipsis stands for a name, a path or a number. The page is made from the code by
`bench/troubleshooting.py --write`, and a test holds it against the code.

To find yours, search for a few words of its first line that name nothing of yours.
"""
TITLES = {
    1: "an environment failed, or something about it needs you",
    2: "usage",
    3: "no container engine",
    4: "a build failed",
    5: "a verification failed",
    6: "the registry failed",
}


def classes(trees: dict[Path, ast.Module]) -> dict[str, int]:
    """The exit code of each error class by its name: its own, else that of the class that it is made from."""
    found = {"AssayError": 1}
    nodes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for _ in range(4):  # as deep as they stand on each other
        for node in nodes:
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            base = next((name for name in bases if name in found), None)
            if base:
                own = [
                    each.value.value
                    for each in node.body
                    if isinstance(each, ast.Assign)
                    and isinstance(each.targets[0], ast.Name)
                    and each.targets[0].id == "exit_code"
                    and isinstance(each.value, ast.Constant)
                ]
                found[node.name] = int(own[0]) if own else found[base]
    return found


def text(node: ast.expr | None, known: dict[str, ast.expr], depth: int = 0) -> str:
    """What an expression says, with an ellipsis for what is known at run time only."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part, known, depth) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text(node.left, known, depth) + text(node.right, known, depth)
    if isinstance(node, ast.Name) and node.id in known and depth < 3:
        return text(known[node.id], known, depth + 1)
    return "…"


def assigned(scope: ast.AST) -> dict[str, ast.expr]:
    """The texts that names stand for, in a module or a function."""
    return {
        node.targets[0].id: node.value
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    }


def errors(tree: ast.Module, codes: dict[str, int]) -> Iterator[tuple[int, str, str]]:
    """The errors that a module raises: exit code, what is wrong, what to do."""
    module = {
        name: value
        for each in tree.body
        if isinstance(each, ast.Assign)
        for name, value in assigned(ast.Module([each], [])).items()
    }
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    local = {id(node): assigned(function) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in codes:
            if len(node.args) < 2:
                continue
            known = {**module, **local.get(id(node), {})}
            what, todo = (re.sub(r"…[\s…]*…", "…", " ".join(text(one, known).split())) for one in node.args[:2])
            if re.search(r"[a-z]{3}", what):
                yield codes[node.func.id], what, todo


def page() -> str:
    """The whole page."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "assay").rglob("*.py"))}
    codes = classes(trees)
    found = sorted({error for tree in trees.values() for error in errors(tree, codes)}, key=_order)
    parts = [HEAD]
    for code, title in TITLES.items():
        rows = [f"| {_cell(what)} | {_cell(todo)} |" for each, what, todo in found if each == code]
        parts.append(
            f"## Exit code {code}: {title}\n\n| what is wrong | what to do |\n| --- | --- |\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(parts)


def _order(error: tuple[int, str, str]) -> tuple[int, str, str]:
    return error[0], re.sub(r"[^a-z ]", "", error[1].lower()).strip(), error[2]


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Write the page, or say whether it is as the code has it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    raise SystemExit(not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page())


if __name__ == "__main__":
    main()
