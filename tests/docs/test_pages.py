"""The pages say what the code does: names, options, commands; links lead somewhere."""

import inspect
import re
from functools import cache

import pytest
from click.testing import CliRunner
from names import resolve, sites
from pages import DOCS, PAGES, Page, parsed, tables
from support import tiny_networks

from pyro_align.cli import main
from pyro_align.config import Config
from pyro_align.inference import BASELINES, KL_SCHEDULES
from pyro_align.registry import GUIDES, MODELS, OBJECTIVES, choose, fits
from pyro_align.run import Run

REGISTRIES = {"models": MODELS, "guides": GUIDES, "objectives": OBJECTIVES}
WHAT = {
    "models": "Generative process",
    "guides": "Form of q",
    "objectives": "What is maximised",
}
PARTS = [(folder, name) for folder, registry in REGISTRIES.items() for name in registry.builtin]

each_part = pytest.mark.parametrize(("folder", "name"), PARTS)
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.path.relative_to(DOCS))
)


def page_of(folder, name):
    return Page(DOCS / folder / f"{name}.md")


def test_every_part_has_a_page_and_every_page_a_part():
    found = {
        (path.parent.name, path.stem)
        for folder in REGISTRIES
        for path in (DOCS / folder).glob("*.md")
    }
    assert found == set(PARTS)


def test_the_index_lists_every_page():
    index = Page(DOCS / "index.md")
    listed = [(DOCS / link).resolve() for link in index.links]
    assert sorted(listed) == [page.path for page in PAGES if page != index]


@each_part
def test_headings(folder, name):
    assert page_of(folder, name).headings == [
        WHAT[folder],
        "Symbols",
        "Source",
        "Options",
        "When to use it",
        "Goes together with",
        "Command line",
        "References",
    ]


@each_page
def test_links_lead_somewhere(page):
    for link in page.links:
        file, _, anchor = link.partition("#")
        path = (page.path.parent / file).resolve() if file else page.path
        assert path.is_file(), link
        assert not anchor or anchor in anchors(Page(path)), link


def anchors(page):
    """As GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def symbol_rows(page):
    for table in tables(page.prose):
        if "name in the code" in table[0]:
            yield from table


def unknown_names(cell):
    """Names in the third column of a symbol table that the code does not have."""
    unknown = [site for site in re.findall(r"\bsite `([^`]+)`", cell) if site not in sites()]
    for name in re.findall(r"`([^`]+)`", re.sub(r"\bsite `[^`]+`", "", cell)):
        try:
            resolve(name)
        except LookupError:
            unknown.append(name)
    return unknown


@each_page
def test_symbols_have_names_that_exist(page):
    rows = list(symbol_rows(page))
    if page.path.parent.name in REGISTRIES:
        assert len(rows) >= 3
    for row in rows:
        assert "`" in row["name in the code"], row
        assert not unknown_names(row["name in the code"])


@pytest.mark.parametrize(
    ("cell", "unknown"),
    [
        ("`States.scores`, `Memory.mask`", []),
        ("site `alignment`, `GumbelGuide.temperature`", []),
        ("`pyro_align.inference.free_bits.free_bits`", []),
        ("`pyro_align.inference.importance.Draws.log_weight`", []),
        ("site `aligment`", ["aligment"]),
        ("`States.score`", ["States.score"]),
        ("`State.scores`", ["State.scores"]),
        ("`GumbelGuide.temperatures`", ["GumbelGuide.temperatures"]),
        ("`GumbelGuide._pyro_name`", ["GumbelGuide._pyro_name"]),
        ("`pyro_align.inference.nothing`", ["pyro_align.inference.nothing"]),
        ("`pyro_align.nothing.free_bits`", ["pyro_align.nothing.free_bits"]),
    ],
)
def test_a_wrong_name_is_noticed(cell, unknown):
    assert unknown_names(cell) == unknown


def options_of(cls):
    """Keyword-only parameters and their defaults, as a page writes them."""
    return {
        f"`{parameter.name}`": written(parameter.default)
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def written(default):
    if default is None:
        return "unset"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default!r}`"


@each_part
def test_options_are_those_of_the_constructor(folder, name):
    section = page_of(folder, name).section("Options")
    rows = [row for table in tables(section) for row in table]
    assert {row["option"]: row["default"] for row in rows} == options_of(
        REGISTRIES[folder].get(name)
    )
    assert len(rows) == len({row["option"] for row in rows})
    assert all(row["meaning"] for row in rows)


def test_defaults_as_they_are_written():
    def constructor(model, *, a: int = 5, b: float = 0.0, c: bool = True, d=None, e: str = "x"):
        """Nothing."""

    expected = {"`a`": "`5`", "`b`": "`0.0`", "`c`": "`true`", "`d`": "unset", "`e`": '`"x"`'}
    assert options_of(constructor) == expected


@cache
def triples():
    """Models, guides and objectives that go together."""
    return [
        {("models", model), ("guides", guide), ("objectives", objective)}
        for model in MODELS.builtin
        for guide in GUIDES.builtin
        for objective in OBJECTIVES.builtin
        if fits(MODELS.get(model), GUIDES.get(guide), OBJECTIVES.get(objective))
    ]


def together(folder, name):
    """Every part that fits into a triple with this one."""
    found = set().union(*(triple for triple in triples() if (folder, name) in triple))
    return found - {(folder, name)}


@each_part
def test_what_it_goes_together_with(folder, name):
    page = page_of(folder, name)
    section = page.section("Goes together with")
    links = re.findall(r"\[([\w-]+)\]\(\.\./(\w+)/([\w-]+)\.md\)", section)
    assert all(text == stem for text, _, stem in links)
    assert {(part, stem) for _, part, stem in links} == together(folder, name)


class Stopped(Exception):
    """Carries the configuration of a fit that does not go on."""


def configuration(arguments, monkeypatch):
    """What ``pyro-align fit`` would fit."""

    def stop(config, folder, **options):
        raise Stopped(config)

    monkeypatch.setattr(Run, "create", stop)
    monkeypatch.setenv("PYRO_ALIGN_RUN", "nowhere")
    result = CliRunner().invoke(main, arguments)
    assert isinstance(result.exception, Stopped), result.output
    return result.exception.args[0]


def built(config):
    """Names and objects of a configuration's model, guide and objective."""
    asked = (
        None if part.name == "auto" else part.name for part in (config.guide, config.objective)
    )
    guide, objective = choose(config.model.name, *asked)
    model = MODELS.build(config.model.name, config.model.options, tiny_networks())
    posterior = GUIDES.build(guide, config.guide.options, model)
    OBJECTIVES.build(objective, config.objective.options).check(model, posterior)
    return {"models": config.model.name, "guides": guide, "objectives": objective}


