"""The recipe ``vqa2``, on files in the format of VQA 2.0 and of bottom-up features."""

import json

import numpy as np
from region_files import write_hdf5

from pyro_align.config import Config, recipe
from pyro_align.runs import Run

COLOURS = ("red", "green", "blue")
SMALL = {
    "network.embedding": 8,
    "network.hidden": 8,
    "network.region_size": 8,
    "network.attention_hidden": 8,
    "network.answer": 8,
    "guide.hidden": 8,
    "training.max_steps": 2,
}


def write_part(folder, name, features, first, count):
    """Write questions, annotations with ten answers each, and features of 36 regions an image."""
    random = np.random.default_rng(first)
    images = [first + 3 * number for number in range(count)]
    questions, annotations, regions = [], [], {}
    for number, image in enumerate(images):
        answer = COLOURS[number % len(COLOURS)]
        own = {"image_id": image, "question_id": 1000 * image}
        questions.append({**own, "question": "What color is the cat?"})
        given = [answer] * 7 + ["a cat", "two", answer.upper()]
        annotations.append(
            {
                **own,
                "question_type": "what color is the",
                "answer_type": "other",
                "multiple_choice_answer": answer,
                "answers": [
                    {"answer": each, "answer_confidence": "yes", "answer_id": place}
                    for place, each in enumerate(given, start=1)
                ],
            }
        )
        start, extent = random.uniform(0, 0.5, (2, 36, 2))
        boxes = np.concatenate([start, start + extent], 1).astype(np.float32)
        regions[str(image)] = random.standard_normal((36, 16)).astype(np.float32), boxes
    common = {"info": {}, "license": {}, "data_subtype": name, "data_type": "mscoco"}
    for path, rows in (
        (f"v2_OpenEnded_mscoco_{name}_questions.json", {"questions": questions}),
        (f"v2_mscoco_{name}_annotations.json", {"annotations": annotations}),
    ):
        (folder / path).write_text(json.dumps({**common, **rows}))
    write_hdf5(folder / features, regions)


def test_the_recipe_is_fitted_and_scored(tmp_path, monkeypatch):
    monkeypatch.setenv("PYRO_ALIGN_DATA", str(tmp_path))
    folder = tmp_path / "vqa2"
    folder.mkdir()
    write_part(folder, "train2014", "train36.hdf5", 100, 27)
    write_part(folder, "val2014", "val36.hdf5", 5000, 6)
    config = Config.load(recipe("vqa2"), [*SMALL.items()])
    run = Run.create(config, tmp_path / "run", echo=lambda line: None)
    assert run.task.vocabularies[1].answers == tuple(sorted(COLOURS))
    run.fit(echo=lambda line: None, quiet=True)
    found = run.evaluate()
    scores = found.to_dict()
    # Eight of the ten answers are the same, so that a right answer scores 1 in each subset.
    assert scores["vqa_accuracy"] == scores["answer_accuracy"]
    assert {"nll", "elbo", "gap"} <= scores.keys()
    (prediction,) = run.predict(run.test_pairs(1))
    assert len(prediction.prior) == 36
