"""Codes of examples whose factors are known: drawn where the data say what factors look like,
else rows of the split.
"""
from typing import Any, NamedTuple

import jax
import numpy as np

from vaebench.metrics.draws import FIRST, draw, fold, slots
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.factor_scores import varying
from vaebench.metrics.types import Estimator
from vaebench.schema import field

ROWS, VOTES, PAIRED = 32, 33, 34   # tags of the key: draws for each
AT_ONCE = 2**14                    # codes that are drawn, or combinations observed, at once
LEAST = 20                         # rows below which nothing is said


class Codes(NamedTuple):
    """What codes are scored."""
    end: str                   # of the names of scores
    needs: tuple[str, ...]     # evals
    said: Estimator            # what estimators say of them
    samples: int | None = None     # of each example, None where nothing is drawn


CODES = {'mean': Codes('', ('encode',), Estimator('posterior means', 'means')),
         'sampled': Codes('_sampled', ('posterior', 'sample_q'),
                         Estimator('one draw of each posterior', 'draws'), 1)}


class Part(NamedTuple):
    """Examples of known factors."""
    codes: np.ndarray          # [G, n, Z]
    factors: np.ndarray        # int [n, F], without factors that have one value


class Known(NamedTuple):
    """What scores against factors are made of."""
    train: Part
    test: Part
    names: tuple[str, ...]     # of the factors that are left
    drawn: bool                # from all combinations, rather than rows of the split


class Votes(NamedTuple):
    """What is common to the examples of every vote, and their codes' statistics."""
    held: np.ndarray           # int [V], place of the factor among the levels
    told: np.ndarray           # [G, V, Z]


def split_factors(view: Evaluator) -> np.ndarray:
    """Returns the factors int [N, F] of the split in its order; no picture is drawn for it."""
    stored = [b['factors'] for b in view.buckets if 'factors' in b]
    return np.concatenate(stored)[view.order] if stored else view.field('factors')


def levels(view: Evaluator) -> np.ndarray:
    """Returns the number of levels of every factor, int [F], by the schema, else by the split.
    """
    said = field(view.schema, 'factors').levels
    return np.array(said) if said else split_factors(view).max(0) + 1


def held_fixed(sizes: np.ndarray, held: np.ndarray, n: int,
               rng: np.random.Generator) -> np.ndarray:
    """Draws combinations of factors, each vote's with one level in common.

    Args:
      sizes: int [F], levels of each factor.
      held: int [V], the factor that a vote's combinations have in common.
      n: combinations of each vote.
      rng: numpy `Generator`.

    Returns:
      int [V, n], places in the grid of all combinations, the last factor fastest.

    >>> rng = np.random.default_rng(0)
    >>> at = held_fixed(np.array([2, 3]), np.array([0, 1]), 50, rng)
    >>> len(np.unique(at[0] // 3)), len(np.unique(at[1] % 3))
    (1, 1)
    """
    place = np.zeros((len(held), n), np.int64)
    for k, size in enumerate(sizes):
        own = rng.integers(0, size, place.shape)
        own[held == k] = own[held == k][:, :1]
        place = place * size + own
    return place


# ---- what networks say of combinations -------------------------------------------------------

def _states(evals, params, carry, key, own, batch):
    out = {}
    if 'encode' in evals:
        out['mean'] = evals['encode'](params, carry, batch)
    if {'posterior', 'sample_q'} <= set(evals):
        out['q'] = evals['posterior'](params, carry, batch)
    return out


def _drawn(evals, params, carry, key, own, index):
    q, tag = own
    return draw(evals, params, carry, q, fold(key, index, FIRST, tag)[0])


def draws(view: Evaluator, q: Any, tag: Any, start: int = 0) -> np.ndarray:
    """Draws a code from each of some posteriors.

    Args:
      view: the `Evaluator`.
      q: leaves [G, n, ...].
      tag: of the key, for all models or [G]; every draw has its own key.
      start: number of the first draw.

    Returns:
      [G, n, Z].
    """
    sample, parts, n = view.jit(_drawn), [], jax.tree.leaves(q)[0].shape[1]
    tags = np.broadcast_to(np.int32(tag), (view.seeds,))
    for idx in slots(n, AT_ONCE):
        view.pause()
        own = jax.tree.map(lambda x, idx=idx: x[:, np.maximum(idx, 0)], q)
        parts.append(jax.device_get(sample((own, tags), np.int32(start + idx))))
    return np.concatenate(parts, 1)[:, :n]


