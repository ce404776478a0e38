import io
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyro_align.data import make_vocabularies
from pyro_align.data.batch import BOS, EOS, PAD, UNK
from pyro_align.data.settings import VocabularyConfig
from pyro_align.data.text import ParallelText
from pyro_align.data.vocabulary import Vocabulary
from pyro_align.data.words import split_words
from pyro_align.errors import ConfigError, DataError, OutputError

STEMS = ["hund", "katz", "garten", "schläf", "lauf", "schnell", "langsam", "klein", "haus", "baum"]
ENDINGS = ["", "e", "en", "er", "es", "chen", "lich", "heit"]
WORDS = [stem + ending for stem in STEMS for ending in ENDINGS]
SENTENCES = [" ".join(random.Random(seed).choices(WORDS, k=8)) + " ." for seed in range(200)] + [
    "< / > ½ … unterstrich"
]
KINDS = ("bpe", "unigram")
SPECIAL = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
text = st.lists(
    st.sampled_from(["hund", "katze", "gartenzaun", "½", "a▁b", "ﬁ", "</s>", "\u200b", "漢字"])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=5),
    max_size=8,
).flatmap(
    lambda words: st.sampled_from([" ", "  ", "\u00a0", "\t", "\u3000"]).map(
        lambda s: s.join(words)
    )
)


@pytest.fixture(scope="module")
def vocabularies() -> dict[str, Vocabulary]:
    return {
        "bpe": Vocabulary.train(SENTENCES, 90, "bpe"),
        "unigram": Vocabulary.train(SENTENCES, 50, "unigram"),
        "foreign": foreign(),
    }


def train_elsewhere(**options: object) -> bytes:
    """A model trained with sentencepiece's defaults, which normalise by nmt_nfkc."""
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=writer,
        vocab_size=320,
        model_type="bpe",
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return writer.getvalue()


def foreign() -> Vocabulary:
    return Vocabulary(train_elsewhere(**SPECIAL))


