"""Turn names of the code, such as ``Batch.source``, into links to the reference."""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import Any

NAME = re.compile(r"<code>(pyro_align\.[\w.]+|[A-Z]\w*(?:\.\w+)?)</code>(?!</a>)")
HOMES = (
    "data.batch",
    "models",
    "guides",
    "inference",
    "networks",
    "nn",
    "distributions",
    "posterior",
)
"""Modules of classes that are named without a module."""


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Link names that the reference may contain."""
    if page.file.src_uri.startswith("reference/"):
        return content
    return NAME.sub(link, content)


def link(found: re.Match[str]) -> str:
    """Return a name as a link, which is resolved when all pages exist."""
    name = found[1]
    path = name if name.startswith("pyro_align.") else located(name)
    return f'<autoref optional identifier="{path}">{found[0]}</autoref>' if path else found[0]


@cache
def located(name: str) -> str | None:
    """Return the full name of a class or method; for an attribute, that of its class."""
    first, _, attribute = name.partition(".")
    for home in HOMES:
        cls = getattr(importlib.import_module(f"pyro_align.{home}"), first, None)
        if isinstance(cls, type):
            member = vars(cls).get(attribute)
            own = callable(member) or isinstance(member, property | classmethod)
            return f"pyro_align.{home}.{name if own else first}"
    return None
