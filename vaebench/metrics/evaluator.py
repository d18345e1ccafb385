"""What metrics see of a trained group: per-example quantities, computed once and shared."""
import functools
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import derive
from vaebench.metrics import proposal
from vaebench.schema import Rows, Schema, count, over, select

SAMPLE = ('posterior', 'sample_q', 'log_lik')                 # evals of one draw per example
WEIGHTS = (*SAMPLE, 'log_q', 'log_prior')                     # evals of an importance weight
# of one whose proposal is `proposal`'s
REFINED = (*SAMPLE, 'encode', 'log_prior')
# Tags of the key. A caller's own: 2 and 3 in evaluate, from 8 on in other files of metrics.
DRAWS, GENERATED, REPLICA, DUAL, PRIOR, REFINE = 0, 1, 4, 5, 6, 7
FIRST = np.zeros(1, np.int32)
DEGENERATE = 'importance weights degenerate: median effective sample size {:.1f} of {}'


class Settings(NamedTuple):
    """Cost of an evaluation. `chunk`, `batch` and `block` bound the memory and change no
    draw."""
    samples: int = 500        # importance samples per example
    chunk: int = 50           # importance samples per dispatch
    batch: int = 32           # examples per dispatch
    block: int = 1024         # posteriors per block of an aggregate
    points: int = 2048        # quadrature points of `cu`
    images: int = 1000        # most images or points on each side of a comparison of samples
    drawn: int = 10_000       # samples in which the modes of a mixture are looked for
    generated: int = 1000     # sentences drawn from the prior, once per way of decoding
    refine: int = 50          # steps of a proposal of our own; see `proposal`


class Value(NamedTuple):
    """A metric of every seed of a group."""
    value: np.ndarray                  # [G]
    estimator: str
    n: int                             # examples it was computed from
    samples: int | None = None         # Monte Carlo samples per example, None if exact
    stderr: np.ndarray | None = None   # [G], over examples
    warning: list | None = None        # [G] of texts or None
    # what a reader should know of the estimate; does not tell estimators apart
    note: str | None = None


class Metric(NamedTuple):
    """A number with a named estimator."""
    compute: Callable[['Evaluator'], Value | None]   # None where this data has too few examples
    needs: tuple[tuple[str, ...], ...]     # alternatives: one of these sets of evals suffices
    # '{item}' stands for sentence, image or point, '{part}' for pixel ...
    unit: str
    better: str | None                     # 'lower', 'higher' or None
    fields: tuple[str, ...] = ()           # what the data must hold: see `Data.names`


class Judge(NamedTuple):
    """What the suite has trained or counted once per dataset and workdir, to judge every method
    by.

    Attributes:
      name: for readers of an estimator; with the accuracy where it has one.
      digest: hash of what it has learnt, part of the estimator's id; '' where the data alone
        decide it.
      accuracy: on the test split, where it has labels to say.
      functions: what it offers, by name: `judge.features(x)`.
    """
    name: str
    digest: str = ''
    accuracy: float | None = None
    functions: Mapping[str, Callable] = {}

    def __getattr__(self, name):
        try:
            return self.functions[name]
        except KeyError:
            raise AttributeError(name) from None


class Trained(NamedTuple):
    """A trained group of seeds.

    Attributes:
      evals: the method's, name -> f(params, carry, ...).
      params, carry: leaves [G, ...].
      key: [] typed key that the seeds share, or [G]; only its folds with the tags above are
        used.
      programs: compiled functions, shared by groups of one method on one split; see
        `Evaluator.jit`.
    """
    evals: Mapping[str, Callable]
    params: Any
    carry: Any
    key: jax.Array
    programs: dict | None = None


