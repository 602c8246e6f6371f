"""Calls at the same time, and pictures that do not need each other in them."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lvc import compute
from lvc.encoder.group import GroupEncoder
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.threads import MOST_PICTURES, together
from lvc.group_decoder import GroupDecoder
from tests.between import always_between
from tests.clips import clip_info
from tests.test_codec import Clip, decode, encode, same

CPU = torch.device("cpu")
SECONDS = 60.0


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """So many of PyTorch's."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def with_threads(*counts: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("threads", counts, indirect=True)


@with_threads(2, 3, 4, 9)
def test_calls_run_at_the_same_time(threads: int) -> None:
    """As many as there are threads, up to a limit; they share these."""
    count = min(threads, MOST_PICTURES)
    meeting = threading.Barrier(count)
    running: list[int] = []

    def call(number: int) -> tuple[int, bool]:
        meeting.wait(SECONDS)
        running.append(threading.get_ident())
        assert torch.get_num_threads() == threads // count
        return number, torch.is_inference_mode_enabled()

    with exact_arithmetic(), together(CPU, 2 * count) as start:
        started = [start(call, number) for number in range(2 * count)]
        assert [each.result() for each in started] == [(number, True) for number in range(2 * count)]
    assert len(set(running)) == count
    assert threading.get_ident() not in running
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("threads", "pictures", "device"), [(1, 5, "cpu"), (4, 1, "cpu"), (4, 5, "meta")], indirect=["threads"]
)
def test_one_after_the_other(threads: int, pictures: int, device: str) -> None:
    """When they are asked for, in this thread."""
    order: list[int] = []

    def call(number: int) -> int:
        assert threading.current_thread() is threading.main_thread()
        order.append(number)
        return -number

    with together(torch.device(device), pictures) as start:
        started = [start(call, number) for number in range(3)]
        assert not order
        assert [started[at].result() for at in (2, 0, 0)] == [-2, 0, 0]
    assert order == [2, 0]
    assert torch.get_num_threads() == threads


@with_threads(1, 2)
def test_what_goes_wrong_is_raised_when_all_have_ended(threads: int) -> None:
    ended: list[int] = []

    def call(number: int) -> None:
        if number == 0:
            raise ValueError("the first one")
        threading.Event().wait(0.2)
        ended.append(number)

    with pytest.raises(ValueError, match="the first one"), together(CPU, 2) as start:
        started = [start(call, number) for number in range(2)]
        started[0].result()
    assert ended == ([1] if threads == 2 else [])
    assert torch.get_num_threads() == threads


class Meetings:
    """Pictures that wait for each other, by their positions, before they are coded."""

    def __init__(self, *pairs: tuple[int, int]) -> None:
        self._barriers: dict[int, threading.Barrier] = {}
        for pair in pairs:
            self._barriers.update(dict.fromkeys(pair, threading.Barrier(2)))
        self.met: set[int] = set()

    def wait(self, position: int) -> None:
        if position in self._barriers:
            self._barriers.pop(position).wait(SECONDS)
            self.met.add(position)


@with_threads(2)
def test_pictures_of_a_level_are_coded_at_the_same_time(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And decoded; then also an anchor, beside those between the two before it. Where two orders are tried, one begins
    beside the anchor of the other.
    """
    always_between(monkeypatch)
    trying, writing, reading = Meetings((1, 4)), Meetings((1, 3), (5, 7)), Meetings((1, 3), (2, 8), (5, 7))
    code, pictures = GroupEncoder._code, GroupDecoder._decode_pictures

    def coded(self: GroupEncoder, place: Any, frame: Any, step: Any) -> Any:
        (writing if step.depth else trying).wait(step.position)
        return code(self, place, frame, step)

    def decoded(self: GroupDecoder, places: Any) -> Any:
        assert len(places) == 1
        reading.wait(places[0].step.position)
        return pictures(self, places)

    monkeypatch.setattr(GroupEncoder, "_code", coded)
    monkeypatch.setattr(GroupDecoder, "_decode_pictures", decoded)
    data, result = encode(Clip("pan", 32, 32, 9))
    assert len(decode(data)) == result.frames == 9
    assert trying.met == {1, 4}
    assert writing.met == {1, 3, 5, 7}
    assert reading.met == {1, 2, 3, 5, 7, 8}


@with_threads(4)
def test_what_memory_does_not_allow_waits(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture after the other, in coding order, with all threads for each."""
    always_between(monkeypatch)
    monkeypatch.setattr(compute, "_memory", lambda: 3 * compute._SAMPLE_BYTES * 32 * 32)
    order: list[int] = []
    pictures = GroupDecoder._decode_pictures

    def decoded(self: GroupDecoder, places: Any) -> Any:
        assert torch.get_num_threads() == threads
        order.append(places[0].step.position)
        return pictures(self, places)

    monkeypatch.setattr(GroupDecoder, "_decode_pictures", decoded)
    data, _ = encode(Clip("pan", 32, 32, 9))
    assert len(decode(data)) == 9
    assert order == [0, 4, 2, 1, 3, 8, 6, 5, 7]


@pytest.mark.parametrize(("memory", "pictures"), [(0, 1), (3 << 30, 1), (8 << 30, 2), (24 << 30, 6), (1 << 40, 294)])
def test_how_many_memory_allows(memory: int, pictures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_memory", lambda: memory)
    assert compute.pictures_at_a_time(clip_info(1920, 1080, 1)) == pictures


@with_threads(1, 2, 4)
def test_any_number_of_threads_gives_the_same_bytes(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    always_between(monkeypatch)
    clip = Clip("mix", 64, 48, 12)
    data, _ = encode(clip)
    pictures = decode(data)
    torch.set_num_threads(1)
    alone, _ = encode(clip)
    assert alone == data
    assert same(decode(alone), pictures)
