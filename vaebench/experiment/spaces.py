"""What tuning tries of a row: intervals of its numbers and choices of its settings, as data.

A space is a mapping of names to what `rows.log`, `rows.linear` and `rows.among` make. A name is
that of a traced number of the method, of one of its options, `lr`, or a key of a row's settings
that decides its parameters, nested like these. Values are points of a Halton sequence, of which
more trials only add to the first ones.
"""
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench.errors import UserError, unknown
from vaebench.experiment import config_keys
from vaebench.files import one_line

DIGITS = 3
"""Significant digits of a number that is tried: a report shows what was used."""
SCALES = 'log', 'linear'
AMONG = 'among'
FIXED = 'dataset', 'cuts', 'table_seed', 'method', 'hp', 'options'
"""Keys of a row that decide its parameters and are no setting of a space."""
LR = 'optimizer', 'lr'


class Axis(NamedTuple):
    """One name of a space."""
    name: str                     # 'beta', 'lr', 'kit.latent'
    path: tuple[str, ...]         # where a row's config has it: ('hp', 'beta')
    kind: str                     # 'log', 'linear' or 'among'
    values: tuple[Any, ...]       # both ends of an interval, or the choices

    def at(self, u: float) -> Any:
        """Gives the value at a place of [0, 1).

        >>> Axis('beta', ('hp', 'beta'), 'log', (.1, 10.)).at(.5)
        1.0
        >>> Axis('kit.latent', ('kit', 'latent'), 'among', (8, 16)).at(.5)
        16
        """
        if self.kind == AMONG:
            return self.values[int(u * len(self.values))]
        low, high = self.values
        x = low * (high / low) ** u if self.kind == 'log' else low + (high - low) * u
        return min(max(float(f'{x:.{DIGITS}g}'), low), high)

    def of(self, config: Mapping[str, Any]) -> Any:
        """Gives what a row's config has; None where it leaves that to a default."""
        value: Any = config
        for part in self.path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def plain(self) -> list[Any]:
        """Gives what a config writes of it: ['log', 0.1, 10.0]."""
        return [self.kind, *self.values]


def axes(space: Mapping[str, Any], config: Mapping[str, Any], where: str) -> tuple[Axis, ...]:
    """Reads a space.

    Args:
      space: as a config writes it; a name of which it says None is left out.
      config: of the row, resolved.
      where: 'space of row vae', for messages.

    Returns:
      The axes in its order.

    Raises:
      UserError: a name that the row does not have, or no interval and no list of choices.

    >>> config = {'method': 'beta_vae', 'hp': {'beta': 4.}, 'options': {}}
    >>> [axis.path for axis in axes({'beta': ('log', .1, 10.)}, config, 'space')]
    [('hp', 'beta')]
    """
    return tuple(_axis(*found, config, where) for found in _leaves(space, ()))


def _leaves(space: Mapping[str, Any], path: tuple[str, ...]
            ) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in space.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        elif value is not None:
            yield (*path, name), value


def _axis(names: tuple[str, ...], value: Any, config: Mapping[str, Any], where: str) -> Axis:
    name, path = '.'.join(names), _path(names, config, where)
    traced = path[0] == 'hp' or path == LR
    said = f'{where}: {name}={one_line(repr(value), 60)}'
    kind, *values = value if isinstance(value, list | tuple) and value else (None,)
    if kind == AMONG:
        if len(values) < 2 or any(v in values[:i] for i, v in enumerate(values)):
            raise UserError(f'{said}: give among two choices or more, each once')
        return Axis(name, path, kind, tuple(values))
    numbers = len(values) == 2 and all(
        isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
        for x in values)
    if kind not in SCALES or not numbers:
        raise UserError(f'{said}: give log(low, high), linear(low, high) or among(a, b)')
    if not traced:
        raise UserError(f'{said}: it is compiled in, so give choices, such as among(1, 2)')
    if not values[0] < values[1]:
        raise UserError(f'{said}: the interval is empty; give the lower end first')
    if kind == 'log' and values[0] <= 0:
        raise UserError(f'{said}: a log scale begins above 0; give another end or linear')
    return Axis(name, path, kind, tuple(map(float, values)))


def _path(names: tuple[str, ...], config: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Where a row's config has what a space names."""
    first, nested = names[0], len(names) > 1
    settings = [k for k in config_keys.TRAINING if k not in FIXED
                and isinstance(config.get(k), Mapping) == nested]
    options, more = ([], False) if nested else _options(config)
    if not nested and first in config['hp']:
        return 'hp', first
    if names == ('lr',):
        return LR
    if first in settings and first not in options:
        return names
    if first in options or more:
        return 'options', first
    known = settings if nested else [*config['hp'], 'lr', *options, *settings]
    raise unknown(f'name in the {where}:', first, known)


def _options(config: Mapping[str, Any]) -> tuple[list[str], bool]:
    """(options of a row's method, whether it takes others too)."""
    from vaebench import methods
    factory = inspect.signature(methods.find(config['method']).factory)
    taken = list(factory.parameters.values())[2:]      # after kit and recipe
    more = any(p.kind is p.VAR_KEYWORD for p in taken)
    named = [p.name for p in taken if p.kind is not p.VAR_KEYWORD]
    return list(dict.fromkeys([*config['options'], *named])), more


def points(found: Sequence[Axis], count: int, seed: int) -> list[dict[str, Any]]:
    """Gives values to try.

    Args:
      found: the axes.
      count: of points.
      seed: of the scrambling: the same one has every axis of one place at the same places.

    Returns:
      {name: value} of every point. More points begin with the same ones.

    References:
      Owen, "A randomized Halton algorithm in R", 2017: the sequence and its scrambling.

    >>> beta = Axis('beta', ('hp', 'beta'), 'log', (.1, 10.))
    >>> points([beta], 3, seed=0) == points([beta], 8, seed=0)[:3]
    True
    """
    if not found or count < 1:
        return [{} for _ in range(count)]
    from scipy.stats import qmc
    places = qmc.Halton(len(found), rng=np.random.default_rng(seed)).random(count)
    return [{axis.name: axis.at(float(u)) for axis, u in zip(found, place, strict=True)}
            for place in places]


def changed(config: Mapping[str, Any], found: Sequence[Axis],
            values: Mapping[str, Any]) -> dict[str, Any]:
    """Gives a row's config with the values of a point.

    >>> beta = Axis('beta', ('hp', 'beta'), 'log', (.1, 10.))
    >>> changed({'hp': {'beta': 4., 'warmup': 1.}}, [beta], {'beta': .5})
    {'hp': {'beta': 0.5, 'warmup': 1.0}}
    """
    out = dict(config)
    for axis in found:
        if axis.name in values:
            value = values[axis.name]
            for part in reversed(axis.path):
                value = {part: value}
            out = config_keys.merge(out, value)
    return out
