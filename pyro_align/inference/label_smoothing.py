"""Label smoothing as a Pyro handler."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pyro_align.distributions.label_smoothing import LabelSmoothing
from pyro_align.errors import ConfigError
from pyro_align.inference.traces import SiteHandler


def label_smoothing(rate: float) -> AbstractContextManager[Any]:
    """Smooth the observed site ``tokens`` of programs that run in this context.

    The log probability of a token becomes that of
    :class:`~pyro_align.distributions.LabelSmoothing`. With a latent alignment it is smoothed given
    the alignment: the marginal likelihood becomes

        ``log Σ_z p(z) Π_v p(v | z) ** w_v``, with ``w_y = 1 − ε + ε / V`` and ``w_v = ε / V``,

    as if all tokens were observed, with these weights and one alignment. Any objective, also a
    stock Pyro ELBO, then maximises this or its lower bound. Posteriors that a guide computes from
    the model are those without smoothing.

    Args:
        rate: the probability ``ε`` of a random token; 0 changes nothing.

    Raises:
        ConfigError: while a program runs, if its tokens are not drawn from a vocabulary.

    Example::

        with label_smoothing(0.1):
            svi.step(batch)
    """

    def smooth(msg: Any) -> None:
        if not msg["is_observed"]:
            return
        fn = msg["fn"]
        if fn.event_shape or not hasattr(type(fn), "logits"):  # not computed here
            raise ConfigError(
                f"label smoothing needs a site 'tokens' with a distribution over a vocabulary, not "
                f"a {type(fn).__name__}: set training.label_smoothing = 0"
            )
        msg["fn"] = LabelSmoothing(fn, rate)

    return SiteHandler(smooth, name="tokens", observed=True) if rate else nullcontext()
