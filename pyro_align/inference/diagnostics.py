"""Statistics of gradient estimates, and of importance weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

GROUPS = 16
"""Groups of draws that standard errors are taken from, and so gradients that are held."""

SIGNIFICANT = 3.0
"""Standard errors of a squared bias beyond which it is one. That is some six of the bias itself:
without one, a gradient raises a false alarm in about 1 of 50 000 diagnoses."""

_PIECE = 2**16


@dataclass(frozen=True)
class GradientStatistics:
    """What draws of a gradient say of its estimator.

    Attributes:
        signal: norm of the reference gradient; without one that of the expected gradient, what
            the noise of the draws adds to it on average taken off.
        signal_error: standard error of ``signal``, 0 with a reference.
        noise: root of the total variance of a draw, all coordinates' summed.
        noise_error: standard error of ``noise``.
        bias: norm of the expected gradient's distance from the reference, noise taken off as well;
            None without a reference.
        bias_error: standard error of ``bias``.
        detectable: least bias that would have shown, about; None without a reference.
        biased: whether ``bias²`` is more than :data:`SIGNIFICANT` of its standard errors, and
            more than rounding; None without a reference.
    """

    signal: float
    signal_error: float
    noise: float
    noise_error: float
    bias: float | None = None
    bias_error: float | None = None
    detectable: float | None = None
    biased: bool | None = None

    @property
    def noise_to_signal(self) -> float | None:
        """``noise / signal``; None where there is no signal."""
        return self._relative(self.noise)

    @property
    def noise_to_signal_error(self) -> float | None:
        """Standard error of :attr:`noise_to_signal`."""
        ratio, noise = self.noise_to_signal, self._relative(self.noise_error)
        if ratio is None or noise is None:
            return None
        return math.hypot(noise, ratio * self.signal_error / self.signal)

    @property
    def relative_bias(self) -> float | None:
        """``bias / signal``; None without a reference, or without signal."""
        return self._relative(self.bias)

    @property
    def relative_bias_error(self) -> float | None:
        """Standard error of :attr:`relative_bias`."""
        return self._relative(self.bias_error)

    @property
    def relative_detectable(self) -> float | None:
        """``detectable / signal``; None without a reference, or without signal."""
        return self._relative(self.detectable)

    def _relative(self, value: float | None) -> float | None:
        return None if value is None or self.signal == 0 else value / self.signal


class GradientDraws:
    """Independent draws of a gradient, of which only the means of some groups are held.

    A bias is told from noise by what different draws have in common: with deviations ``d`` from
    the reference, the mean of ``d_i · d_j`` over pairs of different draws is an unbiased estimate
    of the squared bias. Pairs are of groups here, and standard errors are the jackknife's over
    groups, which are not too small for an unbiased estimator. Nothing can be said of what no draw
    has seen: a rare alignment that matters shows in neither noise nor bias.

    Args:
        reference: the gradient that is to be estimated; None if it is not known.
    """

    def __init__(self, reference: Float[Tensor, " coordinate"] | None = None):
        self.reference = reference
        self._center = reference
        self._sums: list[Tensor] = []
        self._squares: list[float] = []

    def add(self, gradient: Float[Tensor, " coordinate"]) -> None:
        """One draw."""
        if self._center is None:
            self._center = gradient
        deviation = gradient - self._center
        group = len(self._squares) % GROUPS
        self._squares.append(float(deviation.double().square().sum()))
        if group == len(self._sums):
            self._sums.append(deviation)
        else:
            self._sums[group] += deviation

    def statistics(self) -> GradientStatistics:
        """What the draws so far say.

        Raises:
            ValueError: if they are fewer than three.
        """
        count = len(self._squares)
        if count < 3:
            raise ValueError(f"statistics of a gradient need three draws or more, got {count}")
        assert self._center is not None
        groups = [self._squares[group::GROUPS] for group in range(len(self._sums))]
        sizes = torch.tensor([len(group) for group in groups], dtype=torch.float64)
        squares = torch.tensor([math.fsum(group) for group in groups], dtype=torch.float64)
        products = _products(self._sums)

        def noise_of(kept: Tensor) -> Tensor:
            number = kept @ sizes
            spread = kept @ squares - kept @ products @ kept / number
            return (spread / (number - 1)).clamp_min(0.0).sqrt()

        noise, noise_error = _jackknife(noise_of, len(sizes))
        if self.reference is None:
            sums = [
                self._center * size + each for size, each in zip(sizes, self._sums, strict=True)
            ]
            signal_square, error = _square(_products(sums), sizes)
            signal, signal_error = _root(signal_square, error)
            return GradientStatistics(signal, signal_error, noise, noise_error)
        signal = float(self.reference.double().norm())
        bias_square, error = _square(products, sizes)
        bias, bias_error = _root(bias_square, error)
        rounding = math.sqrt(torch.finfo(self.reference.dtype).eps) * signal
        detectable = max(rounding, math.sqrt(SIGNIFICANT * error))
        return GradientStatistics(
            signal,
            0.0,
            noise,
            noise_error,
            bias=bias,
            bias_error=bias_error,
            detectable=detectable,
            biased=bias > detectable,
        )


def _square(products: Tensor, sizes: Tensor) -> tuple[float, float]:
    """Squared norm of an expected vector, unbiased, from inner products of group sums of draws."""

    def estimate(kept: Tensor) -> Tensor:
        weight = kept / sizes
        apart = weight @ products @ weight - weight.square() @ products.diagonal()
        number = kept.sum()
        return apart / (number * (number - 1))

    return _jackknife(estimate, len(sizes))


def _root(square: float, error: float) -> tuple[float, float]:
    """Root of an estimate that may be negative; its error does not shrink with it."""
    root = math.sqrt(max(0.0, square))
    return root, math.sqrt(root**2 + error) - root


def _products(vectors: Sequence[Tensor]) -> Float[Tensor, "group group"]:
    """Inner products of all pairs, in double precision on the CPU."""
    pieces = zip(*(vector.split(_PIECE) for vector in vectors), strict=True)
    total = torch.zeros(len(vectors), len(vectors), dtype=torch.float64)
    for piece in pieces:
        rows = torch.stack(piece).double()
        total += (rows @ rows.T).cpu()
    return total


def _jackknife(estimate: Callable[[Tensor], Tensor], groups: int) -> tuple[float, float]:
    """An estimate and its standard error; it is given 1 for each group to keep, else 0."""
    everything = torch.ones(groups, dtype=torch.float64)
    without_each = torch.stack([estimate(everything - row) for row in torch.eye(groups).double()])
    spread = (without_each - without_each.mean()).square().sum()
    return estimate(everything).item(), ((groups - 1) / groups * spread).sqrt().item()


def flat_gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Float[Tensor, " coordinate"]:
    """Gradient of a loss for all parameters, as one vector; their ``.grad`` stays as it is."""
    grads = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([grad.reshape(-1) for grad in grads])


def effective_sample_size(
    log_posterior: Float[Tensor, "*shape alignment"],
    log_guide: Float[Tensor, "*shape alignment"],
    mask: Bool[Tensor, "*#shape alignment"],
) -> Float[Tensor, "*shape"]:
    """Fraction of importance-weighted draws of the guide that draws of the posterior would equal.

    ``(E_q w)² / E_q w²`` with ``w = p(z, y) / q(z)`` (Kong 1992), which is ``1 / Σ_s p(s | y)² /
    q(s)``: the limit of the usual estimate from many draws, computed without a draw. Between 0 and
    1, and 1 for the exact posterior.

    Args:
        log_posterior: ``log p(s | y)``.
        log_guide: ``log q(s)``.
        mask: which alignments there are.
    """
    terms = (2 * log_posterior - log_guide).masked_fill(~mask, -math.inf)
    return (-terms.logsumexp(-1)).exp()


@contextmanager
def without_dropout(*programs: object) -> Iterator[None]:
    """Modules in evaluation mode, able to differentiate; as they were afterwards.

    Recurrent networks stay in training mode, without which CUDA's have no backward pass, with
    their dropout set to 0.
    """
    modules = [
        module for each in programs if isinstance(each, nn.Module) for module in each.modules()
    ]
    modes = [(module, module.training) for module in modules]
    rates = [(module, module.dropout) for module in modules if isinstance(module, nn.RNNBase)]
    try:
        for module in modules:
            module.training = isinstance(module, nn.RNNBase)
        for network, _ in rates:
            network.dropout = 0.0
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for network, rate in rates:
            network.dropout = rate


def kept_bytes(forward: Callable[[], Tensor], parameters: Iterable[Tensor]) -> int:
    """Memory that a forward pass keeps for the backward pass, the parameters' own left out.

    Every storage is counted once, whole, however many tensors of it are kept.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    # Held, so that no address is given away twice.
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)