class Grid:
    """Combinations of factors as a group of models encodes them, each once.

    In memory are the posteriors of the combinations that were asked for, which are at most
    those that there are and at most the draws that were made of them.

    Args:
      view: of data with 'observe'.
    """

    def __init__(self, view: Evaluator):
        self.view, self.sizes = view, levels(view)
        self.places, self.states = np.zeros(0, np.int64), None

    def factors(self, places: np.ndarray) -> np.ndarray:
        """Returns the combinations int [n, F] at places of the grid."""
        return np.stack(np.unravel_index(places, tuple(self.sizes)), -1)

    def encode(self, places: np.ndarray) -> None:
        """Encodes the combinations at these places, but for those that are known."""
        new = np.setdiff1d(places, self.places)
        if not len(new):
            return
        observe = self.view.data.observe
        assert observe is not None                         # `Metric.fields` asked for it
        parts = [] if self.states is None else [self.states]
        for start in range(0, len(new), AT_ONCE):
            columns = observe(self.factors(new[start:start + AT_ONCE]))
            parts.append(self.view.over_arrays(_states, columns))
        every = np.concatenate([self.places, new])
        order = np.argsort(every)
        self.places = every[order]
        self.states = jax.tree.map(lambda *x: np.concatenate(x, 1)[:, order], *parts)

    def posteriors(self, places: np.ndarray) -> Any:
        """Returns the posteriors of encoded combinations: leaves [G, n, ...]."""
        at = np.searchsorted(self.places, places)
        return jax.tree.map(lambda x: x[:, at], self._states()['q'])

    def codes(self, places: np.ndarray, which: str, tag: int, start: int = 0) -> np.ndarray:
        """Returns codes of encoded combinations.

        Args:
          places: int [n], as often as each is wanted.
          which: key of `CODES`; every draw is another, also of the same combination.
          tag: of the key.
          start: number of the first draw.

        Returns:
          [G, n, Z].
        """
        if which == 'mean':
            at = np.searchsorted(self.places, places)
            return np.asarray(self._states()['mean'])[:, at]
        return draws(self.view, self.posteriors(places), tag, start)

    def _states(self):
        assert self.states is not None
        return self.states


def grid(view: Evaluator) -> Grid:
    """Returns the view's `Grid`."""
    return view.cached('grid', lambda: Grid(view))


# ---- examples and votes ----------------------------------------------------------------------

def sample_rows(view: Evaluator) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the examples of train and test, for all models alike.

    Returns:
      (int [n], int [m]): places in the grid, drawn with replacement, where the data can observe
      any; else rows of the split, in the same ratio where it has not enough.
    """
    n, m = view.settings.factor_train, view.settings.factor_test
    rng = np.random.default_rng(ROWS)
    if view.data.observe is not None:
        places = rng.integers(0, np.prod(levels(view)), n + m)
        return places[:n], places[n:]
    rows = rng.permutation(view.n)
    n = min(n, round(view.n * n / (n + m)))
    return rows[:n], rows[n:n + m]


def known(view: Evaluator, which: str) -> Known | None:
    """Returns codes and factors of the examples that scores learn from and are tested on.

    Args:
      view: with the column 'factors'.
      which: key of `CODES`.

    Returns:
      `Known`; None where codes are no vectors of at least two dimensions, fewer than two
      factors vary or there are fewer than 20 examples.
    """
    return view.cached(('known', which), lambda: _known(view, which))


def _known(view, which):
    (train, test), codes = sample_rows(view), split_codes(view, which)
    n = len(train)
    if codes is None or codes.shape[2] < 2 or min(n, len(test)) < LEAST:
        return None
    both = np.concatenate([train, test])
    if view.data.observe is None:
        codes, factors = codes[:, both], split_factors(view)[both]
    else:
        grid(view).encode(both)
        codes, factors = grid(view).codes(both, which, ROWS), grid(view).factors(both)
    kept = varying(factors[:n], factors[n:])
    if kept.sum() < 2:
        return None
    codes, factors = np.asarray(codes, np.float64), factors[:, kept].astype(np.int64)
    names = field(view.schema, 'factors').names or [f'factor {k + 1}' for k in range(len(kept))]
    return Known(Part(codes[:, :n], factors[:n]), Part(codes[:, n:], factors[n:]),
                 tuple(np.array(names)[kept].tolist()), view.data.observe is not None)


def split_codes(view: Evaluator, which: str) -> np.ndarray | None:
    """Returns codes [G, N, Z] of the split, key of `CODES`; None where they are no vectors of
    real numbers, or draws are more than the code (a class beside it, say).
    """
    if which != 'mean' and not view.vectors:
        return None
    codes = view.codes if which == 'mean' else view.draws
    return codes if getattr(codes, 'ndim', 0) == 3 and codes.dtype.kind == 'f' else None


def votes(view: Evaluator, which: str, paired: bool) -> tuple[Votes, Votes]:
    """Draws votes: examples of which one factor is the same.

    Args:
      view: with 'factors' and 'observe', whose `known` is not None.
      which: key of `CODES`.
      paired: whether the examples are pairs, each with a level in common, and `told` the mean
        of |difference|; else all of a vote have the level in common, and it is their variance.

    Returns:
      (train, test): as many votes as `Settings.factor_train` and `factor_test` say, of
      `Settings.pairs` examples or pairs each.
    """
    table, n, tag = grid(view), view.settings.pairs, PAIRED if paired else VOTES
    first, every = view.settings.factor_train, view.settings.factor_test
    every += first
    rng = np.random.default_rng(tag)
    held = rng.choice(np.flatnonzero(table.sizes > 1), every)
    if paired:
        places = held_fixed(table.sizes, np.repeat(held, n), 2, rng).reshape(every, 2 * n)
    else:
        places = held_fixed(table.sizes, held, n, rng)
    table.encode(places)
    told, size = [], places.shape[1]
    step = max(1, AT_ONCE // size)
    for start in range(0, every, step):
        some = places[start:start + step]
        z = table.codes(some.ravel(), which, tag, start * size)
        z = z.reshape(len(z), len(some), size, -1)
        told.append(np.abs(z[:, :, ::2] - z[:, :, 1::2]).mean(2) if paired
                    else z.var(2, ddof=1, dtype=np.float64))
    train, test = np.split(np.concatenate(told, 1), [first], 1)
    return Votes(held[:first], train), Votes(held[first:], test)