@pytest.mark.parametrize("kind", KINDS)
def test_special_ids_and_size(vocabularies: dict[str, Vocabulary], kind: str) -> None:
    vocabulary = vocabularies[kind]
    assert vocabulary.pieces([PAD, UNK, BOS, EOS]) == ["<pad>", "<unk>", "<s>", "</s>"]
    assert len(vocabulary) == {"bpe": 90, "unigram": 50}[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_decoded_as_written(vocabularies: dict[str, Vocabulary], kind: str) -> None:
    vocabulary = vocabularies[kind]
    for sentence in SENTENCES[:4]:
        ids = vocabulary.encode(sentence)
        assert ids[-1] == EOS
        assert vocabulary.encode(sentence, add_eos=False) == ids[:-1]
        assert vocabulary.decode([BOS, *ids, PAD]) == sentence
        assert "".join(vocabulary.pieces(ids[:-1])) == "▁" + sentence.replace(" ", "▁")
    assert vocabulary.decode([]) == vocabulary.decode([EOS, PAD]) == ""
    assert vocabulary.encode(" \t") == vocabulary.encode("") == [EOS]
    # Not rewritten to "1⁄2" and "...", and names of special pieces are mere text.
    assert vocabulary.decode(vocabulary.encode("<s> ½ … </s>")) == "<s> ½ … </s>"
    assert vocabulary.encode("</s>").count(EOS) == 1


@pytest.mark.parametrize("kind", KINDS)
@given(sentence=text)
@example("a\0b \0")
@settings(max_examples=60, deadline=None)
def test_ids_are_those_of_sentencepiece(
    vocabularies: dict[str, Vocabulary], kind: str, sentence: str
) -> None:
    # Whole sentence at once, on a processor made from the saved model.
    vocabulary = vocabularies[kind]
    reference = sentencepiece.SentencePieceProcessor(model_proto=vocabulary._model)
    expected = reference.encode(" ".join(split_words(sentence)))
    assert vocabulary.encode(sentence, add_eos=False) == expected
    assert vocabulary.encode_all([sentence, "hund katze", ""], add_eos=False) == [
        expected,
        reference.encode("hund katze"),
        [],
    ]


@pytest.mark.parametrize("kind", KINDS)
@given(sentence=text)
@settings(max_examples=60, deadline=None)
def test_words_against_counting_characters(
    vocabularies: dict[str, Vocabulary], kind: str, sentence: str
) -> None:
    # Without normalisation the surfaces of the pieces, joined, are the words, each with a mark.
    vocabulary = vocabularies[kind]
    words = split_words(sentence)
    owner = [i for i, word in enumerate(words) for _ in "▁" + word]
    reference = sentencepiece.SentencePieceProcessor(model_proto=vocabulary._model)
    expected, position = [], 0
    for surface in reference.encode(" ".join(words), out_type=str):
        expected.append(owner[position])
        position += len(surface)
    assert position == len(owner)
    assert vocabulary.words(sentence) == (vocabulary.encode(sentence), [*expected, -1])


@given(sentence=text)
@settings(max_examples=60, deadline=None)
def test_words_of_a_model_that_normalises(vocabularies: dict[str, Vocabulary], sentence) -> None:
    vocabulary = vocabularies["foreign"]
    ids, index = vocabulary.words(sentence)
    assert ids == vocabulary.encode(sentence)
    assert index[-1] == -1
    words = split_words(sentence)
    for position, word in enumerate(words):
        own = [piece for piece, i in zip(ids, index, strict=True) if i == position]
        assert own == vocabulary.encode(word, add_eos=False)
    assert set(index[:-1]) <= set(range(len(words)))
    assert index[:-1] == sorted(index[:-1])


def test_a_word_without_pieces_keeps_its_index(vocabularies: dict[str, Vocabulary]) -> None:
    # sentencepiece takes its own mark for a space.
    ids, index = vocabularies["bpe"].words("hund ▁ katze")
    assert set(index) == {0, 2, -1}
    assert ids == vocabularies["bpe"].encode("hund ▁ katze")
    # Zero-width space, which the default normalisation drops.
    vocabulary = foreign()
    ids, index = vocabulary.words("hund \u200b katze ﬁ")
    assert 1 not in index
    assert set(index) == {0, 2, 3, -1}
    own = [piece for piece, i in zip(ids, index, strict=True) if i == 3]
    assert vocabulary.decode(own) == unicodedata.normalize("NFKC", "ﬁ") == "fi"


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_deterministic(kind: str) -> None:
    # A sample smaller than the text, so that the drawing is tested too.
    prints = {
        Vocabulary.train(iter(SENTENCES), 50, kind, sample=120).fingerprint() for _ in range(3)
    }
    assert len(prints) == 1
    assert Vocabulary.train(SENTENCES, 49, kind).fingerprint() not in prints


def test_training_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    Vocabulary.train(SENTENCES, 60, "unigram")
    Vocabulary.train(SENTENCES, 60, "bpe")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_yields_fewer_pieces_has_a_smaller_vocabulary(kind: str) -> None:
    vocabulary = Vocabulary.train(SENTENCES, 5000, kind)
    assert len(vocabulary) < 5000
    assert vocabulary.decode(vocabulary.encode(SENTENCES[0])) == SENTENCES[0]
    if kind == "bpe":  # every word is a piece when nothing is left to merge
        words = {word for sentence in SENTENCES for word in sentence.split()}
        assert {"▁" + word for word in words} <= set(vocabulary.pieces(range(len(vocabulary))))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("joint", "side"), [(False, "target text"), (True, "text")])
