"""Products of networks in a lower precision; everything else stays in float32.

A product is a network's where `network` has been around the function that takes it: the mark is
JAX's own, `Precision.DEFAULT` in place of none, and survives gradients, loops and vmap. Then
`lowered` rounds the operands of marked products in a whole program, the same on every platform,
so that a CPU shows what an accelerator computes. Sums are taken in float32.
"""
import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, jaxpr_as_fun
from jax.extend.core import Literal as Constant

Precision = Literal['f32', 'tf32', 'bf16']
PRODUCTS = 'dot_general', 'conv_general_dilated'
CALLED = 'call_jaxpr', 'call'
"""What plain calls, and those with a rule of their own for gradients or vmap, name the program
that they call: a finished program needs no rules, so it stands in their place."""


def network(f: Callable) -> Callable:
    """Marks the products that a function takes as a network's.

    >>> dot = network(jnp.dot)
    >>> 'Precision.DEFAULT' in str(jax.make_jaxpr(dot)(jnp.ones(2), jnp.ones(2)))
    True
    """
    @functools.wraps(f)
    def marked(*args: Any, **named: Any) -> Any:
        with jax.default_matmul_precision('bfloat16'):
            return f(*args, **named)

    return marked


def lowered(f: Callable, precision: Precision) -> Callable:
    """Makes a program whose marked products are of a precision.

    Args:
      f: pure function of trees of arrays; gradients and vmap are inside of it.
      precision: 'bf16' rounds operands to bfloat16 (8 bits), 'tf32' to TensorFloat-32 (11
        bits); 'f32' leaves f as it is.

    Returns:
      Function of the same arguments.

    >>> third, dot = jnp.full(1, 1 / 3), network(jnp.dot)
    >>> [float(lowered(dot, p)(third, jnp.ones(1))) for p in ('tf32', 'bf16')]
    [0.333251953125, 0.333984375]
    """
    if precision == 'f32':
        return f

    @functools.wraps(f)
    def program(*args: Any) -> Any:
        plain, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        out = jaxpr_as_fun(_rewritten(plain, precision))(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shape), out)

    return program


def _rewritten(program: ClosedJaxpr, precision: str) -> ClosedJaxpr:
    def run(*args):
        return _run(program.jaxpr, program.consts, args, precision)

    return jax.make_jaxpr(run)(*program.in_avals)


def _run(jaxpr: Jaxpr, consts: Sequence, args: Sequence, precision: str) -> list:
    """Takes the steps of a program one by one, with its products changed."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def value(x):
        return x.val if isinstance(x, Constant) else known[x]

    for eqn in jaxpr.eqns:
        out = _step(eqn, [value(x) for x in eqn.invars], precision)
        known |= zip(eqn.outvars, out, strict=True)
    return [value(x) for x in jaxpr.outvars]


def _step(eqn: JaxprEqn, values: list, precision: str) -> list:
    params = dict(eqn.params)
    for inner in [params[name] for name in CALLED if name in params]:
        closed = inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, ())
        return _run(closed.jaxpr, closed.consts, values, precision)
    if eqn.primitive.name in PRODUCTS and _marked(params['precision']):
        values, more = _rounded(values, precision)
        out: Any = eqn.outvars[0].aval
        params |= {**more, 'preferred_element_type': out.dtype}
    params = {k: _inside(v, precision) for k, v in params.items()}
    out = eqn.primitive.bind(*values, **params)
    return list(out) if eqn.primitive.multiple_results else [out]


def _marked(precision: Any) -> bool:
    default = jax.lax.Precision.DEFAULT
    return precision == default or precision == (default, default)


def _rounded(values: list, precision: str) -> tuple[list, dict[str, Any]]:
    """The operands of a product, and what it is told of its precision."""
    if precision == 'bf16':
        return [x.astype(jnp.bfloat16) for x in values], {'precision': None}
    high = jax.lax.Precision.HIGH                # TensorFloat-32 where there is such
    return [jax.lax.reduce_precision(x, 8, 10) for x in values], {'precision': (high, high)}


def _inside(value: Any, precision: str) -> Any:
    """A parameter of a step; the programs in it are rewritten."""
    if isinstance(value, ClosedJaxpr):
        return _rewritten(value, precision)
    if isinstance(value, Jaxpr):
        return _rewritten(ClosedJaxpr(value, ()), precision).jaxpr
    if isinstance(value, tuple) and any(isinstance(v, ClosedJaxpr | Jaxpr) for v in value):
        return tuple(_inside(v, precision) for v in value)
    return value
