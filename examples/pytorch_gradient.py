"""A gradient computed by PyTorch, checked against the same loss compiled with Numba.

A network whose training code is in PyTorch, and whose loss was written a second time, for a program in Numba: are the
two the same function? If autograd's gradient of the one fits the differences of the other, they are. Needs torch.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import torch

import fastgrad


@nb.njit
def f(x, samples, targets):
    """Mean squared error of a network with one hidden layer."""
    W1, b1, W2, b2 = x[:24].reshape(8, 3), x[24:32], x[32:40], x[40]
    total = 0.0
    for k in range(len(targets)):
        hidden = np.tanh(W1 @ samples[k] + b1)
        total += (W2 @ hidden + b2 - targets[k]) ** 2
    return total / len(targets)


class Network(torch.nn.Module):
    """The same in PyTorch."""

    def __init__(self, activation=torch.tanh) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 8).double(), torch.nn.Linear(8, 1).double()
        self.activation = activation

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        return self.second(self.activation(self.first(samples)))[:, 0]


def problem(activation=torch.tanh) -> tuple[Network, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    network = Network(activation)
    return network, torch.randn(50, 3).double(), torch.randn(50).double()


def vector(tensors) -> torch.Tensor:
    """All parameters as one vector, in the order that f takes them."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def check(activation=torch.tanh) -> fastgrad.GradientCheck:
    """Autograd's gradient beside differences of f; x and gradient are tensors, read through the array protocol."""
    network, samples, targets = problem(activation)
    loss = torch.mean((network(samples) - targets) ** 2)
    loss.backward()
    x = vector(parameter.detach() for parameter in network.parameters())
    gradient = vector(parameter.grad for parameter in network.parameters())
    blocks = {"W1": (8, 3), "b1": 8, "W2": 8, "b2": 1}
    return fastgrad.check_gradient(f, x, gradient, args=(samples.numpy(), targets.numpy()), blocks=blocks)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bug", action="store_true", help="another activation in PyTorch than in f")
    result = check(torch.nn.functional.softsign if parser.parse_args().bug else torch.tanh)
    print(result)
    raise SystemExit(0 if result.passed else 1)
