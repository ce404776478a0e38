"""The structure of the package: imports between parts, file lengths, links."""

from __future__ import annotations

import ast
import builtins
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyro_align"

LAYERS = (
    {"__main__"},
    {"cli"},
    {"runs", "testing"},
    {"tasks"},
    {"word_alignment"},
    {"training", "decoding"},
    {"evaluation"},
    {"posterior"},
    {"models", "guides", "config"},
    {"inference"},
    {"networks"},
    {"nn"},
    {"distributions", "data"},
    {"constraints"},
    {"files"},
    {"errors"},
)
"""Rooms from the top down: a room imports only from those below."""

MAX_LINES = 500

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
"""All modules but the root, which may offer names of every layer."""


def part(parts: tuple[str, ...]) -> str:
    """The part of the package that a module belongs to; empty for the package itself."""
    return parts[1].removesuffix(".py") if len(parts) > 1 else ""


def layer(name: str) -> int:
    """Number of a part's layer, 0 at the top."""
    for number, names in enumerate(LAYERS):
        if name in names:
            return number
    raise AssertionError(f"pyro_align.{name} has no layer: add it to LAYERS")


def imported(tree: ast.Module, module: tuple[str, ...], *, is_package: bool) -> Iterator[str]:
    """Parts of pyro_align that a module imports, at whatever depth of its code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names = tuple(alias.name.split("."))
                if names[0] == "pyro_align":
                    yield part(names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                names = module[: len(module) - node.level + is_package] + names
            if names[:1] == ("pyro_align",):
                # `from pyro_align import x` names its part last, or takes a name of the root.
                yield from (
                    [part((*names, alias.name)) for alias in node.names]
                    if len(names) == 1
                    else [part(names)]
                )


def imports(path: Path) -> set[str]:
    """Parts that a file of the package imports, its own left out."""
    module = path.relative_to(ROOT).with_suffix("").parts
    is_package = module[-1] == "__init__"
    module = module[:-1] if is_package else module
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return set(imported(tree, module, is_package=is_package)) - {part(module)}


def breaches(importer: str, parts: set[str]) -> list[str]:
    """Return the imports that violate the rules."""
    return [
        f"{importer} imports {name}, which does not lie below it"
        for name in sorted(parts)
        if layer(name) <= layer(importer)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    importer = part(path.relative_to(ROOT).with_suffix("").parts)
    assert not breaches(importer, imports(path) - {""})


@pytest.mark.parametrize("path", sorted((PACKAGE / "nn").glob("*.py")), ids=lambda path: path.name)
def test_nn_is_plain_pytorch(path):
    """Its layers serve models outside the package: no Pyro, no batch of the package."""
    assert imports(path) <= {"distributions", "errors"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert "pyro" not in outside(tree)


def outside(tree: ast.Module) -> set[str]:
    """Top-level names of the packages that a module imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_imports_of_pyro_are_seen():
    assert "pyro" in outside(ast.parse("def late():\n    from pyro.infer import SVI"))
    assert "pyro" not in outside(ast.parse("from pyro_align.distributions import at_least_fp32"))


DOCUMENTED = {
    "pyro",
    "pyro.distributions",
    "pyro.infer",
    "pyro.nn",
    "pyro.optim",
    "pyro.poutine",
    # Not documented, but the distributions, which lie below the traces, need it.
    "pyro.ops.provenance",
}
"""Modules of Pyro whose names without an underscore may be used everywhere."""


