"""What a training keeps on disk, so that it goes on after an end as if there had been none."""

import io
import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from lvc.errors import ModelError
from lvc.model.codebook import CLASSES, LOG_SCALES, Codebook, Quantiser, dimension, low_bits
from lvc.output import reason_of, write_file
from lvc.training.vector import CodebookLearner

if TYPE_CHECKING:
    from lvc.training.loop import Trainer

_BAD_STATE = (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError)
"""What reading a state of another shape than ours raises."""


def snapshot(trainer: "Trainer") -> dict[str, Any]:
    """The whole state of a training between two passages."""
    codebooks = trainer.codebooks
    is_cuda = trainer.device.type == "cuda"
    return {
        "size": trainer.settings.size,
        "origin": trainer.origin,
        "learner": trainer.learner.state_dict(),
        "optimiser": trainer.optimiser.state_dict(),
        "balance": trainer.balance.level.cpu(),
        "step": trainer.step,
        "elapsed": trainer.elapsed,
        "validated": trainer.validated,
        "random": json.dumps(trainer.random.bit_generator.state),
        "torch_random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state(trainer.device) if is_cuda else None,
        "codebooks": [] if codebooks is None else _as_tensors(codebooks.quantisers()),
        "averages": None if codebooks is None else codebooks.state(),
    }


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, all or nothing.

    Raises:
        OutputError: the disk is full or the like.
    """
    data = io.BytesIO()
    torch.save(state, data)
    write_file(path, data.getvalue(), key="part")


def read(path: Path) -> dict[str, Any]:
    """The state that a checkpoint holds.

    Raises:
        ModelError: the file cannot be read, or is no checkpoint.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {reason_of(error)}") from error
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (*_BAD_STATE, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} is no checkpoint of a training") from error
    is_ours = isinstance(state, dict) and "size" in state and isinstance(state.get("origin"), dict | None)
    if not is_ours:
        raise ModelError(f"{path} is no checkpoint of a training")
    return cast(dict[str, Any], state)


def restore(trainer: "Trainer", state: dict[str, Any], path: Path, weights_only: bool) -> None:
    """Give a training the state of a checkpoint, or only its weights.

    Args:
        path: where the state was read, for errors.

    Raises:
        ModelError: it is of another size; something is missing or of another shape.
    """
    size = trainer.settings.size
    if state["size"] != size:
        raise ModelError(f"{path} holds a {state['size']!r} model, not {size!r}")
    try:
        trainer.learner.load_state_dict(state["learner"])
        if not weights_only:
            _restore_progress(trainer, state)
    except _BAD_STATE as error:
        raise ModelError(f"{path} is a damaged checkpoint, or one of another version of lvc") from error
    trainer.prepare_optimiser()


def _restore_progress(trainer: "Trainer", state: dict[str, Any]) -> None:
    trainer.optimiser.load_state_dict(state["optimiser"])
    for parameter, moments in trainer.optimiser.state.items():
        if any(moments[name].shape != parameter.shape for name in ("exp_avg", "exp_avg_sq")):
            raise ValueError("moments of other parameters")
    trainer.balance.level = state["balance"].view_as(trainer.balance.level).to(trainer.device)
    trainer.step, trainer.elapsed = int(state["step"]), float(state["elapsed"])
    # the optimiser goes on with all it knew: no second warm-up
    trainer.steps_in_run = trainer.step
    trainer.validated = state.get("validated")
    if trainer.rank:  # the checkpoint holds the first process's crops; the others take new ones
        trainer.random = np.random.default_rng([trainer.settings.seed, trainer.rank, trainer.step])
    elif state["random"]:
        trainer.random.bit_generator.state = json.loads(state["random"])
    torch.set_rng_state(state["torch_random"])
    if trainer.device.type == "cuda" and state.get("cuda_random") is not None:
        torch.cuda.set_rng_state(state["cuda_random"], trainer.device)
    if state["codebooks"]:
        codebooks = CodebookLearner(_from_tensors(state["codebooks"]))
        if state.get("averages") is not None:
            codebooks.load_state(state["averages"])
        trainer.use_codebooks(codebooks)


def _as_tensors(quantisers: list[Quantiser]) -> list[list[tuple[Tensor, Tensor, int]]]:
    """Codebooks as a checkpoint holds them."""
    return [[(torch.tensor(b.entries), torch.tensor(b.counts), b.low) for b in q.books] for q in quantisers]


def _from_tensors(state: list[list[tuple[Tensor, Tensor, int]]]) -> list[Quantiser]:
    if [len(books) for books in state] != [CLASSES - 1] * 2:
        raise ValueError("codebooks of other classes")
    return [Quantiser([_book(*book, scale) for book, scale in zip(books, LOG_SCALES, strict=True)]) for books in state]


def _book(entries: Tensor, counts: Tensor, low: int, scale: float) -> Codebook:
    is_right = entries.dim() == 2 and entries.shape[1] == dimension(scale) and low == low_bits(scale)
    if not is_right or counts.shape != (len(entries) + 1,) or {entries.dtype, counts.dtype} != {torch.int64}:
        raise ValueError("a codebook of another shape")
    if int(counts.min()) < 1:
        raise ValueError("a codebook with an entry that costs no finite number of bits")
    return Codebook(entries.numpy(), counts.numpy(), low)
