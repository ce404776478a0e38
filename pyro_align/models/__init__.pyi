from .alignment_model import AlignmentModel
from .categorical import CategoricalModel
from .dirichlet import DirichletModel
from .language_model import LanguageModel
from .markov import MarkovModel
from .sentence_latent_model import SentenceLatentModel
from .sentence_model import SentenceModel
from .sentence_vae import SentenceVAE
from .soft import SoftModel
from .spherical_vae import SphericalVAE
from .variational import VariationalModel
from .variational_soft import VariationalSoftModel

__all__ = [
    "AlignmentModel",
    "CategoricalModel",
    "DirichletModel",
    "LanguageModel",
    "MarkovModel",
    "SentenceLatentModel",
    "SentenceModel",
    "SentenceVAE",
    "SoftModel",
    "SphericalVAE",
    "VariationalModel",
    "VariationalSoftModel",
]
