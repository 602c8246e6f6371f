"""Training: from a folder of clips to a model file."""

from lvc.training.command import train

__all__ = ["train"]
