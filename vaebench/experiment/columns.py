"""What tables of one kind measure, column by column, and how readers are to take it."""
import operator
from collections.abc import Callable
from typing import NamedTuple

TEXT = 'nll_iw', 'ess', 'ppl_iw', 'elbo', 'ppl_elbo', 'rec', 'kl', 'mi_full', 'au', 'cu'
MORE_TEXT = (
    'ppl_rec', 'nll_paper', 'ppl_paper', 'mi_32', 'mi_dual', 'cu_qp', 'prior_ll', 'post_ll',
    'bleu', 'rouge_interpolation', 'dis_1', 'dis_2', 'self_bleu_2', 'self_bleu_3', 'uni_kl',
    'entropy', 'avg_len', 'fluency', 'fluency_reverse')
PROBES = 'probe_100', 'probe_500', 'probe_1000', 'probe_2000', 'probe_10000'
"""Accuracy of a linear classifier of the codes, after so many labels."""

STYLE = (
    'transfer_accuracy', 'content_cosine', 'word_overlap', 'lf', 'self_bleu_src', 'ref_bleu',
    'sari', 'geometric_mean', 'exact_match', 'token_f1')
"""Sentences rewritten to another style: whether they have it, what they keep, how they read."""
MORE_STYLE = (
    'content_cosine_floor', 'content_cosine_rescaled', 'lf_ppl', 'transfer_length',
    'ref_bleu_method1', 'sari_hf', 'style_probe', 'content_probe', 'code_probe',
    'style_silhouette', 'content_silhouette', 'code_silhouette', 'added_ms', 'transfer_ms')
ANALOGIES = 'analogy_exact', 'analogy_f1', 'analogy_edits'
"""Sums of codes s1 - s2 + s3 as sentences."""
LINES = 'line_ends', 'line_fluency', 'line_distinct', 'line_order'
"""Sentences on the lines between two codes."""

DIALOGUE = (
    'nll_iw', 'kl', 'bleu_4_precision', 'bleu_4_recall', 'response_dis_2_inter', 'act_accuracy')
"""Responses to a context: their likelihood given it, how near they come to what may be said,
how they differ from one another, whether they do what is to be done."""
VALID = 'excess', 'valid_recall', 'valid_precision'
"""Of data whose valid responses and their odds are known: read the last two beside each other.
"""
MORE_DIALOGUE = (
    'elbo', 'ess', 'rec', 'ppl_iw', 'ppl_elbo', 'ppl_rec', 'mi_full', 'au',
    *(f'bleu_{n}_{part}' for n in (1, 2, 3) for part in ('precision', 'recall')),
    'a_bow_precision', 'a_bow_recall', 'e_bow_precision', 'e_bow_recall', 'response_dis_1',
    'response_dis_2', 'response_dis_1_intra', 'response_dis_2_intra', 'response_dis_1_inter',
    'response_length', 'bleu_4_precision_greedy', 'bleu_4_recall_greedy',
    'response_dis_2_inter_greedy', 'act_accuracy_greedy', 'valid_recall_greedy',
    'valid_precision_greedy')
"""The greedy ones are of drawn codes and their likeliest words: what codes alone decide."""

LIKELIHOODS = (
    'nll_iw', 'ess', 'elbo', 'rec', 'kl', 'mse', 'mi_full', 'au', 'cu', 'hsic', 'hsic_p')
SAMPLES = (
    'mse', 'rec', 'kl', 'frechet', 'frechet_floor', 'kmmd', 'kmmd_floor', 'precision', 'recall',
    'c2st', 'two_sample_p', 'class_score', 'class_kl', 'sharpness', 'path_ratio', 'class_error',
    'cluster_error', 'cluster_error_matched')
IMAGES = (*LIKELIHOODS, *(m for m in SAMPLES if m not in LIKELIHOODS))
POINTS = (
    'nll_iw', 'elbo', 'rec', 'kl', 'mse', 'w2', 'w2_floor', 'modes', 'modes_any',
    'high_quality', 'mode_kl', 'kmmd', 'kmmd_floor', 'precision', 'recall', 'c2st',
    'two_sample_p')
FACTORS = (
    'mig', 'mig_sampled', 'mig_q', 'dci_disentanglement', 'dci_disentanglement_sampled',
    'dci_completeness', 'dci_completeness_sampled', 'dci_informativeness',
    'dci_informativeness_sampled', 'factor_vae_score', 'factor_vae_score_sampled',
    'beta_vae_score', 'beta_vae_score_sampled', 'modularity', 'modularity_sampled',
    'explicitness', 'explicitness_sampled', 'sap', 'sap_sampled', 'sap_continuous',
    'sap_continuous_sampled')
"""Scores of codes against known factors."""
DOWNSTREAM = tuple(
    f'downstream_{learner}{n}{end}' for learner in ('', 'trees_') for n in (100, 1000, 10_000)
    for end in ('', '_sampled'))
