"""Read docstrings and attributes of a class from its source, without importing it.

Importing a model, guide or objective imports torch and Pyro, which takes seconds.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def summary(place: str) -> str | None:
    """First line of the docstring of the class's module, or of the class if the module has none.

    Args:
        place: the class as ``module:Class``.

    Returns:
        The line, or None if the source cannot be read.
    """
    module, _, name = place.partition(":")
    if (tree := _tree(module)) is None:
        return None
    found = _class(tree, name)
    text = ast.get_docstring(tree) or (found and ast.get_docstring(found)) or ""
    return text.partition("\n")[0]


def attribute(place: str, name: str) -> Any:
    """Value of a class attribute that is written as a literal in the class or one of its bases.

    Args:
        place: the class as ``module:Class``.
        name: name of the attribute; its value is a literal or a ``frozenset`` of one.

    Returns:
        The value, or None if it is not written as a literal.
    """
    module, _, class_name = place.partition(":")
    tree = _tree(module)
    found = None if tree is None else _class(tree, class_name)
    if tree is None or found is None:
        return None
    for node in found.body:
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == [name]:
            return _literal(node.value)
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == name:
            return _literal(node.value)
    origins = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.level
        for alias in node.names
    }
    for base in found.bases:
        named = ast.unparse(base)
        value = attribute(origins.get(named, f"{module}:{named}"), name)
        if value is not None:
            return value
    return None


@cache
def _tree(module: str) -> ast.Module | None:
    """Parsed source of a module of this package; None for other modules."""
    if module.partition(".")[0] != __name__.partition(".")[0]:
        return None
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _class(tree: ast.Module, name: str) -> ast.ClassDef | None:
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return next((node for node in classes if node.name == name), None)


def _literal(node: ast.expr) -> Any:
    is_set = isinstance(node, ast.Call) and ast.unparse(node.func) == "frozenset"
    try:
        if is_set:
            assert isinstance(node, ast.Call)
            return frozenset(ast.literal_eval(node.args[0]))
        return ast.literal_eval(node)
    except (ValueError, IndexError):
        return None
