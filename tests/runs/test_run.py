import json
import pickle
import shutil
import textwrap

import pytest
import torch
from runs import (
    checkpoint,
    copied,
    fitted,
    sentence_pairs,
    shared_corpus,
    shared_run,
    silent,
    tiny_config,
    write_corpus,
    write_text,
)

import pyro_align
from pyro_align.data import ParallelText
from pyro_align.errors import ConfigError, DataError, IncompatibleError, RunError, UserError
from pyro_align.guides import PriorGuide
from pyro_align.runs import Run
from pyro_align.runs.claims import LOCK
from pyro_align.runs.folder import FORMAT, check_identity
from pyro_align.tasks import Translation

LINES = ["ein hund sieht", "", "eine alte katze"]


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK
    }


def test_files_of_a_run():
    folder = shared_run()
    assert set(contents(folder)) == {
        "checkpoints/last.ckpt",
        "config.toml",
        "data.json",
        "identity.json",
        "metrics.csv",
        "run.json",
        "source.model",
        "target.model",
        "weights.safetensors",
    }
    data = json.loads((folder / "data.json").read_text())
    assert data["train"]["pairs"] == 20
    assert data["train"]["files"] == ["train.de", "train.en"]
    assert data["valid"]["sha256"] == ParallelText.open(shared_corpus()["valid"]).fingerprint()
    facts = json.loads((folder / "run.json").read_text())
    assert 0 < facts.pop("fit_seconds") < 100
    assert facts == {"format": FORMAT, "pyro_align": pyro_align.__version__, "status": "finished"}


def test_a_copy_works_without_the_run_and_its_text(tmp_path):
    corpus = write_corpus(tmp_path / "text", train=20, valid=6)
    config = tiny_config(corpus, network__cell="gru", training__epochs=1)
    run = fitted(config, tmp_path / "run")
    text = ParallelText.open(write_text(tmp_path, "test", sentence_pairs(5, 3)))
    expected = run.evaluate(text).to_dict(), list(run.translate(LINES))
    shutil.copytree(run.path, tmp_path / "elsewhere" / "copy")
    shutil.rmtree(run.path)
    shutil.rmtree(tmp_path / "text")
    copy = pyro_align.load(tmp_path / "elsewhere" / "copy")
    assert (copy.evaluate(text).to_dict(), list(copy.translate(LINES))) == expected
    assert not copy.model.training
    assert not copy.guide.training


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    folder = copied(tmp_path)
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"spoiled")

    def refuse(*arguments, **options):
        raise AssertionError("something is unpickled")

    for owner, name in (
        (pickle, "load"),
        (pickle, "loads"),
        (pickle, "Unpickler"),
        (torch, "load"),
    ):
        monkeypatch.setattr(owner, name, refuse)
    run = pyro_align.load(folder)
    list(run.translate(LINES))
    run.evaluate(ParallelText.open(shared_corpus()["valid"]))


def test_an_existing_run_is_not_replaced(tmp_path):
    folder = copied(tmp_path)
    before = contents(folder)
    config = tiny_config(shared_corpus())
    with pytest.raises(RunError, match=r"run exists: .*--out.*--resume.*--overwrite"):
        Run.create(config, folder, echo=silent)
    assert contents(folder) == before


def test_overwrite_replaces_a_run(tmp_path):
    folder = copied(tmp_path)
    Run.create(tiny_config(shared_corpus(), seed=7), folder, overwrite=True, echo=silent)
    assert Run.resume(folder).config.seed == 7
    assert not (folder / "weights.safetensors").exists()
    assert list(tmp_path.iterdir()) == [folder]