"""Accuracy of classifiers of known factors, after so many labels."""
UNSUPERVISED = (
    'tc_full', 'dw_full', 'mi_sym', 'tc_sym', 'dw_sym', 'tc_gaussian', 'tc_gaussian_sampled',
    'wasserstein', 'wasserstein_sampled', 'wasserstein_normalized',
    'wasserstein_normalized_sampled', 'code_mi', 'code_mi_sampled', 'udr', 'udr_sampled',
    'udr_lasso', 'udr_lasso_sampled')
"""Scores that know no factors: how dimensions depend on one another, and on the seed."""
DISENTANGLEMENT = (
    'mig', 'mig_sampled', 'dci_disentanglement', 'factor_vae_score', 'elbo', 'kl', 'mi_full',
    'au', *(m for m in (*FACTORS, *UNSUPERVISED) if m not in (
        'mig', 'mig_sampled', 'dci_disentanglement', 'factor_vae_score')))
"""What tables of data of known factors measure, `DOWNSTREAM` apart."""
PREDICTIONS = (
    'mse_position', 'mse_velocity', 'mse_position_rotated', 'mse_velocity_rotated',
    'equivariance_error', 'equivariance_error_max')
"""Errors of predicted vectors, and how they change where everything is moved."""
EMBEDDINGS = (
    'trust', 'knn_error', 'unroll_arclength', 'unroll_height', 'path_ratio', 'mse', 'kl')

# ---- the board: what a report shows where nobody asks for columns ----------------------------

MOST, SHOWN = 6, 5
"""A table whose config names no more columns than MOST shows these, another SHOWN of them."""
TELLING = (
    'mig', 'dci_disentanglement', 'factor_vae_score', 'mig_sampled',
    'excess', 'mse_position', 'mse_velocity', 'mse_position_rotated', 'w2', 'modes',
    'high_quality', 'frechet', 'precision', 'recall', 'trust', 'knn_error',
    'unroll_arclength', 'valid_recall', 'bleu_4_recall', 'nll_iw', 'kl', 'mi_full', 'au',
    'ppl_iw', 'mse', 'elbo')
"""Metrics that tell most, the most telling first; a table's primary one goes before them."""

# ---- ranks -----------------------------------------------------------------------------------

FLOOR = '_floor'
"""A metric of this ending is what real data have of the metric without it: a row of its own."""
_RESPONSES = tuple(
    f'{name}{end}' for end in ('', '_greedy') for name in (
        *(f'{likeness}_precision' for likeness in (
            'bleu_1', 'bleu_2', 'bleu_3', 'bleu_4', 'a_bow', 'e_bow', 'valid')),
        *(f'response_dis_{n}{among}' for n in (1, 2) for among in ('', '_intra', '_inter')),
        'act_accuracy'))
UNRANKED = frozenset({
    'precision', 'high_quality', 'transfer_accuracy', 'content_cosine',
    'content_cosine_rescaled', 'word_overlap', 'self_bleu_src', 'equivariance_error',
    'equivariance_error_max', *_RESPONSES})
"""What something worthless has most of, so that no row is the best by it: one good sample or
response, over and over, has the precision, random responses have the diversity, any sentence of
a style or act has the style or act, a copy the content, and what always answers alike is
invariant. These are read beside `recall` and `modes`, or style and content beside each other.
"""
IDEAL = {'c2st': .5}
"""What a metric should be, where that lies between its ends: the nearest is the best."""


def merit(name: str, better: str) -> Callable[[float], float]:
    """Gives the function that says how good a value of a metric is: larger is better.

    >>> merit('kl', 'lower')(2.), round(merit('c2st', 'lower')(.45), 2)
    (-2.0, -0.05)
    """
    if name in IDEAL:
        return lambda x: -abs(x - IDEAL[name])
    return operator.neg if better == 'lower' else operator.pos


class Sign(NamedTuple):
    """What of a row's own metrics means that its other numbers say little."""
    word: str                   # shown beside the row
    metric: str
    most: float                 # holds where the mean over seeds is no more
    why: str                    # the rule in words
    share: float = 1.           # ... and no more than this of the Monte Carlo samples
    warned: bool = False        # holds too where the estimate has a warning
    of: tuple[str, ...] = ()    # of tables that are read by one of these; () for all
    ranked: bool = True         # whether the row keeps its place among the others


WEIGHED = 'excess', 'nll_iw', 'ppl_iw'
"""What importance weights estimate."""
SIGNS = (
    Sign('collapsed', 'kl', .05, 'KL at most 0.05 nats'),
    Sign('collapsed', 'au', .25, 'at most a quarter of an active unit'),
    Sign('collapsed', 'recall', .01, 'samples near at most 1% of the data'),
    Sign('collapsed', 'modes_any', 1., 'samples of one mode'),
    Sign('collapsed', 'class_score', 1.05, 'samples of one class'),
    Sign('weights degenerate', 'ess', 5., 'importance weights of at most 5 effective samples, '
         'of few draws a tenth of them', share=.1, warned=True, of=WEIGHED, ranked=False),
)
"""The first that holds for a row gives it its word."""
DIVERGED = 'diverged'
"""The word of a row of which a seed failed, or its primary metric was not finite."""
DIVERGED_WHY = 'a seed failed, or its number is not finite'
