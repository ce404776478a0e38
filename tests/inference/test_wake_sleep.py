"""Wake-sleep, Monte Carlo EM and the importance-weighted bound of sentences.

They are compared with closed forms of a linear Gaussian model, and with enumeration.
"""

from __future__ import annotations

import math
from typing import ClassVar

import pyro
import pyro.distributions as dist
import pytest
import torch
from linear import BATCH, ExactPosterior, LinearGuide, LinearModel
from pyro.infer import SVI
from support import (
    assert_unbiased,
    gradient,
    parameters,
    random_batch,
    tiny_guide,
    tiny_model,
)
from torch import nn

from pyro_align.data import VectorBatch
from pyro_align.data.batch import SentenceBatch
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.guides import AmortizedGuide, GaussianGuide, MarkovGuide, NoGuide
from pyro_align.inference import (
    Dream,
    EnumeratedELBO,
    ExactMarginal,
    MonteCarloEM,
    SentenceImportanceBound,
    WakeSleep,
    dream,
    position_plate,
    score_sentences,
    sentence_plate,
)
from pyro_align.inference.program import Program
from pyro_align.inference.reweighted_wake_sleep import wake_phase
from pyro_align.models import CategoricalModel, MarkovModel, SentenceVAE, SoftModel
from pyro_align.networks import LanguageNetwork, LanguageNetworkConfig

ROWS = 400


def many(batch=BATCH, rows=ROWS):
    return batch.repeated(rows)


def draws_of_gradient(objective, model, guide, batch, module, count=24):
    return torch.stack(
        [gradient(objective.differentiable_loss(model, guide, batch), module) for _ in range(count)]
    )


# Wake-sleep of a linear Gaussian model.


def test_the_wake_phase_is_the_expectation_under_the_guide():
    model, guide = LinearModel(), LinearGuide.near(LinearModel())
    found = draws_of_gradient(WakeSleep(), model, guide, many(), model) / ROWS
    mean = guide.normal(BATCH.vectors).base_dist.loc.detach()
    variance = guide.normal(BATCH.vectors).base_dist.scale.detach() ** 2
    residual = BATCH.vectors - mean @ model.weight.T - model.bias
    square = residual.square().sum(-1) + (variance @ model.weight.square().T).sum(-1)
    noise = (2 * model.log_scale).exp()
    expected = 0.5 * (square / noise + 3 * noise.log()).sum()
    assert_unbiased(found, gradient(expected, model))


def test_the_sleep_phase_is_the_expectation_under_the_model():
    """``E_p log q(z | x)`` of a linear guide is a function of second moments of the model."""
    model, guide = LinearModel(), LinearGuide.near(LinearModel())
    found = draws_of_gradient(WakeSleep(), model, guide, many(), guide) / (ROWS * len(BATCH))
    weight, noise = model.weight.detach(), (2 * model.log_scale).exp().detach()
    # z − A x − a with x = W z + b + ε.
    of_code = torch.eye(2).double() - guide.weight @ weight
    constant = guide.weight @ model.bias.detach() + guide.bias
    square = of_code.square().sum(1) + noise * guide.weight.square().sum(1) + constant.square()
    expected = (0.5 * square * (-2 * guide.log_scale).exp() + guide.log_scale).sum()
    assert_unbiased(found, gradient(expected, guide))


def test_the_exact_posterior_is_a_fixed_point_of_the_sleep_phase():
    class Diagonal(LinearModel):
        """Orthogonal columns: the posterior is diagonal, so that the guide contains it."""

    model = Diagonal()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]).double())
    guide = LinearGuide.near(model)
    with torch.no_grad():
        guide.weight.sub_(0.05)
        guide.bias.sub_(0.1)
        guide.log_scale.sub_(0.1)
    found = draws_of_gradient(WakeSleep(), model, guide, many(), guide)
    assert_unbiased(found, torch.zeros_like(found[0]))


def test_the_value_is_the_lower_bound():
    model, guide = LinearModel(), LinearGuide.near(LinearModel())
    terms = WakeSleep().terms(model, guide, many())
    scores = score_sentences(model, guide, BATCH, draws=2000)
    assert terms.loss.item() / ROWS == pytest.approx(-scores.elbo.sum().item(), abs=0.3)
    torch.testing.assert_close(terms.kl["code"] / ROWS, scores.divergences["code"].sum())


def test_dreams_follow_the_model():
    model = LinearModel()
    found = dream(model, many(rows=5000))
    assert isinstance(found.batch, VectorBatch)
    covariance = model.weight @ model.weight.T + (2 * model.log_scale).exp() * torch.eye(3)
    vectors = found.batch.vectors
    torch.testing.assert_close(vectors.T.cov(), covariance.detach(), atol=0.3, rtol=0.1)
    predicted = found.values["code"].squeeze(1) @ model.weight.T + model.bias
    noise = (vectors - predicted).std(0)
    torch.testing.assert_close(noise, model.log_scale.exp().expand(3), atol=0.02, rtol=0)


