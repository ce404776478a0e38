"""``pyro-align list``: models, guides and objectives, and which go together."""

from __future__ import annotations

import sys

import click


def _summary(cls: type) -> str:
    """First line of what the file says of itself, for there a part is told in words."""
    text = sys.modules[cls.__module__].__doc__ or cls.__doc__ or ""
    return text.strip().partition("\n")[0]


@click.command("list")
def list_names() -> None:
    """Show models, guides and objectives, and which go together."""
    from rich.box import SIMPLE
    from rich.table import Table

    from pyro_align.cli.tables import show
    from pyro_align.registry import GUIDES, MODELS, OBJECTIVES

    for registry in (MODELS, GUIDES, OBJECTIVES):
        table = Table(title=f"{registry.kind}s", box=SIMPLE, title_justify="left")
        table.add_column("name")
        table.add_column("what it is")
        table.add_column("from")
        for name, place in registry.places().items():
            table.add_row(name, _summary(registry.get(name)), place.partition(":")[0])
        show(table)

    together = Table(title="what goes together", box=SIMPLE, title_justify="left")
    for heading in ("model", "guide", "objectives"):
        together.add_column(heading)
    for model in MODELS:
        for guide in GUIDES:
            pair = (MODELS.get(model).latent, GUIDES.get(guide).latent)
            fitting = [name for name in OBJECTIVES if pair in OBJECTIVES.get(name).pairs]
            if fitting:
                together.add_row(model, guide, ", ".join(fitting))
    show(together)
    click.echo("A class of your own goes wherever a name does: --guide my_guides.py:MyGuide")
