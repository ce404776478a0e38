"""Sentences without a source: language models, with a latent variable or without."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Independent, kl_divergence

from pyro_align.config.registry import MODELS
from pyro_align.config.sentences import SentencesConfig
from pyro_align.data import (
    EncodedSentences,
    SentenceText,
    SymbolVocabulary,
    Vocabulary,
    encode_sentences,
    word_vocabulary,
)
from pyro_align.data.batch import EOS, SentenceBatch
from pyro_align.data.batching import all_batches
from pyro_align.data.demo.sentences import demo_sentences, write_sentences
from pyro_align.data.noise import Noise
from pyro_align.data.sentences import Sentence, check_sentences
from pyro_align.decoding import generate
from pyro_align.errors import UserError, reject_string
from pyro_align.evaluation import (
    Evaluation,
    Reconstruction,
    evaluate_batches,
    score_latents,
)
from pyro_align.models import SentenceModel
from pyro_align.networks import LanguageNetwork
from pyro_align.posterior import LatentPosterior
from pyro_align.tasks.task import TRIAL_VOCABULARY, Echo
from pyro_align.tasks.text_task import TextTask

_DEMO_PARTS = {"train": "train", "valid": "val", "test": "test"}

DRAWS = 500
"""Default number of importance samples per sentence, as in the literature."""

SHOWN = 5
"""Number of samples shown at the end of a fit."""


class Encoded(NamedTuple):
    """The guide's distribution of the latent variable of each sentence.

    Attributes:
        means: its mean.
        variances: its variance.
    """

    means: Float[Tensor, "sentence latent"]
    variances: Float[Tensor, "sentence latent"]


class Sentences(TextTask):
    """Sentences, each generated from a latent variable or without one."""

    configuration = "pyro_align.config.sentences:SentencesConfig"
    recipe = "sentences"
    models = SentenceModel
    unit = "sentences"

    config: SentencesConfig

    @classmethod
    def ineffective(cls, config: SentencesConfig, start: SentencesConfig | None) -> Iterator[str]:
        """Yield a message for every setting of data or vocabulary without effect."""
        if config.data.train is None and config.data.test is not None:
            yield (
                "data.test has no effect with the built-in sentences, which have their own test "
                "sentences: give --train and --valid too, or use `pyro-align evaluate` after the "
                "fit"
            )
        if config.vocabulary.unit == "pieces" and config.vocabulary.min_count > 1:
            yield (
                "vocabulary.min_count has no effect on pieces of words: set vocabulary.unit = "
                "'words', or remove the setting"
            )

    @classmethod
    def trial_network(cls, config: SentencesConfig) -> LanguageNetwork:
        """Build the network with a small vocabulary."""
        return _network(config, TRIAL_VOCABULARY)

    @classmethod
    def trial_batch(cls, config: Any) -> SentenceBatch:
        """Return two sentences of different length."""
        sentences = [[*range(EOS + 1, EOS + length), EOS] for length in (4, 2)]
        return SentenceBatch.from_ids(sentences, noise=Noise(0))

    def prepare(self, echo: Echo) -> None:
        """Write the built-in sentences, if they are used, and the vocabulary."""
        if self.config.data.train is None:
            write_sentences(self.folder / "data")
        settings, text = self.config.vocabulary, self.text("train")
        vocabulary: SymbolVocabulary | Vocabulary
        if settings.unit == "words":
            vocabulary = word_vocabulary(text, settings.size, settings.min_count)
        else:
            lines = (sentence.text for sentence in text)
            vocabulary = Vocabulary.train(lines, settings.size, settings.kind)
        vocabulary.save(self._vocabulary_file)
        echo(f"vocabulary: {len(vocabulary)} {settings.unit}")

    def prepare_from(self, other: Sentences) -> None:
        """Copy the built-in sentences, if they are used, and the vocabulary."""
        if self.config.data.train is None:
            shutil.copytree(other.folder / "data", self.folder / "data")
        other.vocabulary.save(self._vocabulary_file)

    @property
    def _vocabulary_file(self) -> Path:
        is_words = self.config.vocabulary.unit == "words"
        return self.folder / ("words.json" if is_words else "pieces.model")

    @cached_property
    def vocabulary(self) -> Any:
        """The vocabulary: a :class:`SymbolVocabulary` of words, or a :class:`Vocabulary`."""
        is_words = self.config.vocabulary.unit == "words"
        return (SymbolVocabulary if is_words else Vocabulary).load(self._vocabulary_file)

    def text(self, part: str) -> SentenceText:
        """Return the ``train``, ``valid`` or ``test`` sentences; the latter is by default
        ``valid``.

        The built-in sentences are read from the run folder.
        """
        data = self.config.data
        if data.train is None:
            return demo_sentences(self.folder / "data", _DEMO_PARTS[part])
        return self.read(getattr(data, part) or data.valid or [])

    def read(
        self, paths: Sequence[Path | str], languages: Sequence[str] | None = None
    ) -> SentenceText:
        """Return the sentences of a file.

        Raises:
            UserError: if there is not exactly one file, or languages are given.
        """
        if languages is not None:
            raise UserError("a run of the task 'sentences' has no setting for languages")
        if len(paths) != 1:
            given = " ".join(map(str, paths)) or "nothing"
            raise UserError(f"sentences without a source are in one file; got {given}")
        return SentenceText(paths[0])

    def digests(self) -> dict[str, str]:
        """Return the digest of the vocabulary."""
        return {self._vocabulary_file.name: self.vocabulary.fingerprint()}

    def network(self) -> LanguageNetwork:
        """Build the network."""
        return _network(self.config, len(self.vocabulary))

    def examples(self, part: str) -> EncodedSentences:
        """Return the sentences as ids."""
        data = self.config.data
        return encode_sentences(
            self.text(part), self.vocabulary, data.max_length, skip_long=data.skip_long
        )

    def check_test(self) -> None:
        """Check the test sentences."""
        encode_sentences(self.text("test"), self.vocabulary, self.max_length)

    def evaluate(
        self,
        model: Any,
        guide: Any,
        text: SentenceText | None = None,
        *,
        draws: int = DRAWS,
        reconstruct: bool = True,
        device: torch.device | str = "cpu",
        progress: Callable[[int], None] = lambda done: None,
    ) -> Evaluation:
        """Evaluate likelihood, latent variable and reconstructions.

        Args:
            model: the model, in evaluation mode, on ``device``.
            guide: the guide, likewise.
            text: sentences; None for the run's test sentences.
            draws: importance samples per sentence.
            reconstruct: also decode each sentence from its latent variable.
            device: device to compute on.
            progress: called with the number of sentences evaluated so far.

        Raises:
            DataError: for invalid text.
        """
        examples = encode_sentences(
            self.text("test") if text is None else text, self.vocabulary, self.max_length
        )
        tokens = self.config.training.batch_tokens
        batches = all_batches(examples, tokens)
        result = evaluate_batches(
            model, guide, batches, device=device, progress=progress, draws=draws
        )
        result.unit = self.unit
        if not guide.latents:
            return result
        result.latents = score_latents(guide, all_batches(examples, tokens), device)
        if reconstruct:
            encoded = self._encoded(guide, examples)
            # Both sides are decoded, so that an unknown word is the same in both.
            references = [self.vocabulary.decode(examples.ids(i)) for i in range(len(examples))]
            found = self._decoded(model, encoded.means)
            result.latents.reconstruction = Reconstruction.of(found, references)
        return result

    def sample(
        self, model: Any, count: int = SHOWN, *, temperature: float = 1.0, seed: int = 0
    ) -> list[str]:
        """Sample sentences: the latent variable from the prior, then word by word.

        The global random state is not changed.

        Args:
            model: the model, in evaluation mode.
            count: number of sentences.
            temperature: of the words, see :func:`~pyro_align.decoding.generate`; 0 for the most
                probable word at each step.
            seed: random seed.
        """
        device = model.networks.bias.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            if model.latents:
                latent = model.prior(count).sample().squeeze(1)
            else:
                latent = model.networks.bias.new_zeros(count, 0)
            return self._decoded(model, latent, temperature)

    def encode(self, guide: Any, lines: Iterable[str], path: Path | None = None) -> Encoded:
        """Return mean and variance of the latent variable of each sentence under the guide.

        Args:
            guide: the guide, in evaluation mode.
            lines: sentences.
            path: their file, for error messages; None for a stream.

        Raises:
            UserError: if the guide has no latent variable, or ``lines`` is one string.
            DataError: if there are no sentences, or one is empty.
        """
        self._check_latent(guide)
        texts = self._checked(lines, path)
        return self._encoded(guide, EncodedSentences(self.vocabulary.encode_all(texts)))

    def interpolate(
        self, model: Any, guide: Any, first: str, last: str, steps: int = 8
    ) -> list[str]:
        """Decode points on the line between the posterior means of two sentences.

        Args:
            model: the model, in evaluation mode.
            guide: the guide, likewise.
            first: a sentence.
            last: another sentence.
            steps: number of sentences to return, including both ends.

        Raises:
            UserError: if there is no latent variable, a sentence is empty, or ``steps`` is below 2.
        """
        if steps < 2:
            raise UserError(f"an interpolation has two ends or more points, got steps = {steps}")
        for name, sentence in (("first", first), ("last", last)):
            if not sentence.strip():
                raise UserError(f"the {name} sentence is empty: give a sentence to start or end at")
        one, other = self.encode(guide, [first, last]).means
        weights = torch.linspace(0, 1, steps, device=one.device).unsqueeze(1)
        return self._decoded(model, torch.lerp(one, other, weights))

    def predict(self, model: Any, inputs: Iterable[str], **options: Any) -> Iterator[str]:
        """Raise an error: there is no output to predict from a sentence.

        Raises:
            UserError: always.
        """
        raise UserError(
            "a run of the task 'sentences' has no outputs to predict: use `pyro-align sample`, "
            "`interpolate` or `encode`"
        )

    def described(self) -> list[tuple[str, str]]:
        """Return the size of the vocabulary."""
        return [("vocabulary", f"{len(self.vocabulary)} {self.config.vocabulary.unit}")]

    def shown(self, model: Any) -> list[str]:
        """Return samples of the model."""
        return self.sample(model)

    def next_steps(self) -> list[str]:
        """Return commands that sample, encode and interpolate."""
        name = shlex.quote(str(self.folder))
        steps = [f"pyro-align sample {name} --n 20 --temperature 0.7"]
        if MODELS.attribute(self.config.model.name, "latents"):
            steps.append(f"pyro-align encode {name} < {shlex.quote(str(self.files('test')[0]))}")
        return steps

    def latents(
        self, model: Any, guide: Any, lines: Iterable[str] | None = None
    ) -> LatentPosterior:
        """Return the posterior of the latent variable of each sentence, to tabulate and plot.

        Args:
            model: the model, in evaluation mode.
            guide: the guide, likewise.
            lines: sentences; None for the run's test sentences.

        Raises:
            UserError: if there is no latent variable, or ``lines`` is one string.
            DataError: if there are no sentences, or one is empty.
        """
        self._check_latent(guide)
        if lines is None:
            texts = [sentence.text for sentence in self.text("test")]
        else:
            texts = self._checked(lines)
        found = self._of_sentences(
            guide,
            EncodedSentences(self.vocabulary.encode_all(texts)),
            lambda q: (q.mean, q.variance, *_divergences(q, model.prior(len(q.mean)))),
        )
        title = f"{self.config.model.name} with {self.config.guide.name}"
        means, variances, *rest = (each.double().cpu().numpy() for each in found)
        return LatentPosterior(texts, means, variances, rest[0] if rest else None, title)

    def _encoded(self, guide: Any, examples: EncodedSentences) -> Encoded:
        """Run the guide on sentences, in their order."""
        return Encoded(*self._of_sentences(guide, examples, lambda q: (q.mean, q.variance)))

    def _of_sentences(
        self, guide: Any, examples: EncodedSentences, read: Callable[[Any], tuple[Tensor, ...]]
    ) -> list[Float[Tensor, "sentence latent"]]:
        """Read something from the posterior of each sentence, in their order."""
        device = next(guide.parameters()).device
        order, found = [], []
        with torch.no_grad():
            for batch in all_batches(examples, self.config.training.batch_tokens):
                (posterior,) = guide.posterior(batch.to(device)).values()
                order.append(batch.indices)
                found.append([each.squeeze(1) for each in read(posterior)])
        back = torch.cat(order).argsort().to(device)
        return [torch.cat(each)[back] for each in zip(*found, strict=True)]

    def _decoded(
        self, model: Any, latent: Float[Tensor, "row latent"], temperature: float = 0.0
    ) -> list[str]:
        """Generate a sentence for each latent vector, greedily by default."""
        size, longest = _ROWS, self.config.data.max_length
        found: list[str] = []
        for part in model.nearest(latent).split(size):
            ids = generate(model.networks, part, max_length=longest, temperature=temperature)
            found += map(self.vocabulary.decode, ids)
        return found

    @staticmethod
    def _checked(lines: Iterable[str], path: Path | None = None) -> list[str]:
        """Return sentences as a list, and check that none is empty."""
        reject_string("lines", lines)
        numbered = (Sentence(line, number) for number, line in enumerate(lines, start=1))
        return [sentence.text for sentence in check_sentences(numbered, path)]

    def _check_latent(self, guide: Any) -> None:
        if not guide.latents:
            raise UserError(
                f"{self.folder}: the model {self.config.model.name!r} has no latent variable: use "
                f"a run of a model with one, such as 'sentence-vae'"
            )


def _divergences(q: Any, p: Any) -> tuple[Tensor, ...]:
    """Return the KL divergence of each dimension; nothing if they are not independent."""
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return ()
    return (kl_divergence(q.base_dist, p.base_dist),)


_ROWS = 500
"""Number of sentences that are generated at once."""


def _network(config: SentencesConfig, vocabulary: int) -> LanguageNetwork:
    """Build the network, with a latent vector if the model has a latent variable."""
    latents = MODELS.attribute(config.model.name, "latents")
    return LanguageNetwork.from_config(
        config.network, vocabulary, config.network.latent if latents else 0
    )
