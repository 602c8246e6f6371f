"""Encoders of other formats do not make this process real-time, which SVT-AV1 would where it may."""

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


def test_threads_begun_meanwhile_and_our_own_are_put_back() -> None:
    """With a policy that anybody may take."""
    goes_on, begun = threading.Event(), threading.Event()
    assert set(policies()) == {os.SCHED_OTHER}
    with usual_priority():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        thread = threading.Thread(target=lambda: (begun.set(), goes_on.wait()))
        thread.start()
        begun.wait()
        assert policies()[os.SCHED_BATCH] == 2
    assert set(policies()) == {os.SCHED_OTHER}
    goes_on.set()
    thread.join()


def test_who_was_not_ordinary_before_stays_so() -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        with usual_priority():
            pass
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


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
def test_the_peer_is_not_real_time() -> None:
    seen: list[set[int]] = []
    peers.encode(peers.PeerSettings("svtav1", "12", 40), INFO, frames(seen))
    assert seen == [{os.SCHED_OTHER}] * 3


@pytest.mark.usefixtures("svtav1")
def test_written_files_do_not_make_us_real_time(tmp_path: Path) -> None:
    seen: list[set[int]] = []
    with VideoWriter(tmp_path / "out.mkv", INFO, codec="libsvtav1") as writer:
        for frame in frames(seen):
            writer.write(frame)
    assert seen == [{os.SCHED_OTHER}] * 3
    assert set(policies()) == {os.SCHED_OTHER}