def test_overwrite_replaces_only_a_run(tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter").write_text("all of it")
    with pytest.raises(RunError, match="is not a run, so it is not overwritten"):
        Run.create(tiny_config(shared_corpus()), folder, overwrite=True, echo=silent)
    assert (folder / "chapter").read_text() == "all of it"


def test_a_kill_between_the_two_renamings_loses_nothing(tmp_path):
    folder = copied(tmp_path)
    before = contents(folder)
    folder.rename(tmp_path / ".run.old")
    with pytest.raises(RunError, match="exists"):
        Run.create(tiny_config(shared_corpus()), folder, echo=silent)
    assert contents(folder) == before


LONG = ("ein " * 10_000, "a " * 10_000)

BAD = {
    "a missing file": (
        {"data__train": ["no.de", "no.en"]},
        DataError,
        r"no\.de: no such file",
    ),
    "a vocabulary too small": (
        {"vocabulary__size": 5},
        ConfigError,
        r"the (source|target) text: set vocabulary\.size to \d+ or more",
    ),
    "a pair longer than a batch": (
        {"training__batch_tokens": 5},
        ConfigError,
        r"does not fit into a batch of 5 tokens",
    ),
    "an incompatible model and guide": (
        {"model__name": "soft", "guide__name": "amortized"},
        IncompatibleError,
        "model 'soft' and guide 'amortized'",
    ),
    "an unknown option": (
        {"guide__name": "amortized", "guide__hiden": 3},
        ConfigError,
        "no option 'hiden'; did you mean 'hidden'",
    ),
    "a missing guide file": ({"guide__name": "no.py:Mine"}, ConfigError, r"no\.py: no such file"),
    "tied embeddings without a joint vocabulary": (
        {"network__tie_embeddings": "all"},
        ConfigError,
        "joint",
    ),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("overwrite", [False, True])
def test_after_an_error_no_folder_is_left(tmp_path, what, overwrite):
    changes, kind, match = BAD[what]
    folder = copied(tmp_path) if overwrite else tmp_path / "run"
    before = contents(tmp_path)
    with pytest.raises(kind, match=match):
        Run.create(
            tiny_config(shared_corpus(), **changes), folder, overwrite=overwrite, echo=silent
        )
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["train", "valid", "test"])
def test_a_line_of_ten_thousand_words(tmp_path, name):
    corpus = write_corpus(tmp_path / "text", train=20, valid=6)
    corpus[name] = write_text(tmp_path / "text", name, [*sentence_pairs(20, 1), LONG])
    with pytest.raises(DataError, match=rf"{name}\.de:21: .*10001 tokens|{name}\.de:21: .*tokens"):
        Run.create(tiny_config(corpus), tmp_path / "run", echo=silent)
    assert not (tmp_path / "run").exists()


def test_long_lines_can_be_skipped(tmp_path):
    corpus = write_corpus(tmp_path / "text", train=20, valid=6)
    corpus["train"] = write_text(tmp_path / "text", "train", [*sentence_pairs(20, 1), LONG])
    told = []
    config = tiny_config(corpus, data__skip_long=True, training__max_steps=1)
    run = Run.create(config, tmp_path / "run", echo=silent)
    run.fit(echo=told.append)
    assert "train: 20 sentence pairs, 1 skipped as too long" in told


def test_gold_links_are_checked_before_training(tmp_path):
    gold = tmp_path / "gold"
    for text, match in (("0-0\n", "1 lines of links for 6"), ("0-99\n" * 6, "outside")):
        gold.write_text(text)
        with pytest.raises(DataError, match=match):
            Run.create(tiny_config(shared_corpus(), data__gold=gold), tmp_path / "run", echo=silent)
    changes = {"data__gold": tmp_path / "missing"}
    with pytest.raises(DataError, match="missing: no such file"):
        Run.create(tiny_config(shared_corpus(), **changes), tmp_path / "run", echo=silent)


def test_a_folder_that_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot create the run: Not a directory"):
        Run.create(tiny_config(shared_corpus()), tmp_path / "file" / "run", echo=silent)


def change_facts(**changes):
    def change(folder):
        facts = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**facts, **changes}))

    return change


def change_config(old, new):
    def change(run):
        path = run / "config.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return change


def swap(one, other):
    def change(run):
        contents = [(run / name).read_bytes() for name in (one, other)]
        for name, content in zip((other, one), contents, strict=True):
            (run / name).write_bytes(content)

    return change


