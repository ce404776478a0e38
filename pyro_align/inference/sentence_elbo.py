"""Evidence lower bound of models with latent variables of whole sentences, with free bits."""

from __future__ import annotations

from pyro_align.inference.free_bits import elbo_label
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.likelihood import Likelihood
from pyro_align.inference.objective import Reference
from pyro_align.inference.sentence_free_bits import SentenceFreeBits


class SentenceELBO(SentenceFreeBits, Likelihood):
    """``E_q(s)[log p(y | s)] − KL(q(s) ‖ p(s))`` of models without an alignment, with free bits.

    Gradients are pathwise (Kingma & Welling 2014), and the divergence is in closed form if there is
    one. Without free bits it is :class:`Likelihood`. It has the arguments of
    :class:`SentenceFreeBits`.
    """

    weighs_kl = True
    other_sites = "some"

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The bound, which cannot be enumerated."""
        return Reference(elbo_label(self.free_bits or self.free_bits_per_dimension))
