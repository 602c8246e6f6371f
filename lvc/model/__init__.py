"""The learned codec: networks, codebooks, syntax of motion and latents, model files."""

from lvc.model.registry import find_model, model_for
from lvc.model.weights import Model

__all__ = ["Model", "find_model", "model_for"]
