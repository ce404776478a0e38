"""`pyro-align inspect` on runs that answer questions."""

import json
import re

import pytest
from answering import named, questions, shared_answering_run, write_questions, write_regions
from click.testing import CliRunner
from PIL import Image
from runs import shared_corpus, shared_run

import pyro_align
from pyro_align.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def data(path):
    text = path.read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_answering_run())


def test_the_test_questions_of_the_run(run, tmp_path):
    out = tmp_path / "report.html"
    result = call(run.path, "--out", out)
    asked = run.task.test_pairs()
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}: {len(asked)} questions\n"
    found = data(out)
    assert [each["text"] for each in found["sentences"]] == [each.text for each in asked]
    assert [each["answer"] for each in found["sentences"]] == [each.answer for each in asked]
    assert len(found["images"]) == len({each.image for each in asked})
    assert "Calibration against the gold regions" in out.read_text(encoding="utf-8")


def test_questions_images_and_pictures_of_files(run, tmp_path):
    objects = named(6, 9)
    rows = [{**each, "answer": ""} for each in questions(objects)]
    for row in rows:
        del row["answer"]
    asked = write_questions(tmp_path / "asked.jsonl", rows)
    images = write_regions(tmp_path / "asked.npz", objects)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (90, 60), "red").save(pictures / "image9-1.jpg")
    out = tmp_path / "report.html"
    options = ("--images", images, "--pictures", pictures, "--most", 5, "--out", out)
    result = call(run.path, asked, *options)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}: 5 questions\n"
    assert f"the first 5 of {len(rows)} questions" in result.stderr
    found = data(out)
    assert [each["answer"] for each in found["sentences"]] == [None] * 5
    has_picture = ["url" in found["images"][each["image"]] for each in found["sentences"]]
    assert has_picture == [row["image"] == "image9-1" for row in rows[:5]]


def test_bad_input(run, tmp_path):
    out = tmp_path / "report.html"
    objects = named(2, 9)
    asked = write_questions(tmp_path / "asked.jsonl", questions(objects))
    (tmp_path / "broken.jsonl").write_text('{"image": 1}\n')
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / f"{run.task.questions('test')[0].image}.png").write_text("nothing")
    for arguments, message in (
        ((asked,), "there are no features of image image9-0"),
        ((tmp_path / "broken.jsonl",), "broken.jsonl:1"),
        (("--pictures", tmp_path / "nowhere"), "no such"),
        (("--pictures", asked), "asked.jsonl: this is a file: give the folder of the images"),
        (("--pictures", pictures), "cannot be decoded"),
        (("--images", asked), "asked.jsonl"),
        (("--gold", asked), "--gold has no effect on questions about images"),
        (("--pieces",), "--pieces has no effect on questions about images"),
        (("--most", 0), "--most"),
    ):
        result = call(run.path, *arguments, "--out", out)
        assert result.exit_code == 2, (arguments, result.output)
        assert message in result.stderr, (arguments, result.stderr)
        assert "Traceback" not in result.output
        assert not out.exists()


@pytest.mark.parametrize("option", [("--most", 3), ("--pictures", "x"), ("--images", "x")])
def test_options_of_questions_are_rejected_for_sentences(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    result = call(shared_run(), *shared_corpus()["valid"], *option)
    assert result.exit_code == 2
    assert f"{option[0]} has no effect on sentence pairs" in result.stderr
