"""``pyro-align settings``: settings for ``--set`` and TOML files."""

from __future__ import annotations

import click

from pyro_align.cli.completion import complete_key
from pyro_align.cli.options import NameOption


@click.command("settings")
@click.argument("key", required=False, default="", shell_complete=complete_key)
@click.option("--task", cls=NameOption)
def settings(key: str, task: str | None) -> None:
    """List the settings of a fit, with defaults, valid values and descriptions.

    KEY is a setting, such as training.epochs, or a table: data, vocabulary, network, model, guide,
    objective, training. Without KEY, all settings are listed.

    Set them with `fit --set KEY=VALUE`, or in the TOML file given with --config.
    """
    from rich.box import SIMPLE
    from rich.table import Table

    from pyro_align.cli.tables import show
    from pyro_align.config.config import TRANSLATION
    from pyro_align.config.settings import matching
    from pyro_align.config.settings import settings as every_setting

    table = Table(box=SIMPLE)
    table.add_column("setting", no_wrap=True)
    table.add_column("default")
    table.add_column("description")
    previous = ""
    task = task or TRANSLATION
    for setting in matching(key, task=task) if key else every_setting(task=task):
        if setting.table != previous:
            table.add_section()
        previous = setting.table
        table.add_row(setting.key, setting.default or "–", setting.text)
    show(table)
