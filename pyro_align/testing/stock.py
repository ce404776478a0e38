"""Checks of the sites of a program, and stock Pyro ELBOs of a model and guide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer import (
    SVI,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    config_enumerate,
)
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import MarkovChain
from pyro_align.inference import relaxed
from pyro_align.inference.kinds import alignment_kind
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.traces import ALIGNMENT
from pyro_align.testing.gradients import collected_gradient


def check_plates(site: Any, batch: Batch) -> None:
    """Assert that a site lies in the plates ``sentences`` and ``positions`` and masks padding.

    A latent variable of a whole sentence lies in ``sentences`` alone, as does a Markov chain, which
    is one event of a sentence.
    """
    frames = {frame.name: (frame.dim, frame.size) for frame in site["cond_indep_stack"]}
    (sentences, positions), chain = batch.target.shape, site["fn"]
    if isinstance(chain, MarkovChain):
        assert frames == {"sentences": (-2, sentences)}
        assert (chain.batch_shape, chain.event_shape) == ((sentences, 1), (positions,))
        assert chain.mask is not None
        assert torch.equal(chain.mask, batch.target_mask.unsqueeze(1))
        return
    if site["name"] not in (ALIGNMENT, "tokens"):
        assert frames == {"sentences": (-2, sentences)}
        assert site["fn"].batch_shape == (sentences, 1)
        return
    assert frames == {"sentences": (-2, sentences), "positions": (-1, positions)}
    assert site["fn"].batch_shape == batch.target.shape
    assert (site["log_prob"][~batch.target_mask] == 0).all()
    if site["fn"].support.is_discrete:
        assert site["fn"].event_shape == ()
        assert (site["log_prob"][batch.target_mask] < 0).all()
    else:
        assert site["fn"].event_shape == batch.source_mask.shape[1:]
        assert (site["log_prob"][batch.target_mask] != 0).all()
        check_weights(site["value"], batch)


def check_weights(value: Any, batch: Batch) -> None:
    """Return points of the simplex over the source positions of a batch."""
    padding = ~batch.source_mask.unsqueeze(1).expand_as(value)
    assert (value[padding] == 0).all()
    assert (value >= 0).all()
    torch.testing.assert_close(value.sum(-1), torch.ones_like(value[..., 0]))


def alignment_weights(site: Any) -> Any:
    """Return the probability, or expected weight, of every source position at a site.

    Of a latent variable of a whole sentence, its mean.
    """
    fn = site["fn"]
    if isinstance(fn, MarkovChain):
        return MarkovChain(fn.initial, fn.transition).marginals.squeeze(1)
    return fn.probs if hasattr(fn, "probs") else fn.mean


class Given:
    """A model whose latent variables of whole sentences have fixed values.

    Args:
        model: the model.
        values: value of each of these sites.
    """

    def __init__(self, model: Any, values: Mapping[str, Tensor]):
        # Hidden, so that their probability does not count.
        fixed = poutine.condition(model, dict(values))
        self.model = poutine.block(fixed, hide=[*values])
        self.latents = {name: kind for name, kind in model.latents.items() if name not in values}

    def __call__(self, batch: Batch) -> Any:
        """Run the model."""
        return self.model(batch)


def enumerated(model: Any, guide: Any) -> tuple[Any, Any]:
    """Return both programs, configured to enumerate the alignment in the guide or the model."""
    if "alignment" not in guide.latents:
        return config_enumerate(model), guide
    return model, config_enumerate(guide)


def fitting(model: Any, guide: Any) -> Any:
    """Return the model, with a relaxed alignment if the guide's is relaxed."""
    is_relaxed = alignment_kind(guide.latents) == "relaxed"
    return relaxed(model, guide.relax) if is_relaxed else model


def stock(model: Any, guide: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield every applicable stock ELBO of Pyro, with the programs to call it with."""
    nesting = MAX_PLATE_NESTING
    kinds = alignment_kind(model.latents), alignment_kind(guide.latents)
    if "simplex" in kinds:
        yield TraceMeanField_ELBO(max_plate_nesting=nesting), model, guide
        yield Trace_ELBO(max_plate_nesting=nesting), model, guide
        return
    if kinds[1] == "relaxed":
        yield Trace_ELBO(max_plate_nesting=nesting), fitting(model, guide), guide
        return
    has_latent = kinds[0] != "none"
    exact = TraceEnum_ELBO(max_plate_nesting=nesting, strict_enumeration_warning=has_latent)
    yield exact, *enumerated(model, guide)
    # Sampling ELBOs need a guide with the model's latent sites.
    if model.latents == guide.latents:
        for elbo in (Trace_ELBO, TraceGraph_ELBO):
            yield elbo(max_plate_nesting=nesting), model, guide


def train(elbo: Any, model: Any, guide: Any, batch: Batch) -> list[float]:
    """Return the losses of 25 steps of stock SVI on one batch, repeated four times."""
    batch = batch.repeated(4)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), elbo)
    return [svi.step(batch) for _ in range(25)]


def assert_goes_down(losses: list[float]) -> None:
    """Assert that the last losses are clearly lower than the first."""
    first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    assert last < 0.8 * first, (first, last)


def check_finite(model: Any, guide: Any, batch: Batch) -> None:
    """Assert that losses and gradients of every stock ELBO are finite."""
    for elbo, *programs in stock(model, guide):
        assert math.isfinite(elbo.loss_and_grads(*programs, batch))
        assert torch.isfinite(collected_gradient(model, guide)).all()
