import json
import math

import pytest
import torch
from forms import inflect, settings, shared_forms_run, words, write

import pyro_align
from pyro_align.config import Config
from pyro_align.data import FormPair
from pyro_align.data.batch import UNK, TextBatch
from pyro_align.data.demo import words as demo_words
from pyro_align.decoding import Ensemble
from pyro_align.errors import ConfigError, DataError, IncompatibleError, UserError
from pyro_align.evaluation import find_edits
from pyro_align.runs import Run, RunEnsemble

SIDES = ("source", "target")


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_forms_run())


@pytest.fixture
def test_words(tmp_path):
    return write(tmp_path / "test.tsv", words(60, 3))


def create(folder, echo=lambda line: None, **changes):
    return Run.create(Config.load(None, settings(folder, **changes)), folder / "run", echo=echo)


def lines_of(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_a_fit_learns_letters_and_features(run, test_words):
    lines = lines_of(test_words)
    found = list(run.translate([f"{source}\t{tags}" for source, _, tags in lines]))
    right = sum(each == target for each, (_, target, _) in zip(found, lines, strict=True))
    assert right >= 0.9 * len(lines)
    both = list(run.translate(["abd\tN;SG", "abd\tN;PL"]))
    assert both == [inflect("abd", "SG"), inflect("abd", "PL")]


def test_accents_are_symbols_of_their_own_and_composed_again(tmp_path):
    words = [("caf\u00e9", "CAF\u00c9"), ("\ud55c", "\ud55c"), ("\u1ec7", "\u1ec6")]
    path = write(tmp_path / "accents.tsv", words)
    changes = {
        "data.columns": "source,target",
        "data.train": [str(path)],
        "data.valid": [str(path)],
    }
    run = create(tmp_path, **changes)
    source, target = run.vocabularies
    assert source.split("\u00e9") == ["e", "\u0301"]
    assert len(source.split("\ud55c")) == 3
    for word, form in words:
        assert target.decode(target.encode(form)) == form
        assert source.decode(source.encode(word)) == word


def test_vocabularies_are_text_in_the_run(run):
    source = json.loads((run.path / "source.symbols.json").read_text(encoding="utf-8"))
    target = json.loads((run.path / "target.symbols.json").read_text(encoding="utf-8"))
    assert (source["symbols"], source["tags"]) == (list("abde"), ["N", "PL", "SG"])
    assert (target["symbols"], target["separated"]) == (list("ABDZ"), True)


def test_an_evaluation_agrees_with_probabilities_and_edits_one_by_one(run, test_words):
    result = run.evaluate(run.task.read([test_words]))
    source, target = run.vocabularies
    total, tokens, wrong, edits, symbols = 0.0, 0, 0, 0, 0
    for word, spoken, tags in lines_of(test_words):
        pair = FormPair(word, spoken, tuple(tags.split(";")))
        ids = target.encode(spoken)
        search = run.task.translator(run.model, beam=5)
        (found,) = search.translate([pair])
        wrong += found.text != spoken
        edits += len(find_edits(spoken.split(), found.text.split()))
        symbols += len(spoken.split())
        batch = TextBatch.from_ids([source.encode(word, pair.tags)], [ids])
        with torch.no_grad():
            log_probs = run.model.next_token(run.model.states(batch))[0]
        total += float(log_probs[range(len(ids)), ids].sum())
        tokens += len(ids)
    assert result.positions.log_evidence == pytest.approx(total / tokens, abs=1e-4)
    rates = result.forms.rates()
    assert rates.word_error_rate == pytest.approx(100 * wrong / 60)
    assert rates.symbol_error_rate == pytest.approx(100 * edits / symbols)
    facts = result.to_dict()
    assert facts["word_accuracy"] == pytest.approx(100 - facts["word_error_rate"])
    assert facts["languages"]["all"]["words"] == 60


def test_posteriors_have_symbols_and_features_as_labels(run, test_words):
    pairs = run.test_pairs(3, text=[test_words])
    posterior = run.posterior(pairs.sources, pairs.targets, tags=pairs.tags)
    for sentence, (word, spoken, tags) in zip(posterior, lines_of(test_words), strict=False):
        assert list(sentence.source) == [*(f"[{tag}]" for tag in tags.split(";")), *word, "</s>"]
        assert list(sentence.target) == [*spoken.split(), "</s>"]


def test_gold_links_are_shifted_by_the_features(run):
    gold = [pyro_align.data.GoldLinks(frozenset({(0, 0), (1, 1)}))]
    (sentence,) = run.posterior(["ab"], ["A B"], tags=[("N", "SG")], gold=gold)
    assert sentence.gold.sure == {(2, 0), (3, 1)}


def test_languages_are_told_to_the_model(tmp_path):
    files = [str(write(tmp_path / f"{n}.tsv", [line[:2] for line in words(30, n)])) for n in (1, 2)]
    changes = {"data.train": files, "data.valid": files, "data.columns": "source,target"}
    run = create(tmp_path, **changes, **{"data.languages": "fin,tur"})
    assert run.source_vocabulary.tags == ("language=fin", "language=tur")
    table = run.evaluate().forms.table()
    assert list(table.index) == ["fin", "tur", "macro average"]
    with pytest.raises(UserError, match="choose one of fin, tur with --language"):
        list(run.translate(["abd"]))
    assert len(list(run.translate(["abd"], language="tur"))) == 1
    with pytest.raises(UserError, match="'swe' is not one of this run: fin, tur"):
        list(run.translate(["abd"], language="swe"))
    with pytest.raises(ConfigError, match="2 files in train, but 1 languages"):
        create(tmp_path / "more", **changes, **{"data.languages": "fin"})


def probability_of_nothing(run):
    """The probability that EOS is the first symbol of a prediction."""
    options = {"language": "tur", "beam": 100, "n_best": 100}
    (found,) = run.translations(["abd"], **options)
    (empty,) = [one for one in found.hypotheses if one.text == ""]
    return math.exp(empty.log_probability)


def test_a_run_can_have_the_vocabularies_of_another(tmp_path):
    files = [str(write(tmp_path / f"{n}.tsv", [line[:2] for line in words(30, n)])) for n in (1, 2)]
    columns = {"data.columns": "source,target"}
    both = {"data.train": files, "data.valid": files, "data.languages": "fin,tur", **columns}
    shared = create(tmp_path / "both", **both)
    given = {f"vocabulary.{side}": f"{shared.path}/{side}.symbols.json" for side in SIDES}
    train = [str(write(tmp_path / "other.tsv", [("abd", "A B D"), ("aq", "A Q")]))]
    one = {"data.train": train, "data.valid": files[1:], **columns, **given}
    told = []
    alone = create(tmp_path / "one", told.append, **one, **{"data.languages": "tur"})
    for ours, theirs in zip(alone.vocabularies, shared.vocabularies, strict=True):
        assert ours.fingerprint() == theirs.fingerprint()
    assert [line for line in told if "training forms: 2 symbols not in the vocabulary" in line]
    first, second, both = (
        probability_of_nothing(each) for each in (shared, alone, RunEnsemble([shared, alone]))
    )
    assert both == pytest.approx((first + second) / 2, rel=1e-5)
    untold = create(tmp_path / "untold", **one)
    with pytest.raises(IncompatibleError, match=r"only .*both/run is told the language"):
        RunEnsemble([untold, shared])
    with pytest.raises(ConfigError, match=r"give both vocabulary\.source and vocabulary\.target"):
        create(tmp_path / "half", **{**one, "vocabulary.target": None})
    with pytest.raises(DataError, match="cannot read the vocabulary"):
        create(tmp_path / "gone", **{**one, "vocabulary.target": str(tmp_path / "gone.json")})


def test_unknown_symbols_and_mixed_normal_forms_are_told(tmp_path):
    composed, decomposed = "\u00e9", "e\u0301"
    train = [(composed, "e"), (decomposed, "e"), ("a", "a")]
    valid = [("aq", "a"), ("qa", "a\u00df")]
    told = []
    run = create(
        tmp_path,
        told.append,
        **{
            "data.train": [str(write(tmp_path / "t.tsv", train))],
            "data.valid": [str(write(tmp_path / "v.tsv", valid))],
            "data.columns": "source,target",
        },
    )
    assert [line for line in told if "source side: the text mixes Unicode normal forms" in line]
    (unknown,) = [line for line in told if "not in the vocabulary" in line]
    assert "2 symbols not in the vocabulary, 3 in total, read as <unk>: 'q' (2), 'ß' (1)" in unknown
    assert run.evaluate().notes == [unknown.removeprefix("note: validation forms: ")]
    assert run.source_vocabulary.encode(composed) == run.source_vocabulary.encode(decomposed)


def copier(folder):
    """A run whose model goes through the source from left to right and copies each symbol."""
    lines = [("abde", "abde"), ("edba", "edba")]
    run = create(
        folder,
        **{
            "data.train": [str(write(folder.with_name("copied.tsv"), lines))],
            "data.valid": [str(folder.with_name("copied.tsv"))],
            "data.columns": "source,target",
            "model.name": "markov",
            "guide.name": "none",
            "network.copying": True,
        },
    )
    with torch.no_grad():
        run.model.jumps.score.bias[run.model.jumps.width + 1] = 50.0  # the jump to the next symbol
        run.model.networks.emission.from_hidden.bias.fill_(-50.0)  # the gate: copy
    return run


@pytest.mark.parametrize("members", [1, 2])
def test_symbols_not_in_the_vocabulary_are_copied_where_the_model_copies(tmp_path, members):
    run = copier(tmp_path / "copier")
    model = run.model if members == 1 else Ensemble([run.model] * members)
    translator = run.task.translator(model, n_best=2)
    words = ["aqdq\u00dfe", "bqa", "abd", "zz"]
    found = [each.text for each in translator.translate(run.task.inputs(words))]
    assert found == words
    note = run.task.unknown_note(translator)
    assert note.startswith(
        "3 symbols not in the vocabulary, 6 in total, read as <unk>: 'q' (3), 'z'"
    )
    assert note.endswith("'ß' (1); 6 copied to the predictions")


def test_symbols_not_in_the_vocabulary_stay_unknown_if_the_model_does_not_copy(run):
    with torch.no_grad():
        bias = run.model.networks.emission.bias
        before = bias.clone()
        bias[UNK] = 50.0
        (found,) = run.predict(["aqb\tN;PL"])
        bias.copy_(before)
    assert set(found.split()) == {"\u2047"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path, end, mark):
    path = write(tmp_path / "t.tsv", words(20, 1), end)
    path.write_bytes(mark + path.read_bytes())
    run = create(tmp_path, **{"data.train": [str(path)]})
    plain = create(tmp_path / "plain", **{"data.train": [str(write(path, words(20, 1)))]})
    assert run.task.digests() == plain.task.digests()
    assert run.task.facts()["train"]["sha256"] == plain.task.facts()["train"]["sha256"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("ab", "A B"), r"bad.tsv:3: expected tab-separated columns, 3 .*, got 2 columns"),
        (("ab", "", "N"), r"bad.tsv:3: the target form is empty"),
        ((" ", "A", "N"), r"bad.tsv:3: the source form is empty"),
        (("ab", "A", "N;;PL"), r"bad.tsv:3: 'N;;PL' has an empty feature"),
        (("a" * 300, "A", "N"), r"bad.tsv:3: the source form has 302 symbols, more than"),
    ],
)
@pytest.mark.parametrize("part", ["train", "valid"])
def test_bad_lines_are_found_before_the_fit(tmp_path, part, line, message):
    bad = write(tmp_path / "bad.tsv", [*words(2, 1), line])
    with pytest.raises(DataError, match=message):
        create(tmp_path, **{f"data.{part}": [str(bad)]})
    assert not (tmp_path / "run").exists()


