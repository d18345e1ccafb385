"""Scores of codes against the factors that made the data, of posterior means and of draws.

Where the data can observe any combination of factors, combinations are drawn anew, each factor
uniformly; else rows of the split serve. Numbers depend on how many there are
(`Settings.factor_train`, `factor_test`, `pairs`), which stands in the estimators. Factors count
as categories but in `sap_continuous`, which takes their levels for numbers.
"""
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vaebench.metrics import factor_learners, factor_scores
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.factor_scores import BINS, PRUNED
from vaebench.metrics.ground_truth import CODES, Known, known, votes
from vaebench.metrics.latent import rate_of_dimensions
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import PERCENT, SHARE, Bounds, Estimator, Metric, Value

LABELS = 100, 1000, 10_000     # examples that a downstream classifier is shown


def of_codes(found: Known, codes: str) -> Estimator:
    """Says of which codes and factors a score is."""
    n = len(found.names)
    what = Estimator('combinations drawn uniformly', 'drawn') if found.drawn else Estimator(
        'rows of the split', 'rows')
    return CODES[codes].said.joined(Estimator(f'{n} factors, {what}', f'factors-{n}-{what.id}'))


def _finite(part):
    """[G] whether all codes of a model are numbers."""
    return np.isfinite(part.codes).all((1, 2))


def each(found: Known, f: Callable[..., Any]) -> list[Any]:
    """Applies f(codes, factors, test codes, test factors) to every model; nan where a code is
    not finite.
    """
    train, test = found.train, found.test
    fine = _finite(train) & _finite(test)
    return [f(z, train.factors, other, test.factors) if good else np.nan
            for z, other, good in zip(train.codes, test.codes, fine, strict=True)]


def score(view: Evaluator, codes: str, of: Callable[..., Sequence[Any]], what: Estimator,
          tested: bool = False) -> Value | None:
    """Gives a score of codes against factors.

    Args:
      view: with the column 'factors'.
      codes: 'mean' or 'sampled'.
      of: (view, codes, its `Known`) -> [G].
      what: the estimator, without what codes and factors it is of.
      tested: whether the test examples count too.

    Returns:
      A `Value`; None where `ground_truth.known` is.
    """
    found = known(view, codes)
    if found is None:
        return None
    view.pause()
    value = np.asarray(of(view, codes, found), np.float64)
    if tested:
        n = len(found.test.factors)
        what = what.joined(Estimator(f'tested on {n}', f'test-{n}'))
    flat = found.train.codes.reshape(len(value), -1)
    return Value(value, what.joined(of_codes(found, codes)), len(found.train.factors),
                 CODES[codes].samples, None, warnings(flat))


# ---- what several scores share ---------------------------------------------------------------

def information(view: Evaluator, codes: str) -> np.ndarray:
    """Returns the mutual information [G, Z, F] of binned codes and factors that are `known`,
    nats.
    """
    found = known(view, codes)
    assert found is not None

    def make():
        def one(z, factors, *test):
            return factor_scores.information(factor_scores.discretized(z), factors)

        size = found.train.codes.shape[2], len(found.names)
        return np.stack([np.broadcast_to(m, size) for m in each(found, one)])

    return view.cached(('information', codes), make)


def fits(view: Evaluator, codes: str, learner: str, n: int) -> list[Any]:
    """Returns what a learner of `factor_learners` came to from n examples, for every model."""
    found = known(view, codes)
    assert found is not None
    f = getattr(factor_learners, learner)

    def one(z, factors, *test):
        view.pause()
        return f(z[:n], factors[:n], *test)

    return view.cached((learner, codes, n), lambda: each(found, one))


def importance(view: Evaluator, codes: str) -> np.ndarray:
    """Returns what boosted trees gain from every dimension for every factor that is `known`,
    [G, Z, F].
    """
    found = known(view, codes)
    assert found is not None
    size = found.train.codes.shape[2], len(found.names)
    fitted = fits(view, codes, 'trees', len(found.train.factors))
    return np.stack([np.broadcast_to(getattr(t, 'importance', np.nan), size) for t in fitted])


