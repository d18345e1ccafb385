"""Names that every doctest may use, and quick compilation: tests are bound by it."""
import os

# before JAX is imported, and for subprocesses
os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', '1')

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def names(doctest_namespace):
    """jax, jnp and np stand ready in docstrings."""
    doctest_namespace |= {'jax': jax, 'jnp': jnp, 'np': np}
