"""Errors in user programs are reported in one line, before a run folder is created."""

from __future__ import annotations

import pyro
import pytest
import torch
from click.testing import CliRunner
from runs import settings, shared_corpus, silent, tiny_config

from pyro_align.cli import main
from pyro_align.config import Config
from pyro_align.config.components import chosen
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, fits
from pyro_align.errors import ConfigError, UserError
from pyro_align.models.sentence_model import SentenceModel
from pyro_align.runs import Run
from pyro_align.runs.trial import try_programs

PROGRAMS = """
import pyro
import pyro.distributions as dist
import torch
from pyro_align.guides import AlignmentGuide
from pyro_align.inference import alignment_plates
from pyro_align.models import CategoricalModel


class Good(AlignmentGuide):
    latents = {"alignment": "categorical"}
    site = "alignment"

    def __init__(self, model, *, start: float = 1.0):
        super().__init__(model)
        self.factor = torch.nn.Parameter(torch.tensor(start))

    def scores(self, batch):
        return self.model.states(batch).scores * self.factor

    def forward(self, batch):
        with alignment_plates(batch):
            return pyro.sample(self.site, dist.Categorical(logits=self.scores(batch)))


class Misspelt(Good):
    site = "aligment"


class NoSite(Good):
    def forward(self, batch):
        return None


class OtherName(AlignmentGuide):
    latents = {"alignment": "categorical"}

    def posterior(self, batch):
        return {"aligment": self.model.prior(self.model.states(batch))}


class NoPlate(Good):
    def forward(self, batch):
        return pyro.sample("alignment", dist.Categorical(logits=self.scores(batch)))


class OnePlate(Good):
    def forward(self, batch):
        with pyro.plate("sentences", batch.target.shape[0], dim=-2):
            return pyro.sample("alignment", dist.Categorical(logits=self.scores(batch)))


class Narrow(Good):
    def scores(self, batch):
        return super().scores(batch)[..., :-1]


class Transposed(Good):
    def scores(self, batch):
        return super().scores(batch).transpose(1, 2)


class Raises(Good):
    def scores(self, batch):
        return self.nothing


class NotBuilt(Good):
    def __init__(self, model):
        super().__init__(model)
        raise KeyError("size")


class NotFinite(Good):
    def scores(self, batch):
        return super().scores(batch) * float("nan")


class NoLatent(AlignmentGuide):
    def forward(self, batch):
        return None


class OtherLatent(NoLatent):
    latents = {"alignment": "normal"}


class Says(Good):
    latents = {}


class GoodModel(CategoricalModel):
    pass


class ShortPrediction(CategoricalModel):
    def next_token(self, states, top_k=None):
        return super().next_token(states, top_k)[:, :1]


class TwoPriors(CategoricalModel):
    def forward(self, batch):
        states = self.states(batch)
        with alignment_plates(batch):
            logits = states.scores + torch.arange(states.scores.shape[-1])
            alignment = pyro.sample("alignment", dist.Categorical(logits=logits))
            return pyro.sample("tokens", self.emission(states, alignment), obs=batch.target)


class CountsFromZero(CategoricalModel):
    def prior(self, states):
        target, source = states.scores.shape[-2:]
        distance = torch.arange(source) - torch.arange(target).unsqueeze(-1)
        return dist.Categorical(logits=states.scores - distance**2)


class NothingObserved(CategoricalModel):
    def forward(self, batch):
        states = self.states(batch)
        with alignment_plates(batch):
            return pyro.sample("alignment", dist.Categorical(logits=states.scores))
"""

NOTHING = PROGRAMS.lstrip().partition("return self.nothing")[0].count("\n") + 1
"""The line that raises."""

