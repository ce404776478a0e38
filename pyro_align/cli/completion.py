"""Shell completion: functions for click's ``shell_complete``.

Each is called with the context, the parameter and what has been typed so far.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of models, guides or objectives, whichever the parameter is called."""
    from pyro_align.config.settings import REGISTRIES

    return [name for name in REGISTRIES[param.name or ""] if name.startswith(incomplete)]


def complete_objective(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of objectives."""
    from pyro_align.config.registry import OBJECTIVES

    return [name for name in OBJECTIVES if name.startswith(incomplete)]


def complete_key(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete settings and their tables."""
    from pyro_align.config.settings import settings

    # Look up options of models, guides and objectives only if asked for: it takes seconds.
    table, dot, _ = incomplete.partition(".")
    found = settings(options=table if dot else None)
    names = dict.fromkeys(name for each in found for name in (each.table, each.key) if name)
    return [name for name in names if name.startswith(incomplete)]


def complete_assignment(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete settings, including the equals sign."""
    return [
        f"{key}=" for key in complete_key(ctx, param, incomplete) if "." in key or key == "seed"
    ]


def complete_recipe(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Complete names of recipes, or files."""
    from pyro_align.config import recipes

    names = [CompletionItem(name) for name in recipes() if name.startswith(incomplete)]
    # This item comes first, since bash drops items before it.
    return [CompletionItem(incomplete, type="file"), *names]
