import os
import signal

import pytest
import torch

from pyro_align.errors import DataError, RunError
from pyro_align.word_alignment.hmm import in_halves, one_thread


@pytest.mark.parametrize("processes", [1, 2])
def test_results_of_both_halves(processes):
    other = in_halves(lambda half: (half, os.getpid(), torch.get_num_threads()), processes)
    assert [half for half, _, _ in other] == [0, 1]
    assert len({pid for _, pid, _ in other}) == processes
    assert {threads for _, _, threads in other} == {1}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("half", [0, 1])
def test_errors_of_either_half_are_raised(processes, half):
    def work(each):
        if each == half:
            raise DataError("wrong")

    with pytest.raises(DataError, match="wrong"):
        in_halves(work, processes)


def test_a_killed_process_is_reported():
    def work(half):
        if half:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RunError, match="a process was killed"):
        in_halves(work, 2)


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