class Data(NamedTuple):
    """What metrics may read.

    Attributes:
      buckets: of the evaluated split, columns with leading N_b; 'index' [N_b] is the example's
        place in the split.
      schema: of the columns.
      train, valid: columns of these splits in their natural order; None where no metric may
        read them.
      truth: what is known of the law the data come from: see `datasets.Dataset`.
      item, part: of units: see `datasets.Dataset`.
      decode: batch -> batch, applied to whatever is read; None changes nothing.
      observe, symmetry: see `datasets.Dataset`.
      judges: name -> () -> `Judge`, made when first asked for.
    """
    buckets: list
    schema: Schema = {}
    train: Mapping[str, Any] | None = None
    valid: Mapping[str, Any] | None = None
    truth: Mapping[str, Any] = {}
    item: str = 'example'
    part: str = 'value'
    decode: Callable | None = None
    observe: Callable | None = None
    symmetry: Callable | None = None
    judges: Mapping[str, Callable[[], Any]] = {}

    @property
    def names(self):
        """What `Metric.fields` may ask for: columns, 'train/column', 'truth/name',
        'judge/name', 'observe' ...
        """
        named = {'train': self._read(self.train), 'truth': self.truth, 'judge': self.judges}
        prefixed = {f'{prefix}/{k}' for prefix, part in named.items() for k in part or ()}
        given = {name for name in ('observe', 'symmetry') if getattr(self, name) is not None}
        return frozenset(self._read(self.buckets[0])) | prefixed | given

    def _read(self, columns):
        """The names that networks read: `decode` may make columns of others."""
        if not columns or self.decode is None:
            return columns
        return self.decode(select(columns, slice(1)))


@jax.jit
def fold(key, index, sample, tag=DRAWS):
    """A key for every draw of every example, so that no batching changes a draw.

    Args:
      key: [] typed key.
      index: int32 [B], the examples' places in their split.
      sample: int32 [S], numbers of the draws.
      tag: what the draws are for, one of the tags above.

    Returns:
      [S, B] typed keys.

    >>> fold(jax.random.key(0), jnp.arange(3), jnp.arange(2)).shape
    (2, 3)
    """
    key = derive(key, tag)
    return jax.vmap(lambda s: jax.vmap(lambda i: derive(key, i, s))(index))(sample)


@jax.jit
def fold_group(keys, index, sample, tag=DRAWS):
    """`fold` of every seed: keys [G] -> [G, S, B]. A program of its own: every model shares
    it."""
    return jax.vmap(lambda key: fold(key, index, sample, tag))(keys)


def alone(x):
    """One example as a batch of one: leaves [...] -> [1, ...]."""
    return jax.tree.map(lambda x: x[None], x)


def first(x):
    """The first example of a batch: leaves [B, ...] -> [...]."""
    return jax.tree.map(lambda x: x[0], x)


def draw(evals, params, carry, q, keys):
    """One code per example, each from a key of its own.

    Args:
      evals: with 'sample_q'.
      params, carry: of one seed.
      q: posterior, leaves [B, ...].
      keys: [B] typed keys.

    Returns:
      Codes, [B, Z] or leaves [B, ...].
    """
    def one(q, key):
        return first(evals['sample_q'](params, carry, alone(q), key))

    return jax.vmap(one)(q, keys)


def single(evals, params, carry, batch, keys):
    """What one draw per example says: everything that `evals` allows.

    Args:
      evals: name -> function, any of core.EVALS.
      params, carry: of one seed.
      batch: leaves [B, ...].
      keys: [B] typed keys.

    Returns:
      Some of 'nll' (exact), 'error' (of a predictor), 'rec', 'kl', 'log_q', 'log_prior',
      'log_length' [B], nats; 'code' [B, Z]; 'q', 'z' leaves [B, ...].
    """
    def has(*names):
        return all(n in evals for n in names)

    def call(name, *args):
        return evals[name](params, carry, *args)

    out = {}
    if has('score'):
        out['nll'] = -call('score', batch)
    if has('error'):
        out['error'] = call('error', batch)
    if has('encode'):
        out['code'] = call('encode', batch)
    if has('log_length'):
        out['log_length'] = call('log_length', batch)
    if has('posterior'):
        q = out['q'] = call('posterior', batch)
        if has('sample_q'):
            z = out['z'] = draw(evals, params, carry, q, keys)
            if has('log_lik'):
                out['rec'] = -call('log_lik', z, batch)
            if has('log_q'):
                out['log_q'] = call('log_q', q, z)
            if has('log_prior'):
                out['log_prior'] = call('log_prior', z)
        if has('kl'):
            out['kl'] = call('kl', q)
        elif 'log_q' in out and 'log_prior' in out:
            out['kl'] = out['log_q'] - out['log_prior']
    return out


