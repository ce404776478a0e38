"""Turn cross-references in docstrings (``:class:`Name```) into links."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`([^`]+)`")


class Roles(griffe.Extension):
    """Turn every role into a link if its target is on the site, otherwise into code."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite the docstrings of a package after it is loaded."""
        self._rewrite(pkg)

    def _rewrite(self, found: griffe.Object) -> None:
        if found.docstring:
            found.docstring.value = ROLE.sub(
                lambda role: link(role[1], found), found.docstring.value
            )
        for member in found.members.values():
            if not member.is_alias:
                self._rewrite(member)


def link(target: str, place: griffe.Object) -> str:
    """Return a reference for a name as it is written in the docstring of ``place``."""
    name = target.lstrip("~.")
    shown = name.rpartition(".")[2] if target.startswith("~") else name
    first, dot, rest = name.partition(".")
    try:
        path = place.resolve(first) + dot + rest
    except griffe.NameResolutionError:
        path = name
    return f'<autoref optional identifier="{path}"><code>{shown}</code></autoref>'
