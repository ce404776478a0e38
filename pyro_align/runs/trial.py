"""Run model, guide and objective on a small batch, before the run folder is created.

A mistake in user code is reported as a one-line error, before vocabularies are trained.
"""

from __future__ import annotations

import inspect
import os
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from jaxtyping import Float
from pyro import poutine
from torch import Tensor

from pyro_align import training  # Lightning is imported with `check_machine`
from pyro_align.config import Config, TrainingConfig
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, TASKS
from pyro_align.data.batch import Batch, SentenceBatch, TextBatch
from pyro_align.decoding import BeamSearch
from pyro_align.errors import ConfigError, UserError
from pyro_align.inference import Objective, SentenceScores, score_batch
from pyro_align.inference.kinds import SENTENCE_KINDS, alignment_kind, other_sites
from pyro_align.inference.traces import latent_sites
from pyro_align.tasks import TRIAL_VOCABULARY, Task


def try_programs(config: Config) -> None:
    """Build model, guide and objective, and run each once on a small batch.

    Args:
        config: configuration with guide and objective chosen.

    Raises:
        ConfigError: naming the class, the site or plate, and how to fix it.
        IncompatibleError: if objective, model and guide cannot be combined.
    """
    parts = (MODELS, config.model), (GUIDES, config.guide), (OBJECTIVES, config.objective)
    task = TASKS.get(config.task)
    batch = task.trial_batch(config)
    with (
        torch.random.fork_rng(devices=[]),
        pyro.get_param_store().scope(),
        pyro.settings.context(
            module_local_params=True,
            validate_distributions_pyro=True,
            validate_distributions_torch=True,
            validate_poutine=True,
            validate_infer=True,
        ),
    ):
        for registry, component in parts:
            registry.check(component.name, component.options)
        _check_memory(task, config)
        with _explained("the network cannot be built"):
            argument: Any = task.trial_network(config)
        programs = []
        for registry, component in parts[:2]:
            cls = registry.get(component.name)
            what = f"{registry.kind} {cls.__name__}"
            with _explained(f"{what} cannot be built", cls):
                argument = registry.build(component.name, component.options, argument)
            programs.append(argument)
        model, guide = programs
        training.check_machine(config.training, model, guide)
        objective = OBJECTIVES.build(config.objective.name, config.objective.options)
        check_programs(model, guide, objective, batch, config.training)


def check_programs(
    model: Any, guide: Any, objective: Objective, batch: Batch, settings: TrainingConfig
) -> None:
    """Run model, guide and objective on a batch, as training and validation do.

    Raises:
        ConfigError: naming the class, the site or plate, and how to fix it.
        IncompatibleError: if objective, model and guide cannot be combined.
    """
    _check_sites("model", model, batch, observed="tokens")
    _check_sites("guide", guide, batch)
    names = f"model {_name(model)} and guide {_name(guide)}"
    failed = f"objective {_name(objective)} fails with {names}"
    with _explained(failed, type(guide), type(model)):
        objective(model, guide)  # creates the parameters of a baseline
        objective.step = 0
        with training.as_in_training(batch, settings):
            loss = objective.terms(model, guide, batch).loss
        if loss.requires_grad:
            loss.backward()
    if not loss.isfinite().all():
        raise ConfigError(f"{failed}: the loss of a small batch is not finite ({loss.item()})")
    objective.step = None
    with _explained(f"validation fails with {names}", type(guide), type(model)):
        scores = score_batch(model, guide, batch)
    # next_token would depend on their values; without a source there is nothing to search over.
    if other_sites(model.latents) or isinstance(batch, SentenceBatch):
        return
    with _explained(f"model {_name(model)}: next_token fails", type(model)), torch.no_grad():
        log_probs = model.next_token(model.states(batch))
    expected = (*batch.target.shape, TRIAL_VOCABULARY)
    if log_probs.shape != expected:
        raise ConfigError(
            f"model {_name(model)}: next_token returns the shape {tuple(log_probs.shape)}, "
            f"expected {expected}: (sentences, positions, target vocabulary)"
        )
    if isinstance(batch, TextBatch):
        _check_search(model, batch)
    if alignment_kind(model.latents) == "simplex":  # next_token approximates an integral
        return
    searched = _log_probs_of_tokens(log_probs, batch)
    if isinstance(scores, SentenceScores):
        searched = searched.sum(1)
    if not torch.allclose(searched, scores.log_evidence.to(searched), rtol=1e-3, atol=1e-3):
        raise ConfigError(
            f"model {_name(model)}: next_token gives a small batch the log probability "
            f"{searched.sum():.4f}, but forward gives {scores.log_evidence.sum():.4f} with "
            f"alignments summed out: use the prior self.prior(states) and the same emission in both"
        )