def log_weights(evals, params, carry, q, batch, keys):
    """ln p(x|z) p(z) / q(z|x) at draws from q, with the probability of the number of latents
    where it tells the length.

    Args:
      evals: with WEIGHTS.
      params, carry: of one seed.
      q: leaves [B, ...].
      batch: leaves [B, ...].
      keys: [S, B] typed keys.

    Returns:
      [S, B] nats.
    """
    def one(keys):
        z = draw(evals, params, carry, q, keys)
        return (evals['log_lik'](params, carry, z, batch) + evals['log_prior'](params, carry, z)
                - evals['log_q'](params, carry, q, z))

    log_w = jax.vmap(one)(keys)
    return log_w + evals['log_length'](params, carry, batch) if 'log_length' in evals else log_w


def importance(log_w):
    """Marginal likelihood and effective sample size of importance weights.

    Differs from a mean of weights: -ln (1/S) sum_s w_s in float64, ess = (sum w)^2 / sum w^2.

    Args:
      log_w: [..., S] nats.

    Returns:
      nll [...] nats, ess [...] between 1 and S.

    >>> nll, ess = importance(np.log(np.array([1., 1., 2.])))
    >>> round(float(np.exp(-nll)), 6), round(float(ess), 6)
    (1.333333, 2.666667)
    """
    # one order of summation, whatever the strides
    log_w = np.ascontiguousarray(log_w, np.float64)
    top = log_w.max(-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.)
    w = np.exp(log_w - top)
    with np.errstate(divide='ignore', invalid='ignore'):
        return -(np.log(w.mean(-1)) + top[..., 0]), w.sum(-1)**2 / (w**2).sum(-1)


