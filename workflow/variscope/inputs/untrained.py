"""The untrained twin of a network: the same architecture with weights that were drawn anew.

What a trained network and its twin share is architecture and geometry, not learning (Adebayo et al.
2018, Sanity checks for saliency maps).
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

_Network = TypeVar("_Network", bound=nn.Module)


def untrained(network: _Network, seed: int, draw_anew: bool = False) -> _Network:
    """Return a network with initial weights, in eval mode.

    Args:
        network: as its factory makes it.
        seed: of the weights.
        draw_anew: draw them anew whatever the factory gave: a factory may load trained weights
            itself, and the initial weights of a network that is trained here are where its
            training began. Modules draw theirs as they do when they are made; a parameter that no
            module draws (a class token, say) gets its own values in a random order, which keeps
            their distribution; what batch normalisation learned of its inputs is forgotten.
    """
    if draw_anew:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed + 1)  # not the weights that training began with
            for module in network.modules():
                own = list(module.parameters(recurse=False))
                for name in ("reset_parameters", "_reset_parameters"):  # attention's is private
                    if callable(reset := getattr(module, name, None)):
                        reset()
                        own = []
                for parameter in own:
                    mixed = parameter.flatten()[torch.randperm(parameter.numel())]
                    parameter.copy_(mixed.reshape(parameter.shape))
    network.eval()  # its result is not used: an overridden train() may give none
    return network