def test_stock_svi_trains_with_wake_sleep():
    model, guide = LinearModel(3), LinearGuide(4)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), WakeSleep())
    batch = many(rows=10)
    losses = [svi.step(batch) for _ in range(100)]
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])


# Wake-sleep of alignments.


class Table(Program):
    """Two tokens of a vocabulary of three, independent of each other; alignments of two sources."""

    latents: ClassVar = {"alignment": "categorical"}

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.prior = nn.Parameter(torch.randn(2, generator=generator).double())
        self.emission = nn.Parameter(torch.randn(2, 3, generator=generator).double())

    def forward(self, batch):
        with sentence_plate(batch), position_plate(batch):
            alignment = pyro.sample("alignment", dist.Categorical(logits=self.prior))
            emission = dist.Categorical(logits=self.emission[alignment])
            pyro.sample("tokens", emission, obs=batch.target)

    def dream(self, batch):
        joint = self.prior.log_softmax(-1).unsqueeze(-1) + self.emission.log_softmax(-1)
        tokens = dist.Categorical(logits=joint.logsumexp(0)).sample(batch.target.shape)
        return Dream(batch.__class__(**{**vars(batch), "target": tokens, "computed": None}), {})


class TableGuide(Program):
    """A distribution of the alignment for each token."""

    latents: ClassVar = {"alignment": "categorical"}

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.logits = nn.Parameter(torch.randn(3, 2, generator=generator).double())

    def forward(self, batch):
        with sentence_plate(batch), position_plate(batch):
            pyro.sample("alignment", dist.Categorical(logits=self.logits[batch.target]))


TABLE_BATCH = random_batch((2, 2), (2, 1), vocabulary=5)
TABLE_BATCH.target.copy_(torch.tensor([[0, 2], [1, 0]]))


def test_both_phases_of_alignments_against_enumeration():
    model, guide = Table(), TableGuide()
    batch = many(TABLE_BATCH)
    joint = model.prior.log_softmax(-1).unsqueeze(-1) + model.emission.log_softmax(-1)
    gold = TABLE_BATCH.target[TABLE_BATCH.target_mask]
    q = guide.logits.log_softmax(-1)
    wake = -(q[gold].exp().detach() * joint.T[gold]).sum()
    found = draws_of_gradient(WakeSleep(), model, guide, batch, model) / ROWS
    assert_unbiased(found, gradient(wake, model))
    sleep = -(joint.exp().detach() * q.T).sum() * TABLE_BATCH.num_targets
    found = draws_of_gradient(WakeSleep(), model, guide, batch, guide) / ROWS
    assert_unbiased(found, gradient(sleep, guide))


@pytest.mark.parametrize(
    ("kind", "guide_kind"), [(CategoricalModel, AmortizedGuide), (MarkovModel, MarkovGuide)]
)
def test_the_guide_of_a_network_learns_from_dreams(kind, guide_kind):
    """On a dream the guide's gradient is that of the inclusive divergence, as for enumeration."""
    model = tiny_model(kind).double()
    guide = tiny_guide(model, guide_kind)
    batch = random_batch()
    dreamt = dream(model, batch).batch
    model.dream = lambda batch: Dream(dreamt, {})
    loss = WakeSleep().differentiable_loss(model, guide, batch)
    found = gradient(loss, guide)
    if kind is CategoricalModel:
        torch.testing.assert_close(found, gradient(wake_phase(model, guide, dreamt), guide))
    assert found.norm() > 0
    assert gradient(loss, model).norm() > 0


@pytest.mark.parametrize("kind", [CategoricalModel, SoftModel, MarkovModel])
def test_dreams_of_sentences_follow_the_marginal_distribution(kind):
    """Frequencies of all sentences of up to two tokens, against their probabilities."""
    model = tiny_model(kind, vocabulary=6).double()
    batch = random_batch((3,), (1,), vocabulary=6).repeated(20_000)
    found = dream(model, batch).batch
    assert found.target.shape[1] <= 2
    short = found.target[:, 0] == 3
    assert (found.target_lengths == torch.where(short, 1, 2)).all()
    assert (found.target[~short, 1] == 3).all()
    with torch.no_grad():
        log_probs = model.next_token(model.states(batch.repeated(1)))[0, 0]
    probs = log_probs.exp()
    probs[[0, 2]] = 0
    probs = probs / probs.sum()
    counts = torch.bincount(found.target[:, 0], minlength=6) / len(found)
    error = (probs * (1 - probs) / len(found)).sqrt()
    assert ((counts - probs).abs() <= 5 * error + 1e-12).all()