GUIDE_MISTAKES = {
    "Misspelt": r"guide Misspelt has no site 'alignment'; its sites are 'aligment': rename",
    "NoSite": r"guide NoSite has no site 'alignment'; it has none: call pyro\.sample\('alignment'",
    "OtherName": r"OtherName fails .*: posterior returns the sites \['aligment'\], but OtherName",
    "NoPlate": r"NoPlate: the site 'alignment' lies in no plate, .*with alignment_plates\(batch\)",
    "OnePlate": r"OnePlate: the site 'alignment' lies in 'sentences', expected .*'positions'",
    "Narrow": r"Narrow: the site 'alignment' is over 3 source positions, but the batch has 4",
    "Transposed": r"Transposed fails on a small batch: .*own\.py, line \d+\)$",
    "Raises": rf"guide Raises fails .*: AttributeError: .*'nothing'.*own\.py, line {NOTHING}\)",
    "NotBuilt": r"guide NotBuilt cannot be built: KeyError: 'size' \(.*own\.py, line \d+\)$",
    "NotFinite": r"guide NotFinite fails on a small batch: ValueError: Expected parameter logits",
    "NoLatent": r"the class NoLatent has no class attribute latents: set it to .*'categorical'",
    "OtherLatent": r"the class OtherLatent has latents = {'alignment': 'normal'}: .*'categorical'",
}

