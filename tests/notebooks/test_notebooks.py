"""The notebooks: run in a kernel of their own, small, with warnings as errors."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from runs import WORKPLACE, short_demo

nbformat = pytest.importorskip("nbformat", reason="notebooks are not run: pip install nbformat")
nbclient = pytest.importorskip("nbclient", reason="notebooks are not run: pip install nbclient")
kernelspec = pytest.importorskip(
    "ipykernel.kernelspec", reason="notebooks are not run: pip install ipykernel"
)

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

SIZES = {
    "first_fit": {"STEPS": 3, "SENTENCES": 3, "BEAM": 1},
    "swap_a_guide": {"STEPS": 3, "GUIDE_STEPS": 3, "SENTENCES": 10},
    "prior_against_posterior": {
        "RUN": None,
        "TEXT": None,
        "GOLD": None,
        "STEPS": 3,
        "SENTENCES": 12,
        "FIGURES": 1,
    },
    "diagnosing_gradients": {"STEPS": 3, "SENTENCES": 2, "DRAWS": 8},
    "answering_questions": {"STEPS": 3, "GUIDE_STEPS": 3, "QUESTIONS": 10},
}
"""What the first cell of each notebook sets, at the size of a test."""

SHORT = """
import warnings
from pathlib import Path
from pyro_align.data import demo
warnings.simplefilter("error")
demo.FILES.update({part: Path(f"{part}.tsv").resolve() for part in demo.FILES})
"""
"""What a notebook starts with in a test: warnings are errors, the built-in corpus is short."""


def read(name: str) -> Any:
    """A notebook as it lies in the repository."""
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def run_small(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, found: str) -> Any:
    """Execute a notebook at the size of a test.

    Args:
        name: of the notebook.
        folder: its working folder.
        monkeypatch: to set where the kernel finds its things.
        found: a Python expression, evaluated at the end.

    Returns:
        The notebook with its outputs, and the value of ``found``, by way of JSON.
    """
    kernelspec.write_kernel_spec(folder / "jupyter" / "kernels" / "python3")
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(folder / "config"))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    # Other tests run beside: one thread each, as threads that wait for a core cost more than none.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert os.environ["PYRO_ALIGN_CACHE"].startswith(str(WORKPLACE))
    notebook = read(name)
    assert notebook.cells[1].metadata.tags == ["parameters"]
    notebook.cells[1].source = "\n".join(f"{key} = {value}" for key, value in SIZES[name].items())
    short_demo(folder, train=60, held_out=20)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SHORT))
    last = f"import json, sys\nprint(json.dumps([sys.executable, {found}]))"
    notebook.cells.append(nbformat.v4.new_code_cell(last))
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,  # a slow machine sends what a cell prints in several parts
    )
    client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.get("name") != "stderr", f"{cell.id} shows in red: {output.text}"
    executable, value = json.loads(notebook.cells[-1].outputs[-1].text)
    assert executable == sys.executable
    return notebook, value


def data(notebook: Any, cell_id: str, kind: str) -> list[str]:
    """What a cell showed, of one kind."""
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    shown = [output.get("data", {}) for output in cell.outputs]
    return [each[kind] for each in shown if kind in each]


def test_all_notebooks_are_run():
    """A notebook without a size here has no test below either."""
    assert {path.stem for path in NOTEBOOKS.glob("**/*.ipynb")} == set(SIZES)
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert set(SIZES) <= tests


@pytest.mark.parametrize("name", SIZES)
def test_a_notebook_is_kept_without_outputs(name):
    notebook = read(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [], cell.id
            assert cell.execution_count is None, cell.id
            assert set(cell.metadata) <= {"tags"}, cell.id
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert dict(notebook.metadata.language_info) == {"name": "python"}


@pytest.mark.parametrize("name", SIZES)
def test_the_first_cell_of_code_holds_the_sizes(name):
    first, *_ = (cell for cell in read(name).cells if cell.cell_type == "code")
    values: dict[str, Any] = {}
    exec(first.source, values)
    assert set(values) - {"__builtins__"} == set(SIZES[name])


@pytest.mark.parametrize("name", SIZES)
def test_the_title_says_how_to_install_jupyter(name):
    title = read(name).cells[0].source
    (line,) = re.findall(r"`(pip install [^`]*)`", title)
    extras = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text())["project"]
    (extra,) = re.findall(r"\[(\w+)\]", line)
    assert {"jupyterlab", "ipywidgets"} <= {
        re.match(r"\w+", each)[0] for each in extras["optional-dependencies"][extra]
    }


def test_first_fit(tmp_path, monkeypatch):
    notebook, found = run_small(
        "first_fit",
        tmp_path,
        monkeypatch,
        "[evaluation.positions.log_evidence, evaluation.positions.elbo, evaluation.positions.gap,"
        " evaluation.sentences, sorted(evaluation.error_rates), len(posterior), posterior.units,"
        " posterior[0].gold is not None, (run.path / 'weights.safetensors').is_file()]",
    )
    evidence, elbo, gap, sentences, rates, shown, units, has_gold, kept = found
    assert evidence - elbo == pytest.approx(gap, rel=1e-2, abs=1e-4)
    assert sentences == 20
    assert rates == ["guide", "posterior", "prior"]
    assert (shown, units, has_gold, kept) == (3, "words", True, True)
    (view,) = data(notebook, "view", "text/html")
    assert "data-pyro-align" in view
    assert data(notebook, "plot", "image/png")
    assert data(notebook, "curves", "image/png")
    (card,) = data(notebook, "fit", "text/html")
    assert "finished" in card
    (fit,) = (cell for cell in notebook.cells if cell.id == "fit")
    text = "".join(output.text for output in fit.outputs if output.output_type == "stream")
    assert "epoch   1" in text
    assert "%|" in text  # a progress bar
    assert "exact perplexity" in "".join(data(notebook, "table", "text/html"))


def test_swap_a_guide(tmp_path, monkeypatch):
    notebook, found = run_small(
        "swap_a_guide",
        tmp_path,
        monkeypatch,
        "[before, after, type(swapped.guide).__name__, gap.mean().to_dict(),"
        " float(gap.min().min()), all(torch.equal(value, swapped.model.state_dict()[name])"
        " for name, value in run.model.state_dict().items()),"
        " swapped.evaluate(translate=False).positions.log_evidence,"
        " run.evaluate(translate=False).positions.log_evidence]",
    )
    before, after, guide, gaps, least, same, new, old = found
    assert guide == "BayesGuide"
    assert same
    assert new == old
    assert after["log evidence"] == pytest.approx(before["log evidence"], rel=1e-6)
    assert before["ELBO"] < after["ELBO"] < after["log evidence"]
    assert list(gaps) == ["prior", "amortized", "BayesGuide"]
    assert least >= -1e-5
    for cell in ("view-old", "view-new"):
        (view,) = data(notebook, cell, "text/html")
        assert "data-pyro-align" in view
    assert data(notebook, "scatter", "image/png")


def test_prior_against_posterior(tmp_path, monkeypatch):
    notebook, found = run_small(
        "prior_against_posterior",
        tmp_path,
        monkeypatch,
        "[[one.distance for one in most], [float(moved(posterior[n])) for n in order],"
        " summary.to_dict(), float(positions['information'].min()), errors]",
    )
    distances, mean_distances, summary, least, errors = found
    for values in (distances, mean_distances):
        assert values == sorted(values, reverse=True)
        assert all(0 <= value <= 1 for value in values)
    assert max(distances) >= max(mean_distances)
    assert least >= -1e-5
    assert summary["KL(posterior ‖ prior)"] > 0
    assert set(errors) == {"prior", "guide", "posterior"}
    assert all(0 <= error <= 1 for error in errors.values())
    assert len(data(notebook, "figures", "image/png")) == 1
    for cell in ("entropies", "pieces", "calibration"):
        assert data(notebook, cell, "image/png"), cell


def test_diagnosing_gradients(tmp_path, monkeypatch):
    notebook, found = run_small(
        "diagnosing_gradients",
        tmp_path,
        monkeypatch,
        "[frame['guide_noise_to_signal'].to_dict(), frame['guide_biased'].tolist(),"
        " {name: [float(np.mean(v)), float(np.std(v, ddof=1))] for name, v in along.items()}]",
    )
    noise, biased, along = found
    assert noise["enumerated"] < 1e-5
    # Before the guide has learnt, a baseline takes off most of what is no merit of a draw.
    for name in ("soft attention", "leave-one-out, K=2", "leave-one-out, K=4"):
        assert noise[name] < 0.5 * noise["no baseline"], name
    assert noise["leave-one-out, K=4"] < noise["leave-one-out, K=2"]
    assert not any(biased)
    for name, (mean, deviation) in along.items():
        error = deviation / SIZES["diagnosing_gradients"]["DRAWS"] ** 0.5
        assert abs(mean - 1) < 5 * error, name
    assert data(notebook, "strips", "image/png")
    assert data(notebook, "figure", "image/png")


def test_answering_questions(tmp_path, monkeypatch):
    notebook, found = run_small(
        "answering_questions",
        tmp_path,
        monkeypatch,
        "[len(posterior), posterior.kinds, evaluation.sentences, list(gaps),"
        " float(gaps.min().min()),"
        " [float(posterior[n].quantity('information')) for n in order],"
        " [each.text for each in prediction.answers], gold.index.tolist(),"
        " [n for n, each in enumerate(questions) if each.regions],"
        " len({tuple(each['log_evidence']) for each in frames.values()}) == 1]",
    )
    shown, kinds, questions, guides, least, information, answers, gold, expected, same = found
    assert (shown, kinds, questions) == (10, ["prior", "guide", "posterior"], 1000)
    assert guides == ["prior", "corrected-prior", "amortized"]
    assert least >= -1e-5
    assert information == sorted(information, reverse=True)
    assert len(set(answers)) == 3
    assert gold == expected
    assert same  # the model is frozen
    for cell in ("view", "view-own"):
        (view,) = data(notebook, cell, "text/html")
        assert 'data-pyro-align="answers"' in view
        assert "data:image/" in view
    for cell in ("plot", "gold"):
        assert data(notebook, cell, "image/png"), cell
