"""What the parts of a code tell of the label: linear probes, and how far labels lie apart."""
import functools
from collections.abc import Callable, Mapping

import numpy as np

from vaebench.metrics.classification import split_outputs
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.probe import accuracy
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import PERCENT, Estimator, Metric, Value

FOLDS = 5
EACH = 1000            # examples of a label at most
NAMES = {'style_code': 'style code', 'content_code': 'content code', 'encode': 'posterior mean'}


def codes(view: Evaluator, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns codes of at most 1,000 examples of every label, a fixed random choice.

    Args:
      view: with the eval `name`, of a batch, over data with a label.
      name: 'style_code', 'content_code' or 'encode'.

    Returns:
      (codes float64 [G, M, D], labels [M]).
    """
    label = view.field('label')
    order = np.random.default_rng(0).permutation(view.n)
    rows = np.concatenate([order[label[order] == k][:EACH] for k in np.unique(label)])
    x = view.codes if name == 'encode' else split_outputs(view, name)
    return (np.asarray(x[:, rows], np.float64).reshape(view.seeds, len(rows), -1),
            label[rows])


def folded(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Measures the accuracy [5] of a linear probe on each of 5 parts of codes [M, D], learned
    from the others; the parts are fixed and hold as many of every label.
    """
    from sklearn.model_selection import StratifiedKFold  # here: not every command's cost

    split = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, label)
    return np.array([accuracy(x[a], label[a], x[b], label[b]) for a, b in split])


def _few(label):
    """Whether there are fewer than two labels, or too few examples of one."""
    count = np.unique(label, return_counts=True)[1]
    return len(count) < 2 or count.min() < FOLDS


def probe(view: Evaluator, name: str) -> Value | None:
    """Measures how well the label can be read from a code: accuracy of logistic regression on
    standardized codes, 5-fold. None where a label has fewer than 5 examples.

    The standard error is over the folds.

    References:
      John et al., "Disentangled Representation Learning for Non-Parallel Text Style Transfer",
      2019, arXiv:1808.04339 (its first experiment).
    """
    x, label = codes(view, name)
    if _few(label):
        return None
    score = 100 * np.stack([folded(z, label) for z in x])
    common = 100 * np.unique(label, return_counts=True)[1].max() / len(label)
    return Value(
        score.mean(-1),
        Estimator(f'logistic regression on standardized {NAMES[name]}s, {FOLDS} folds',
                  f'logistic:folds-{FOLDS}:{name.replace("_", "-")}'),
        len(label), None, score.std(-1, ddof=1) / np.sqrt(FOLDS), warnings(score),
        f'the commonest label has {common:.3g}%')


def silhouette(view: Evaluator, name: str) -> Value | None:
    """Measures how much nearer codes lie to those of their own label than to those of the next
    label, -1 to 1. None where a label has fewer than 5 examples.

    References:
      Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster
      analysis", 1987.
    """
    from sklearn.metrics import silhouette_score  # here: not every command's cost

    x, label = codes(view, name)
    if _few(label):
        return None
    score = np.array([
        silhouette_score(z, label) if np.isfinite(z).all() else np.nan for z in x])
    return Value(score, Estimator(f'mean silhouette of labels, {NAMES[name]}s',
                                  f'silhouette:{name.replace("_", "-")}'),
                 len(label), warning=warnings(score[:, None]))


def spaces(view: Evaluator, values: Mapping[str, Value | None]) -> dict[str, np.ndarray]:
    """Collects the parts of codes that hold style and content, to be drawn.

    Args:
      view: over data with a label.
      values: what `metrics.measure` gave for it.

    Returns:
      name -> [G, ...]: 'spaces/style' [G, M, S] and 'spaces/content' [G, M, C] of the examples
      of `codes`, as far as the method has them, with 'spaces/label' [G, M]; beside each what
      was measured of it, 'spaces/<part>_told' [G, 2]: probe and silhouette, not a number where
      that is unknown. {} of methods that have neither part.
    """
    out, label = {}, None
    for part in ('style', 'content'):
        if f'{part}_code' in view.evals and 'label' in view.buckets[0]:
            x, label = codes(view, f'{part}_code')
            told = [values.get(f'{part}_{end}') for end in ('probe', 'silhouette')]
            nothing = np.full(view.seeds, np.nan)
            out |= {f'spaces/{part}': np.float32(x), f'spaces/{part}_told': np.stack(
                [nothing if v is None else v.value for v in told], -1)}
    if label is not None:
        out['spaces/label'] = np.broadcast_to(label, (view.seeds, len(label)))
    return out


def _metrics(compute: Callable[..., Value | None], end: str, unit: str,
             bounds: tuple[float, float]) -> dict[str, Metric]:
    better = {'style': 'higher', 'content': 'lower', 'code': None}
    evals = dict(zip(better, NAMES, strict=True))
    return {f'{part}_{end}': Metric(functools.partial(compute, name=evals[part]),
                                    ((evals[part],),), unit, better[part], ('label',), bounds)
            for part in better}


METRICS = {**_metrics(probe, 'probe', '%', PERCENT),
           **_metrics(silhouette, 'silhouette', 'silhouette', (-1., 1.))}
