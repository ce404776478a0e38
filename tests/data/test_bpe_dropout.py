import random
from collections import Counter
from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch

from pyro_align.config.translation import TranslationConfig
from pyro_align.data import BPEDropout, IndexedCorpus, ResegmentedCorpus, Vocabulary
from pyro_align.data.batch import EOS, UNK
from pyro_align.errors import ConfigError

STEMS = ["hund", "katz", "garten", "schläf", "lauf", "schnell", "langsam", "klein", "haus", "baum"]
ENDINGS = ["", "e", "en", "er", "es", "chen", "lich", "heit"]
WORDS = [stem + ending for stem in STEMS for ending in ENDINGS]
SENTENCES = [" ".join(random.Random(seed).choices(WORDS, k=8)) + " ." for seed in range(200)]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.train(SENTENCES, 120, "bpe")


def test_without_dropout_the_pieces_are_those_of_sentencepiece(vocabulary: Vocabulary) -> None:
    dropout, generator = BPEDropout(vocabulary, 0.0), np.random.default_rng(0)
    for sentence in SENTENCES:
        ids = vocabulary.encode(sentence)
        assert dropout.sample(ids, generator) == ids


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_segmentations_have_the_probabilities_of_sentencepiece(
    vocabulary: Vocabulary, tmp_path: Path, rate: float
) -> None:
    """Two sets of draws of the same distribution, compared by the frequency of each result."""
    vocabulary.save(tmp_path / "a.model")
    peer = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "a.model"))
    word, draws = "schläflich", 20_000
    options = {"out_type": str, "enable_sampling": True, "alpha": rate, "nbest_size": -1}
    expected = Counter(tuple(peer.encode(word, **options)) for _ in range(draws))
    dropout, chance = BPEDropout(vocabulary, rate), random.Random(0)
    found = Counter(tuple(dropout.segment("▁" + word, chance)) for _ in range(draws))
    assert len(expected) > 2
    # Hoeffding's inequality for the difference of two frequencies, a false alarm of 1e-6 in all.
    bound = sqrt(log(2 * len(expected | found) / 1e-6) / draws)
    for pieces in expected | found:
        assert abs(expected[pieces] - found[pieces]) / draws < bound


def test_special_and_unknown_pieces_stay_and_the_text_is_the_same(vocabulary: Vocabulary) -> None:
    dropout, generator = BPEDropout(vocabulary, 0.5), np.random.default_rng(0)
    ids = vocabulary.encode("hund qxq katze </s> langsamlich")
    assert UNK in ids
    samples = [dropout.sample(ids, generator) for _ in range(50)]
    assert len({tuple(sample) for sample in samples}) > 10
    for sample in samples:
        assert sample.count(UNK) == ids.count(UNK)
        assert sample.count(EOS) == 1
        assert sample[-1] == EOS
        assert vocabulary.decode(sample) == vocabulary.decode(ids)


def test_a_batch_has_segmentations_that_depend_on_its_pairs_only(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode_all(SENTENCES)
    corpus = IndexedCorpus.from_ids(ids, ids[::-1])
    first, second = (ResegmentedCorpus(corpus, (vocabulary, vocabulary), 0.3) for _ in range(2))
    assert len(first) == len(SENTENCES)
    batch = first.batch([5, 3, 8])
    first.batch([1, 2])
    for one in (first.batch([5, 3, 8]), second.batch([5, 3, 8])):
        assert torch.equal(batch.source, one.source)
        assert torch.equal(batch.target, one.target)
    assert batch.indices.tolist() == [5, 3, 8]
    assert torch.equal(batch.source_mask.sum(1), batch.source_lengths)
    for index, source, length in zip([5, 3, 8], batch.source, batch.source_lengths, strict=True):
        assert vocabulary.decode(source[:length].tolist()) == SENTENCES[index]
    other = first.batch([3, 5, 8])
    rows = zip((batch, other), (1, 0), strict=True)
    one, two = (each.source[row, : each.source_lengths[row]].tolist() for each, row in rows)
    assert one != two


def test_only_bpe_can_skip_merges(tmp_path: Path) -> None:
    unigram = Vocabulary.train(SENTENCES, 60, "unigram")
    with pytest.raises(ConfigError, match="another type"):
        BPEDropout(unigram, 0.1)
    with pytest.raises(ValueError, match=r"set vocabulary\.kind = bpe"):
        TranslationConfig.model_validate({"vocabulary": {"kind": "unigram", "dropout": 0.1}})
    files = {"train": ["a.tsv"], "valid": ["a.tsv"], "links": tmp_path / "a.links"}
    with pytest.raises(ValueError, match="pieces that change"):
        TranslationConfig.model_validate({"vocabulary": {"dropout": 0.1}, "data": files})
