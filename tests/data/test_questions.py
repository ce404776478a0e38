import gzip
import io
import json

import pytest

from pyro_align.data import Question, read_questions
from pyro_align.errors import DataError, UserError

QUESTIONS = {
    "info": {},
    "questions": [
        {"image_id": 458752, "question": "What is this photo taken of?", "question_id": 458752000},
        {"image_id": 7, "question": "How many?", "question_id": 70},
    ],
}
ANNOTATIONS = {
    "annotations": [
        {
            "question_type": "how many",
            "multiple_choice_answer": "2",
            "answers": [
                {"answer": answer, "answer_confidence": "maybe", "answer_id": number}
                for number, answer in enumerate(["two", "two", "2"], start=1)
            ],
            "image_id": 7,
            "answer_type": "number",
            "question_id": 70,
        },
        {
            "multiple_choice_answer": "net",
            "answers": [{"answer": "net", "answer_id": 1}],
            "image_id": 458752,
            "answer_type": "other",
            "question_id": 458752000,
        },
    ]
}


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_vqa(folder, questions=QUESTIONS, annotations=ANNOTATIONS):
    return [
        write(folder / "q.json", json.dumps(questions)),
        write(folder / "a.json", json.dumps(annotations, indent=1)),
    ]


def test_vqa_questions_are_joined_with_their_annotations(tmp_path):
    questions, annotations = write_vqa(tmp_path)
    for order in ([questions, annotations], [annotations, questions]):
        first, second = read_questions(order)
        assert first == Question(
            "458752",
            "What is this photo taken of?",
            ("net",),
            "458752000",
            "other",
            chosen="net",
            place=f"{questions}: question 458752000",
        )
        assert (second.answers, second.answer) == (("two", "two", "2"), "2")


def test_vqa_questions_without_annotations(tmp_path):
    questions, _ = write_vqa(tmp_path)
    assert [each.answers for each in read_questions([questions], needs_answers=False)] == [(), ()]
    with pytest.raises(DataError, match=r"q.json: question 458752000: .*no answer.*annotations"):
        read_questions([questions])


def test_tsv(tmp_path):
    path = write(
        tmp_path / "a.tsv",
        "image\tquestion\tanswer\tregion\ttype\tid\nb.png\tWhat?\tred\t0 2\tcolour\tx\n"
        "b.png\tWho?\ta man\t\t\t\n",
    )
    assert read_questions([path]) == [
        Question("b.png", "What?", ("red",), "x", "colour", frozenset({0, 2}), "", f"{path}:2"),
        Question("b.png", "Who?", ("a man",), place=f"{path}:3"),
    ]


def test_jsonl(tmp_path):
    rows = [
        {"image": 3, "question": "What?", "answer": "red", "region": 1},
        {"image": "c", "question": "Who?", "answers": ["a", "b", "b"], "region": [1, 2], "id": 5},
        {"image": "c", "question": "Who?", "answers": ["a", "b", "b"], "answer": "a"},
    ]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    first, second, third = read_questions([path])
    assert (first.image, first.answers, first.regions) == ("3", ("red",), frozenset({1}))
    assert (second.id, second.answer, second.regions) == ("5", "b", frozenset({1, 2}))
    assert (third.answers, third.answer) == (("a", "b", "b"), "a")


def test_of_equally_frequent_answers_the_first_counts():
    assert Question("i", "q", ("b", "a", "a", "b", "c")).answer == "b"


def test_several_files_are_one_part(tmp_path):
    one = write(tmp_path / "a.jsonl.gz", gzip.compress(b'{"image": "a", "question": "?"}\n'))
    two = write(tmp_path / "b.tsv", "image\tquestion\nb\tWhat?\n")
    found = read_questions([one, two], needs_answers=False)
    assert [question.image for question in found] == ["a", "b"]


@pytest.mark.parametrize(
    "content", [b'{"image": "a", "question": "?"}\n', b"question\timage\n?\ta\n"]
)
def test_a_stream_is_recognised(content, tmp_path):
    for source in (io.BytesIO(content), write(tmp_path / "no_ending", content)):
        (question,) = read_questions([source], needs_answers=False)
        assert (question.image, question.text) == ("a", "?")
    assert read_questions([io.BytesIO(content)], needs_answers=False)[0].place.startswith(
        "<stdin>:"
    )