def undocumented(tree: ast.Module) -> set[str]:
    """Names of Pyro in a module that are not part of its documented interface."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            private = {alias.name for alias in node.names if alias.name.startswith("_")}
            found |= {f"{node.module}.{name}" for name in private} or {node.module}
        elif isinstance(node, ast.Attribute | ast.FunctionDef):
            name = node.attr if isinstance(node, ast.Attribute) else node.name
            if name.startswith("_pyro") or name == "_get_traces":
                found.add(f"pyro.{name}")
    return {name for name in found if name.partition(".")[0] == "pyro"} - DOCUMENTED


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_undocumented_names_of_pyro_stand_in_one_file(path):
    found = undocumented(ast.parse(path.read_text(encoding="utf-8")))
    assert not found or path == PACKAGE / "inference" / "traces.py"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from pyro.poutine.messenger import Messenger", "pyro.poutine.messenger"),
        ("def late():\n    import pyro.infer.util", "pyro.infer.util"),
        ("from pyro.infer import _private", "pyro.infer._private"),
        ("elbo._get_traces(model, guide)", "pyro._get_traces"),
        ("class Handler:\n    def _pyro_sample(self, msg): ...", "pyro._pyro_sample"),
    ],
)
def test_undocumented_names_of_pyro_are_seen(source, expected):
    assert undocumented(ast.parse(source)) == {expected}
    assert not undocumented(ast.parse("import pyro\nfrom pyro.infer import TraceEnum_ELBO"))


def test_no_two_rooms_import_each_other():
    graph: dict[str, set[str]] = {}
    for path in FILES:
        importer = part(path.relative_to(ROOT).with_suffix("").parts)
        graph.setdefault(importer, set()).update(imports(path) - {""})
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert order.index("data") < order.index("models")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import pyro_align.models.soft", {"models"}),
        ("from pyro_align.cli.main import main", {"cli"}),
        ("from pyro_align import guides, data", {"guides", "data"}),
        ("from ..guides import prior", {"guides"}),
        ("from . import soft", {"models"}),
        ("def late():\n    from pyro_align.runs import Run", {"runs"}),
        ("import pyro, torch\nfrom pyro.infer import SVI", set()),
    ],
)
def test_every_form_of_import_is_seen(source, expected):
    module = ("pyro_align", "models", "categorical")
    assert set(imported(ast.parse(source), module, is_package=False)) == expected


@pytest.mark.parametrize(
    ("importer", "parts"),
    [("networks", {"models"}), ("models", {"guides"}), ("guides", {"models"}), ("data", {"cli"})],
)
def test_violations_are_found(importer, parts):
    assert breaches(importer, parts)


def test_imports_from_below_are_no_violations():
    assert not breaches("networks", {"distributions", "data", "errors"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_shapes_are_stated_as_strings(path):
    """Without its quotes a shape such as ``"a *b"`` is still Python, but says something else."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unquoted = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"Float", "Int", "Bool"}
        and isinstance(node.slice, ast.Tuple)
        and not isinstance(node.slice.elts[1], ast.Constant)
    ]
    assert not unquoted


def test_all_names_are_defined():
    """Neither ruff (F821) nor mypy checks this, because shapes are stated as strings."""
    missing = {
        str(path.relative_to(PACKAGE)): names
        for path in FILES
        if (names := undefined(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert not missing


def undefined(tree: ast.Module) -> set[str]:
    """Names that a module reads but does not define anywhere."""
    read: set[str] = set()
    defined = {*dir(builtins), "__file__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(name.asname or name.name).partition(".")[0] for name in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            defined.add(node.name or "")
        elif isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else defined).add(node.id)
    return read - defined


def test_undefined_names_are_seen():
    assert undefined(ast.parse("def f(x: Tensor) -> int:\n    return nn.Linear(x)")) == {
        "Tensor",
        "nn",
    }
    assert not undefined(
        ast.parse("import torch.nn\ntry: y = torch\nexcept OSError as e: print(e)")
    )


@pytest.mark.parametrize("folder", ["pyro_align", "tests", "benchmarks"])
def test_no_file_is_long(folder):
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert not long


@pytest.mark.parametrize("name", ["models", "guides", "cli"])
def test_the_links_at_the_root_point_into_the_package(name):
    link = ROOT / name
    assert link.is_symlink()
    assert link.readlink() == Path("pyro_align") / name
    assert (PACKAGE / name).is_dir()


def test_test_files_have_unique_names():
    # Without packages pytest tells test modules apart by name alone.
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
    assert not list((ROOT / "tests").rglob("__init__.py"))
