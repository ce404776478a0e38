"""Statistics of gradient estimates and of importance weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

GROUPS = 16
"""Number of groups of samples for jackknife standard errors, and of gradients kept in memory."""

SIGNIFICANT = 3.0
"""Threshold for a bias: the squared bias in standard errors, about six of the bias itself. An
unbiased gradient exceeds it in about 1 of 50 000 diagnoses."""

_CHUNK = 2**16


@dataclass(frozen=True)
class GradientStatistics:
    """Bias and noise of a gradient estimator, estimated from samples.

    Attributes:
        signal: norm of the reference gradient; without a reference, norm of the expected gradient,
            corrected for the noise of the samples.
        signal_error: standard error of ``signal``, 0 with a reference.
        noise: standard deviation of one sample: square root of the variance summed over all
            coordinates.
        noise_error: standard error of ``noise``.
        bias: norm of the difference between the expected gradient and the reference, corrected for
            noise; None without a reference.
        bias_error: standard error of ``bias``.
        detectable: approximate smallest bias that would be detected; None without a reference.
        biased: whether ``bias²`` exceeds :data:`SIGNIFICANT` standard errors and rounding error;
            None without a reference.
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
        """``noise / signal``; None if the signal is zero."""
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
        """``bias / signal``; None without a reference or if the signal is zero."""
        return self._relative(self.bias)

    @property
    def relative_bias_error(self) -> float | None:
        """Standard error of :attr:`relative_bias`."""
        return self._relative(self.bias_error)

    @property
    def relative_detectable(self) -> float | None:
        """``detectable / signal``; None without a reference or if the signal is zero."""
        return self._relative(self.detectable)

    def _relative(self, value: float | None) -> float | None:
        return None if value is None or self.signal == 0 else value / self.signal


class GradientDraws:
    """Accumulates independent samples of a gradient; only sums over groups are kept.

    Bias is separated from noise by the inner products of different samples: with deviations ``d``
    from the reference, the mean of ``d_i · d_j`` over pairs ``i ≠ j`` is an unbiased estimate of
    the squared bias. Here the pairs are of groups, and standard errors are jackknife estimates over
    groups. Alignments that no sample contains are invisible: a rare alignment that matters shows in
    neither noise nor bias.

    Args:
        reference: the exact gradient; None if it is not known.
    """

    def __init__(self, reference: Float[Tensor, " coordinate"] | None = None):
        self.reference = reference
        self._center = reference
        self._sums: list[Tensor] = []
        self._squares: list[float] = []

    def add(self, gradient: Float[Tensor, " coordinate"]) -> None:
        """Add one sample."""
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
        """Return the statistics of the samples so far.

        Raises:
            ValueError: if there are fewer than three samples.
        """
        count = len(self._squares)
        if count < 3:
            raise ValueError(f"gradient statistics need at least three samples, got {count}")
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
    """Estimate the squared norm of an expected vector, unbiased, and its standard error.

    Args:
        products: inner products of the sums of the groups.
        sizes: number of samples of each group.
    """

    def estimate(kept: Tensor) -> Tensor:
        weight = kept / sizes
        apart = weight @ products @ weight - weight.square() @ products.diagonal()
        number = kept.sum()
        return apart / (number * (number - 1))

    return _jackknife(estimate, len(sizes))


def _root(square: float, error: float) -> tuple[float, float]:
    """Return the square root of an estimate, which may be negative, and its standard error."""
    root = math.sqrt(max(0.0, square))
    return root, math.sqrt(root**2 + error) - root


def _products(vectors: Sequence[Tensor]) -> Float[Tensor, "group group"]:
    """Compute the inner products of all pairs, in double precision on the CPU."""
    chunks = zip(*(vector.split(_CHUNK) for vector in vectors), strict=True)
    total = torch.zeros(len(vectors), len(vectors), dtype=torch.float64)
    for chunk in chunks:
        rows = torch.stack(chunk).double()
        total += (rows @ rows.T).cpu()
    return total


def _jackknife(estimate: Callable[[Tensor], Tensor], groups: int) -> tuple[float, float]:
    """Return an estimate and its jackknife standard error.

    Args:
        estimate: function of one weight per group, 1 to include the group and 0 to leave it out.
        groups: number of groups.
    """
    everything = torch.ones(groups, dtype=torch.float64)
    without_each = torch.stack([estimate(everything - row) for row in torch.eye(groups).double()])
    spread = (without_each - without_each.mean()).square().sum()
    return estimate(everything).item(), ((groups - 1) / groups * spread).sqrt().item()


def flat_gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Float[Tensor, " coordinate"]:
    """Return the gradient for all parameters as one vector, without changing their ``.grad``."""
    grads = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([grad.reshape(-1) for grad in grads])


def effective_sample_size(
    log_posterior: Float[Tensor, "*shape alignment"],
    log_guide: Float[Tensor, "*shape alignment"],
    mask: Bool[Tensor, "*#shape alignment"],
) -> Float[Tensor, "*shape"]:
    """Compute the effective sample size of the guide's importance weights, as a fraction.

    ``(E_q w)² / E_q w²`` with ``w = p(z, y) / q(z)`` (Kong 1992), computed exactly as
    ``1 / Σ_s p(s | y)² / q(s)``: the limit of the usual estimate as the number of samples grows.
    It lies between 0 and 1, and is 1 if the guide is the exact posterior.

    Args:
        log_posterior: ``log p(s | y)``.
        log_guide: ``log q(s)``.
        mask: true on real source positions.
    """
    terms = (2 * log_posterior - log_guide).masked_fill(~mask, -math.inf)
    return (-terms.logsumexp(-1)).exp()


@contextmanager
def without_dropout(*programs: object) -> Iterator[None]:
    """Switch dropout off, keeping modules differentiable, and restore their modes afterwards.

    Modules are set to evaluation mode, except recurrent networks: those stay in training mode,
    which cuDNN needs for the backward pass, with their dropout set to 0.
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
    """Return the bytes that a forward pass saves for the backward pass, excluding parameters.

    Each storage is counted once and in full, even if several tensors share it.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    # References are kept so that no address is reused.
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)
