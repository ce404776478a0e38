import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.poutine import mask
from support import padded, random_batch, tiny_guide, tiny_model
from torch.testing import assert_close

from pyro_align.errors import IncompatibleError
from pyro_align.guides import NoGuide, PriorGuide
from pyro_align.inference import EnumeratedELBO, ExactMarginal, Likelihood, score_positions
from pyro_align.models import SoftModel

BATCH = random_batch((3, 4, 1), (4, 2, 3))
PRIOR = torch.randn(3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
GUIDE = torch.randn(3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
TABLE = torch.randn(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
FIELDS = (
    *("log_prior", "log_emission", "log_guide", "log_evidence"),
    *("log_posterior", "kl", "gap", "elbo", "prior_gap", "information"),
    *("prior_entropy", "posterior_entropy"),
)


def plates(batch):
    sentences, positions = batch.target.shape
    return (
        pyro.plate("sentences", sentences, dim=-2),
        pyro.plate("positions", positions, dim=-1),
        mask(mask=batch.target_mask),
    )


def alignment(logits, batch):
    logits = logits.masked_fill(~batch.source_mask.unsqueeze(1), -math.inf)
    return pyro.sample("alignment", dist.Categorical(logits=logits))


def model(batch):
    """A translation table as a plain Pyro program, with no class of this package."""
    sentences, positions, masking = plates(batch)
    with sentences, positions, masking:
        z = alignment(PRIOR, batch)
        source = batch.source[torch.arange(len(batch)).unsqueeze(-1), z]
        pyro.sample("tokens", dist.Categorical(logits=TABLE[source]), obs=batch.target)


def guide(batch):
    sentences, positions, masking = plates(batch)
    with sentences, positions, masking:
        alignment(GUIDE, batch)


def normalised(values):
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def test_scores_equal_hand_written_sums():
    scores = score_positions(model, guide, BATCH)
    for b, t in BATCH.target_mask.nonzero().tolist():
        length, gold = int(BATCH.source_lengths[b]), int(BATCH.target[b, t])
        p = normalised(PRIOR[b, t, :length].tolist())
        q = normalised(GUIDE[b, t, :length].tolist())
        f = [normalised(TABLE[source].tolist())[gold] for source in BATCH.source[b, :length]]
        joint = [a * b for a, b in zip(p, f, strict=True)]
        evidence = sum(joint)
        posterior = [value / evidence for value in joint]
        expected = {
            "log_evidence": math.log(evidence),
            "kl": sum(a * math.log(a / b) for a, b in zip(q, p, strict=True)),
            "gap": sum(a * math.log(a / b) for a, b in zip(q, posterior, strict=True)),
            "elbo": sum(a * math.log(b / a) for a, b in zip(q, joint, strict=True)),
            "prior_gap": sum(a * math.log(a / b) for a, b in zip(p, posterior, strict=True)),
            "information": sum(b * math.log(b / a) for a, b in zip(p, posterior, strict=True)),
            "prior_entropy": -sum(a * math.log(a) for a in p),
            "posterior_entropy": -sum(a * math.log(a) for a in posterior),
        }
        for name, value in expected.items():
            assert getattr(scores, name)[b, t].item() == pytest.approx(value, abs=1e-12), name
        vectors = {"log_prior": p, "log_emission": f, "log_guide": q, "log_posterior": posterior}
        for name, value in vectors.items():
            found = getattr(scores, name)[b, t].exp().tolist()
            assert found[:length] == pytest.approx(value), name
            if name != "log_emission":
                assert found[length:] == [0.0] * (4 - length), name


def test_padding_does_not_contribute():
    scores = score_positions(model, guide, BATCH)
    for name in (name for name in FIELDS if getattr(scores, name).dim() == 2):
        assert not getattr(scores, name)[~BATCH.target_mask].any(), name


@pytest.mark.parametrize("input_feeding", [False, True])
def test_sums_are_those_of_the_objectives(input_feeding):
    ours = tiny_model(input_feeding=input_feeding)
    theirs = tiny_guide(ours)
    scores = score_positions(ours, theirs, BATCH)
    assert scores.log_evidence.sum().item() == pytest.approx(
        -ExactMarginal().loss(ours, NoGuide(ours), BATCH)
    )
    assert scores.elbo.sum().item() == pytest.approx(-EnumeratedELBO().loss(ours, theirs, BATCH))
    assert scores.kl.sum().item() == pytest.approx(
        EnumeratedELBO().terms(ours, theirs, BATCH).total_kl.item()
    )


def test_the_gap_is_positive_and_zero_for_the_posterior():
    ours = tiny_model()
    scores = score_positions(ours, tiny_guide(ours), BATCH)
    assert (scores.gap[BATCH.target_mask] >= 0).all()
    assert scores.gap.sum() > 1e-3

    def posterior_guide(batch):
        sentences, positions, masking = plates(batch)
        with sentences, positions, masking:
            pyro.sample("alignment", dist.Categorical(logits=scores.log_posterior))

    exact = score_positions(ours, posterior_guide, BATCH)
    assert_close(exact.gap, torch.zeros_like(exact.gap), atol=1e-12, rtol=0)
    assert_close(exact.elbo, exact.log_evidence)


def test_the_prior_guide_has_zero_divergence():
    ours = tiny_model()
    scores = score_positions(ours, PriorGuide(ours), BATCH)
    assert_close(scores.kl, torch.zeros_like(scores.kl))
    assert_close(scores.log_guide, scores.log_prior)
    assert_close(scores.prior_gap, scores.gap)
    assert scores.prior_gap.sum() > 1e-3


def test_results_do_not_depend_on_padding():
    ours = tiny_model()
    theirs = tiny_guide(ours)
    scores = score_positions(ours, theirs, BATCH)
    wider = score_positions(ours, theirs, padded(BATCH, source=2, target=3))
    for name in FIELDS:
        value = getattr(wider, name)
        assert not (value.dim() == 2 and value[:, 4:].any()), name
        cut = value[:, :4, :4] if value.dim() == 3 else value[:, :4]
        here = BATCH.target_mask
        if value.dim() == 3:
            here = here.unsqueeze(2) & BATCH.source_mask.unsqueeze(1)
        assert_close(cut[here], getattr(scores, name)[here], msg=name)


@pytest.mark.parametrize("make", [lambda ours: None, NoGuide])
def test_without_an_alignment_in_the_guide(make):
    ours = tiny_model()
    scores = score_positions(ours, make(ours), BATCH)
    assert scores.log_guide is scores.kl is scores.gap is scores.elbo is None
    assert scores.posterior_entropy.sum() > 0


def test_soft_attention_has_weights_but_no_posterior():
    soft = tiny_model(SoftModel)
    scores = score_positions(soft, NoGuide(soft), BATCH)
    assert scores.log_emission is scores.log_posterior is scores.posterior_entropy is None
    assert scores.log_evidence.sum().item() == pytest.approx(
        -Likelihood().loss(soft, NoGuide(soft), BATCH)
    )
    here = BATCH.target_mask
    assert_close(scores.log_prior.exp()[here], soft.states(BATCH).scores.softmax(-1)[here])
    assert not scores.prior_entropy[~here].any()


def test_with_one_source_position_there_is_nothing_to_infer():
    batch = random_batch((1, 1), (3, 2))
    ours = tiny_model()
    scores = score_positions(ours, tiny_guide(ours), batch)
    assert scores.log_prior.shape == (2, 3, 1)
    for value in (scores.kl, scores.gap, scores.prior_entropy, scores.posterior_entropy):
        assert_close(value, torch.zeros_like(value))


def test_states_are_computed_once_without_sampling(monkeypatch):
    ours = tiny_model()
    theirs = PriorGuide(ours)
    calls = []
    forward = ours.networks.forward
    monkeypatch.setattr(ours.networks, "forward", lambda b: calls.append(b) or forward(b))
    before = torch.get_rng_state()
    scores = score_positions(ours, theirs, BATCH)
    assert len(calls) == 1
    assert torch.equal(before, torch.get_rng_state())
    assert not scores.log_evidence.requires_grad


def test_half_precision_is_widened():
    def coarse(batch):
        sentences, positions, masking = plates(batch)
        with sentences, positions, masking:
            z = alignment(PRIOR.bfloat16(), batch)
            source = batch.source[torch.arange(len(batch)).unsqueeze(-1), z]
            logits = TABLE.bfloat16()[source]
            pyro.sample("tokens", dist.Categorical(logits=logits), obs=batch.target)

    scores = score_positions(coarse, None, BATCH)
    assert scores.log_prior.dtype == scores.log_evidence.dtype == torch.float32


def test_alignments_that_cannot_be_enumerated_are_rejected():
    def continuous(batch):
        pyro.sample("alignment", dist.Normal(0.0, 1.0))

    with pytest.raises(IncompatibleError, match="continuous cannot be enumerated"):
        score_positions(continuous, None, BATCH)


def test_a_model_without_alignment_and_attention_has_an_evidence_only():
    logits = torch.arange(9.0)

    def unaligned(batch):
        sentences, positions, masking = plates(batch)
        with sentences, positions, masking:
            pyro.sample("tokens", dist.Categorical(logits=logits), obs=batch.target)

    scores = score_positions(unaligned, None, BATCH)
    expected = logits.log_softmax(-1)[BATCH.target].where(BATCH.target_mask, 0.0)
    assert_close(scores.log_evidence, expected)
    names = ("log_prior", "log_posterior", "kl", "gap", "elbo", "prior_gap", "information")
    assert all(getattr(scores, name) is None for name in (*names, "prior_entropy"))
