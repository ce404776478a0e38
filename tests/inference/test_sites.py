"""No latent site is ignored: one that cannot be inferred is rejected by name."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
from support import gradient, random_batch, tiny_guide, tiny_model

from pyro_align.errors import IncompatibleError
from pyro_align.guides import (
    AmortizedDirichletGuide,
    ExactGuide,
    GumbelGuide,
    NoGuide,
)
from pyro_align.inference import (
    BASELINES,
    VIMCO,
    EnumeratedELBO,
    ExactMarginal,
    GumbelSoftmaxELBO,
    ImportanceWeightedBound,
    Likelihood,
    RelaxedELBO,
    ReweightedWakeSleep,
    ScoreFunctionELBO,
    TopKMarginal,
    position_plate,
    score_positions,
    sentence_plate,
)
from pyro_align.models import CategoricalModel, DirichletModel, SoftModel

BATCH = random_batch()


def styled(program, mean=0.0, style=lambda mean: dist.Normal(mean, 1.0)):
    """The program preceded by a latent variable per sentence, a Gaussian by default."""
    kind = type(program)

    def forward(self, batch):
        with pyro.plate("authors", len(batch), dim=-2):
            pyro.sample("style", style(torch.full((len(batch), 1), mean)))
        return kind.forward(self, batch)

    program.__class__ = type("Styled", (kind,), {"forward": forward})
    return program


def categorical():
    model = tiny_model(CategoricalModel)
    return model, tiny_guide(model)


def exact():
    model = tiny_model(CategoricalModel)
    return model, NoGuide(model)


def soft():
    model = tiny_model(SoftModel)
    return model, NoGuide(model)


def relaxed():
    model = tiny_model(DirichletModel)
    return model, tiny_guide(model, AmortizedDirichletGuide)


def gumbel():
    model = tiny_model(CategoricalModel)
    return model, tiny_guide(model, GumbelGuide)


SAMPLED = {
    "score function": (lambda: ScoreFunctionELBO(), categorical),
    "score function, none": (lambda: ScoreFunctionELBO(baseline="none"), categorical),
    "score function, leave one out": (
        lambda: ScoreFunctionELBO(baseline="leave-one-out", samples=2),
        categorical,
    ),
    "importance weighted": (lambda: ImportanceWeightedBound(samples=2), categorical),
    "vimco": (lambda: VIMCO(samples=2), categorical),
    "reweighted wake-sleep": (lambda: ReweightedWakeSleep(samples=2), categorical),
    "gumbel softmax": (lambda: GumbelSoftmaxELBO(), gumbel),
    "relaxed": (lambda: RelaxedELBO(), relaxed),
    "enumerated": (lambda: EnumeratedELBO(), categorical),
}
EXACT = {
    "exact": (lambda: ExactMarginal(), exact),
    "top-k": (lambda: TopKMarginal(), exact),
}
EVERY = {
    **SAMPLED,
    **EXACT,
    "exact, with a guide": (lambda: ExactMarginal(), categorical),
    "likelihood": (lambda: Likelihood(), soft),
}


def each(cases):
    return pytest.mark.parametrize(("objective", "pair"), cases.values(), ids=cases.keys())


@each(EVERY)
@pytest.mark.filterwarnings("ignore:Found (vars|non-auxiliary vars|plate statements) in")
@pytest.mark.parametrize("where", ["model", "guide"])
def test_a_site_of_only_one_program_is_rejected(objective, pair, where):
    model, guide = pair()
    if where == "model":
        model = styled(model)
    else:
        guide = styled(guide, 8.0)
    with pytest.raises(IncompatibleError, match=f"{type(objective()).__name__}.*'style'"):
        objective().loss(model, guide, BATCH)


@each(EVERY)
def test_a_discrete_site_is_rejected_with_the_strategies(objective, pair):
    model, guide = (styled(each, 0.5, dist.Bernoulli) for each in pair())
    match = r"infers 'alignment' by .*(pathwise gradients, which the Bernoulli|for) 'style'"
    with pytest.raises(IncompatibleError, match=match):
        objective().loss(model, guide, BATCH)


@each(EVERY)
def test_a_gaussian_that_the_emission_ignores_adds_its_divergence(objective, pair):
    model, guide = pair()
    if isinstance(objective(), ReweightedWakeSleep):
        pytest.skip("refuses every site but the alignment")
    before = objective().terms(model, guide, BATCH)
    terms = objective().terms(styled(model), styled(guide, 8.0), BATCH)
    assert terms.kl["style"].item() == pytest.approx(32.0 * len(BATCH))
    if pair in (exact, soft) or isinstance(objective(), EnumeratedELBO | ExactMarginal):
        torch.testing.assert_close(terms.loss, before.loss + terms.kl["style"])


def after_the_alignment(program):
    """The program followed by a Gaussian for each position whose mean is its alignment."""
    kind = type(program)

    def forward(self, batch):
        with sentence_plate(batch), position_plate(batch):
            alignment = pyro.sample("alignment", self.posterior(batch))
            style = pyro.sample("style", dist.Normal(alignment.double(), 1.0))
            if isinstance(program, CategoricalModel):
                emission = self.emission(self.states(batch), alignment)
                pyro.sample("tokens", emission, obs=batch.target)
            return style

    def posterior(self, batch):
        if isinstance(program, CategoricalModel):
            return self.prior(self.states(batch))
        return dist.Categorical(logits=self.scores(batch))

    members = {"forward": forward, "posterior": posterior}
    program.__class__ = type("Follower", (kind,), members)
    return program


@pytest.mark.parametrize(
    "objective", [ScoreFunctionELBO, VIMCO, EnumeratedELBO, ExactMarginal], ids=lambda o: o.__name__
)
def test_a_site_that_depends_on_the_alignment_is_rejected(objective):
    model, guide = (after_the_alignment(program) for program in categorical())
    with pytest.raises(IncompatibleError, match="another latent site depends on it, as 'style'"):
        objective().loss(model, guide, BATCH)


@each(EVERY)
def test_an_observed_site_is_accepted(objective, pair):
    model, guide = pair()
    style = torch.randn(len(BATCH), 1)
    torch.manual_seed(0)
    expected = objective().loss(model, guide, BATCH)
    given = poutine.condition(styled(model), {"style": style})
    torch.manual_seed(0)
    found = objective().loss(given, guide, BATCH)
    log_prob = dist.Normal(0.0, 1.0).log_prob(style).sum().item()
    assert found == pytest.approx(expected - log_prob, rel=1e-5)


@pytest.mark.parametrize("kind", [CategoricalModel, SoftModel, DirichletModel])
def test_score_positions_rejects_a_second_latent_site(kind):
    model = tiny_model(kind)
    with pytest.raises(IncompatibleError, match="'style'"):
        score_positions(styled(model), None, BATCH)


def test_exact_guide_rejects_a_second_latent_site():
    with pytest.raises(IncompatibleError, match="'style'"):
        ExactGuide(styled(tiny_model()))(BATCH)


# Observed alignments.

GOLD = torch.tensor([[0, 2, 1, 2], [3, 0, 0, 0], [0, 0, 0, 0]])


def observed():
    model = tiny_model()
    return model, poutine.condition(model, {"alignment": GOLD})


@each(EXACT)
def test_with_an_observed_alignment_the_loss_is_the_joint_probability(objective, pair):
    model, given = observed()
    loss = objective().differentiable_loss(given, NoGuide(model), BATCH)
    joint = poutine.trace(given).get_trace(BATCH).log_prob_sum()
    torch.testing.assert_close(-loss, joint)
    torch.testing.assert_close(-gradient(loss, model), gradient(joint, model))
    by_stock = TraceEnum_ELBO(max_plate_nesting=2, strict_enumeration_warning=False)
    assert loss.item() == pytest.approx(by_stock.loss(config_enumerate(given), nothing, BATCH))


def nothing(batch):
    """A guide without sites."""


@each({**SAMPLED, "exact, with a guide": EVERY["exact, with a guide"]})
@pytest.mark.filterwarnings("ignore:Found (vars|non-auxiliary vars|plate statements) in")
def test_a_guide_that_samples_an_observed_alignment_is_rejected(objective, pair):
    model, guide = pair()
    site = poutine.trace(guide).get_trace(BATCH).nodes["alignment"]
    given = poutine.condition(model, {"alignment": site["value"].detach()})
    with pytest.raises(IncompatibleError, match="observes the site 'alignment'"):
        objective().loss(given, guide, BATCH)


def test_score_positions_rejects_an_observed_alignment():
    _, given = observed()
    with pytest.raises(IncompatibleError, match="observes the site 'alignment'"):
        score_positions(given, None, BATCH)


# Missing sites.


@each(SAMPLED)
@pytest.mark.filterwarnings("ignore:Found (vars|non-auxiliary vars|plate statements) in")
def test_a_guide_without_the_site_is_rejected(objective, pair):
    model, _ = pair()
    with pytest.raises(IncompatibleError, match=r"'alignment', but nothing has none"):
        objective().loss(model, nothing, BATCH)


def test_exact_objectives_have_no_num_particles():
    for kind in (ExactMarginal, Likelihood, EnumeratedELBO, TopKMarginal):
        with pytest.raises(TypeError, match="num_particles"):
            kind(num_particles=4)


# Handlers around the model.


@pytest.mark.parametrize("baseline", [name for name in BASELINES if name != "leave-one-out"])
def test_baselines_work_with_a_scaled_model(baseline):
    model, guide = categorical()
    scaled = [poutine.scale(program, 0.5) for program in (model, guide)]
    objective = ScoreFunctionELBO(baseline=baseline)
    torch.manual_seed(0)
    half = objective.loss(*scaled, BATCH)
    torch.manual_seed(0)
    assert half == pytest.approx(0.5 * objective.loss(model, guide, BATCH))


def test_a_scaled_guide_does_not_change_the_models_gradient():
    model, guide = categorical()
    scaled = [poutine.scale(program, 0.5) for program in (model, guide)]
    alone = ExactMarginal().differentiable_loss(scaled[0], NoGuide(model), BATCH)
    beside = ExactMarginal().differentiable_loss(*scaled, BATCH)
    torch.testing.assert_close(gradient(beside, model), gradient(alone, model))


@each({**SAMPLED, "exact, with a guide": EVERY["exact, with a guide"]})
def test_different_scales_in_model_and_guide_are_rejected(objective, pair):
    model, guide = pair()
    with pytest.raises(IncompatibleError, match=r"model's scale is 0\.5 and the guide's 1\.0"):
        objective().loss(poutine.scale(model, 0.5), guide, BATCH)


@each(EVERY)
def test_a_factor_in_the_guide_is_rejected_by_name(objective, pair):
    model, guide = pair()

    def weighted(batch):
        pyro.factor("weight", torch.tensor(3.0), has_rsample=True)
        return guide(batch)

    with pytest.raises(IncompatibleError, match=r"'weight' of weighted"):
        objective().loss(model, weighted, BATCH)


def test_a_model_without_the_attributes_of_a_baseline_is_rejected_in_one_line():
    def bare(batch):
        return None

    with pytest.raises(IncompatibleError, match="bare lacks them") as error:
        ScoreFunctionELBO().loss(poutine.scale(bare, 0.5), nothing, BATCH)
    assert len(str(error.value)) < 200


# Finite KL divergences.


@each(SAMPLED)
def test_a_prior_that_underflows_leaves_the_loss_finite(objective, pair):
    model, guide = pair()
    with torch.no_grad():
        for parameter in model.networks.decoder.scorer.parameters():
            parameter.mul_(3e3)
    model.float()
    guide.float()
    loss = objective().differentiable_loss(model, guide, BATCH)
    assert loss.isfinite()
    assert gradient(loss, model, guide).isfinite().all()


def test_kl_matches_enumeration_if_the_prior_underflows():
    model, guide = categorical()
    with torch.no_grad():
        for parameter in model.networks.decoder.scorer.parameters():
            parameter.mul_(3e3)
    by_stock = TraceEnum_ELBO(max_plate_nesting=2).loss(model, config_enumerate(guide), BATCH)
    enumerated = EnumeratedELBO().terms(model, guide, BATCH)
    assert enumerated.loss.item() == pytest.approx(by_stock)
    sampled = ScoreFunctionELBO().terms(model, guide, BATCH)
    weighted = ImportanceWeightedBound().terms(model, guide, BATCH)
    for terms in (sampled, weighted):
        assert terms.total_kl.item() == pytest.approx(enumerated.total_kl.item())


# Names in Pyro's parameter store.


@pytest.mark.parametrize("objective", [ScoreFunctionELBO, EnumeratedELBO])
def test_a_second_model_of_the_same_class_is_trained(objective):
    losses = []
    for _ in range(2):
        pyro.set_rng_seed(0)
        model, guide = categorical()
        before = [parameter.clone() for parameter in [*model.parameters(), *guide.parameters()]]
        svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), objective())
        losses.append([svi.step(BATCH) for _ in range(3)])
        after = [*model.parameters(), *guide.parameters()]
        assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert losses[0] == losses[1]