def matrices(view: Evaluator, values: Mapping[str, Value | None]) -> dict[str, np.ndarray]:
    """Returns what figures show of dimensions and factors, as far as it was computed.

    Args:
      view: the `Evaluator`.
      values: what `measure` gave for it.

    Returns:
      'factors/information' [G, Z, F] nats, as shares of the factor's entropy,
      'factors/importance' [G, Z, F], columns of sum 1; with 'factors/name' [G, F] text and
      'factors/kl' or 'factors/variance' [G, Z], which orders the dimensions. {} without scores
      of posterior means.
    """
    wanted = {'information': 'mig', 'importance': 'dci_disentanglement'}
    made = {'information': information, 'importance': importance}
    out = {f'factors/{k}': made[k](view, 'mean') for k, name in wanted.items()
           if values.get(name) is not None}
    found = known(view, 'mean') if out else None
    if found is None:
        return {}
    if 'factors/information' in out:
        out['factors/information'] = out['factors/information'] / factor_scores.entropy(
            found.train.factors)
    what, rate = rate_of_dimensions(view)
    names = np.broadcast_to(np.array(found.names), (view.seeds, len(found.names)))
    return {**out, 'factors/name': names, f'factors/{what}': rate}


# ---- scores ----------------------------------------------------------------------------------

def _of_information(view, codes, f):
    return [f(m) if np.isfinite(m).all() else np.nan for m in information(view, codes)]


def mig(view: Evaluator, codes: str) -> Value | None:
    """Measures the mutual information gap of binned codes: see `factor_scores.mig`.

    Differs from beta-TCVAE's, which is `mig_q`: bins as in the public protocol of Locatello et
    al. A factor of more levels than bins cannot have its entropy told.

    References:
      Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
      Disentangled Representations", 2019, arXiv:1811.12359.
    """
    def of(view, codes, found):
        h = factor_scores.entropy(found.train.factors)
        return _of_information(view, codes, lambda m: factor_scores.mig(m, h))

    return score(view, codes, of, Estimator(
        f'gap of mutual information / entropy, {BINS} equal bins', f'mig-{BINS}'))


def modularity(view: Evaluator, codes: str) -> Value | None:
    """Measures whether dimensions tell of one factor each: see `factor_scores.modularity`."""
    return score(view, codes, lambda view, codes, found: _of_information(
        view, codes, factor_scores.modularity), Estimator(
            f'squared mutual information, {BINS} equal bins, dead dimensions count as 0',
            f'modularity-{BINS}'))


def explicitness(view: Evaluator, codes: str) -> Value | None:
    """Measures how well linear classifiers order examples by each level of each factor: see
    `factor_learners.linear`.
    """
    def of(view, codes, found):
        fitted = fits(view, codes, 'linear', len(found.train.factors))
        return [np.mean(getattr(m, 'auc', np.nan)) for m in fitted]

    return score(view, codes, of, Estimator(
        'area under the curve of one level against the rest, logistic regression',
        'auc-logistic'), tested=True)


def dci(view: Evaluator, codes: str, part: str) -> Value | None:
    """Measures disentanglement, completeness or informativeness by boosted trees.

    Differs from the paper: gains of boosted trees rather than weights of lasso or forests, as
    in public code, by another implementation (`factor_learners.trees`); informativeness is the
    accuracy on test examples rather than an error.

    Args:
      view: with the column 'factors'.
      codes: 'mean' or 'sampled'.
      part: 'disentanglement', 'completeness' or 'informativeness'.

    References:
      Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled
      Representations", ICLR 2018.
    """
    def of(view, codes, found):
        if part == 'informativeness':
            fitted = fits(view, codes, 'trees', len(found.train.factors))
            return [np.mean(getattr(t, 'accuracy', np.nan)) for t in fitted]
        turn = np.transpose if part == 'completeness' else np.asarray
        return [factor_scores.concentration(turn(r)) if np.isfinite(r).all() else np.nan
                for r in importance(view, codes)]

    return score(view, codes, of, Estimator(
        f'{part} of {factor_learners.ROUNDS} rounds of histogram-boosted trees of depth '
        f'{factor_learners.DEPTH}', f'dci-{part}-hist-{factor_learners.ROUNDS}'),
        tested=part == 'informativeness')


def sap(view: Evaluator, codes: str, continuous: bool) -> Value | None:
    """Measures by how much the best dimension alone predicts a factor better than the second.

    By squared correlation, of levels as numbers; or by the accuracy of a support vector machine
    of one dimension, where a factor of many levels has a low score whatever the code.

    References:
      Kumar et al., "Variational Inference of Disentangled Latent Concepts from Unlabeled
      Observations", 2018, arXiv:1711.00848.
    """
    def continuously(z, factors, *test):
        return factor_scores.gap(factor_scores.squared_correlation(z, factors)).mean()

    def discretely(*data):
        view.pause()
        return factor_scores.gap(factor_learners.svm_accuracy(*data)).mean()

    f = continuously if continuous else discretely
    said = Estimator('gap of squared correlation', 'sap-correlation') if continuous else (
        Estimator('gap of the accuracy of a balanced linear support vector machine, '
                  f'C={factor_learners.SVM_COST}', f'sap-svm-{factor_learners.SVM_COST}'))
    return score(view, codes, lambda view, codes, found: each(found, f), said,
                 tested=not continuous)


