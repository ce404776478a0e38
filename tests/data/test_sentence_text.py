"""Sentences without a source: reading, encoding, and vocabularies of words."""

import gzip

import numpy as np
import pytest

from pyro_align.data import SentenceText, encode_sentences, word_vocabulary
from pyro_align.data.batch import BOS, EOS, PAD, UNK
from pyro_align.errors import DataError

LINES = ["the cat sees the dog", "the dog <unk> sleeps", "a cat"]


CONTENT = "".join(f"{line}\n" for line in LINES)


def text(tmp_path, content=CONTENT):
    path = tmp_path / "text.txt"
    path.write_bytes(content.encode())
    return SentenceText(path)


def test_line_ends_compression_and_byte_order_marks_do_not_matter(tmp_path):
    plain = text(tmp_path)
    expected = [sentence.text for sentence in plain], plain.fingerprint(), plain.count()
    windows = text(tmp_path, "\ufeff" + "".join(f"{line}\r\n" for line in LINES))
    assert ([sentence.text for sentence in windows], windows.fingerprint(), windows.count()) == (
        expected
    )
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress("\n".join(LINES).encode()))
    assert SentenceText(path).fingerprint() == expected[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"text\.txt: the text is empty"),
        ("a cat\n\na dog\n", r"text\.txt:2: the sentence is empty: remove this line"),
        ("a cat\n \t \n", r"text\.txt:2: the sentence is empty"),
    ],
)
def test_bad_text(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        text(tmp_path, content).count()


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        SentenceText(tmp_path / "none.txt")


def test_words_of_a_vocabulary(tmp_path):
    vocabulary = word_vocabulary(text(tmp_path), 100)
    words = {word for line in LINES for word in line.split()} - {"<unk>"}
    assert set(vocabulary.pieces(range(len(vocabulary)))) - words == {
        "<pad>",
        "<unk>",
        "<s>",
        "</s>",
    }
    ids = vocabulary.encode("the cow <unk> sees")
    assert ids[1:3] == [UNK, UNK]
    assert ids[-1] == EOS
    assert vocabulary.decode(ids) == "the ⁇ ⁇ sees"


def test_rare_words_are_left_out(tmp_path):
    # the 3, cat 2, dog 2; ties in alphabetical order
    assert word_vocabulary(text(tmp_path), 6).pieces([4, 5]) == ["cat", "the"]
    assert word_vocabulary(text(tmp_path), 100, min_count=2).pieces([4, 5, 6]) == [
        "cat",
        "dog",
        "the",
    ]
    with pytest.raises(DataError, match=r"no word occurs at least vocabulary\.min_count = 9"):
        word_vocabulary(text(tmp_path), 100, min_count=9)


def test_batches(tmp_path):
    source = text(tmp_path)
    vocabulary = word_vocabulary(source, 100)
    encoded = encode_sentences(source, vocabulary, 10)
    assert encoded.target_lengths.tolist() == [6, 5, 3]
    assert not encoded.source_lengths.any()
    batch = encoded.batch(np.array([2, 0]))
    assert batch.indices.tolist() == [2, 0]
    assert batch.source_mask.shape == (2, 0)
    assert batch.num_targets == 9
    assert batch.target[0].tolist() == [*vocabulary.encode(LINES[2]), PAD, PAD, PAD]
    assert batch.target_input[1].tolist() == [BOS, *vocabulary.encode(LINES[0])[:-1]]
    assert batch.target_mask.sum(1).tolist() == [3, 6]


def test_long_sentences(tmp_path):
    source = text(tmp_path)
    vocabulary = word_vocabulary(source, 100)
    with pytest.raises(DataError, match=r"text\.txt:1: a sentence of 6 tokens, more than .* = 5"):
        encode_sentences(source, vocabulary, 5)
    kept = encode_sentences(source, vocabulary, 5, skip_long=True)
    assert (len(kept), kept.skipped) == (2, 1)
    assert kept.ids(0) == vocabulary.encode(LINES[1])
    with pytest.raises(DataError, match="all sentences are longer"):
        encode_sentences(source, vocabulary, 2, skip_long=True)
