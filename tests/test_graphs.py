"""Training steps as graphs: nothing in them waits for the device, and replayed steps do what others do."""

import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lvc.container import BETWEEN, INTRA, PREDICTED, Step, coding_order
from lvc.exact import places
from lvc.exact.layers import set_fake
from lvc.model.prediction import Memory, Picture
from lvc.training.data import CropSampler, load_folder
from lvc.training.graphs import GraphedSteps, _Graph
from lvc.training.learner import Learner
from lvc.training.loop import Trainer
from lvc.training.loss import Carried, Vectors
from lvc.training.settings import TrainingSettings
from tests.clips import make_clip

STEPS = coding_order([INTRA, BETWEEN, BETWEEN, BETWEEN, PREDICTED, PREDICTED])
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::bincount", "aten::lift_fresh"}
"""Operations for which the program waits until the device has caught up, or that read the program's memory."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    """Of two crops; with a part that comes from nowhere, so that modes without a reference occur."""
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "mix.y4m", "mix", width=96, height=96, frames=6)
    shown = CropSampler(load_folder(folder), [], 64, 3).batch(2, 6)
    patch = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 900
    shown[4].y[:, :, 16:48, :32] = patch.round()
    return shown


def qualities_of(steps: Sequence[Step]) -> list[Tensor]:
    return [torch.tensor([30.0, 70.0])] * len(steps)


def learner() -> Learner:
    torch.manual_seed(4)
    return Learner("tiny")


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_EVERYWHERE", True)


def test_everything_instead_of_what_is_needed(pictures: list[Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all is computed, the same is chosen and the same comes out."""
    monkeypatch.setattr(places, "_compiles", False)  # what is compiled sums in another order
    results = []
    for all_of_it in (False, True):
        monkeypatch.setattr(places, "_EVERYWHERE", all_of_it)
        torch.manual_seed(0)
        carried = Carried()
        steps = STEPS[:5]
        costs = learner()(dict(enumerate(pictures)), qualities_of(steps), steps, carried)
        sum(cost.lagrangian(torch.tensor([30.0, 70.0])).sum() for cost in costs).backward()
        assert len(carried.motion.fields) > 1
        fields = [field.vectors for field in carried.motion.fields.values()]
        decoded = [memory.picture.y for memory in carried.memories.values()]
        results.append(([cost.bits for cost in costs], decoded, fields))
    for part in range(3):
        for few, many in zip(results[0][part], results[1][part], strict=True):
            assert torch.allclose(few.float(), many.float(), rtol=1e-5, atol=1e-4)


class _Watch(TorchDispatchMode):
    """Where the package waits for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        by_mask = function._schema.name == "aten::index" and any(
            at is not None and at.dtype == torch.bool for at in args[1]
        )
        if function._schema.name in WAITING or by_mask:
            own = [line for line in traceback.extract_stack() if "/lvc/" in line.filename]
            if own and own[-1].name != "_kernel":  # filters that are made anew on CPUs, and only there
                self.places[f"{function} in {own[-1].filename}:{own[-1].lineno}"] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("rounded", [False, True])
def test_a_step_waits_for_nothing(
    tmp_path: Path, pictures: list[Picture], rounded: bool, everywhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a whole step with optimiser nothing would wait on CUDA, once what is kept from the first step is there."""
    trainer = Trainer(TrainingSettings(tmp_path, tmp_path / "x.ckpt", size="tiny", minutes=1))
    set_fake(trainer.learner, rounded)

    def step() -> None:
        trainer._learn(trainer.learner, dict(enumerate(pictures)), qualities_of(STEPS), STEPS, Carried())

    step()
    with _Watch() as watch:
        step()
    assert not watch.places
    with _Watch() as watch:  # the watch sees what it looks for
        monkeypatch.setattr(places, "_EVERYWHERE", False)
        step()
    assert any("nonzero" in place for place in watch.places)


