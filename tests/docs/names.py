"""Resolve names in the documentation by import."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from functools import cache
from types import ModuleType
from typing import Any

from pyro import poutine
from sentences import BATCH, vae
from support import random_batch, tiny_model

PUBLIC = [
    importlib.import_module(f"pyro_align.{name}")
    for name in (
        "data.batch",
        "models",
        "guides",
        "inference",
        "networks",
        "nn",
        "distributions",
        "posterior",
    )
]
"""Modules in which a class without a module name is looked up."""


def resolve(name: str) -> Any:
    """The object of ``pyro_align.module.name``, ``Class`` or ``Class.attribute``.

    An attribute that instances alone have is True.

    Raises:
        LookupError: if there is none.
    """
    first, *rest = name.split(".")
    found: Any
    if first == "pyro_align":
        found = importlib.import_module(first)
    else:
        homes = [module for module in PUBLIC if isinstance(getattr(module, first, None), type)]
        if not homes:
            raise LookupError(f"{name}: no class {first}")
        found = getattr(homes[0], first)
    for attribute in rest:
        found = _member(found, attribute, name)
    return found


def sites() -> set[str]:
    """Sites and plates of a model."""
    found = set(poutine.trace(tiny_model()).get_trace(random_batch()).nodes)
    return found | set(poutine.trace(vae(bag_of_words=1.0).train()).get_trace(BATCH).nodes)


def _member(owner: Any, attribute: str, name: str) -> Any:
    if attribute.startswith("_"):
        raise LookupError(f"{name}: private")
    if isinstance(owner, ModuleType):
        if hasattr(owner, attribute):  # vars() lacks lazily imported names
            return getattr(owner, attribute)
        try:
            return importlib.import_module(f"{owner.__name__}.{attribute}")
        except ModuleNotFoundError as error:
            raise LookupError(f"{name}: no {attribute} in {owner.__name__}") from error
    if hasattr(owner, attribute):
        return getattr(owner, attribute)
    if isinstance(owner, type) and attribute in _of_instances(owner):
        return True
    raise LookupError(f"{name}: no {attribute} in {owner!r}")


@cache
def _of_instances(cls: type) -> frozenset[str]:
    """Fields, annotations, and attributes assigned in constructors, of a class and its bases."""
    names = {*getattr(cls, "__dataclass_fields__", ()), *getattr(cls, "model_fields", ())}
    for base in cls.__mro__:
        if base.__module__.startswith("pyro_align"):
            names |= set(vars(base).get("__annotations__", ()))
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
            names |= {
                node.attr
                for function in ast.walk(tree)
                if isinstance(function, ast.FunctionDef) and function.name == "__init__"
                for node in ast.walk(function)
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            }
    return frozenset(names)
