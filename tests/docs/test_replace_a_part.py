"""The page "Replace a part of the network": its code and commands are run."""

import pytest
import torch
from commands import run_commands
from pages import DOCS, Page, named
from runs import WORKPLACE
from support import padded, random_batch, randomise, tiny_networks

from pyro_align.config.registry import MODELS
from pyro_align.data.batch import TextBatch
from pyro_align.decoding import BeamSearch
from pyro_align.guides import AmortizedGuide, NoGuide
from pyro_align.inference import EnumeratedELBO, ExactMarginal
from pyro_align.runs import Run
from pyro_align.testing import ModelContract

PAGE = Page(DOCS / "how-to" / "replace-a-part.md")


def written(folder):
    """Write the module of the page to a folder; return its path."""
    name, text = named(PAGE.code("python")[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def convolutional(seed=0, **settings):
    path = written(WORKPLACE / "replaced-part")
    kind = MODELS.get(f"{path}:ConvolutionalModel")
    return randomise(kind(tiny_networks(seed=seed, **settings), width=3), seed, scale=0.5)


class TestContract(ModelContract):
    def create(self, *, seed=0, **settings):
        return convolutional(seed, **settings)


def test_its_annotations_do_not_depend_on_padding():
    model, batch = convolutional(), random_batch()
    width = batch.source.shape[1]
    narrow, wide = (model.states(each).memory.annotations for each in (batch, padded(batch, 4)))
    torch.testing.assert_close(wide[:, :width], narrow)
    assert not wide[:, width:].any()


def test_the_commands_fit_a_model_with_this_encoder(tmp_path):
    written(tmp_path)
    run_commands(PAGE.commands, tmp_path)
    run = Run.load(tmp_path / "runs" / "convolution")
    encoder = run.model.networks.encoder
    assert type(encoder).__name__ == "ConvolutionalEncoder"
    assert {layer.kernel_size for layer in encoder.layers} == {(3,)}


def test_the_network_built_from_its_parts(tmp_path, monkeypatch):
    written(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (block,) = PAGE.code("python")[1:]
    names = {}
    exec(compile(block, str(PAGE.path), "exec"), names)
    model = names["model"].eval()
    networks = model.networks
    assert networks.emission.weight is networks.target_embedding.weight
    batch = TextBatch.from_ids([[99, 7, 3], [5, 3]], [[119, 3], [8, 9, 3]])
    exact = ExactMarginal().loss(model, NoGuide(model), batch)
    guide = AmortizedGuide(model, hidden=8)
    assert guide.dropout.p == 0.3
    assert exact < EnumeratedELBO().loss(model, guide, batch)
    (best,) = BeamSearch(model, beam=2).search([[99, 7, 3]])
    read = TextBatch.from_ids([[99, 7, 3]], [best[0].tokens])
    at_once = -ExactMarginal().loss(model, NoGuide(model), read)
    assert best[0].log_probability == pytest.approx(at_once, rel=1e-5)
