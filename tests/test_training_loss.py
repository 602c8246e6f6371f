"""What a training minimises."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lvc.container import BETWEEN, INTRA, PREDICTED, coding_order
from lvc.encoder import motion_search
from lvc.exact.layers import exact_layers
from lvc.model.codec import FrameCodec
from lvc.model.config import config_named
from lvc.model.prediction import Picture
from lvc.training.data import CropSampler, load_folder, to_picture
from lvc.training.loss import LAMBDA, Carried, FrameCost, run_sequence, sequence_quality
from lvc.training.passage import BETWEEN_KINDS, longest_piece, new_passage
from lvc.training.rate import HyperTables, TrainingCoder, logistic_bits
from lvc.training.schedule import Schedule
from tests.clips import clip_frames

pytestmark = pytest.mark.usefixtures("one_thread")


def test_rate_of_training() -> None:
    """Probabilities of all integers sum to one; wide distributions cost more; the lagrangian is what it says."""
    for scale in (0.1, 1.0, 20.0):
        bits = logistic_bits(torch.arange(-500.0, 501.0), torch.tensor(scale))
        assert float(torch.exp2(-bits.double()).sum()) == pytest.approx(1, abs=1e-3)
    zero, three = (
        HyperTables()
        .bits(0, torch.tensor([0.0, 3.0]).view(2, 1, 1, 1).expand(2, 8, 1, 1), torch.ones(2, 1, 1, 1))
        .tolist()
    )
    assert 0 < zero < three
    cost = FrameCost(torch.tensor([0.5]), torch.tensor([2.0]), torch.tensor([30.0]))
    assert float(cost.lagrangian(torch.tensor([1.0]))) == pytest.approx(0.5 + LAMBDA / 128**2 * 2)


def test_qualities_of_a_sequence() -> None:
    """In coding order: intra pictures and anchors at every fourth position are finer, others coarser by depth."""
    base = torch.tensor([1.0, 50.0, 98.0])
    steps = coding_order([0, 2, 2, 2, 1])
    found = sequence_quality(base, steps, 8.0, 3.0, 6.0)
    assert [quality[1].item() for quality in found] == [58, 53, 44, 38, 38]
    assert [quality[0].item() for quality in found] == [9, 4, 1, 1, 1]
    assert [quality[2].item() for quality in found] == [100, 100, 92, 86, 86]
    found = sequence_quality(base, coding_order([0, *[1] * 8]), 8.0, 3.0, 6.0)
    assert [quality[1].item() for quality in found] == [58, 50, 50, 50, 53, 50, 50, 50, 53]


def test_sequences_with_pictures_between() -> None:
    """Costs come in coding order, and what refers to a picture makes it worth its bits: gradients flow through both."""
    torch.manual_seed(2)
    codec, tables = FrameCodec(config_named("tiny")), HyperTables()
    clip = list(clip_frames("pan", 64, 64, 5))
    pictures = [
        to_picture(
            torch.from_numpy(frame.planes[0].astype(np.uint8))[None],
            torch.from_numpy(np.stack(frame.planes[1:]).astype(np.uint8))[None],
        )
        for frame in clip
    ]
    steps = coding_order([INTRA, *BETWEEN_KINDS[0]])
    inputs = [Picture(picture.y.clone().requires_grad_(), picture.uv) for picture in pictures]
    costs = run_sequence(codec, tables, inputs, [torch.tensor([60.0])] * 5, steps=steps)
    assert [step.position for step in steps] == [0, 4, 2, 1, 3]
    assert len(costs) == 5
    assert float(costs[0].bits.detach()) > max(float(cost.bits.detach()) for cost in costs[1:])
    for cost, touched in zip(costs, ({0}, {0, 4}, {0, 2, 4}, {0, 1, 2, 4}, {0, 2, 3, 4}), strict=True):
        gradients = torch.autograd.grad(
            cost.bits.sum() + cost.error.sum(), [each.y for each in inputs], retain_graph=True, allow_unused=True
        )
        reached = {at for at, gradient in enumerate(gradients) if gradient is not None and bool(gradient.any())}
        assert reached == touched


class Noiseless(TrainingCoder):
    """The same each time."""

    def hyper(self, proposal: torch.Tensor | None, mask: torch.Tensor) -> torch.Tensor:
        assert proposal is not None
        self.bits = self.bits + self.tables.bits(self.kind, proposal, mask)
        return proposal.round() * mask


def test_pieces_of_a_sequence() -> None:
    """They cost what the whole sequence costs, and gradients stay within each."""
    torch.manual_seed(2)
    codec, tables = FrameCodec(config_named("tiny")), HyperTables()
    pictures = [
        to_picture(
            torch.from_numpy(frame.planes[0].astype(np.uint8))[None],
            torch.from_numpy(np.stack(frame.planes[1:]).astype(np.uint8))[None],
        )
        for frame in clip_frames("pan", 64, 64, 7)
    ]
    steps = coding_order([INTRA, PREDICTED, *BETWEEN_KINDS[1], PREDICTED])
    quality = [torch.tensor([60.0])] * 7
    with torch.no_grad():
        whole = run_sequence(codec, tables, pictures, quality, steps=steps, make_coder=Noiseless)
    inputs = [Picture(picture.y.clone().requires_grad_(), picture.uv) for picture in pictures]
    carried, parts = Carried(), []
    for piece in (slice(0, 2), slice(2, 6), slice(6, 7)):
        parts += run_sequence(
            codec, tables, inputs, quality[piece], steps=steps[piece], make_coder=Noiseless, carried=carried
        )
        carried.cut()
    for one, other in zip(whole, parts, strict=True):
        for a, b in zip(one, other, strict=True):  # sums may differ in their last bit
            torch.testing.assert_close(b.detach(), a, rtol=1e-6, atol=0)
    last = torch.autograd.grad(parts[-1].error.sum(), [each.y for each in inputs], allow_unused=True)
    assert [at for at, gradient in enumerate(last) if gradient is not None] == [6]


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(1)
    codec, tables = FrameCodec(config_named("tiny")), HyperTables()
    with torch.no_grad():
        for _, layer in exact_layers(codec):  # some start at zero, and stop gradients
            layer.weight.add_(torch.randn_like(layer.weight) * 0.05)
    random = np.random.default_rng(1)
    first, last = (
        to_picture(
            torch.from_numpy(random.integers(0, 256, (2, 64, 64)).astype(np.uint8)),
            torch.from_numpy(random.integers(0, 256, (2, 2, 32, 32)).astype(np.uint8)),
        )
        for _ in range(2)
    )
    pictures = [first, Picture((first.y + last.y) / 2, (first.uv + last.uv) / 2), last]
    steps = coding_order([INTRA, BETWEEN, PREDICTED])
    quality = torch.tensor([30.0, 80.0])
    costs = run_sequence(codec, tables, pictures, [quality] * 3, motion_search.FAST, TrainingCoder, steps)
    loss = torch.stack([cost.lagrangian(quality).sum() for cost in costs]).sum()
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    silent = [name for name, p in codec.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert silent == []


@pytest.mark.parametrize("kind", [None, "intra"])
def test_the_longest_start_of_a_passage(clips: Path, kind: str | None) -> None:
    """Is what a training asks of its clips: some passage is as long, none longer."""
    schedule = replace(Schedule(), pieces=(1,)).only(kind)
    sampler = CropSampler(load_folder(clips), [], 64, 1)
    lengths = [len(new_passage(sampler, schedule, 1.0, 1, torch.device("cpu")).pictures) for _ in range(40)]
    assert max(lengths) == longest_piece(schedule) == (5 if kind is None else 1)
