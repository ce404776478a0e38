"""Evaluation, training and diagnosis of models with a latent variable for each sentence."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from linear import BATCH, ExactPosterior, LinearGuide, LinearModel
from torch import nn

from pyro_align.config import TrainingConfig
from pyro_align.data import VectorExamples, all_batches
from pyro_align.evaluation import PositionMeans, evaluate_batches
from pyro_align.evaluation.diagnosis import diagnose
from pyro_align.inference import Likelihood
from pyro_align.training import TrainingModule
from pyro_align.training.module import CRITERION

EXAMPLES = VectorExamples(BATCH.vectors)


def test_means_over_sentences_with_the_exact_posterior():
    model = LinearModel()
    batches = all_batches(EXAMPLES, 3)
    result = evaluate_batches(model, ExactPosterior(model), batches, draws=2)
    exact = model.evidence(BATCH.vectors)
    found = result.of_sentences
    assert found.nll == pytest.approx(-exact.mean().item())
    assert found.nll_error == pytest.approx(exact.std().item() / math.sqrt(len(BATCH)))
    assert found.effective_sample_size == pytest.approx(1)
    assert result.positions.log_evidence == pytest.approx(exact.mean().item())
    assert result.positions.estimated
    assert (result.sentences, found.draws) == (len(BATCH), 2)
    names = [one.name for one in result.measures()]
    assert {"negative log likelihood of a sentence", "KL(guide ‖ prior) of a sentence, code"} <= {
        *names
    }
    assert json.loads(json.dumps(result.to_dict()))["per_sentence"]["divergences"].keys() == {
        "code"
    }


def test_the_perplexity_of_a_density_may_be_zero():
    assert PositionMeans(tokens=1, log_evidence=2000.0).perplexity == 0
    assert PositionMeans(tokens=1, log_evidence=-2000.0).perplexity == math.inf


def test_diagnosis_reports_the_bias_as_unknown():
    model, guide = LinearModel(), LinearGuide.near(LinearModel())
    result = diagnose(model, guide, BATCH, {"likelihood": Likelihood()}, repeats=8)
    found = result.objectives["likelihood"]
    assert found.guide.bias is None
    assert not found.enumerated
    assert 0 < result.effective_sample_size < 1


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_training_validates_by_importance_sampling():
    """A density of more than 700 nats is no sign of divergence, and the criterion is not 0."""
    model, guide = LinearModel(), LinearGuide.near(LinearModel())
    with torch.no_grad():
        model.bias.add_(60.0)
    settings = TrainingConfig(learning_rate=0.05, schedule="constant")
    module = TrainingModule(model.float(), guide.float(), Likelihood(), settings)
    batch = EXAMPLES.batch(np.arange(4))
    batches = [type(batch).of(batch.vectors.float())]
    trainer = Trainer(
        max_epochs=1,
        num_sanity_val_steps=0,
        accelerator="cpu",
        gradient_clip_val=5.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    trainer.fit(module, loader, loader)
    metrics = trainer.callback_metrics
    assert metrics["valid/perplexity"] == math.inf
    assert metrics[CRITERION] == -metrics["valid/log_evidence"]
    assert metrics[CRITERION] > 700
    assert metrics["valid/elbo"] < metrics["valid/log_evidence"]
    assert any(isinstance(each, nn.Module) for each in module.programs.values())