class _Again:
    """Stands in for a captured graph: does the same once more, on the tensors that were there when it was captured."""

    def __init__(self, run: Any) -> None:
        self.replay = run


def test_replayed_steps_go_on_from_what_is_carried(
    pictures: list[Picture], everywhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures, qualities, memories and motion find their places, wherever in the passage a step is."""
    learned: list[tuple[Any, ...]] = []
    model = learner()

    def learn(
        shown: Mapping[int, Picture], qualities: Sequence[Tensor], steps: Sequence[Step], carried: Carried
    ) -> Tensor:
        with torch.no_grad():
            torch.manual_seed(0)
            costs = model(shown, qualities, steps, carried)
        carried.cut()
        learned.append(tuple(steps))
        return torch.stack([cost.bits.sum() for cost in costs])

    replayed = []

    def capture(self: GraphedSteps, tensors: list[Tensor], steps: Sequence[Step], carried: Carried) -> _Graph:
        inputs = [tensor.clone() for tensor in tensors]
        rest = iter(inputs)
        shown = {step.position: Picture(next(rest), next(rest)) for step in steps}
        qualities = [next(rest) for _ in steps]
        memory = {at: Memory(Picture(next(rest), next(rest)), next(rest), next(rest)) for at in carried.memories}
        motion = {at: Vectors(next(rest)) for at in carried.motion.fields}
        outputs, result = Carried(), torch.zeros(len(steps))

        def run() -> None:
            now = Carried(dict(memory))
            now.motion.fields = dict(motion)
            result.copy_(learn(shown, qualities, steps, now))
            outputs.memories, outputs.motion = now.memories, now.motion
            replayed.append(steps)

        return _Graph(_Again(run), inputs, outputs, result)  # type: ignore[arg-type]

    monkeypatch.setattr(GraphedSteps, "_capture", capture)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
    graphed = GraphedSteps(learn, None)  # type: ignore[arg-type]
    pieces = [STEPS[:1], STEPS[1:5], [Step(5, 4)], [Step(6, 5)], [Step(7, 6)], [Step(8, 7)]]
    shown = [*pictures, *pictures[1:4]]
    for _ in range(3):
        straight, by_graphs = Carried(), Carried()
        for steps in pieces:
            expected = learn(dict(enumerate(shown)), qualities_of(steps), steps, straight).clone()
            found = graphed(shown, qualities_of(steps), steps, by_graphs)
            assert torch.equal(expected, found)
            assert straight.memories.keys() == by_graphs.memories.keys()
            assert straight.motion.fields.keys() == by_graphs.motion.fields.keys()
            last = max(straight.memories)
            assert torch.equal(straight.memories[last].picture.y, by_graphs.memories[last].picture.y)
    # of each kind the first runs as it is: after an intra picture, after a run of four, after one picture
    assert len(replayed) == 3 * len(pieces) - 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda(tmp_path: Path, pictures: list[Picture]) -> None:
    """What graphs learn is what steps without them learn, up to the order of sums."""
    results = []
    for graphs in (False, True):
        torch.manual_seed(4)
        trainer = Trainer(TrainingSettings(tmp_path, tmp_path / "x.ckpt", size="tiny", minutes=1, device="cuda"))
        for group in trainer.optimiser.param_groups:
            group["lr"].fill_(1e-4)
        shown = [Picture(picture.y.cuda(), picture.uv.cuda()) for picture in pictures]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())

        def learn(*given: Any, trainer: Trainer = trainer) -> Tensor:
            return trainer._learn(trainer.learner, *given)

        run = GraphedSteps(learn, stream) if graphs else learn
        with torch.cuda.stream(stream):
            for _ in range(4):
                torch.cuda.manual_seed(3)
                qualities = [quality.cuda() for quality in qualities_of(STEPS)]
                given = shown if graphs else dict(enumerate(shown))
                result = run(given, qualities, STEPS, Carried()).tolist()
        results.append(result)
    assert results[0] == pytest.approx(results[1], rel=0.02)
