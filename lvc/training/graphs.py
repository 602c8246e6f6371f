"""Training steps as CUDA graphs: the thousands of small operations of a step become a single launch.

A step of a small model is bound by the time that the program takes to launch its operations (measured on an H100:
5300 launches and 85 ms for each frame of a batch, of which the GPU works for 10). Steps of the same kind do the same
operations on other numbers, so each kind is captured once and replayed from then on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lvc.container import Step
from lvc.model.group import MotionMemory
from lvc.model.prediction import Memory, Picture
from lvc.training.loss import Carried, Vectors

Learn = Callable[[Mapping[int, Picture], Sequence[Tensor], Sequence[Step], Carried], Tensor]
"""A whole training step: pictures by position, qualities, steps and what is carried, which it brings up to date."""
Kind = tuple[object, ...]


@dataclass
class _Graph:
    """A captured step, the tensors that it reads and those that it leaves behind."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    carried: Carried
    result: Tensor


class GraphedSteps:
    """Runs steps, from the second of each kind on as a graph. Whatever ``learn`` does must not wait for the device.

    Args:
        stream: on which everything of the training runs.
    """

    def __init__(self, learn: Learn, stream: torch.cuda.Stream) -> None:
        self._learn = learn
        self._stream = stream
        self._pool = torch.cuda.graph_pool_handle()
        self._graphs: dict[Kind, _Graph | None] = {}

    def forget(self) -> None:
        """Capture anew: what ``learn`` does has changed."""
        self._graphs = {}

    def __call__(
        self, pictures: Sequence[Picture], qualities: Sequence[Tensor], steps: Sequence[Step], carried: Carried
    ) -> Tensor:
        """One step; gives what ``learn`` gives, valid until the next call."""
        origin = max(carried.memories, default=steps[0].position)
        shifted = [step.moved(-origin) for step in steps]
        shown = {step.position: pictures[step.position + origin] for step in shifted}
        before = _moved(carried, -origin)
        tensors = [*(plane for picture in shown.values() for plane in picture), *qualities, *_tensors_of(before)]
        kind: Kind = (tuple(shifted), tuple(before.motion.fields), *(tensor.shape for tensor in tensors))
        if kind not in self._graphs:  # what is made once and kept must not be part of a graph
            self._graphs[kind] = None
            result = self._learn(shown, qualities, shifted, before)
        else:
            graph = self._graphs[kind]
            if graph is None:
                graph = self._graphs[kind] = self._capture(tensors, shifted, before)
            torch._foreach_copy_(graph.inputs, tensors)
            graph.graph.replay()
            before = _copy(graph.carried)
            result = graph.result
        after = _moved(before, origin)
        carried.memories, carried.motion = after.memories, after.motion
        return result

    def _capture(self, tensors: list[Tensor], steps: Sequence[Step], carried: Carried) -> _Graph:
        inputs = [tensor.clone() for tensor in tensors]
        rest = iter(inputs)
        shown = {step.position: Picture(next(rest), next(rest)) for step in steps}
        qualities = [next(rest) for _ in steps]
        inside = _with_tensors(carried, list(rest))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = self._learn(shown, qualities, steps, inside)
        return _Graph(graph, inputs, inside, result)


def _tensors_of(carried: Carried) -> list[Tensor]:
    """All that is carried, in the order that :func:`_with_tensors` takes."""
    memories = [(m.picture.y, m.picture.uv, m.state, m.magnitudes) for m in carried.memories.values()]
    return [tensor for memory in memories for tensor in memory] + [f.vectors for f in carried.motion.fields.values()]


def _with_tensors(carried: Carried, tensors: list[Tensor]) -> Carried:
    rest = iter(tensors)
    memories = {at: Memory(Picture(next(rest), next(rest)), next(rest), next(rest)) for at in carried.memories}
    return Carried(memories, MotionMemory({at: Vectors(next(rest)) for at in carried.motion.fields}))


def _copy(carried: Carried) -> Carried:
    return _with_tensors(carried, [tensor.clone() for tensor in _tensors_of(carried)])


def _moved(carried: Carried, by: int) -> Carried:
    """The same at later positions."""
    fields = {(first + by, second + by): motion for (first, second), motion in carried.motion.fields.items()}
    return Carried({at + by: memory for at, memory in carried.memories.items()}, MotionMemory(fields))
