"""``pyro-align evaluate``: evaluate a run on parallel text."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pyro_align.cli.options import (
    LINK_FORMATS,
    TextCommand,
    beam_option,
    chosen_device,
    device_option,
    text_option,
)
from pyro_align.cli.paths import InputPath
from pyro_align.cli.progress import counter, load_text_run, quiet_option, trust_option


@click.command(cls=TextCommand)
@click.argument("run", type=InputPath())
@text_option("test", "Text to evaluate on; by default the run's test or validation text.")
@click.option("--gold", type=InputPath(), help="Gold links of the text.")
@click.option(
    "--gold-format",
    type=click.Choice(("auto", *LINK_FORMATS)),
    default="auto",
    show_default=True,
    help="Format of the links; auto detects it from the file extension or the first lines.",
)
@click.option(
    "--max-length", type=click.IntRange(min=1), help="Maximum length of a side, in tokens."
)
@click.option("--no-translate", is_flag=True, help="Skip BLEU and chrF, which take longest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@beam_option
@device_option
@trust_option
@quiet_option
def evaluate(
    run: Path,
    test: tuple[Path, ...],
    gold: Path | None,
    gold_format: str,
    max_length: int | None,
    no_translate: bool,
    as_json: bool,
    beam: int,
    device: str,
) -> None:
    """Evaluate a run: exact perplexity, ELBO, KL, entropies, BLEU, chrF and, with gold links, AER.

    Formats of gold links: Pharaoh (`0-0 2?1`), TALP (`1-1 3p2`), NAACL (`7 1 1 S`, one line per
    link) or JSON lines; `?`, `p` and `P` mark possible links. AER is given with a bootstrap
    interval over sentence pairs. Words are separated by ASCII white space, as in awk; a no-break
    space is part of a word.
    """
    from pyro_align.cli.tables import show_evaluation
    from pyro_align.data import LinkFile, ParallelText

    loaded, task = load_text_run(run)
    text, own_gold = (ParallelText.open(test), None) if test else (task.text("test"), task.gold)
    gold = gold or own_gold
    total = text.count()
    with counter("scoring sentence pairs", total) as show_done:
        result = loaded.evaluate(
            text,
            None if gold is None else LinkFile(gold, gold_format, total, option="--gold-format"),
            translate=not no_translate,
            beam=beam,
            max_length=max_length,
            device=chosen_device(device),
            progress=show_done,
        )
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
    else:
        show_evaluation(result, f"{run} on {' '.join(path.name for path in text.paths)}")
