"""vaebench: every variational autoencoder, trained and measured by one engine."""
from vaebench.errors import UserError

__version__ = '0.1.0'
__all__ = ['UserError', 'load']


def load(cell):
    """A finished cell's model: see `vaebench.api.load`."""
    from vaebench.api import load
    return load(cell)
