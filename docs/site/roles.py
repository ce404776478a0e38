"""Cross-references of docstrings (``:class:`Name```) as links of the built site."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`([^`]+)`")


class Roles(griffe.Extension):
    """Turns every role into a link where the site has what it names, else into code."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite the docstrings of a package, when all of it is known."""
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
    """A name as the site's reference, as it is called in the docstring of ``place``."""
    name = target.lstrip("~.")
    shown = name.rpartition(".")[2] if target.startswith("~") else name
    first, dot, rest = name.partition(".")
    try:
        path = place.resolve(first) + dot + rest
    except griffe.NameResolutionError:
        path = name
    return f'<autoref optional identifier="{path}"><code>{shown}</code></autoref>'