def downstream(view: Evaluator, codes: str, n: int, learner: str) -> Value | None:
    """Measures how well a classifier of each factor does that has seen n labeled examples, mean
    over factors; None where there are fewer.

    Args:
      view: with the column 'factors'.
      codes: 'mean' or 'sampled'.
      n: examples with labels.
      learner: 'linear' or 'trees', of `factor_learners`.
    """
    found = known(view, codes)
    if found is None or len(found.train.factors) < n:
        return None
    names = {'linear': 'logistic regression of standardized codes',
             'trees': f'{factor_learners.ROUNDS} rounds of histogram-boosted trees'}
    return score(view, codes, lambda view, codes, found: [
        100 * np.mean(getattr(m, 'accuracy', np.nan)) for m in fits(view, codes, learner, n)],
        Estimator(f'{names[learner]}, {n} labels', f'{learner}-{n}'), tested=True)


def beta_vae_score(view: Evaluator, codes: str) -> Value | None:
    """Measures how well a linear classifier says which factor pairs of examples have in common:
    see `factor_learners.told_apart`.

    Rotated codes score nearly as well: read `mig` or `dci_disentanglement` beside it.
    """
    def of(view, codes, found):
        train, test = votes(view, codes, paired=True)
        return [factor_learners.told_apart(a, train.held, b, test.held) if fine else np.nan
                for a, b, fine in zip(train.told, test.told, _finite(found.train), strict=True)]

    pairs = view.settings.pairs
    return _voted(view, codes, of, Estimator(
        f'logistic regression of mean |difference| of {pairs} pairs', f'beta-pairs-{pairs}'))


def factor_vae_score(view: Evaluator, codes: str) -> Value | None:
    """Measures how well the dimension that varies least says which factor was held: see
    `factor_scores.majority`.

    Rotated codes score nearly as well: read `mig` or `dci_disentanglement` beside it.
    """
    def of(view, codes, found):
        train, test = votes(view, codes, paired=False)
        out = []
        for g, fine in enumerate(_finite(found.train)):
            overall = found.train.codes[g].var(0, ddof=1)
            a, b = (factor_scores.steadiest(v.told[g], overall) for v in (train, test))
            out.append(factor_scores.majority(a, train.held, b, test.held) if fine else np.nan)
        return out

    n = view.settings.pairs
    return _voted(view, codes, of, Estimator(
        f'majority vote of the least relative variance of {n}, dimensions below {PRUNED} '
        'standard deviations pruned', f'factor-{n}-pruned-{PRUNED}'))


def _voted(view, codes, of, what):
    """A score of votes, of which there are as many as `Settings` say."""
    train, test = view.settings.factor_train, view.settings.factor_test
    what = what.joined(Estimator(f'tested on {test} votes', f'votes-{test}'))
    value = score(view, codes, of, what)
    return value and value._replace(
        n=train, stderr=np.sqrt(value.value * (1 - value.value) / test))


# ---- names -----------------------------------------------------------------------------------

SCORES: Mapping[str, tuple[Callable[..., Value | None], str, Bounds, tuple[str, ...]]] = {
    'beta_vae_score': (beta_vae_score, 'accuracy', SHARE, ('observe',)),
    'factor_vae_score': (factor_vae_score, 'accuracy', SHARE, ('observe',)),
    'mig': (mig, 'MIG', SHARE, ()),
    **{f'dci_{part}': (functools.partial(dci, part=part), unit, SHARE, ()) for part, unit in (
        ('disentanglement', 'D'), ('completeness', 'C'), ('informativeness', 'accuracy'))},
    'modularity': (modularity, 'modularity', SHARE, ()),
    'explicitness': (explicitness, 'area', SHARE, ()),
    'sap': (functools.partial(sap, continuous=False), 'SAP', SHARE, ()),
    'sap_continuous': (functools.partial(sap, continuous=True), 'SAP', SHARE, ()),
    **{f'downstream_{prefix}{n}': (functools.partial(downstream, n=n, learner=learner), '%',
                                   PERCENT, ())
       for prefix, learner in (('', 'linear'), ('trees_', 'trees')) for n in LABELS},
}
"""Name -> (function of a view and which codes, unit, bounds, further fields)."""

METRICS = {
    f'{name}{k.end}': Metric(functools.partial(f, codes=codes), (k.needs,), unit,
                                'higher', ('factors', *fields), bounds)
    for name, (f, unit, bounds, fields) in SCORES.items() for codes, k in CODES.items()
}
