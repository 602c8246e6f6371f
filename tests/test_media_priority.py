"""Encoders of other formats do not make this process real-time, which SVT-AV1 would where it may."""

import errno
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lvc.media import VideoWriter, peers
from lvc.media.priority import usual_priority
from lvc.video import Frame, VideoInfo

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are not listed by this system")

INFO = VideoInfo(64, 64)


def policies() -> Counter[int]:
    """Threads of this process by how they are scheduled."""
    return Counter(os.sched_getscheduler(int(thread.name)) for thread in Path("/proc/self/task").iterdir())


@pytest.fixture
def usual() -> Iterator[int]:
    """How we are scheduled, which is put back afterwards."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    yield policy
    os.sched_setscheduler(0, policy, parameters)


def test_threads_begun_meanwhile_and_our_own_are_put_back(usual: int) -> None:
    """With a policy that anybody may take."""
    goes_on, begun = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (begun.set(), goes_on.wait()))
    assert set(policies()) == {usual}
    try:
        with usual_priority():
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            thread.start()
            begun.wait()
            assert policies()[os.SCHED_BATCH] == 2
        assert set(policies()) == {usual}
    finally:
        goes_on.set()
        thread.join()


@pytest.mark.usefixtures("usual")
def test_who_was_not_ordinary_before_stays_so() -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with usual_priority():
        pass
    assert os.sched_getscheduler(0) == os.SCHED_BATCH


@pytest.mark.usefixtures("usual")
def test_a_priority_of_the_same_policy_is_put_back() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
    except PermissionError:
        pytest.skip("only root becomes real-time")
    with usual_priority():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(3))
    assert os.sched_getparam(0).sched_priority == 2


def test_systems_without_such_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    ran = []
    monkeypatch.setattr(os, "sched_getscheduler", missing)
    with usual_priority():
        ran.append("with a C library that has none")
    monkeypatch.delattr(os, "sched_getscheduler")
    with usual_priority():
        ran.append("on another system")
    assert len(ran) == 2


@pytest.fixture
def svtav1() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root becomes real-time")
    if not peers.is_available("svtav1"):
        pytest.skip("this PyAV build has no SVT-AV1")


def frames(seen: list[set[int]]) -> Iterator[Frame]:
    """Grey ones; ``seen`` gets how threads are scheduled while their encoder is open."""
    for index in range(3):
        if index:
            assert sum(policies().values()) > 2, "SVT-AV1 has threads of its own"
        seen.append(set(policies()))
        luma, chroma = np.full((64, 64), 128, np.uint16), np.full((32, 32), 128, np.uint16)
        yield Frame([luma, chroma, chroma], index, 1)


@pytest.mark.usefixtures("svtav1")
def test_the_peer_is_not_real_time(usual: int) -> None:
    seen: list[set[int]] = []
    peers.encode(peers.PeerSettings("svtav1", "12", 40), INFO, frames(seen))
    assert seen == [{usual}] * 3


@pytest.mark.usefixtures("svtav1")
def test_written_files_do_not_make_us_real_time(usual: int, tmp_path: Path) -> None:
    seen: list[set[int]] = []
    with VideoWriter(tmp_path / "out.mkv", INFO, codec="libsvtav1") as writer:
        for frame in frames(seen):
            writer.write(frame)
    assert seen == [{usual}] * 3
    assert set(policies()) == {usual}