MODEL_MISTAKES = {
    "ShortPrediction": r"next_token returns the shape \(2, 1, 20\), expected \(2, 5, 20\)",
    "TwoPriors": r"next_token gives .* but forward gives .* use the prior self\.prior\(states\)",
    "CountsFromZero": r"beam search gives .* next_token gives .* take .* from states\.positions",
    "NothingObserved": r"model NothingObserved has no site 'tokens'; it has none: call pyro",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own.py"
    path.write_text(PROGRAMS.lstrip(), encoding="utf-8")
    return path


def tried(**values):
    """Run the trial of a configuration of small networks."""
    sizes = {"network.embedding": 8, "network.encoder_hidden": 4, "network.decoder_hidden": 8}
    changes = {key.replace("__", "."): value for key, value in values.items()}
    try_programs(chosen(Config.load().changed({**sizes, **changes})))


@pytest.mark.parametrize("name", GUIDE_MISTAKES)
@pytest.mark.parametrize("objective", ["enumerated", "score-function"])
def test_an_error_in_a_guide_is_reported_in_one_line(own, name, objective):
    with pytest.raises(ConfigError, match=GUIDE_MISTAKES[name]) as error:
        tried(guide__name=f"{own}:{name}", objective__name=objective)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", MODEL_MISTAKES)
def test_an_error_in_a_model_is_reported_in_one_line(own, name):
    with pytest.raises(ConfigError, match=MODEL_MISTAKES[name]) as error:
        tried(model__name=f"{own}:{name}", guide__name="amortized", objective__name="enumerated")
    assert "\n" not in str(error.value)


def test_a_guide_that_samples_an_undeclared_site(own):
    with pytest.raises(ConfigError, match=r"Says has latents = \{\}, but samples 'alignment'"):
        tried(guide__name=f"{own}:Says", objective__name="exact")


def test_valid_programs_pass_without_side_effects(own):
    state = torch.get_rng_state()
    tried(
        model__name=f"{own}:GoodModel",
        guide__name=f"{own}:Good",
        guide__start=2.0,
        objective__name="score-function",
        objective__baseline="network",
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert not list(pyro.get_param_store())


@pytest.mark.parametrize("objective", OBJECTIVES.builtin)
def test_every_built_in_pair_passes(objective):
    taken = OBJECTIVES.get(objective)
    triples = [(m, g) for m in MODELS.builtin for g in GUIDES.builtin]
    pairs = [(m, g) for m, g in triples if fits(MODELS.get(m), GUIDES.get(g), taken)]
    assert pairs
    for model, guide in pairs:
        if issubclass(MODELS.get(model), SentenceModel):
            parts = {"model": model, "guide": guide, "objective": objective}
            names = {f"{part}.name": name for part, name in parts.items()}
            small = {"network.embedding": 8, "network.hidden": 8, "network.latent": 4}
            task = {"task": "sentences"}
            try_programs(Config.of("sentences")().changed({**task, **names, **small}))
        else:
            tried(model__name=model, guide__name=guide, objective__name=objective)


def test_sizes_beyond_memory_are_rejected():
    sizes = ("embedding", "encoder_hidden", "decoder_hidden")
    huge = {f"network__{size}": 2**16 for size in sizes}
    with pytest.raises(ConfigError, match=r"take \d+ GiB, but this machine has \d+ GiB"):
        tried(**huge, network__decoder_layers=64)


def test_after_an_error_no_folder_is_left(own, tmp_path):
    config = tiny_config(shared_corpus(), guide__name=f"{own}:Misspelt", objective__name="exact")
    told = []
    with pytest.raises(UserError, match="rename"):
        Run.create(config, tmp_path / "run", echo=told.append)
    assert not told
    assert not list(tmp_path.iterdir())


def test_the_command_line_prints_one_line(own, tmp_path):
    arguments = ["fit", "--out", str(tmp_path / "run")]
    for setting in settings(
        guide__name=f"{own}:NoPlate",
        objective__name="enumerated",
        data__train=[str(path) for path in shared_corpus()["train"]],
        data__valid=[str(path) for path in shared_corpus()["valid"]],
    ):
        arguments += ["--set", setting]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert result.output.startswith("error: guide NoPlate: the site 'alignment' lies in no plate")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"guide.name": "amortized", "guide.hidden": 0}, "'hidden': .*greater than or equal to 1"),
        ({"guide.name": "amortized", "guide.hidden": 10**11}, "'hidden': .*less than .* 65536"),
        ({"guide.name": "amortized", "guide.layers": 0}, "'layers': .*greater than or equal to 1"),
        ({"guide.name": "amortized", "guide.dropout": 2}, "'dropout': .*less than 1"),
        ({"guide.name": "transformer", "guide.heads": 0}, "'heads': .*greater than or equal to 1"),
        ({"guide.name": "corrected-prior", "guide.hidden": -1}, "'hidden': .*greater than"),
        ({"guide.name": "gumbel", "guide.half_life": 0}, "'half_life': .*greater than or equal"),
        ({"guide.name": "gumbel", "guide.floor": float("inf")}, "'floor': .*finite number"),
        ({"objective.name": "enumerated", "objective.free_bits": float("nan")}, "finite number"),
        (
            {"objective.name": "enumerated", "objective.free_bits": -1},
            "'free_bits': .*equal to 0",
        ),
        ({"objective.name": "score-function", "objective.samples": 0}, "'samples': .*equal to 1"),
        (
            {"objective.name": "rws", "objective.samples": 2**31},
            "'samples': .*than 2147483648",
        ),
        ({"guide.name": "none", "objective.name": "top-k", "objective.k": 0}, "'k': .*equal to 1"),
        ({"seed": 2**32}, "seed: .*less than 4294967296"),
        ({"network.embedding": 10**11}, "network.embedding: .*less than or equal to 65536"),
        ({"network.encoder_layers": 10**11}, "network.encoder_layers: .*less than or equal to 64"),
        ({"training.learning_rate": float("inf")}, "training.learning_rate: .*finite number"),
        ({"training.epochs": 10**11}, "training.epochs: .*less than 2147483648"),
        ({"training.devices": 10**11}, "training.devices: .*less than or equal to 4096"),
        ({"vocabulary.size": 10**11}, "vocabulary.size: .*less than or equal to 1000000"),
    ],
)
def test_values_out_of_range_are_rejected(tmp_path, setting, match):
    with pytest.raises(ConfigError, match=match):
        Run.create(Config.load().changed(setting), tmp_path / "run", echo=silent)
    assert not list(tmp_path.iterdir())
