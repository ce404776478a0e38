"""`Vocabulary`: a sentencepiece model with this package's special ids and definition of words."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, final

import sentencepiece
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from pyro_align.data.batch import BOS, EOS, PAD, UNK
from pyro_align.data.words import split_words
from pyro_align.errors import ConfigError, DataError, reject_string
from pyro_align.files import atomic_write

_SAMPLE = 1_000_000
"""Maximum number of sentences for training, drawn evenly from larger corpora. More sentences change
few pieces and cost memory."""

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
"""Numbers of the fields of a sentencepiece model (``sentencepiece_model.proto``)."""

WORD_START = "▁"
"""First character of the first piece of each word."""

_TYPE, _BPE = 3, 2
"""Number of the field of the type in the trainer's part of a sentencepiece model, and of BPE."""

_THREADS = 4
"""Fixed number of threads, since the order of sentencepiece's float sums depends on it."""


class VocabularySizeError(ConfigError):
    """A vocabulary that is too small for the characters of its text.

    Args:
        size: the requested size.
        least: the smallest size that covers every character.
        text: name of the text in the message.
        key: name of the size setting in the message.
    """

    def __init__(self, size: int, least: int, text: str = "text", key: str = "the size"):
        super().__init__(
            f"a vocabulary of {size} pieces cannot cover every character of the {text}: set {key} "
            f"to {least} or more"
        )
        self.least = least


