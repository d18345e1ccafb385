"""Representation baselines: scikit-learn's maps to a few dimensions, fitted to what they
show."""
from collections.abc import Mapping
from typing import Any

import numpy as np

from vaebench.core import Kit, Method, Recipe
from vaebench.errors import UserError, unknown


def median_gamma(x: np.ndarray) -> float:
    """Computes the gamma of exp(-gamma |x - y|^2) that is 1 / (2 m^2), m the median distance of
    different rows of x [N, D].

    >>> round(median_gamma(np.array([[0.], [2.], [4.]])), 6)
    0.125
    """
    from sklearn.metrics import pairwise_distances

    apart = pairwise_distances(x)[np.triu_indices(len(x), 1)]
    return 1 / (2 * float(np.median(apart))**2)


ESTIMATORS = {
    'pca': ('decomposition', 'PCA', {'svd_solver': 'full'}),
    'kernel_pca': ('decomposition', 'KernelPCA', {'kernel': 'rbf', 'gamma': median_gamma}),
    'isomap': ('manifold', 'Isomap', {'n_neighbors': 10}),
    'lle': ('manifold', 'LocallyLinearEmbedding', {'n_neighbors': 12}),
    'laplacian': ('manifold', 'SpectralEmbedding', {'n_neighbors': 10}),
    'tsne': ('manifold', 'TSNE', {'init': 'pca'}),
}
"""Name -> module and class of scikit-learn, and the options that are not its own defaults; a
function is one of the rows [N, D]."""


def fit_transform(estimator: str, x: np.ndarray, seed: int, size: int = 2,
                  **options: Any) -> np.ndarray:
    """Computes codes of all rows of x by a map fitted to these rows.

    Args:
      estimator: key of `ESTIMATORS`.
      x: [N, ...]; each row is flattened.
      seed: int; of the estimators that draw.
      size: D.
      **options: the scikit-learn class's own.

    Returns:
      [N, D] float64 NumPy.

    >>> codes = fit_transform('pca', np.array([[0., 0.], [3., 4.]]), 0, size=1)
    >>> np.abs(codes).round(6).tolist()
    [[2.5], [2.5]]
    """
    x = np.float64(x).reshape(len(x), -1)
    return _make(estimator, seed, size, options, x).fit_transform(x)


def _make(estimator: str, seed: int, size: int, options: Mapping[str, Any],
          x: np.ndarray) -> Any:
    import sklearn.decomposition
    import sklearn.manifold  # here: the import is not every command's cost
    module, name, ours = ESTIMATORS[estimator]
    given = {k: v(x) if callable(v) else v for k, v in {**ours, **options}.items()}
    model = getattr(getattr(sklearn, module), name)(n_components=size, **given)
    draws = 'random_state' in model.get_params()
    return model.set_params(random_state=seed) if draws else model


def embedding(kit: Kit, recipe: Recipe, *, estimator: str, size: int = 2,
              **options: Any) -> Method:
    """Map of scikit-learn, with no training and no parameters.

    Transductive: 'embed' fits it to all rows it is given, and only they have codes. A metric
    that reads it has fitted it to the evaluated split itself, where an autoencoder's codes come
    from the training split; the metrics' estimators say which.

    Args:
      kit: unused.
      recipe: unused.
      estimator: key of `ESTIMATORS`.
      size: D, the codes' dimensions.
      **options: the scikit-learn class's own, such as gamma of 'kernel_pca' or method of 'lle'.

    Returns:
      A `Method` without phases that offers 'embed'.

    Equation:
      pca: the directions of most variance; kernel_pca: those of features exp(-gamma |x - y|^2)
      isomap: distances along the graph of neighbours, kept by classical scaling
      lle: argmin_z sum_i |z_i - sum_j w_ij z_j|^2, w from neighbours (modified: several w each)
      laplacian: argmin_z sum_ij w_ij |z_i - z_j|^2
      tsne: argmin_z KL(P || Q), P of neighbours in data and Q of Student's t between codes

    Deviations:
      Those of scikit-learn's classes, whose defaults hold but for `ESTIMATORS`: 10 neighbours
      of Isomap and of Laplacian eigenmaps, 12 of locally linear embedding, t-SNE started from
      the first principal components, and a gamma of 1 / (2 m^2) with m the median distance:
      with scikit-learn's, one over the number of pixels, the map of images is that of PCA.

    References:
      Pedregosa et al., "Scikit-learn: Machine Learning in Python", JMLR 2011; the papers of the
      maps are in the registry.
    """
    if estimator not in ESTIMATORS:
        raise unknown('estimator', estimator, ESTIMATORS)
    if not isinstance(size, int) or size < 1:
        raise UserError(f'size={size!r}: give a whole number of dimensions, 1 or more')
    # an option that the class does not know is refused here
    _make(estimator, 0, size, options, np.eye(3))
    return Method(lambda key, data: ({}, {}), (), {
        'embed': lambda x, seed: fit_transform(estimator, x, seed, size, **options)})