DAMAGES = {
    "a newer version": (
        change_facts(format=FORMAT + 1, pyro_align="9.1"),
        r"created by pyro-align 9\.1, whose runs this version .* cannot read: pip install -U",
    ),
    "an older version": (change_facts(format=FORMAT - 1), r"earlier version .* fit the run again"),
    "no identity": (lambda run: (run / "identity.json").unlink(), r"identity\.json: damaged"),
    "no format": (change_facts(format=None), r"run\.json: damaged"),
    "facts cut off": (
        lambda run: (run / "run.json").write_text('{"format"'),
        r"run\.json: damaged",
    ),
    "facts of the wrong type": (
        lambda run: (run / "run.json").write_text("3"),
        r"run\.json: damaged",
    ),
    "no facts": (
        lambda run: (run / "run.json").unlink(),
        r"not a run folder \(it has no run\.json\)",
    ),
    "no weights": (lambda run: (run / "weights.safetensors").unlink(), "no weights yet"),
    "weights cut off": (
        lambda run: (run / "weights.safetensors").write_bytes(
            (run / "weights.safetensors").read_bytes()[:-5]
        ),
        r"weights\.safetensors: damaged or truncated .*copy the run again, or delete",
    ),
    "no configuration": (lambda run: (run / "config.toml").unlink(), r"config\.toml: no such file"),
    "configuration cut off": (
        lambda run: (run / "config.toml").write_text("[data"),
        r"config\.toml: not a TOML file",
    ),
    "no vocabulary": (lambda run: (run / "source.model").unlink(), r"source\.model: cannot read"),
    "vocabulary cut off": (
        lambda run: (run / "target.model").write_bytes((run / "target.model").read_bytes()[:-30]),
        r"target\.model: not a sentencepiece model",
    ),
    "vocabularies swapped": (
        swap("source.model", "target.model"),
        r"source\.model: damaged, or the vocabulary of another run",
    ),
    "another size": (
        change_config("embedding = 8", "embedding = 9"),
        r"config\.toml: network\.embedding = 9, but the weights of this run require 8",
    ),
    # The soft model has the same parameters.
    "another model": (
        change_config('name = "categorical"', 'name = "soft"'),
        r"config\.toml: model\.name = 'soft', but the weights of this run require 'categorical'",
    ),
    "another guide's option": (
        change_config("[guide]", "[guide]\ntemperature = 2.0"),
        r"config\.toml: guide\.temperature = 2\.0, but the weights of this run require None",
    ),
    "identity cut off": (
        lambda run: (run / "identity.json").write_text("{"),
        r"identity\.json: damaged",
    ),
}


def test_any_changed_bit_of_a_vocabulary_is_detected(tmp_path):
    folder = copied(tmp_path)
    run = pyro_align.load(folder)
    path = folder / "source.model"
    content = path.read_bytes()
    for position in range(0, len(content), 5):
        spoiled = bytearray(content)
        spoiled[position] ^= 1 << position % 8
        path.write_bytes(spoiled)
        with pytest.raises((DataError, RunError), match=r"source\.model: "):
            check_identity(folder, run.config, Translation(run.config, folder).digests())


def test_settings_of_a_later_version_have_their_defaults(tmp_path):
    folder = copied(tmp_path)
    run = pyro_align.load(folder)
    kept = json.loads((folder / "identity.json").read_text())
    for key in ("vocabulary.dropout", "network.heads"):
        del kept[key]
    (folder / "identity.json").write_text(json.dumps(kept))
    digests = Translation(run.config, folder).digests()
    check_identity(folder, run.config, digests)
    vocabulary = run.config.vocabulary.model_copy(update={"dropout": 0.1})
    changed = run.config.model_copy(update={"vocabulary": vocabulary})
    with pytest.raises(RunError, match=r"vocabulary\.dropout = 0\.1, but .* require None"):
        check_identity(folder, changed, digests)


def test_weights_of_another_run_are_rejected(tmp_path):
    """The other run has the same sizes, but another text and so another vocabulary."""
    corpus = write_corpus(tmp_path / "text", train=21, valid=6)
    config = tiny_config(corpus, network__cell="gru", training__epochs=1)
    other = fitted(config, tmp_path / "other")
    folder = copied(tmp_path)
    shutil.copy(other.path / "weights.safetensors", folder / "weights.safetensors")
    with pytest.raises(RunError, match=r"weights\.safetensors: weights of another run"):
        pyro_align.load(folder)


def test_a_single_string_is_rejected():
    run = pyro_align.load(shared_run())
    for ask in (run.translate, run.source_vocabulary.encode_all):
        with pytest.raises(UserError, match=r"is one string: give a list .*\['ein hund'\]"):
            ask("ein hund")


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_run(tmp_path, what):
    damage, match = DAMAGES[what]
    folder = copied(tmp_path)
    damage(folder)
    with pytest.raises((RunError, ConfigError, DataError), match=match):
        pyro_align.load(folder)


@pytest.mark.parametrize("kind", ["nothing", "a file", "an empty folder"])
def test_a_path_that_is_not_a_run(tmp_path, kind):
    path = tmp_path / "run"
    if kind == "a file":
        path.write_text("")
    if kind == "an empty folder":
        path.mkdir()
    for read in (Run.load, Run.resume):
        with pytest.raises(RunError, match="not a run folder"):
            read(path)