@final
class Vocabulary:
    """A subword vocabulary that encodes text as ids and decodes ids to text.

    A sentence is encoded word by word, where :func:`split_words` defines the words. Pieces of
    sentencepiece never cross a space, so for models trained by this class the ids are the same as
    for the whole sentence (except if the text contains ``▁``, sentencepiece's mark for a space).
    Encoding by word makes the map from pieces to words (:meth:`words`) correct by construction for
    any normalisation of a given model, even if it splits or deletes a word.

    Args:
        model: a serialised sentencepiece model with the ids ``PAD, UNK, BOS, EOS = 0, 1, 2, 3``.
        path: its file, for error messages.

    Raises:
        DataError: if the model is damaged, has other ids, or loses the spaces between words.
    """

    def __init__(self, model: bytes, path: Path | None = None):
        self._model = model
        self._processor = _load(model, path)

    @classmethod
    def train(
        cls,
        sentences: Iterable[str],
        size: int,
        kind: Literal["bpe", "unigram"],
        *,
        sample: int = _SAMPLE,
    ) -> Vocabulary:
        """Train a vocabulary on sentences; the same sentences give the same vocabulary.

        Args:
            sentences: training text, streamed once.
            size: maximum number of pieces, including the four special ones. A text that yields
                fewer pieces gives a smaller vocabulary.
            kind: the algorithm, ``bpe`` or ``unigram``.
            sample: maximum number of sentences to train on, drawn evenly.

        Raises:
            VocabularySizeError: if a vocabulary of this size cannot cover every character of the
                text; the message gives the smallest size that can.
            ConfigError: if ``kind`` is not known.
            DataError: if there is no text.
        """
        if kind not in ("bpe", "unigram"):
            raise ConfigError(f"unknown vocabulary kind {kind!r}: use 'bpe' or 'unigram'")
        reject_string("sentences", sentences)
        stream = _Stream(sentences)
        writer = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(stream),
                model_writer=writer,
                vocab_size=size,
                model_type=kind,
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                character_coverage=1.0,
                # The default, nmt_nfkc, rewrites the text ("½" to "1⁄2", "…" to "..."), which
                # would change the text for perplexity and BLEU, and can delete a word. Only white
                # space is normalised, by splitting into words.
                normalization_rule_name="identity",
                hard_vocab_limit=False,
                input_sentence_size=sample,
                max_sentence_length=1 << 20,
                num_threads=_THREADS,
                minloglevel=2,
            )
        except RuntimeError as error:
            if stream.error is not None:
                raise stream.error from None
            raise _training_error(error, size, stream.words) from error
        return cls(writer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read a sentencepiece ``.model`` file.

        Raises:
            DataError: if it is missing, damaged, has other ids for special pieces, or loses the
                spaces between words.
        """
        try:
            model = path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read the vocabulary: {error.strerror}", path) from error
        return cls(model, path)

    def save(self, path: Path) -> None:
        """Write the sentencepiece model to a file.

        Raises:
            OutputError: if the file cannot be written.
        """
        with atomic_write(path) as file:
            file.write(self._model)

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def fingerprint(self) -> str:
        """SHA-256 of the model."""
        return hashlib.sha256(self._model).hexdigest()

    def encode(self, text: str, add_eos: bool = True) -> list[int]:
        """Encode a sentence as ids, by default ending in :data:`EOS`."""
        return self.encode_all([text], add_eos)[0]

    def encode_all(self, texts: Sequence[str], add_eos: bool = True) -> list[list[int]]:
        """Encode many sentences, which is much faster than one by one."""
        reject_string("texts", texts)
        sentences = [split_words(text) for text in texts]
        distinct = list(dict.fromkeys(chain.from_iterable(sentences)))
        pieces = dict(zip(distinct, self._processor.encode(distinct), strict=True))
        end = [EOS] if add_eos else []
        return [
            list(chain(chain.from_iterable(map(pieces.__getitem__, words)), end))
            for words in sentences
        ]

    def words(self, text: str) -> tuple[list[int], list[int]]:
        """Encode a sentence, and return the 0-based word of every id.

        Returns:
            The ids, as from :meth:`encode`, and for each id its word position in
            ``split_words(text)``, −1 for :data:`EOS`.
        """
        by_word = self.encode_all(split_words(text), add_eos=False)
        ids = list(chain.from_iterable(by_word))
        index = [position for position, word in enumerate(by_word) for _ in word]
        return [*ids, EOS], [*index, -1]

    def symbols(self, text: str) -> list[str | None]:
        """Return the text of each id of a sentence, with ``▁`` for a space; None for ``EOS``."""
        words = self._processor.encode(split_words(text), out_type=str)
        return [*chain.from_iterable(words), None]

    def decode(self, ids: Iterable[int], unknown: Sequence[str] = ()) -> str:
        """Decode ids to text, without padding, ``BOS`` and ``EOS``.

        Args:
            ids: the ids.
            unknown: what the unknown pieces stand for, in order; ``⁇`` for all if there are none.
        """
        kept = [int(piece) for piece in ids if piece not in (PAD, BOS, EOS)]
        if not kept:
            return ""
        if not unknown:
            return str(self._processor.decode(kept)).strip(" ")
        texts = iter(unknown)
        pieces = [next(texts) if each == UNK else self.pieces([each])[0] for each in kept]
        return str(self._processor.decode(pieces)).strip(" ")

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return the piece of each id, and names such as ``</s>`` for special ids."""
        return [str(self._processor.id_to_piece(int(piece))) for piece in ids]

    def merge_priorities(self) -> dict[str, float]:
        """Return the priority of the merge that gives each piece.

        Characters have one too, special, unknown and byte pieces do not.

        Raises:
            ConfigError: if the vocabulary is not of type BPE.
        """
        if _model_type(self._model) != _BPE:
            raise ConfigError(
                "vocabulary.dropout skips merges of BPE, but the vocabulary is of another type: "
                "remove vocabulary.dropout, or train a vocabulary with --model_type=bpe"
            )
        processor = self._processor
        return {
            str(processor.id_to_piece(number)): float(processor.get_score(number))
            for number in range(len(processor))
            if not (processor.is_control(number) or processor.is_unknown(number))
            and not processor.is_byte(number)
        }

    def is_unknown(self, ids: Iterable[int]) -> bool:
        """Whether all pieces of a sentence are unknown.

        The start mark ``▁`` of a word is ignored, since every word has it.
        """
        blank = self._processor.piece_to_id(WORD_START)
        return not any(piece not in (PAD, UNK, BOS, EOS, blank) for piece in ids)


class _Stream:
    """Sentences with normalised spaces; records errors that sentencepiece would hide.

    Attributes:
        error: exception raised while reading the sentences.
        words: number of words read.
    """

    def __init__(self, sentences: Iterable[str]):
        self._sentences = sentences
        self.error: Exception | None = None
        self.words = 0

    def __iter__(self) -> Iterator[str]:
        try:
            for sentence in self._sentences:
                words = split_words(sentence)
                self.words += len(words)
                yield " ".join(words)
        except Exception as error:
            self.error = error
            raise


def _training_error(error: RuntimeError, size: int, words: int) -> Exception:
    if words == 0:
        return DataError("there is no text to train a vocabulary on")
    if match := re.search(r"required_chars\. \d+ vs (\d+)", str(error)):
        return VocabularySizeError(size, int(match[1]))
    return error


def _load(model: bytes, path: Path | None) -> sentencepiece.SentencePieceProcessor:
    processor = sentencepiece.SentencePieceProcessor()
    try:
        is_loaded = _is_whole(model) and processor.load_from_serialized_proto(model)
    except RuntimeError:  # sentencepiece found it damaged
        is_loaded = False
    if not is_loaded:
        raise DataError(
            "not a sentencepiece model, or truncated; copy it again or train another", path
        )
    ids = (processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id())
    if ids != (PAD, UNK, BOS, EOS):
        raise DataError(
            "the ids of <pad>, <unk>, <s>, </s> must be 0, 1, 2, 3, but are "
            f"{', '.join(map(str, ids))}; train with "
            f"--pad_id={PAD} --unk_id={UNK} --bos_id={BOS} --eos_id={EOS}",
            path,
        )
    if not _keeps_spaces(processor):
        raise DataError(
            "loses the spaces between words, since it was trained with --add_dummy_prefix=false "
            "and words are encoded one by one; train with --add_dummy_prefix=true, the default",
            path,
        )
    return processor


def _is_whole(model: bytes) -> bool:
    """Whether the bytes are a sentencepiece model with all its parts.

    The processor reads a file that is truncated between two pieces as a smaller vocabulary; the
    normaliser, which is written after the pieces, is then missing.
    """
    # Not `sentencepiece_model_pb2`, which refuses a protobuf that is older than the one it was
    # generated with, and so excludes packages that need an older one.
    try:
        fields = UnknownFieldSet(Empty.FromString(model))
    except DecodeError:
        return False
    return {_PIECES, _TRAINER, _NORMALIZER} <= {field.field_number for field in fields}


def _model_type(model: bytes) -> int:
    """Return the type of a sentencepiece model, 1 (unigram, the default) to 4."""
    parts = {part.field_number: part.data for part in UnknownFieldSet(Empty.FromString(model))}
    trainer = UnknownFieldSet(Empty.FromString(parts[_TRAINER]))
    kinds = [int(field.data) for field in trainer if field.field_number == _TYPE]
    return kinds[-1] if kinds else 1


def _keeps_spaces(processor: sentencepiece.SentencePieceProcessor) -> bool:
    """Whether two words that are encoded separately are decoded with a space between them."""
    pieces = (
        str(processor.id_to_piece(number)).strip(WORD_START)
        for number in range(len(processor))
        if not (processor.is_control(number) or processor.is_unknown(number))
        and not processor.is_byte(number)
    )
    word = next((piece for piece in pieces if piece.isalnum()), "a")
    return " " in processor.decode([*processor.encode(word), *processor.encode(word)]).strip()
