"""The task ``vqa``: fits on questions about regions of images."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from answering import (
    COLOURS,
    PARTS,
    named,
    questions,
    settings,
    shared_answering_run,
    write_questions,
    write_regions,
)
from PIL import Image

import pyro_align
from pyro_align.config import Config
from pyro_align.data import Question
from pyro_align.data.demo import scenes
from pyro_align.errors import ConfigError, DataError, RunError, UserError
from pyro_align.runs import Run


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_answering_run())


def create(folder, echo=lambda line: None, **changes):
    return Run.create(Config.load(None, settings(folder, **changes)), folder / "run", echo=echo)


def one_by_one(run, question):
    """Log prior, and log emission of every answer, of the regions of one question, by hand."""
    network, task = run.model.networks, run.task
    batch = task.encoded([question], task.data.images("test")).batch([0])
    states = network(batch)
    prior = states.scores[0, 0].log_softmax(-1)
    emission = network.emission
    units = torch.tanh(emission.query(states.hidden[0]) + states.memory.values[0])
    logits = emission.gain * units @ emission.weight.T + emission.bias
    return prior, logits.log_softmax(-1)


def test_a_fit_finds_the_region_and_its_answer(run):
    facts = run.evaluate().to_dict()
    assert facts["answer_accuracy"] > 0.8
    assert facts["gold_accuracy_posterior"] > 0.9
    assert facts["gold_mass_posterior"] > facts["gold_mass_prior"]


@torch.no_grad()
def test_an_evaluation_agrees_with_questions_one_by_one(run):
    result = run.evaluate()
    answers = run.task.vocabularies[1]
    test = run.task.questions("test")
    nll, correct, mass, hits, confidences = [], [], [], [], []
    for question in test:
        prior, emission = one_by_one(run, question)
        joint = prior.unsqueeze(-1) + emission
        marginal = joint.logsumexp(0)
        gold = answers.id(question.answer)
        posterior = (joint[:, gold] - marginal[gold]).exp()
        (region,) = question.regions
        nll.append(-marginal[gold].item())
        correct.append(int(marginal.argmax()) == gold)
        confidences.append(marginal.max().exp().item())
        mass.append(posterior[region].item())
        hits.append(int(posterior.argmax()) == region)
    facts = result.to_dict()
    assert facts["sentences"] == len(test) == 60
    expected = {
        "nll": nll,
        "answer_accuracy": correct,
        "gold_mass_posterior": mass,
        "gold_accuracy_posterior": hits,
    }
    for name, values in expected.items():
        assert facts[name] == pytest.approx(np.mean(values), abs=1e-4)
    edges = np.ceil(np.array(confidences) * 10)
    error = sum(
        abs(np.sum((np.array(correct) - np.array(confidences))[edges == edge]))
        for edge in range(11)
    )
    assert facts["answer_calibration_error"] == pytest.approx(error / len(test), abs=1e-4)
    assert sum(row["questions"] for row in facts["calibration"]) == len(test)
    assert sum(row["questions"] for row in facts["types"].values()) == len(test)
    assert facts["elbo"] <= -facts["nll"]
    assert "vqa_accuracy" not in facts
    assert "question" not in repr(result.answers)


@torch.no_grad()
def test_predictions_are_exact_marginals_with_the_posterior_of_each_answer(run):
    asked = run.task.test_pairs(7)
    bare = [Question(each.image, each.text) for each in asked]
    found = list(run.predict(bare, n_best=2))
    answers = run.task.vocabularies[1].answers
    for question, prediction in zip(asked, found, strict=True):
        prior, emission = one_by_one(run, question)
        joint = prior.unsqueeze(-1) + emission
        log_probs, ids = joint.logsumexp(0).topk(2)
        assert [each.text for each in prediction.answers] == [answers[i] for i in ids.tolist()]
        for answer, log_prob, number in zip(prediction.answers, log_probs, ids, strict=True):
            assert answer.probability == pytest.approx(log_prob.exp().item(), abs=1e-5)
            expected = joint[:, number].softmax(0).tolist()
            assert answer.regions == pytest.approx(expected, abs=1e-5)
        assert prediction.prior == pytest.approx(prior.exp().tolist(), abs=1e-5)


def test_posteriors_of_questions(run):
    asked = run.task.test_pairs(20)
    found = run.posterior(asked)
    assert len(found) == 20
    assert found[0].kinds == ("prior", "guide", "posterior")
    store = run.task.data.images("test")
    for question, one in zip(asked, found, strict=True):
        assert one.question == question
        assert one.observed == question.answer
        count = len(store[question.image])
        for kind in one.kinds:
            assert one.regions(kind).shape == (count,)
            assert one.regions(kind).sum() == pytest.approx(1, abs=1e-5)
        assert one.image.boxes == pytest.approx(store[question.image].relative_boxes)
        assert one.probabilities[0] >= one.probabilities[1]
    (unknown,) = run.posterior([Question(asked[0].image, asked[0].text)])
    assert unknown.observed == unknown.answers[0]


def test_answers_outside_the_vocabulary_count_as_wrong(run, tmp_path):
    test = run.task.questions("test")
    strange = [Question(each.image, each.text, ("mauve",)) for each in test[:20]]
    whole, known = run.evaluate([*test[:20], *strange]), run.evaluate(test[:20])
    assert whole.sentences == 40
    facts, expected = whole.to_dict(), known.to_dict()
    assert facts["nll"] == pytest.approx(expected["nll"])
    assert facts["answer_accuracy"] == pytest.approx(expected["answer_accuracy"] / 2)
    (note,) = whole.notes
    assert note.startswith("the answers to 20 of 40 questions are not in the vocabulary")
    strange[0] = replace(strange[0], place="q.tsv:2")
    with pytest.raises(DataError, match=r"q.tsv:2: neither this nor any other of the 20 questions"):
        run.evaluate(strange)


def test_vqa_accuracy_needs_several_answers(run):
    test = run.task.questions("test")[:10]
    many = [Question(each.image, each.text, each.answers * 10) for each in test]
    facts = run.evaluate(many).to_dict()
    assert facts["vqa_accuracy"] == pytest.approx(facts["answer_accuracy"])
    assert run.evaluate(many).to_dict()["vqa_accuracy_interval"][1] <= 1


def test_rare_answers_are_left_out_and_told(tmp_path):
    objects = named(12, 1)
    rows = questions(objects)
    rows[0]["answer"] = "mauve"
    train = write_questions(tmp_path / "rare.jsonl", rows)
    told = []
    run = create(
        tmp_path,
        told.append,
        **{
            "data.train": [str(train)],
            "data.valid": [str(train)],
            "data.images": [str(write_regions(tmp_path / "few.npz", objects))],
            "data.test": None,
            "data.min_answers": 2,
        },
    )
    assert sorted(run.task.vocabularies[1].answers) == sorted(COLOURS)
    assert len(run.task.examples("train")) == len(rows) - 1
    notes = [line for line in told if line.startswith("note:")]
    assert len(notes) == 2
    assert f"the answers to 1 of {len(rows)} training questions" in notes[0]


def test_a_run_is_loaded_without_its_data(run, tmp_path):
    folder = tmp_path / "copy"
    copied = create(tmp_path, **{"training.epochs": 1})
    Path(copied.config.data.images[0]).unlink()
    again = Run.resume(copied.path)
    assert again.task.region_format == (7, True)
    with pytest.raises(DataError, match=r"regions.npz"):
        again.evaluate()
    del folder


def test_two_runs_with_one_seed_are_the_same(tmp_path):
    values = []
    for name in ("a", "b"):
        run = create(tmp_path / name, **{"training.epochs": 1, "network.dropout": 0.2})
        run.fit(echo=lambda line: None, quiet=True)
        values.append(run.evaluate().to_dict())
    assert values[0] == values[1]


def test_changed_questions_are_noticed(tmp_path):
    run = create(tmp_path)
    path = Path(run.config.data.train[0])
    path.write_text(path.read_text().replace("red", "green", 1))
    with pytest.raises(RunError, match="not the train text that this run was created with"):
        Run.resume(run.path).fit(echo=lambda line: None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.valid": None}, "training and validation questions go together: give --valid too"),
        ({"data.images": None}, "needs files of region features: set data.images"),
        ({"network.hidden": 15}, "must be even, got 15"),
        ({"network.attention": "dot", "network.hidden": 16}, "'dot' needs queries"),
        (
            {"data.train": None, "data.valid": None, "data.test": None},
            "data.images has no effect with the built-in questions",
        ),
        (
            {"data.train": None, "data.valid": None, "network.regions": "pixels"},
            "data.built_in = 'scenes' needs network.regions = 'features'",
        ),
        ({"network.emission": "softmax"}, "network.emission"),
        ({"data.gold": "gold.talp"}, "a gold region is given with its question, as 'region'"),
    ],
)
def test_settings_are_checked(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        create(tmp_path, **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "nowhere"}, r"bad.jsonl:2: there are no features of image nowhere in .*npz"),
        ({"region": 9}, r"bad.jsonl:2: region 9 of image image1-0 does not exist: it has 1"),
        ({"question": " "}, r"bad.jsonl:2: the question is empty"),
    ],
)
@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_bad_questions_are_found_before_the_fit(tmp_path, part, row, message):
    rows = questions(named(3, 1))
    bad = write_questions(tmp_path / "bad.jsonl", [rows[0], {**rows[0], **row}])
    with pytest.raises(DataError, match=message):
        create(tmp_path, **{f"data.{part}": [str(bad)]})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("part", ["valid", "test"])
def test_answers_that_are_all_unknown_are_found_before_the_fit(tmp_path, part):
    rows = [{**row, "answer": "mauve"} for row in questions(named(3, 1))]
    bad = write_questions(tmp_path / "bad.jsonl", rows)
    with pytest.raises(DataError, match=r"bad.jsonl:1: neither this nor any other of the 6 ques"):
        create(tmp_path, **{f"data.{part}": [str(bad)]})
    assert not (tmp_path / "run").exists()


def _without_boxes(path, out):
    with np.load(path) as arrays:
        np.savez(out, **{name: each for name, each in arrays.items() if name != "boxes"})
    return out


@pytest.mark.parametrize("trained_on_boxes", [True, False])
def test_a_run_reads_boxes_if_and_only_if_it_was_trained_on_them(tmp_path, trained_on_boxes):
    settings(tmp_path)
    boxes = tmp_path / "regions.npz"
    bare = _without_boxes(boxes, tmp_path / "bare.npz")
    own, other = (boxes, bare) if trained_on_boxes else (bare, boxes)
    run = create(tmp_path, **{"data.images": [str(own)]})
    again = Run.resume(run.path)
    asked = again.test_pairs(2)
    assert len(list(again.task.predict(again.model, asked, images=[own]))) == 2
    message = "have no boxes, .* have boxes" if trained_on_boxes else "have boxes, .* have none"
    with pytest.raises(DataError, match=rf"{other.name}: regions {message}: give .* or fit"):
        list(again.task.predict(again.model, asked, images=[other]))


def test_features_of_another_size_are_rejected(run, tmp_path):
    np.savez(
        tmp_path / "other.npz",
        images=np.array(["image3-0"]),
        offsets=np.array([0, 1]),
        features=np.zeros((1, 5), np.float32),
    )
    asked = [Question("image3-0", "what colour is the ball?")]
    with pytest.raises(DataError, match=r"other.npz: regions have 5 features, but .* have 7"):
        list(run.predict(asked, images=[tmp_path / "other.npz"]))


def test_inputs_are_questions(run):
    with pytest.raises(UserError, match="questions is one string"):
        list(run.predict("what colour?"))
    with pytest.raises(UserError, match="expected questions, got 'what colour"):
        list(run.predict(["what colour?"]))


@pytest.mark.parametrize("name", ["answers.json", "images.json", "words.json"])
def test_damaged_files_are_named(tmp_path, name):
    run = create(tmp_path)
    path = run.path / name
    path.write_text(path.read_text()[:-5])
    with pytest.raises((DataError, RunError), match=name):
        Run.resume(run.path)


def test_pixels(tmp_path):
    """Colours are found in pictures, each a square of one colour on white."""
    generator = np.random.default_rng(0)
    colours = {"red": (220, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 220)}
    folder = tmp_path / "images"
    folder.mkdir()
    rows = []
    for number in range(90):
        name = COLOURS[number % 3]
        pixels = np.full((20, 24, 3), 255, np.uint8)
        left, top = generator.integers(0, 14, 2)
        pixels[top : top + 6, left : left + 6] = colours[name]
        Image.fromarray(pixels).save(folder / f"{number}.png")
        asked = {"image": f"{number}.png", "question": "What colour?", "answer": name}
        rows.append(asked)
    train = write_questions(folder / "train.jsonl", rows[:72])
    valid = write_questions(folder / "valid.jsonl", rows[72:])
    changes = {
        "data.train": [str(train)],
        "data.valid": [str(valid)],
        "data.test": None,
        "data.images": None,
        "network.regions": "pixels",
        "network.image_size": 8,
        "network.grid_layers": 1,
        "network.grid_channels": 16,
        "training.epochs": 10,
    }
    run = create(tmp_path, **changes)
    run.fit(echo=lambda line: None, quiet=True)
    assert run.evaluate().to_dict()["answer_accuracy"] > 0.9
    (found,) = run.predict([Question("3.png", "What colour?")], images=[folder])
    assert len(found.prior) == run.config.network.cells == 16
    posterior = run.posterior(run.test_pairs(2))
    assert posterior[0].regions("posterior").shape == (16,)
    (folder / "80.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"valid.jsonl:9: .*80.png: image 80.png cannot be decoded"):
        Run.load(run.path).evaluate()
    (folder / "80.png").unlink()
    with pytest.raises(DataError, match=r"valid.jsonl:9: there is no image 80.png"):
        Run.load(run.path).evaluate()


def test_the_built_in_scenes(tmp_path):
    run = Run.create(Config.load(None, [("task", "vqa")]), tmp_path / "run", echo=lambda line: None)
    assert json.loads((run.path / "data.json").read_text())["train"]["pairs"] == len(
        run.task.questions("train")
    )
    assert (run.path / "data" / "regions.npz").is_file()
    batch = run.task.examples("test").batch(range(8))
    assert batch.source_lengths.max() <= 9
    assert [part for part, *_ in PARTS] == list(scenes.PARTS)
