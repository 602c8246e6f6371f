"""Training: from a folder of clips to a model file, by :func:`lvc.training.command.train`."""
