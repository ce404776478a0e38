"""pyro-align: latent alignment as probabilistic programs."""
