"""The optimiser of the training."""

import copy

import pytest
import torch

from lvc.training.soap import Soap


def regression(turned: bool, steps: int = 800) -> float:
    """Mean squared error, in parts of the first, after learning a linear map from inputs with a condition of 10^4 whose
    axes lie askew."""
    torch.manual_seed(1)
    basis = torch.linalg.qr(torch.randn(24, 24))[0] * torch.logspace(-2, 0, 24)[:, None]
    weight, target = torch.nn.Parameter(torch.zeros(16, 24)), torch.randn(16, 24)
    optimiser = Soap([{"params": [weight], "turned": turned}], every=5)
    test = torch.randn(1000, 24) @ basis
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.03 * (1 - step / steps)
        optimiser.zero_grad()
        inputs = torch.randn(16, 24) @ basis
        (inputs @ (weight - target).T).square().mean().backward()
        optimiser.step()
    with torch.no_grad():
        return float((test @ (weight - target).T).square().mean() / (test @ target.T).square().mean())


def test_it_follows_valleys_that_lie_askew() -> None:
    assert regression(True) < 0.3 * regression(False)


@pytest.mark.parametrize("shape", [(7,), (1,)])
def test_vectors_are_learned_by_adam(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    ours, theirs = (torch.nn.Parameter(torch.ones(shape)) for _ in range(2))
    soap = Soap([{"params": [ours]}], lr=0.01)
    adam = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.98))
    for _ in range(50):
        gradient = torch.randn(shape)
        ours.grad, theirs.grad = gradient, gradient.clone()
        soap.step()
        adam.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_saved_state_goes_on_as_if_nothing_had_been() -> None:
    torch.manual_seed(1)
    gradients = [torch.randn(6, 4, 3, 3) for _ in range(50)]

    def run(weight: torch.nn.Parameter, optimiser: Soap, part: list[torch.Tensor]) -> None:
        for gradient in part:
            weight.grad = gradient
            optimiser.step()

    whole = torch.nn.Parameter(torch.ones(6, 4, 3, 3))
    optimiser = Soap([{"params": [whole]}])
    run(whole, optimiser, gradients[:30])
    other = torch.nn.Parameter(whole.detach().clone())
    resumed = Soap([{"params": [other]}])
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    run(whole, optimiser, gradients[30:])
    run(other, resumed, gradients[30:])
    assert torch.equal(whole, other)