def slots(n, size):
    """Places 0..n-1 in rows of `size`, the rest of the last row -1.

    >>> slots(3, 2).tolist()
    [[0, 1], [2, -1]]
    """
    out = np.full(-(-n // size) * size, -1, np.int32)
    out[:n] = np.arange(n)
    return out.reshape(-1, size)


def split_index(buckets):
    """Filled buckets without their index, and the index of their examples: their own or the
    running number.

    Args:
      buckets: list of columns with leading N_b.

    Returns:
      The list of columns, and a list of int32 [N_b].
    """
    data, index, start = [], [], 0
    for b in buckets:
        n = count(b)
        if n == 0:
            continue
        index.append(np.asarray(b.get('index', np.arange(start, start + n)), np.int32))
        data.append({k: v for k, v in b.items() if k not in ('index', 'weight')})
        start += n
    if not data:
        raise ValueError('no example to evaluate')
    every = np.concatenate(index)
    if len(np.unique(every)) != len(every):
        raise ValueError("the buckets' 'index' holds an example twice")
    return data, index


def group_size(params, carry, key):
    """Number of seeds G in the leading axis; 1 if there is nothing to lead."""
    leaves = jax.tree.leaves((params, carry))
    return leaves[0].shape[0] if leaves else (key.shape[0] if key.ndim else 1)


def over_seeds(f, size):
    """vmap of f(params, carry, key, own, *shared) over its first four arguments, leaves [G,
    ...].

    >>> f = over_seeds(lambda params, carry, key, own, x: params * x, 2)
    >>> f(jnp.array([1., 2.]), (), jax.random.split(jax.random.key(0)), (), 3.).tolist()
    [3.0, 6.0]
    """
    def mapped(params, carry, key, own, *shared):
        return jax.vmap(lambda *seed: f(*seed, *shared), axis_size=size)(params, carry, key,
                                                                         own)

    return mapped


def of_batch(evals, name, params, carry, key, own, batch):
    """An eval of a batch, as `Evaluator.jit` and `over_examples` take functions."""
    return evals[name](params, carry, batch)


def each(evals, name, params, carry, key, keys, batch):
    """An eval (batch, key) of every example alone, with a key of its own: for `Evaluator.over_examples`."""
    one = lambda example, key: first(evals[name](params, carry, alone(example), key))
    return jax.vmap(one)(batch, keys)


def _single(evals, params, carry, key, keys, batch):
    return single(evals, params, carry, batch, keys)


def _weigh(evals, refined, params, carry, key, own, batch):
    q, keys = own
    return log_weights({**evals, **(proposal.EVALS if refined else {})}, params, carry, q, batch, keys)


def _refine(evals, steps, params, carry, key, own, batch):
    q, keys = own
    return proposal.refine(evals, params, carry, q, batch, keys, steps)


class Evaluator:
    """A trained group of seeds over one split. Every quantity is computed when first asked for,
    then kept.

    An example's randomness comes from the key folded with its index and the sample's number:
    the order and
    size of batches, buckets and chunks, and padding, leave every draw as it is.

    Args:
      trained: a `Trained`.
      data: a `Data`.
      settings: a `Settings`; its defaults if None.
      tick: called as tick(done, total) after every batch of importance sampling.
      partial: path of an .npz that keeps what importance sampling has done when `tick` raises;
        None keeps nothing.
    """

    def __init__(self, trained: Trained, data: Data, settings: Settings | None = None,
                 tick: Callable[[int, int], None] | None = None, partial: Any = None):
        self.evals, self.params, self.carry = trained.evals, trained.params, trained.carry
        self.programs = {} if trained.programs is None else trained.programs
        self.seeds = group_size(trained.params, trained.carry, trained.key)
        self.keys = jnp.broadcast_to(trained.key,
                                     (self.seeds,)) if trained.key.ndim == 0 else trained.key
        self.settings, self.partial = settings or Settings(), partial
        columns, self.index = split_index(data.buckets)
        self.buckets = [jax.tree.map(np.asarray, b) for b in columns]
        self.data = data._replace(buckets=self.buckets)
        self.order = np.argsort(np.concatenate(self.index), kind='stable')
        self.n = len(self.order)
        self.tick, self._told = tick or (lambda done, total: None), (0, 1)
        # what metrics share: passes over the split, and the rest
        self._once, self._cached = {}, {}

    @property
    def schema(self):
        """Of the data's columns."""
        return self.data.schema

    def cached(self, name, make):
        """make(), computed once per evaluator and name."""
        if name not in self._cached:
            self._cached[name] = make()
        return self._cached[name]

    def judge(self, name):
        """The judge of that name, made when first asked for; None where the data has none."""
        make = self.data.judges.get(name)
        return None if make is None else self.cached(('judge', name), make)

    def pause(self):
        """Where an evaluation may be stopped: `tick` raises if it is to be."""
        self.tick(*self._told)

    def field(self, name):
        """[N, ...] one column of the split, decoded, in the split's order."""
        return np.concatenate([self.decoded(b, name) for b in self.buckets])[self.order]

    def decoded(self, columns, name):
        """[N, ...] one of the columns, as networks read it; `()` where there is none."""
        read = self.data.decode
        return np.asarray((columns if read is None else read(columns)).get(name, ()))

    def head(self, n):
        """The split's first n examples in its order, as one batch."""
        every = [self.batch(b, np.arange(len(i)))
                 for b, i in zip(self.buckets, self.index, strict=True)]
        return over(lambda *x: np.concatenate(x)[self.order[:n]], *every)

    def jit(self, f, *static):
        """f(evals, *static, params, carry, key, own, *shared) of one seed as F(own, *shared) of the group.

        Compiled once per f, static values and number of seeds, for every group that shares `Trained.programs`.

        Args:
          f: a function of a module, which closes over nothing.
          *static: hashable values.

        Returns:
          Compiled function of own, leaves [G, ...], and of arrays that the seeds share.
        """
        name = f, static, self.seeds
        if name not in self.programs:
            bound = functools.partial(f, self.evals, *static)
            self.programs[name] = jax.jit(over_seeds(bound, self.seeds))
        return functools.partial(self.programs[name], self.params, self.carry, self.keys)

    def batches(self):
        """Yields (batch with leaves [B, ...], index [B], rows [B]); rows are places in bucket
        order, -1 if empty.
        """
        start = 0
        for columns, index in zip(self.buckets, self.index, strict=True):
            n = len(index)
            for idx in slots(n, min(self.settings.batch, n)):
                yield self.batch(columns, idx), index[np.maximum(idx, 0)], np.where(
                    idx < 0, -1, start + idx)
            start += n

    def batch(self, columns, idx):
        """The rows idx [B] of columns, decoded, as networks read them; -1 is an empty slot."""
        batch = select(columns, np.maximum(idx, 0))
        if self.data.decode is not None:         # as in `core.take`: linked rows too
            links = [k for k, v in columns.items() if isinstance(v, Rows)]
            linked = {k: self.data.decode(batch.pop(k)) for k in links}
            batch = {**self.data.decode(batch), **linked}
        return {**batch, 'weight': (idx >= 0).astype(np.float32)}

    def over_examples(self, f, *static, tag=DRAWS):
        """f(evals, *static, params, carry, key, keys [B], batch) -> leaves [B, ...] over the split.

        Returns:
          Leaves [G, N, ...], in the split's order.
        """
        group, parts = self.jit(f, *static), []
        for batch, index, rows in self.batches():
            self.pause()
            filled, keys = int((rows >= 0).sum()), fold_group(self.keys, index, FIRST, tag)[:, 0]
            parts.append(jax.tree.map(lambda x, m=filled: x[:, :m], jax.device_get(group(keys, batch))))
        return jax.tree.map(lambda *x: np.concatenate(x, 1)[:, self.order], *parts)

    @cached_property
    def terms(self):
        """`single` of every example: leaves [G, N, ...]."""
        return self.over_examples(_single)

    @property
    def states(self):
        """Posteriors, leaves [G, N, ...]."""
        return self.terms['q']

    @property
    def draws(self):
        """One code per example, [G, N, Z] or leaves [G, N, ...]."""
        return self.terms['z']

    @property
    def codes(self):
        """[G, N, Z] posterior means."""
        return self.terms['code']

    def _keep(self, nll, ess):
        if self.partial is not None:
            pathlib.Path(self.partial).parent.mkdir(parents=True, exist_ok=True)
            both = {'nll': np.concatenate(nll, 1), 'ess': np.concatenate(ess, 1)}
            np.savez(self.partial, sizes=[x.shape[1] for x in nll], **both)

    def _kept(self):
        """Batches of (nll, ess) that an earlier attempt has left; what cannot be read is done
        again.
        """
        try:
            with np.load(self.partial) as kept:
                cuts = np.cumsum(kept['sizes'])[:-1]
                return [list(np.split(kept[k], cuts, 1)) for k in ('nll', 'ess')]
        except (TypeError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return [], []

    def codes_of(self, arrays):
        """[G, N, Z] posterior means of other data than the split: see `of_arrays`."""
        return self.of_arrays(arrays, 'encode')

    def of_arrays(self, arrays, name):
        """[G, N, ...] what an eval of a batch gives for other data than the split.

        Args:
          arrays: name -> [N, ...] as in the buckets; N of any size, one program per shape of an example.
          name: of the eval.
        """
        f, parts, n = self.jit(of_batch, name), [], count(arrays)
        arrays = jax.tree.map(np.asarray, arrays)
        for idx in slots(n, self.settings.batch):
            self.pause()
            parts.append(jax.device_get(f((), self.batch(arrays, idx))))
        return np.concatenate(parts, 1)[:, :n]

    def once(self, f, *static, tag):
        """`over_examples` of f with that tag, kept: f and tag name the quantity."""
        return self.cached(('once', tag), lambda: self.over_examples(f, *static, tag=tag))

    @property
    def refines(self):
        """Whether importance sampling needs a proposal of ours, which stands for codes [B, Z]
        alone.
        """
        return 'log_q' not in self.evals

    @property
    def weighable(self):
        """Whether there is a proposal: a density of q, or codes that are vectors."""
        return not self.refines or getattr(self.draws, 'shape', None) == self.codes.shape

    @cached_property
    def weights(self):
        """Importance sampling from q or, where it has no density, from `proposal`'s: (nll [G,
        N] nats, ess [G, N]).
        """
        s = self.settings
        calls = -(-s.samples // max(1, min(s.chunk, s.samples)))
        # equal chunks: at most calls - 1 draws to spare
        size = -(-s.samples // calls)
        total = sum(1 for _ in self.batches())
        place = np.argsort(self.order)                       # bucket order -> split's order

        weigh, refine, states = self.jit(_weigh, self.refines), self.jit(_refine, s.refine), self.states
        if self.refines:
            states = proposal.start(self.codes)
        nll, ess = self._kept()
        for done, (batch, index, rows) in enumerate(self.batches(), 1):
            if done <= len(nll):
                continue
            at, filled, parts = place[np.maximum(rows, 0)], int((rows >= 0).sum()), []
            q = jax.device_put(jax.tree.map(lambda x, at=at: x[:, at], states))
            if self.refines:
                q = refine((q, fold_group(self.keys, index, FIRST, REFINE)[:, 0]), batch)
            for start in range(0, calls * size, size):
                keys = fold_group(self.keys, index,
                                  np.arange(start, start + size, dtype=np.int32))
                parts.append(weigh((q, keys), batch))
            log_w = np.concatenate(jax.device_get(parts), 1)[:, :s.samples, :filled]
            a, b = importance(np.moveaxis(log_w, 1, 2))
            nll.append(a)
            ess.append(b)
            self._told = done, total
            try:
                self.pause()
            except BaseException:            # time is up: the next attempt goes on from here
                self._keep(nll, ess)
                raise
        self._keep(nll, ess)                 # the metrics after this one may be stopped too
        return tuple(np.concatenate(x, 1)[:, self.order] for x in (nll, ess))


def average(x, estimator, samples=None, warning=None, note=None):
    """`Value` of per-example numbers: their mean and its standard error.

    Args:
      x: [G, N].
      estimator: what it is.
      samples: Monte Carlo samples per example, None if exact.
      warning: [G] texts or None.
      note: text or None.

    Returns:
      A `Value`.

    >>> v = average(np.array([[1., 3.]]), 'exact')
    >>> v.value.tolist(), v.stderr.tolist(), v.n
    ([2.0], [1.0], 2)
    """
    x = np.asarray(x, np.float64)
    n = x.shape[-1]
    return Value(x.mean(-1), estimator, n, samples,
                 deviation(x) / np.sqrt(n) if n > 1 else None, warnings(x, warning), note)


def deviation(x):
    """[G] unbiased standard deviation over the last axis; not finite, and silent, where x is
    not.
    """
    with np.errstate(invalid='ignore'):
        return x.std(-1, ddof=1)


def warnings(x, warning=None):
    """Adds 'not finite for k of N' to the warnings of the seeds it holds for.

    >>> warnings(np.array([[1., np.inf], [1., 2.]]))
    ['not finite for 1 of 2', None]
    """
    bad = (~np.isfinite(x)).sum(-1)
    out = [f'not finite for {b} of {x.shape[-1]}' if b else w
           for b, w in zip(bad, warning or [None] * len(x), strict=True)]
    return out if any(out) else None
