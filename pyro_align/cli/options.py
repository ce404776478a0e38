"""Options shared by several commands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import click

from pyro_align.cli.completion import complete_name
from pyro_align.cli.paths import InputPath
from pyro_align.data.compression import text_suffix

LINK_FORMATS = ("pharaoh", "talp", "naacl", "jsonl")
"""Formats of links; a copy of :data:`pyro_align.data.FORMATS`, which is slow to import."""

TEXT_OPTIONS = ("--train", "--valid", "--test")
"""Options that take text: ``SRC TGT``, or one file."""


MAX_BEAM = 1000
"""Maximum beam width; the memory of a search is proportional to its width."""


class TextCommand(click.Command):
    """A command whose :data:`TEXT_OPTIONS` take one or two files.

    There is only one if its name ends in ``.tsv`` or ``.jsonl``, or no file follows.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before every file, so that click can parse a variable number."""
        return super().parse_args(ctx, list(_one_file_an_option(args)))


def _one_file_an_option(args: Iterable[str]) -> Iterable[str]:
    rest = deque(args)
    while rest:
        argument = rest.popleft()
        option, equals, first = argument.partition("=")
        if option not in TEXT_OPTIONS:
            yield argument
            continue
        if not equals:
            first = rest.popleft() if rest else ""
        if not first or first.startswith("-"):
            raise click.UsageError(f"{option} needs text: one or two files")
        yield from (option, first)
        if rest and text_suffix(first) not in (".tsv", ".jsonl") and not rest[0].startswith("-"):
            yield from (option, rest.popleft())


def text_option(name: str, help_text: str) -> Callable[[Any], Any]:
    """An option that takes text: two files of parallel text, or one file."""
    return click.option(
        f"--{name}",
        multiple=True,
        type=InputPath(),
        metavar="SRC TGT|FILE",
        help=help_text,
    )


class NameOption(click.Option):
    """An option for a name in the registry of the same name; its help lists the names."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, shell_complete=complete_name, **kwargs)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Look up the names when help is requested."""
        from pyro_align.config import Config
        from pyro_align.config.settings import REGISTRIES

        kind = self.name or ""
        known = ", ".join(REGISTRIES[kind])
        value = getattr(Config(), kind)
        default = value if isinstance(value, str) else value.name
        chosen = "the first compatible one" if default == "auto" else default
        self.help = f"{known}, or file.py:Class.  [default: {chosen}]"
        return super().get_help_record(ctx)


class SettingOption(click.Option):
    """An option for a setting; its help shows the default of the setting.

    Args:
        setting: key of the setting, such as ``training.epochs``.
    """

    def __init__(self, *args: Any, setting: str, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.setting = setting

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Look up the default when help is requested."""
        from pyro_align.config.settings import settings

        (default,) = (each.default for each in settings(None) if each.key == self.setting)
        names, text = super().get_help_record(ctx) or ("", "")
        shown = default.strip('"')
        return names, f"{text}  [{self.setting}; default: {shown}]"


SEED = click.IntRange(0, 2**32 - 1)
"""Seeds that PyTorch, NumPy and Python all accept."""

device_option: Callable[[Any], Any] = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N"
)
"""Device to compute on."""

language_option: Callable[[Any], Any] = click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="NAME",
    help="Language of the words, or of each file, for a run with several languages.",
)
"""Languages of word forms."""


def one_language(names: tuple[str, ...]) -> str | None:
    """Return the language of a text, None if there is none."""
    if len(names) > 1:
        raise click.UsageError("--language: give one language for one text")
    return names[0] if names else None


images_option: Callable[[Any], Any] = click.option(
    "--images",
    multiple=True,
    type=InputPath(),
    metavar="FILE|FOLDER",
    help="Region features or folder of the images, for questions; by default those of the run.",
)
"""Images that questions are about."""

beam_option: Callable[[Any], Any] = click.option(
    "--beam", default=5, show_default=True, type=click.IntRange(1, MAX_BEAM), help="beam width"
)
"""Width of the beam search."""


def ensemble_options(command: Any) -> Any:
    """Options of a command that several runs can carry out together."""
    average = click.option(
        "--average",
        type=click.Choice(("linear", "log")),
        help="With --with: average probabilities (linear) or log probabilities (log).  "
        "[default: linear]",
    )
    others = click.option(
        "--with",
        "others",
        multiple=True,
        type=InputPath(),
        metavar="RUN",
        help="Another run with the same vocabularies, to predict together as an ensemble; may be "
        "repeated.",
    )
    return others(average(command))


def chosen_device(name: str) -> str:
    """Return the device of a name; ``auto`` is a GPU if available.

    Raises:
        ConfigError: if the device is not available.
    """
    import torch

    from pyro_align.errors import ConfigError

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if name.partition(":")[0] not in ("cpu", "cuda"):
            raise RuntimeError("a device is auto, cpu, cuda or cuda:N")
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"--device {name}: not available on this machine ({reason}); use --device cpu"
        ) from None
    return name