def _check_search(model: Any, batch: TextBatch) -> None:
    """Check that beam search and teacher forcing give a translation the same probability."""
    training = model.training
    model.eval()
    sources = [
        row[:length].tolist()
        for row, length in zip(batch.source, batch.source_lengths, strict=True)
    ]
    with _explained(f"model {_name(model)}: beam search fails", type(model)), torch.no_grad():
        found = BeamSearch(model, beam=2, n_best=2, max_length_ratio=1.0).search(sources)
        best = [hypotheses[-1] for hypotheses in found]
        read = TextBatch.from_ids(sources, [each.tokens for each in best], noise=batch.noise)
        log_probs = model.next_token(model.states(read))
    model.train(training)
    at_once = _log_probs_of_tokens(log_probs, read).sum(1)
    searched = at_once.new_tensor([each.log_probability for each in best])
    if not torch.allclose(searched, at_once, rtol=1e-3, atol=1e-3):
        raise ConfigError(
            f"model {_name(model)}: beam search gives a translation the log probability "
            f"{searched[0]:.4f}, but next_token gives {at_once[0]:.4f} for all positions at "
            f"once: take target positions from states.positions, not from the shape of "
            f"states.scores"
        )


def _log_probs_of_tokens(log_probs: Tensor, batch: Batch) -> Float[Tensor, "batch target"]:
    """Log probabilities of the target tokens, 0 on padding, from those of the vocabulary."""
    of_tokens = log_probs.gather(-1, batch.target.unsqueeze(-1)).squeeze(-1)
    return of_tokens.masked_fill(~batch.target_mask, 0.0)


def _check_memory(task: type[Task], config: Config) -> None:
    """Check that the networks, without vocabularies, fit into memory."""
    with torch.device("meta"):
        networks = task.trial_network(config)
    needed = sum(parameter.nbytes for parameter in networks.parameters())
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ConfigError(
            f"the parameters of these networks take {needed / 2**30:.0f} GiB, but this machine has "
            f"{there / 2**30:.0f} GiB of memory: reduce the sizes in the table [network]"
        )


def _check_sites(kind: str, program: Any, batch: Batch, observed: str | None = None) -> None:
    """Check that the sites of a program have the expected names and lie in the plates."""
    what = f"{kind} {_name(program)}"
    with _explained(f"{what} fails on a small batch", type(program)):
        trace = poutine.trace(program).get_trace(batch)
    latent = latent_sites(trace)
    sites = latent | {name: trace.nodes[name] for name in trace.observation_nodes}
    for name in (*program.latents, *([observed] if observed else [])):
        if name not in sites:
            others = sorted(latent if name in program.latents else sites.keys() - latent.keys())
            found = (
                f"its sites are {', '.join(map(repr, others))}: rename one"
                if others
                else (f"it has none: call pyro.sample({name!r}, ...) in forward")
            )
            raise ConfigError(f"{what} has no site {name!r}; {found}")
        is_of_sentence = program.latents.get(name) in SENTENCE_KINDS
        _check_plates(what, name, sites[name], batch, is_of_sentence)
    if others := sorted(latent.keys() - program.latents.keys()):
        raise ConfigError(
            f"{what} has latents = {dict(program.latents)}, but samples "
            f"{', '.join(map(repr, others))}: add the kind of each site to the class attribute "
            f"latents, or remove the site"
        )


def _check_plates(what: str, name: str, site: Any, batch: Batch, is_of_sentence: bool) -> None:
    """Check the plates and shape of a site of each position, or of each sentence."""
    sentences, positions = batch.target.shape
    plates = {frame.name: (frame.dim, frame.size) for frame in site["cond_indep_stack"]}
    expected = {"sentences": (-2, sentences)}
    where, context = "plate 'sentences' (dim -2)", "sentence_plate"
    shape, axes = (sentences, 1), "(sentences, 1)"
    if not is_of_sentence:
        expected["positions"] = (-1, positions)
        where = "plates 'sentences' (dim -2) and 'positions' (dim -1)"
        context = "alignment_plates"
        shape, axes = (sentences, positions), "(sentences, positions) of the target"
    if plates != expected:
        found = ", ".join(map(repr, sorted(plates))) or "no plate"
        raise ConfigError(
            f"{what}: the site {name!r} lies in {found}, expected the {where}: sample it inside "
            f"`with {context}(batch):`"
        )
    if site["fn"].batch_shape != shape:
        raise ConfigError(
            f"{what}: the site {name!r} has batch shape {tuple(site['fn'].batch_shape)}, expected "
            f"{shape}: {axes}"
        )
    if name != "alignment" or is_of_sentence:
        return
    fn = site["fn"]
    is_discrete = fn.support.is_discrete
    width = len(fn.enumerate_support(expand=False)) if is_discrete else fn.event_shape[-1]
    if width != batch.source_mask.shape[1]:
        raise ConfigError(
            f"{what}: the site {name!r} is over {width} source positions, but the batch has "
            f"{batch.source_mask.shape[1]}, EOS and padding included"
        )


@contextmanager
def _explained(failed: str, *classes: type[Any]) -> Iterator[None]:
    """Turn an exception into a one-line error, with the location in the code of ``classes``."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        files = {inspect.getsourcefile(cls) for cls in classes}
        places = [
            f" ({frame.filename}, line {frame.lineno})"
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename in files
        ]
        # Pyro appends the shapes of all sites, torch all values of a tensor.
        reason = " ".join(str(error).partition("Trace Shapes:")[0].split())
        reason = textwrap.shorten(reason, 200, placeholder=" …") or "no message"
        place = places[-1] if places else ""
        raise ConfigError(f"{failed}: {type(error).__name__}: {reason}{place}") from error


def _name(part: Any) -> str:
    return type(part).__name__