def test_a_second_token_depends_on_the_first():
    model = tiny_model(CategoricalModel, vocabulary=6)
    batch = random_batch((3,), (4,), vocabulary=6).repeated(20_000)
    found = dream(model, batch).batch
    token = int(found.target[:, 0].where(found.target[:, 0] != 3, 0).mode().values)
    chosen = found.target[found.target[:, 0] == token]
    gold = batch.target[:1].clone()
    gold[0, 0] = token
    row = batch.__class__(
        **{**vars(batch), "target": gold.expand(len(batch), -1), "computed": None}
    )
    with torch.no_grad():
        probs = model.next_token(model.states(row))[0, 1].exp()
    probs[[0, 2]] = 0
    probs = probs / probs.sum()
    counts = torch.bincount(chosen[:, 1], minlength=6) / len(chosen)
    error = (probs * (1 - probs) / len(chosen)).sqrt()
    assert ((counts - probs).abs() <= 5 * error + 1e-12).all()


def test_dreams_of_a_sentence_vae_follow_the_model():
    """The first token, whose probability is an expectation over the latent variable."""
    torch.manual_seed(0)
    config = LanguageNetworkConfig(embedding=4, hidden=4, latent=2, dropout=0.0)
    model = SentenceVAE(LanguageNetwork.from_config(config, 6, 2)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    batch = SentenceBatch.from_ids([[4, 5, 3]]).repeated(20_000)
    found = dream(model, batch)
    assert found.values["sentence"].shape == (20_000, 1, 2)
    with torch.no_grad():
        latent = model.prior(20_000).sample()
        probs = model.networks(batch, latent).logits[:, 0].exp()
    probs[:, [0, 2]] = 0
    probs = probs / probs.sum(1, keepdim=True)
    counts = nn.functional.one_hot(found.batch.target[:, 0], 6).double()
    error = ((probs.var(0) + counts.var(0)) / 20_000).sqrt()
    assert ((counts.mean(0) - probs.mean(0)).abs() <= 5 * error + 1e-12).all()
    ends = found.batch.target.gather(1, found.batch.target_lengths.unsqueeze(1) - 1)
    assert (ends == 3).all()
    guide = GaussianGuide(model).double()
    loss = WakeSleep().differentiable_loss(
        model, guide, SentenceBatch.from_ids([[4, 3], [5, 4, 3]])
    )
    assert gradient(loss, guide).norm() > 0


def test_a_program_with_tokens_needs_a_method_to_dream():
    def model(batch):
        with sentence_plate(batch), position_plate(batch):
            pyro.sample("tokens", dist.Categorical(torch.ones(9)), obs=batch.target)

    with pytest.raises(IncompatibleError, match=r"'tokens' lies in .* Define a method dream"):
        dream(model, random_batch())


@pytest.mark.parametrize("objective", [WakeSleep, MonteCarloEM])
def test_a_kl_weight_is_rejected(objective):
    model = LinearModel()
    guide = LinearGuide() if objective is WakeSleep else NoGuide(model)
    weighted = objective()
    weighted.kl_weight = 0.5
    with pytest.raises(ConfigError, match=r"KL weight of 0\.5 has no effect"):
        weighted.loss(model, guide, BATCH)


# The importance-weighted bound of sentences.


def test_with_the_exact_posterior_the_bound_is_the_evidence():
    model = LinearModel()
    objective = SentenceImportanceBound(samples=3)
    terms = objective.terms(model, ExactPosterior(model), BATCH)
    torch.testing.assert_close(terms.loss, -model.evidence(BATCH.vectors).sum())
    assert terms.kl.keys() == {"code"}


def test_the_gradient_of_the_bound_is_that_of_the_weights():
    """With fixed samples, by plain PyTorch."""
    model, guide = LinearModel(), LinearGuide.near(LinearModel())
    objective = SentenceImportanceBound(samples=4)
    objective.kl_weight = 0.7
    torch.manual_seed(3)
    found = objective.differentiable_loss(model, guide, BATCH)
    torch.manual_seed(3)
    q = guide.normal(BATCH.vectors.repeat_interleave(4, 0).unsqueeze(1))
    code = q.rsample()
    log_q = q.log_prob(code)
    log_p = dist.Normal(0.0, 1.0).log_prob(code).sum(-1)
    noise = dist.Normal(code @ model.weight.T + model.bias, model.log_scale.exp())
    vectors = BATCH.vectors.repeat_interleave(4, 0).unsqueeze(1)
    weights = noise.log_prob(vectors).sum(-1) + 0.7 * (log_p - log_q)
    bound = (weights.reshape(-1, 4).logsumexp(1) - math.log(4)).sum()
    torch.testing.assert_close(found, -bound)
    torch.testing.assert_close(gradient(found, model, guide), gradient(-bound, model, guide))


@pytest.mark.parametrize("kind", [CategoricalModel, MarkovModel])
def test_without_other_sites_the_bound_is_the_evidence(kind):
    model, batch = tiny_model(kind).double(), random_batch()
    for objective in (SentenceImportanceBound(samples=2), MonteCarloEM()):
        loss = objective.differentiable_loss(model, NoGuide(model), batch)
        expected = ExactMarginal().differentiable_loss(model, NoGuide(model), batch)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient(loss, model), gradient(expected, model))