OK = {"image": "a", "question": "?", "answer": "x"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "", "a.tsv: there are no questions"),
        ("a.tsv", "image\tquestion\tanser\n", "a.tsv:1: .*'anser'.*did you mean 'answer'"),
        ("a.tsv", "image\tanswer\n", "a.tsv:1: column 'question' is missing"),
        ("a.tsv", "image\tquestion\timage\n", "a.tsv:1: column 'image' is given twice"),
        ("a.tsv", "image\tquestion\tanswer\na\t?\n", r"a.tsv:2: expected 3 columns .* got 2"),
        ("a.tsv", "image\tquestion\tanswer\n\n", "a.tsv:2: .* got an empty line"),
        ("a.tsv", "image\tquestion\tanswer\n", "a.tsv: there are no questions"),
        ("a.tsv", "image\tquestion\tanswer\na\t?\t\n", "a.tsv:2: the question has no answer"),
        ("a.tsv", "image\tquestion\tanswer\na\t \tx\n", "a.tsv:2: the question is empty"),
        ("a.tsv", "image\tquestion\tanswer\n\t?\tx\n", "a.tsv:2: the image is empty"),
        ("a.tsv", "image\tquestion\tanswer\na\t?\t \n", "a.tsv:2: an answer is empty"),
        ("a.tsv", "image\tquestion\tanswer\tregion\na\t?\tx\t-1\n", "a.tsv:2: regions must be"),
        ("a.jsonl", "", "a.jsonl: there are no questions"),
        ("a.jsonl", '{"image": 1', "a.jsonl:1: not JSON"),
        ("a.jsonl", "[1]", "a.jsonl:1: expected a JSON object"),
        ("a.jsonl", json.dumps(OK) + "\n{}", "a.jsonl:2: key 'image' is missing"),
        ("a.jsonl", json.dumps(OK | {"question": None}), "a.jsonl:1: key 'question' is missing"),
        ("a.jsonl", json.dumps(OK | {"image": [1]}), "a.jsonl:1: 'image' must be a string"),
        ("a.jsonl", json.dumps(OK | {"image": True}), "a.jsonl:1: 'image' must be a string"),
        ("a.jsonl", json.dumps(OK | {"answers": "x"}), "a.jsonl:1: 'answers' must be a list"),
        ("a.jsonl", json.dumps(OK | {"answers": [{}]}), "a.jsonl:1: key 'answer' is missing"),
        ("a.jsonl", json.dumps(OK | {"region": -1}), "a.jsonl:1: 'region' must be a number"),
        ("a.jsonl", json.dumps(OK | {"region": [0.5]}), "a.jsonl:1: 'region' must be a number"),
        ("a.jsonl", json.dumps(OK | {"question": "\ud800"}), "a.jsonl:1: .*half a surrogate"),
        ("a.jsonl", json.dumps(OK | {"anwser": "x"}), ":1: .*'anwser'; did you mean 'answer'"),
        ("a.jsonl", '{"image": "a", "image": "b"}', "a.jsonl:1: key 'image' is given twice"),
        ("a.jsonl", json.dumps(OK) + "\n\n", "a.jsonl:2: an empty line"),
        ("a.jsonl", (json.dumps(OK | {"id": 3}) + "\n") * 2, "a.jsonl:2: a second question .* 3"),
        ("a.tsv", "image\tquestion\tanswer\tid\n" + "a\t?\tx\t3\n" * 2, "a.tsv:3: a second .* 3"),
        ("a.csv", "image,question,answer\na,?,x\n", "a.csv:1: .* end in .jsonl, .tsv, or .json"),
        ("a.json", '{"questions": [], "questions": []}', "a.json: key 'questions' is given twice"),
        ("a.json", "{", "a.json: not JSON"),
        ("a.json", "{}", 'a.json: expected VQA 2.0.*"annotations".*jsonl'),
        ("a.json", '{"questions": [1]}', "a.json: entry 0 of questions: not a JSON object"),
        ("a.json", '{"questions": [{"question_id": 4}]}', "a.json: question 4: key 'image_id'"),
        ("a.json", '{"questions": [{}]}', "a.json: entry 0 of questions: key 'question_id'"),
    ],
)  # fmt: skip
def test_bad_files(name, content, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read_questions([write(tmp_path / name, content)])


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"a.tsv: no such file"):
        read_questions([tmp_path / "a.tsv"])
    with pytest.raises(UserError, match="sources"):
        read_questions(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, a: q.append(q[0]), "q.json: question 458752000: a second question"),
        (lambda q, a: a.append(a[0]), "a.json: question 70: a second annotation"),
        (lambda q, a: q.pop(), "a.json: question 70: its question is in none of the files"),
        (lambda q, a: a.pop(), "q.json: question 458752000: the question has no answer"),
        (lambda q, a: a[0].update(image_id=8), "question 70: about image 8, .* about image 7"),
    ],
)
def test_questions_and_annotations_that_disagree(change, message, tmp_path):
    questions, annotations = (json.loads(json.dumps(each)) for each in (QUESTIONS, ANNOTATIONS))
    change(questions["questions"], annotations["annotations"])
    with pytest.raises(DataError, match=message):
        read_questions(write_vqa(tmp_path, questions, annotations))
