import json

import pytest

from pyro_align.data import FORMATS, LinkFile
from pyro_align.errors import ConfigError
from pyro_align.word_alignment import AlignedPair, Pair, writer

ALIGNED = [
    AlignedPair(Pair("ein alter hund", "«a» dog", 1), {(0, 0): 0.93118, (2, 1): 0.5}),
    AlignedPair(Pair("", "", 2), {}),
    AlignedPair(Pair("ja", "yes", 3), {(0, 0): 1.0}),
]
WRITTEN = {
    ("pharaoh", False): "0-0 2-1\n\n0-0\n",
    ("pharaoh", True): "0-0:0.9312 2-1:0.5000\n\n0-0:1.0000\n",
    ("talp", False): "1-1 3-2\n\n1-1\n",
    ("naacl", False): "1 1 1 S\n1 3 2 S\n3 1 1 S\n",
    ("naacl", True): "1 1 1 S 0.9312\n1 3 2 S 0.5000\n3 1 1 S 1.0000\n",
}


@pytest.mark.parametrize(("form", "probabilities"), WRITTEN)
def test_by_hand(form, probabilities):
    write = writer(form, probabilities=probabilities)
    assert "".join(map(write, ALIGNED)) == WRITTEN[form, probabilities]


def test_json_lines():
    first, second, _ = (json.loads(line) for line in map(writer("jsonl"), ALIGNED))
    assert first == {
        "source": "ein alter hund",
        "target": "«a» dog",
        "links": [[0, 0], [2, 1]],
        "probabilities": [0.9312, 0.5],
    }
    assert second == {"source": "", "target": "", "links": [], "probabilities": []}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("probabilities", [False, True])
def test_written_links_can_be_read(tmp_path, form, probabilities):
    if (form, probabilities) == ("talp", True):
        with pytest.raises(ConfigError, match="talp has no probabilities"):
            writer(form, probabilities=True)
        return
    path = tmp_path / f"x.{form}"
    path.write_text("".join(map(writer(form, probabilities=probabilities), ALIGNED)))
    for chosen in (form, "auto"):
        found = [links.sure for links in LinkFile(path, chosen, sentences=3)]
        assert found == [set(aligned.links) for aligned in ALIGNED]