# Monte Carlo EM.


def test_chains_have_the_posterior_as_their_distribution():
    model = LinearModel()
    objective = MonteCarloEM(leapfrog=5, moves=20)
    batch = VectorBatch.of(BATCH.vectors.repeat_interleave(500, 0))
    torch.manual_seed(0)
    for _ in range(4):
        objective.terms(model, NoGuide(model), batch)
    codes = objective.chains.get_extra_state()["values"]["code"].reshape(len(BATCH), 500, -1)
    posterior = model.posterior(BATCH.vectors)
    expected = posterior.loc.detach()
    variance = posterior.covariance_matrix.detach().diagonal(dim1=-2, dim2=-1).expand(4, 2)
    # 500 independent chains, about 80 moves each.
    error = (variance / 500).sqrt()
    assert ((codes.mean(1) - expected).abs() < 5 * error).all()
    spread = codes.var(1)
    assert ((spread - variance).abs() < 5 * variance * math.sqrt(2 / 499)).all()
    assert 0.5 < objective.chains.acceptance <= 1
    assert objective.figures()["acceptance"] == objective.chains.acceptance


def test_the_maximum_likelihood_solution_of_probabilistic_pca():
    """The noise variance is the mean of the remaining eigenvalues (Tipping & Bishop 1999)."""
    generator = torch.Generator().manual_seed(2)
    basis = torch.tensor([[2.0, 0.0], [0.0, 1.5], [1.0, 1.0], [0.5, -1.0]]).double()
    codes = torch.randn(400, 2, generator=generator).double()
    data = codes @ basis.T + 0.5 * torch.randn(400, 4, generator=generator).double()
    eigenvalues = torch.linalg.eigvalsh(data.T.cov(correction=0))
    model = LinearModel(1, latent=2, observed=4)
    batch = VectorBatch.of(data)
    objective, guide = MonteCarloEM(leapfrog=4), NoGuide(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.2)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step / 30))
    torch.manual_seed(0)
    for _ in range(150):
        optimizer.zero_grad()
        (objective.differentiable_loss(model, guide, batch) / len(data)).backward()
        optimizer.step()
        decay.step()
    best = LinearModel(1, latent=2, observed=4)
    values, vectors = torch.linalg.eigh(data.T.cov(correction=0))
    noise = eigenvalues[:2].mean()
    with torch.no_grad():
        best.weight.copy_(vectors[:, 2:] * (values[2:] - noise).sqrt())
        best.bias.copy_(data.mean(0))
        best.log_scale.copy_(noise.log() / 2)
    gap = (best.evidence(data) - model.evidence(data)).mean().item()
    assert 0 <= gap < 0.02
    assert (2 * model.log_scale).exp().item() == pytest.approx(noise.item(), rel=0.1)


def test_sites_that_are_not_real_are_rejected():
    def model(batch):
        with sentence_plate(batch):
            rate = pyro.sample("rate", dist.Gamma(torch.ones(len(batch), 1), 1.0))
            noise = dist.Normal(rate.unsqueeze(-1).expand(-1, -1, 3), 1.0).to_event(1)
            pyro.sample("vectors", noise, obs=batch.vectors.unsqueeze(1))

    with pytest.raises(IncompatibleError, match=r"whole real line, but 'rate' of model is a Gamma"):
        MonteCarloEM().loss(model, lambda batch: None, BATCH)


def test_wake_sleep_leaves_the_model_out_of_the_sleep_phase():
    """Parameters of the model that the guide reads are trained by the wake phase only."""
    model = tiny_model(CategoricalModel)
    guide = tiny_guide(model)
    batch = random_batch()
    torch.manual_seed(0)
    whole = gradient(WakeSleep().differentiable_loss(model, guide, batch), model)
    torch.manual_seed(0)
    frozen = WakeSleep()
    frozen._sleep = lambda traces, batch: torch.zeros(())
    torch.testing.assert_close(
        whole, gradient(frozen.differentiable_loss(model, guide, batch), model)
    )
    assert len(parameters(guide)) > 0
    assert EnumeratedELBO().loss(model, guide, batch) > 0