def test_damaged_weights_are_trained_again_as_the_message_says(tmp_path):
    folder = copied(tmp_path)
    whole = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(whole[:100])
    with pytest.raises(RunError, match=r"delete its checkpoints/last\.ckpt.*--resume"):
        Run.load(folder)
    (folder / "checkpoints" / "last.ckpt").unlink()
    Run.resume(folder).fit(echo=silent)
    assert (folder / "weights.safetensors").read_bytes() == whole


def test_a_run_is_not_resumed_on_changed_text(tmp_path):
    corpus = write_corpus(tmp_path / "text", train=20, valid=6)
    run = Run.create(tiny_config(corpus, training__epochs=1), tmp_path / "run", echo=silent)
    before = contents(run.path)
    write_text(tmp_path / "text", "train", sentence_pairs(20, 9))
    with pytest.raises(
        RunError, match=r"train\.de .*not the train text that this run was created with"
    ):
        Run.resume(run.path).fit(echo=silent)
    assert contents(run.path) == before
    (run.path / "data.json").write_text("{")
    with pytest.raises(RunError, match=r"data\.json: damaged"):
        run.fit(echo=silent)


def test_relative_paths_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    write_corpus(tmp_path / "text", train=20, valid=6)
    monkeypatch.chdir(tmp_path)
    corpus = {name: [f"text/{name}.de", f"text/{name}.en"] for name in ("train", "valid")}
    config = tiny_config(corpus, network__cell="gru", training__max_steps=2)
    Run.create(config, tmp_path / "run", echo=silent)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Run.resume("../run").fit(echo=silent)
    assert checkpoint(tmp_path / "run")["global_step"] == 1


OWN = """
from pyro_align.runs.claims import LOCK
from pyro_align.guides import PriorGuide
from pyro_align.models import CategoricalModel

class MyModel(CategoricalModel):
    pass

class MyGuide(PriorGuide):
    def __init__(self, model, *, note: str = ""):
        super().__init__(model)
        assert type(model).__name__ in ("MyModel", "CategoricalModel")
        self.note = note
"""


def test_user_code_is_copied_into_the_run(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(textwrap.dedent(OWN))
    config = tiny_config(
        shared_corpus(),
        network__cell="gru",
        model__name=f"{file}:MyModel",
        guide__name=f"{file}:MyGuide",
        guide__note="kept",
        training__max_steps=1,
    )
    fitted(config, tmp_path / "run")
    file.unlink()
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    shutil.rmtree(tmp_path / "run")
    run = pyro_align.load(tmp_path / "copy")
    assert isinstance(run.guide, PriorGuide)
    assert type(run.guide).__name__ == "MyGuide"
    assert run.guide.note == "kept"
    assert run.config.guide.name == "code/mine.py:MyGuide"
    assert run.config.objective.name == "exact"
    assert (tmp_path / "copy" / "code" / "mine.py").read_text() == textwrap.dedent(OWN)
    assert len(list(run.translate(LINES))) == 3


def test_two_code_files_with_the_same_name_are_rejected(tmp_path):
    names = {}
    for kind, folder in (("model", "a"), ("guide", "b")):
        file = tmp_path / folder / "mine.py"
        file.parent.mkdir()
        file.write_text(f"# {folder}\n{OWN}")
        names[f"{kind}__name"] = f"{file}:My{kind.title()}"
    with pytest.raises(ConfigError, match=r"another file is also called mine\.py; rename one"):
        Run.create(tiny_config(shared_corpus(), **names), tmp_path / "run", echo=silent)
    assert not (tmp_path / "run").exists()


def test_given_vocabularies_are_copied(tmp_path):
    given = {f"vocabulary__{side}": shared_run() / f"{side}.model" for side in ("source", "target")}
    run = Run.create(tiny_config(shared_corpus(), **given), tmp_path / "run", echo=silent)
    for side in ("source", "target"):
        model = f"{side}.model"
        assert (run.path / model).read_bytes() == (shared_run() / model).read_bytes()


def test_a_joint_vocabulary_can_be_tied(tmp_path):
    config = tiny_config(
        shared_corpus(),
        vocabulary__joint=True,
        network__tie_embeddings="all",
        network__cell="gru",
        training__max_steps=2,
    )
    run = fitted(config, tmp_path / "run")
    assert (run.path / "source.model").read_bytes() == (run.path / "target.model").read_bytes()
    again = pyro_align.load(run.path)
    assert (
        again.model.networks.source_embedding.weight is again.model.networks.target_embedding.weight
    )
