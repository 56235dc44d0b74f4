"""One seed for every source of randomness."""


def set_seed(seed: int) -> None:
    """Seed Python's, numpy's and torch's generators."""
    import random

    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)
