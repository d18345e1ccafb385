"""Names that every doctest may use, and quick compilation: tests are bound by it."""
import os
import pathlib

# before JAX is imported, and for subprocesses; a second run compiles only what has changed
for name, value in {
        'JAX_DISABLE_MOST_OPTIMIZATIONS': 1,
        'JAX_COMPILATION_CACHE_DIR': pathlib.Path(__file__).parent / '.pytest_cache' / 'jax',
        'JAX_COMPILATION_CACHE_MAX_SIZE': 2**30,         # the oldest go; and workers take turns
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': 0,
        'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': 0}.items():
    os.environ.setdefault(name, str(value))

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def names(doctest_namespace):
    """jax, jnp and np stand ready in docstrings."""
    doctest_namespace |= {'jax': jax, 'jnp': jnp, 'np': np}
