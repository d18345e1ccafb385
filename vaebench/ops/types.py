"""Types of arguments that ops and losses share."""
import jax

Number = float | jax.Array
"""A Python number, or an array that may be traced; docstrings give its shape."""
