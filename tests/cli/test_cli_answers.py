"""Commands on runs that answer questions about images."""

import json

import pytest
from answering import named, questions, shared_answering_run, write_questions, write_regions
from click.testing import CliRunner
from forms import shared_forms_run

import pyro_align
from pyro_align.cli import main
from pyro_align.data import Question


def call(*arguments, text=None):
    return CliRunner().invoke(main, [*map(str, arguments)], input=text)


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_answering_run())


def test_questions_of_a_file_or_of_standard_input_are_answered(run):
    (path,) = run.task.files("test")
    given = call("predict", run.path, path)
    assert given.exit_code == 0, given.output
    asked = run.task.questions("test")
    lines = [json.dumps({"image": each.image, "question": each.text}) for each in asked]
    bare = call("predict", run.path, text="\n".join(lines))
    table = "\n".join(["question\timage", *(f"{each.text}\t{each.image}" for each in asked)])
    columns = call("predict", run.path, text=table)
    expected = [found.answers[0].text for found in run.predict(asked)]
    for result in (given, bare, columns):
        assert result.stdout.splitlines() == expected


def test_probabilities_and_regions_are_printed(run, tmp_path):
    asked = run.task.test_pairs(3)
    lines = "\n".join(
        json.dumps({"image": each.image, "question": each.text, "id": number})
        for number, each in enumerate(asked)
    )
    found = list(run.predict(asked, n_best=2))
    rows = [
        line.split("\t")
        for line in call(
            "predict", run.path, "--n-best", 2, "--scores", text=lines
        ).stdout.splitlines()
    ]
    answers = [answer for each in found for answer in each.answers]
    for (probability, region, weight, text), answer in zip(rows, answers, strict=True):
        assert text == answer.text
        assert float(probability) == pytest.approx(answer.probability, abs=1e-4)
        assert float(weight) == pytest.approx(max(answer.regions), abs=1e-4)
        assert answer.regions[int(region)] == max(answer.regions)
    out = tmp_path / "answers.jsonl"
    result = call("predict", run.path, "--n-best", 2, "--json", "--out", out, text=lines)
    assert result.exit_code == 0, result.output
    objects = [json.loads(line) for line in out.read_text().splitlines()]
    assert [each["id"] for each in objects] == ["0", "1", "2"]
    for each, prediction in zip(objects, found, strict=True):
        assert [answer["text"] for answer in each["answers"]] == [
            answer.text for answer in prediction.answers
        ]
        for answer in each["answers"]:
            assert sum(answer["regions"]) == pytest.approx(1, abs=1e-5)


def test_evaluations_are_printed(run, tmp_path):
    table = call("evaluate", run.path)
    assert table.exit_code == 0, table.output
    for name in ("negative log likelihood", "accuracy", "gold region of the posterior", "60"):
        assert name in table.stdout
    facts = json.loads(call("evaluate", run.path, "--json").stdout)
    assert facts == json.loads(json.dumps(run.evaluate().to_dict()))
    objects = named(6, 9)
    other = write_questions(tmp_path / "other.jsonl", questions(objects))
    images = write_regions(tmp_path / "other.npz", objects)
    result = call("evaluate", run.path, "--test", other, "--images", images, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["sentences"] == sum(map(len, objects.values()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "--beam", 3), "--beam has no effect on questions about images"),
        (("predict", "--language", "fin"), "--language has no effect on questions"),
        (("evaluate", "--draws", 3), "--draws has no effect on a run of the task 'vqa'"),
        (("evaluate", "--edits", 3), "--edits has no effect on questions about images"),
        (("evaluate", "--no-predict"), "no effect on questions about images"),
        (("predict", "--images", "nowhere.npz"), "nowhere.npz"),
    ],
)
def test_options_without_effect_are_rejected(run, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command, *rest = arguments
    asked = run.task.test_pairs(1)[0]
    text = json.dumps({"image": asked.image, "question": asked.text})
    result = call(command, run.path, *rest, text=text)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_options_of_questions_are_rejected_for_words(tmp_path):
    for arguments in (
        ("predict", "--images", "x"),
        ("evaluate", "--images", "x"),
    ):
        result = call(arguments[0], shared_forms_run(), *arguments[1:], text="ab\tN;SG\n")
        assert result.exit_code == 2
        assert "task 'vqa'" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"image": "image3-0"}', "<stdin>:1"),
        ('{"image": "nowhere", "question": "what?"}', "no features of image nowhere"),
        ("", "there are no questions"),
        ('{"image": "image3-0", "question": "what?"', "<stdin>:1"),
    ],
)
def test_bad_questions_are_named(run, text, message):
    result = call("predict", run.path, text=text)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not result.stdout


def test_predictions_need_no_gold_region_and_unknown_words_are_told_once(run):
    image = run.task.test_pairs(1)[0].image
    rows = [{"image": image, "question": "Zorp colour?", "region": 99}] * 2
    result = call("predict", run.path, "--n-best", 50, text="\n".join(map(json.dumps, rows)))
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 2 * len(run.task.vocabularies[1].answers)
    assert result.stderr.count("1 words of questions are unknown: zorp") == 1


def test_gradients_are_diagnosed(run):
    result = call("diagnose", run.path, "--sentences", 4, "--repeats", 8, "--json")
    assert result.exit_code == 0, result.output
    assert "exact" in json.loads(result.stdout)["objectives"]


def test_other_commands_show_such_runs(run):
    compared = call("compare", run.path)
    assert compared.exit_code == 0, compared.output
    assert "vqa" in call("list").stdout
    listed = call("settings", "--task", "vqa", "network").stdout
    assert "network.glimpses" in listed
    assert Question in {type(each) for each in run.test_pairs(1)}