@each_part
def test_command_lines_fit_it(folder, name, monkeypatch):
    page = page_of(folder, name)
    assert page.commands
    for arguments in page.commands:
        assert built(configuration(arguments, monkeypatch))[folder] == name


@each_page
def test_command_lines_can_be_read(page):
    for arguments in page.commands:
        parsed(arguments)


def test_commands_of_concepts_can_be_built(monkeypatch):
    concepts = [page for page in PAGES if page.path.parent.name == "concepts"]
    for arguments in (arguments for page in concepts for arguments in page.commands):
        built(configuration(arguments, monkeypatch))


@each_page
def test_settings_exist(page):
    tables_of = {name: field.annotation for name, field in Config.model_fields.items()}
    for table, key in re.findall(r"`(network|training|data|vocabulary)\.([a-z_]+)", page.prose):
        assert key in tables_of[table].model_fields, f"{table}.{key}"


@each_page
def test_equations_are_numbered(page):
    numbers = [re.findall(r"\\tag\{(\d+)\}", equation) for equation in page.equations]
    assert numbers == [[str(number)] for number in range(1, len(numbers) + 1)]
    if page.path.parent.name in REGISTRIES:
        assert numbers


def test_every_baseline_and_schedule_is_told():
    rows = next(tables(page_of("objectives", "score-function").section("What is maximised")))
    assert {row["`baseline`"].strip("`") for row in rows} == set(BASELINES)
    collapse = (DOCS / "concepts" / "collapse.md").read_text(encoding="utf-8")
    told = re.findall(r"training\.kl_schedule(?:=|` is `)(\w+)", collapse)
    assert set(told) == set(KL_SCHEDULES)


UNSAFE = {
    r"\\[^A-Za-z]": "a backslash before a sign, which Markdown takes away",
    r"[})\]]_": "an underscore after a bracket, which Markdown takes for emphasis",
    r"[*<|]": "a sign that Markdown or HTML takes for its own",
}


def unsafe(formula):
    """What of a formula Markdown might not leave alone."""
    return [why for pattern, why in UNSAFE.items() if re.search(pattern, formula)]


@each_page
def test_mathematics_survives_markdown(page):
    assert page.prose.count("$$") == 2 * len(page.equations)
    for formula in (*page.equations, *page.inline):
        assert not unsafe(formula), formula
        assert formula.count("{") == formula.count("}")
    for equation in page.equations:
        assert not re.search(r"^\s*([-+>#]|\d+\.) ", equation, flags=re.MULTILINE), equation


@pytest.mark.parametrize("formula", [r"a \, b", r"\hat{L}_k", "y_{<t}", "a * b", r"p(a | b)"])
def test_an_unsafe_formula_is_noticed(formula):
    assert unsafe(formula)
