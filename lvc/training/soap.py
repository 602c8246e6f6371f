"""The optimiser: Adam in the eigenbasis of what Shampoo keeps of the gradients.

N. Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024, https://arxiv.org/abs/2409.11321. A matrix
of weights [m, n] has gradients G; the running means of G Gᵀ and Gᵀ G have eigenvectors L and R, and Adam works on
Lᵀ G R. The eigenvectors are followed by one step of orthogonal iteration every few steps.
"""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

LARGEST = 1024
"""Longest side of a matrix that is turned: the work grows with its cube."""
SETTLING = 100
"""For so many steps the eigenvectors are found anew each time: one step of iteration follows them too slowly."""


class Soap(Optimizer):
    """Matrices as above; vectors, and groups with ``turned`` false, by plain Adam.

    Args:
        params: groups of parameters; the further axes of those with more than two count as one.
        lr: learning rate, as in Adam.
        betas: of the running means of the gradient, of its square, and of its products.
        every: steps from one update of the eigenvectors to the next; the first ones come after 1, 2, 4, 8, ...
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float, float] = (0.9, 0.98, 0.98),
        eps: float = 1e-8,
        every: int = 20,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "every": every, "turned": True})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step along the gradients that the parameters hold."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        if gradient is None:
            return
        first, second, products = group["betas"]
        if parameter.dim() > 1 and group["turned"]:
            gradient = gradient.flatten(1)
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            if parameter.dim() > 1 and group["turned"]:
                for side, size in zip(("left", "right"), gradient.shape, strict=True):
                    if 1 < size <= LARGEST:
                        state[f"{side}_products"] = torch.zeros(size, size, device=gradient.device)
        state["step"] += 1
        number = state["step"]
        if "left_products" in state:
            state["left_products"].lerp_(gradient @ gradient.T, 1 - products)
        if "right_products" in state:
            state["right_products"].lerp_(gradient.T @ gradient, 1 - products)
        if number % group["every"] == 0 or (number < group["every"] and number.bit_count() == 1):
            self._turn(state)
        turned = _into(state, gradient)
        mean, square = state["mean"], state["square"]
        mean.lerp_(turned, 1 - first)
        square.mul_(second).addcmul_(turned, turned, value=1 - second)
        root = (square / (1 - second**number)).sqrt_().add_(group["eps"])
        update = _back(state, mean / root)
        parameter.add_(update.view_as(parameter), alpha=-group["lr"] / (1 - first**number))

    def _turn(self, state: dict[str, Any]) -> None:
        """Follow the eigenvectors, and take the running means along: squares as of what is not correlated."""
        for side in ("left", "right"):
            products = state.get(f"{side}_products")
            if products is None:
                continue
            old = state.get(f"{side}_basis")
            if old is None or state["step"] <= SETTLING:
                basis = torch.linalg.eigh(products.double())[1].float()
            else:
                basis = torch.linalg.qr(products @ old)[0]
            state[f"{side}_basis"] = basis
            if old is None:
                continue
            change = basis.T @ old
            for name, turn in (("mean", change), ("square", change.square())):
                state[name] = turn @ state[name] if side == "left" else state[name] @ turn.T


def _into(state: dict[str, Any], x: Tensor) -> Tensor:
    """From the parameters' axes to the eigenvectors."""
    if "left_basis" in state:
        x = state["left_basis"].T @ x
    return x @ state["right_basis"] if "right_basis" in state else x


def _back(state: dict[str, Any], x: Tensor) -> Tensor:
    """Inverse of :func:`_into`."""
    if "left_basis" in state:
        x = state["left_basis"] @ x
    return x @ state["right_basis"].T if "right_basis" in state else x
