"""Names that every doctest may use."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def names(doctest_namespace):
    """jax, jnp and np stand ready in docstrings."""
    doctest_namespace |= {'jax': jax, 'jnp': jnp, 'np': np}
