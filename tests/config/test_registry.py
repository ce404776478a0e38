import textwrap
from importlib.metadata import EntryPoint

import pytest

from pyro_align.config import registry
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, Registry, choose
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.guides import AmortizedGuide, NoGuide, PriorGuide
from pyro_align.inference import VIMCO, EnumeratedELBO, ExactMarginal, Likelihood, ScoreFunctionELBO


def write(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


GUIDE = """
    from pyro_align.guides import PriorGuide

    class Mine(PriorGuide):
        def __init__(self, model, *, strength: float = 1.0, kind: str = "a", size: int):
            super().__init__(model)
            self.options = (strength, kind, size)

    class Helper:
        pass

    VALUE = 3
"""


def test_every_builtin_can_be_loaded():
    for names in (MODELS, GUIDES, OBJECTIVES):
        for name in names:
            assert names.get(name).__doc__


def test_some_builtins_by_name():
    assert GUIDES.get("amortized") is AmortizedGuide
    assert OBJECTIVES.get("score-function") is ScoreFunctionELBO


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("amortised", "no guide 'amortised'; did you mean 'amortized'"),
        ("", "no guide ''"),
        ("missing.py:Mine", r"missing\.py: no such file; give your own class"),
        ("missing:Mine", "no guide 'missing:Mine'"),
    ],
)
def test_unknown_names(given, match):
    with pytest.raises(ConfigError, match=match):
        GUIDES.get(given)


def test_a_class_in_a_file(tmp_path):
    path = write(tmp_path, GUIDE)
    guide = GUIDES.get(f"{path}:Mine")
    assert issubclass(guide, PriorGuide)
    assert GUIDES.get(f"{path}:Mine") is guide
    with pytest.raises(ConfigError, match="no class 'Mien' there; did you mean 'Mine'"):
        GUIDES.get(f"{path}:Mien")
    with pytest.raises(ConfigError, match="no class 'VALUE' there"):
        GUIDES.get(f"{path}:VALUE")
    with pytest.raises(ConfigError, match=r"Helper is not a guide: .*torch\.nn\.Module"):
        GUIDES.get(f"{path}:Helper")
    with pytest.raises(ConfigError, match="Mine is not an objective"):
        OBJECTIVES.get(f"{path}:Mine")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("class Mine(:", r"cannot be imported: SyntaxError"),
        ("import nothing_of_this_name", r"cannot be imported: ModuleNotFoundError: .*nothing_of"),
        ("raise RuntimeError('boo')", r"mine\.py: cannot be imported: RuntimeError: boo"),
        ("", r"no class 'Mine' there; there are none"),
        (
            "from pyro_align.inference import Program\nclass Mine(Program): pass",
            "abstract methods",
        ),
    ],
)
def test_a_bad_file(tmp_path, text, match):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=match):
        GUIDES.get(f"{path}:Mine")
    # The file is read again after it is corrected.
    path.write_text(textwrap.dedent(GUIDE))
    if "cannot be imported" in match:
        assert GUIDES.get(f"{path}:Mine")


def test_options_are_checked(tmp_path):
    name = f"{write(tmp_path, GUIDE)}:Mine"
    model = object()
    assert GUIDES.build(name, {"size": 3, "strength": 2}, model).options == (2.0, "a", 3)
    for options, match in (
        ({"size": 3, "strenght": 1}, "no option 'strenght'; did you mean 'strength'"),
        ({"size": "many"}, r"option 'size': .*integer.*got 'many'"),
        ({}, "option 'size': Field required"),
        ({"size": 1, "model": 2}, "no option 'model'"),
    ):
        with pytest.raises(ConfigError, match=match):
            GUIDES.build(name, options, model)


def test_a_constructor_with_other_arguments(tmp_path):
    path = write(
        tmp_path,
        """
        import torch
        class Mine(torch.nn.Module):
            def __init__(self):
                super().__init__()
        """,
    )
    with pytest.raises(ConfigError, match=r"cannot be built.*must accept 1 positional"):
        GUIDES.build(f"{path}:Mine", {}, object())


def test_entry_points(monkeypatch):
    def offered(*names):
        points = [EntryPoint(n, "pyro_align.guides.none:NoGuide", "some.group") for n in names]
        monkeypatch.setattr(registry, "_provided", lambda group, path: points)

    names = Registry(
        "guide", "torch.nn:Module", {"own": "pyro_align.guides:PriorGuide"}, "some.group"
    )
    offered("other")
    assert list(names) == ["own", "other"]
    assert names.get("other") is NoGuide
    offered("own")
    with pytest.raises(ConfigError, match=r"'own' is provided twice.*uninstall one"):
        names.get("own")


def test_chosen_components_are_compatible():
    assert choose("soft", None, None) == ("none", "likelihood")
    assert choose("categorical", "none", None) == ("none", "exact")
    assert choose("categorical", None, "exact") == ("corrected-prior", "exact")
    assert choose("categorical", None, "top-k") == ("none", "top-k")
    assert choose("categorical", None, "score-function")[0] == "corrected-prior"
    assert choose("categorical", "prior", "enumerated") == ("prior", "enumerated")
    assert choose("categorical", None, None) == ("corrected-prior", "exact")


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (("soft", "amortized", None), "choice is known for model 'soft' and guide 'amortized'"),
        (("soft", None, "exact"), "model 'soft' and objective 'exact'"),
        (("soft", "none", "enumerated"), "EnumeratedELBO needs a model with latents"),
        (("categorical", "gumbel", "exact"), "ExactMarginal needs.*GumbelGuide"),
        (("categorical", "none", "score-function"), "ScoreFunctionELBO needs"),
        (
            ("language-model", "none", "elbo"),
            r"SentenceELBO needs a model with latents = {'sentence': 'gaussian'}",
        ),
    ],
)
def test_incompatible_components(names, match):
    with pytest.raises(IncompatibleError, match=match):
        choose(*names)


def test_a_guide_without_a_latent_attribute(tmp_path):
    """A plain Pyro module is accepted if guide and objective are both named."""
    path = write(
        tmp_path,
        """
        from pyro.nn import PyroModule
        class Plain(PyroModule):
            def __init__(self, model):
                super().__init__()
        """,
    )
    name = f"{path}:Plain"
    assert choose("categorical", name, "enumerated") == (name, "enumerated")
    with pytest.raises(IncompatibleError, match="name both guide and objective"):
        choose("categorical", name, None)


def test_kinds_of_the_objectives():
    categorical = ("categorical", "categorical")
    assert categorical in EnumeratedELBO.pairs & ScoreFunctionELBO.pairs
    assert ExactMarginal.pairs == {
        ("categorical", "none"),
        categorical,
        ("markov", "none"),
        ("markov", "markov"),
    }
    paths = ("markov", "markov")
    assert paths in EnumeratedELBO.pairs & ScoreFunctionELBO.pairs & VIMCO.pairs
    assert Likelihood.pairs == {("none", "none")}


@pytest.mark.parametrize(
    ("model", "guide", "objective"),
    [
        ("language-model", "none", "likelihood"),
        ("sentence-vae", "gaussian", "elbo"),
        ("spherical-vae", "von-mises-fisher", "elbo"),
    ],
)
def test_a_latent_variable_of_the_sentence_has_a_guide_and_a_bound(model, guide, objective):
    assert choose(model, None, None) == (guide, objective)