def test_a_size_that_is_too_small_for_one_side_names_one_that_works(tmp_path, kind, joint, side):
    """A source with few distinct pieces and a target with many distinct characters."""
    generator = random.Random(0)
    lines = [
        (
            " ".join(str(generator.randint(0, 9)) for _ in range(9)),
            " ".join(chr(0x4E00 + (9 * i + j) % 100) for j in range(9)),
        )
        for i in range(60)
    ]
    (tmp_path / "a.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in lines), encoding="utf-8")
    text = ParallelText.open([tmp_path / "a.tsv"])
    with pytest.raises(ConfigError, match=f"every character of the {side}: set vocab") as caught:
        make_vocabularies(VocabularyConfig(kind=kind, size=10, joint=joint), text)
    size = int(str(caught.value).split("vocabulary.size to ")[1].split()[0])
    assert size == 4 + 100 + 1 + joint * 10
    for enough in (size, 4000):
        config = VocabularyConfig(kind=kind, size=enough, joint=joint)
        for vocabulary, sentence in zip(make_vocabularies(config, text), lines[0], strict=True):
            assert vocabulary.decode(vocabulary.encode(sentence)) == sentence


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_size_is_named_and_works(kind: str) -> None:
    with pytest.raises(ConfigError, match="every character") as caught:
        Vocabulary.train(SENTENCES, 10, kind)
    smallest = int(str(caught.value).split("size to ")[1].split()[0])
    assert smallest == 4 + len(set("".join(SENTENCES)) - {" "}) + 1
    assert len(Vocabulary.train(SENTENCES, smallest, kind)) == smallest


def test_training_without_text() -> None:
    for nothing in ([], ["", "  "]):
        with pytest.raises(DataError, match="no text"):
            Vocabulary.train(nothing, 50, "bpe")
    with pytest.raises(ConfigError, match="'bpe' or 'unigram'"):
        Vocabulary.train(SENTENCES, 50, "word")  # type: ignore[arg-type]


def test_errors_of_the_text_are_raised_unchanged() -> None:
    def broken() -> Iterator[str]:
        yield from SENTENCES
        raise DataError("not UTF-8", Path("x"), 7)

    with pytest.raises(DataError, match="x:7: not UTF-8"):
        Vocabulary.train(broken(), 60, "bpe")


def test_save_and_load(vocabularies: dict[str, Vocabulary], tmp_path: Path) -> None:
    vocabulary = vocabularies["bpe"]
    path = tmp_path / "vocabulary.model"
    path.write_bytes(b"old")
    vocabulary.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["vocabulary.model"]
    loaded = Vocabulary.load(path)
    assert loaded.fingerprint() == vocabulary.fingerprint()
    assert loaded.encode(SENTENCES[0]) == vocabulary.encode(SENTENCES[0])
    # Other tools can read it.
    other = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert [*other.encode(SENTENCES[0]), EOS] == loaded.encode(SENTENCES[0])


def test_a_failed_save_keeps_the_old_file(
    vocabularies: dict[str, Vocabulary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    path = tmp_path / "vocabulary.model"
    path.write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space"):
        vocabularies["bpe"].save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_every_truncation_is_refused(vocabularies: dict[str, Vocabulary]) -> None:
    # sentencepiece itself takes a file cut off between two pieces for a smaller vocabulary.
    model = vocabularies["unigram"]._model
    for length in range(len(model)):
        with pytest.raises(DataError, match="or truncated"):
            Vocabulary(model[:length])


@pytest.mark.parametrize(
    ("options", "keeps"),
    [
        ({}, True),
        ({"add_dummy_prefix": False}, False),
        ({"normalization_rule_name": "nmt_nfkc_cf"}, True),
        ({"treat_whitespace_as_suffix": True}, True),
        ({"remove_extra_whitespaces": False}, True),
        ({"user_defined_symbols": ["<x>", "hund"]}, True),
    ],
)
def test_a_model_that_loses_spaces_is_refused(tmp_path, options, keeps) -> None:
    path = tmp_path / "x.model"
    path.write_bytes(train_elsewhere(**SPECIAL, **options))
    if keeps:
        vocabulary = Vocabulary.load(path)
        sentence = "hund katz garten"
        assert vocabulary.decode(vocabulary.encode(sentence)) == sentence
        return
    with pytest.raises(DataError, match=r"x\.model: loses the spaces .*--add_dummy_prefix=true"):
        Vocabulary.load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.model"
    with pytest.raises(DataError, match="cannot read"):
        Vocabulary.load(path)
    for content in (b"\0" * 100, b"some text\n", b"\x0a\x03abc"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x\.model: not a sentencepiece model"):
            Vocabulary.load(path)
    path.write_bytes(train_elsewhere())
    with pytest.raises(DataError, match=r"but are -1, 0, 1, 2; train with --pad_id=0 --unk_id=1"):
        Vocabulary.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_all_unknown(vocabularies: dict[str, Vocabulary], kind: str) -> None:
    vocabulary = vocabularies[kind]
    assert vocabulary.is_unknown(vocabulary.encode("漢字 чай"))
    assert vocabulary.is_unknown([EOS])
    assert not vocabulary.is_unknown(vocabulary.encode("漢字 hund"))
    assert vocabulary.decode(vocabulary.encode("漢字")) == "⁇"


def test_unknown_pieces_are_replaced_by_their_texts():
    vocabulary = Vocabulary.train(["der hund bellt laut", "die katze schläft"], 40, "bpe")
    text = "der qqhund 日本 bellt"
    ids, symbols = vocabulary.encode(text), vocabulary.symbols(text)
    assert len(ids) == len(symbols)
    assert symbols[-1] is None
    unknown = [symbol for symbol, number in zip(symbols, ids, strict=True) if number == UNK]
    assert unknown == ["qq", "日本"]
    assert vocabulary.decode(ids, unknown) == text
    assert "⁇" in vocabulary.decode(ids)
    for known in ("die katze schläft", ""):
        assert vocabulary.decode(vocabulary.encode(known), unknown) == known
