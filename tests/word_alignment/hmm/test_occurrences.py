from collections import Counter

import pytest
import torch

from pyro_align.word_alignment.hmm import Occurrences


@pytest.mark.parametrize("merged", [1, 50, 10_000])
def test_codes_and_which_are_repeated_against_counting(monkeypatch, merged):
    monkeypatch.setattr("pyro_align.word_alignment.hmm.occurrences.MERGED", merged)
    generator = torch.Generator().manual_seed(1)
    seen, counter, marked = Occurrences(), Counter(), {3, 2**40}
    for _ in range(20):
        codes = torch.randint(0, 300, (30,), generator=generator)
        seen.add(codes)
        counter.update(codes.tolist())
    seen.add(torch.tensor(sorted(marked)), torch.tensor([True, True]))
    codes, repeated = seen.found()
    assert codes.tolist() == sorted({*counter, *marked})
    assert repeated.tolist() == [counter[code] > 1 or code in marked for code in codes.tolist()]


def test_no_codes():
    codes, repeated = Occurrences().found()
    assert len(codes) == len(repeated) == 0