def test_the_built_in_words(tmp_path, monkeypatch):
    for part in demo_words.FILES:
        lines = [("ab", "a b", "0-0 1-1"), ("aeb", "a b", "0-0 2-1")]
        monkeypatch.setitem(demo_words.FILES, part, write(tmp_path / f"{part}.tsv", lines))
    run = Run.create(
        Config.load(None, [("task", "transduction")]), tmp_path / "run", echo=lambda line: None
    )
    result = run.evaluate()
    assert result.sentences == 2
    assert set(result.to_dict()["alignment"]) == {"posterior", "guide", "prior"}
    assert run.test_pairs().gold[1].sure == {(0, 0), (2, 1)}
    with pytest.raises(ConfigError, match=r"data\.test has no effect with the built-in words"):
        create(tmp_path / "other", **{"data.train": None, "data.valid": None, "data.test": ["x"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.columns": "source,form"}, "data: columns: unknown column 'form'"),
        ({"data.valid": None}, "training and validation forms go together: give --valid too"),
        ({"vocabulary.joint": True, "vocabulary.source_separated": True}, "splits both sides"),
        ({"network.tie_embeddings": "all"}, "needs one vocabulary for both sides"),
        ({"vocabulary.unit": "letters"}, "vocabulary.unit"),
    ],
)
def test_settings_are_checked(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        Config.load(None, settings(tmp_path, **changes))
