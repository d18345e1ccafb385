"""vaebench: every variational autoencoder, trained and measured by one engine."""
__version__ = '0.1.0'
