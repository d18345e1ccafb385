"""What metrics are made of: settings, values, estimators, judges, and what an evaluator
reads."""
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from vaebench.ops.precision import Precision
from vaebench.schema import Schema, select

if TYPE_CHECKING:
    from vaebench.metrics.evaluator import Evaluator


class Settings(NamedTuple):
    """What an evaluation measures, and its cost. `chunk`, `batch` and `block` bound the memory
    and change no draw."""
    split: str = 'test'       # 'valid' where settings are chosen by what is measured
    samples: int = 500        # importance samples per example
    chunk: int = 50           # importance samples per dispatch
    batch: int = 32           # examples per dispatch
    block: int = 1024         # posteriors per block of an aggregate
    points: int = 2048        # quadrature points of `cu`
    images: int = 1000        # most images or points on each side of a comparison of samples
    drawn: int = 10_000       # samples in which the modes of a mixture are looked for
    generated: int = 1000     # sentences drawn from the prior, once per way of decoding
    unigrams: int = 20_000    # sentences drawn from the prior for the law of single words
    refine: int = 50          # steps of a proposal of our own; see `proposal`
    factor_train: int = 10_000     # examples, or votes, from which scores of factors learn
    factor_test: int = 5000        # other examples, or votes, on which they are tested
    pairs: int = 64                # examples, or pairs of them, behind a vote


class Estimator(str):
    """A sentence that describes an estimator, with a short and stable id.

    Values whose ids agree may be compared, however the sentences are worded. An id has parts
    between colons: what is estimated, and what else decides the number but stands in no other
    field of the result. Counts of examples (`n`) and of Monte Carlo samples (`samples`) are
    fields; neighborhood sizes, thresholds, the judge and the decoder's likelihood are parts.

    Attributes:
      id: lower-case letters, digits, dots and hyphens, in parts between colons.

    >>> e = Estimator('importance sampling, S=50', 'iw')
    >>> e, e.id
    ('importance sampling, S=50', 'iw')
    """
    id: str

    def __new__(cls, text: str, id: str) -> 'Estimator':
        self = super().__new__(cls, text)
        self.id = id
        return self

    @classmethod
    def of(cls, text: str) -> 'Estimator':
        """Returns an estimator as it is; a plain text becomes its own id."""
        return text if isinstance(text, Estimator) else cls(text, text)

    def joined(self, other: str) -> 'Estimator':
        """Adds what else decides the number.

        >>> e = Estimator('1 sample', 'one-sample')
        >>> e.joined(Estimator('bernoulli decoder', 'bernoulli')).id
        'one-sample:bernoulli'
        """
        return Estimator(f'{self}; {other}', f'{self.id}:{Estimator.of(other).id}')


class Value(NamedTuple):
    """A metric of every seed of a group."""
    value: np.ndarray                  # [G]
    estimator: str                     # an `Estimator`; a plain text is its own id
    n: int                             # examples it was computed from
    samples: int | None = None         # Monte Carlo samples per example, None if exact
    stderr: np.ndarray | None = None   # [G], over examples
    warning: list[str | None] | None = None     # [G]
    # what a reader should know of the estimate; does not tell estimators apart
    note: str | None = None


Bounds = tuple[float | None, float | None]
"""Least and greatest of what a quantity can be; None where there is no end."""
UNBOUNDED, NONNEGATIVE, AT_LEAST_ONE = (None, None), (0., None), (1., None)
SHARE, PERCENT = (0., 1.), (0., 100.)


class Metric(NamedTuple):
    """A number with a named estimator."""
    compute: Callable[['Evaluator'], Value | None]   # None where this data has too few examples
    needs: tuple[tuple[str, ...], ...]     # alternatives: one of these sets of evals suffices
    # '{item}' stands for sentence, image or point, '{part}' for pixel ...
    unit: str
    better: str | None                     # 'lower', 'higher' or None
    fields: tuple[str, ...] = ()           # what the data must hold: see `Data.names`
    bounds: Bounds = UNBOUNDED             # no interval is shown beyond them


class Judge(NamedTuple):
    """What the suite has trained or counted once per dataset and workdir, to judge every method
    by.

    Attributes:
      name: part of the estimators, with the accuracy where there is one: an `Estimator`, or a
        plain text that is its own id.
      digest: hash of what it has learnt, part of the id; '' where the data alone decide it.
      accuracy: on the test split, where it has labels to say.
      functions: what it offers, by name: `judge.features(x)`.
    """
    name: str
    digest: str = ''
    accuracy: float | None = None
    functions: Mapping[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return self.functions[name]
        except KeyError:
            raise AttributeError(name) from None


class Trained(NamedTuple):
    """A trained group of seeds.

    Attributes:
      evals: the method's, name -> f(params, carry, ...).
      params, carry: leaves [G, ...].
      key: [] typed key that the seeds share, or [G]; only its folds with the tags of `draws`
        are used.
      programs: compiled functions, shared by groups of one method on one split; see
        `Evaluator.jit`.
      given: columns that the method is told, see `core.Method`: its likelihoods are of the rest
        given these, and their estimators say so.
      precision: of networks' products, as in training: see `ops.precision`.
      mesh: devices for the seeds and for each batch's examples, see `placement`; None is one.
    """
    evals: Mapping[str, Callable[..., Any]]
    params: Any
    carry: Any
    key: jax.Array
    programs: dict[Any, Any] | None = None
    given: tuple[str, ...] = ()
    precision: Precision = 'f32'
    mesh: jax.sharding.Mesh | None = None


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
      likelihood: what the decoder's nats are of, part of the estimators that read them, so that
        densities and probabilities never rank together; None where there is no choice.
    """
    buckets: Sequence[Mapping[str, Any]]
    schema: Schema = {}
    train: Mapping[str, Any] | None = None
    valid: Mapping[str, Any] | None = None
    truth: Mapping[str, Any] = {}
    item: str = 'example'
    part: str = 'value'
    decode: Callable[..., Any] | None = None
    observe: Callable[..., Any] | None = None
    symmetry: Callable[..., Any] | None = None
    judges: Mapping[str, Callable[[], Judge]] = {}
    likelihood: Estimator | None = None

    @property
    def names(self) -> frozenset[str]:
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
