"""``pyro-align list``: tasks, models, guides and objectives, and which are compatible."""

from __future__ import annotations

import click


@click.command("list")
def list_names() -> None:
    """List tasks, models, guides and objectives, and which are compatible."""
    from rich.box import SIMPLE
    from rich.table import Table

    from pyro_align.cli.tables import show
    from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, TASKS, go_together

    for registry in (TASKS, MODELS, GUIDES, OBJECTIVES):
        table = Table(title=f"{registry.kind}s", box=SIMPLE, title_justify="left")
        table.add_column("name", no_wrap=True)
        table.add_column("description")
        for name, place in registry.places().items():
            origin = "" if name in registry.builtin else f" ({place.partition(':')[0]})"
            table.add_row(name, f"{registry.summary(name)}{origin}")
        show(table)

    together = Table(title="compatible combinations", box=SIMPLE, title_justify="left")
    for heading in ("model", "guide", "objectives"):
        together.add_column(heading)
    for model in MODELS:
        for guide in GUIDES:
            fitting = [name for name in OBJECTIVES if go_together(model, guide, name)]
            if fitting:
                together.add_row(model, guide, ", ".join(fitting))
    show(together)
    click.echo("Use your own class in place of a name: --guide my_guides.py:MyGuide")
