"""The ids of estimators of the first schema, which had only sentences.

Metrics give their estimators ids themselves, see `metrics.Estimator`; `convert` finds by these
rules what they would have been.
"""
import re

from vaebench.errors import UserError

_SPACES = (
    (r"features of the suite's classifier ([0-9a-f]{8}), accuracy \S+", r'features-\1'),
    (r'(\d+) principal components of training pixels, ([\d.]+)% of their variance',
     r'components-\1-\2'),
    (r'(pixels|coordinates)', r'\1'),
)
"""Where samples and data are compared."""

_SAID = (
    (r'greedy decodings of (\d+) prior draws', r'greedy-\1'),
    (r'beam-search decodings of (\d+) prior draws', r'beam-\1'),
    (r'(\d+) sentences sampled from the prior', r'sampled-\1'),
)
"""How sentences were made."""

_EMBEDDED = (
    (r'(\d+) dimensions, map fitted to the evaluated examples', r'fitted-\1'),
    (r'(\d+) dimensions, posterior means, model learnt from the training split', r'learnt-\1'),
)
"""What the codes of a picture of the data are."""

_FLOORS = ((r'validation data', 'valid'), (r'two halves of the split', 'halves'),
           (r'validation data, mean of (\d+) redraws', r'valid:redraws-\1'),
           (r'two halves of the split, mean of (\d+) redraws', r'halves:redraws-\1'))
"""What stands in the place of samples, where data is compared with data."""

_LIKELIHOODS = (
    (r'(\w+) decoder', r'\1'),
    (r'(\w+) decoder, no normalised likelihood of grey levels', r'\1-grey'),
)

_RULES = (
    # Likelihood and its bounds.
    (r'exact', 'exact'),
    (r'importance sampling, S=\d+', 'iw'),
    (r'1 sample', 'one-sample'),
    (r'1 sample, Monte Carlo', 'monte-carlo'),
    (r'closed form', 'closed-form'),
    (r'as the paper printed it, not a bound on -ln p\(x\)', 'replica'),
    (r'exp\(sum nll / sum T\), T with </s>; nll: (?P<rule>.*)', 'ppl:{rule}'),
    (r'exp\(sum rec / sum T\), T with </s>, KL left out; 1 sample', 'ppl:rec'),
    (r'exp\(sum nats / sum words\), both as the paper counted; not a bound', 'ppl:replica'),
    (r'paired with exact ln p\*\(x\); nll: (?P<rule>.*)', 'excess:{rule}'),
    (r'8 draws each of prior and posterior, weighed against their mixture', 'mixture-8'),
    (r'mean decoding of the posterior mean, per (\w+)', r'decoded:\1'),
    (r"mean reconstruction by the method's own code, per (\w+)", r'own-code:\1'),
    (r'reconstruction by codes that have no prior, per (\w+)', r'reconstructed:\1'),
    # What codes know.
    (r'aggregate of all N=\d+, own index included, 1 sample, cap ln N = .*', 'aggregate'),
    (r'batches of (\d+) of one bucket, 1 sample, cap ln \d+ = .*', r'batches-\1'),
    (r"dual estimate by the method's own critics, no cap", 'critics'),
    (r'unbiased variance of posterior means >= ([\d.]+)', r'variance-\1'),
    (r'KL\(N\(0,1\) \|\| aggregate\) < ([\d.]+), quadrature with (\d+) points',
     r'kl-prior-aggregate-\1:points-\2'),
    (r'KL\(aggregate \|\| N\(0,1\)\) < ([\d.]+), 1 sample per example',
     r'kl-aggregate-prior-\1'),
    (r'unbiased HSIC, Gaussian kernels of median width, mean, (?P<pairs>.*)', 'hsic:{pairs}'),
    (r'largest HSIC, (\d+) permutations of every dimension, (?P<pairs>.*)',
     r'hsic-permuted-\1:{pairs}'),
    (r'logistic regression on standardised posterior means, (\d+) balanced labels, mean and '
     r'standard error over (\d+) draws of them', r'logistic-\1:draws-\2'),
    (r'likeliest of (\d+) classes', r'likeliest-\1'),
    (r'(\d+) clusters, each named after the example that belongs to it most of (\d+) training '
     r'examples', r'clusters-\1:named-\2'),
    (r'(\d+) clusters, best one-to-one matching with the classes of the same examples',
     r'clusters-\1:matched'),
    (r'trustworthiness, (\d+) neighbours; (?P<embedded>.*)', r'trustworthiness-\1:{embedded}'),
    (r'leave-one-out, (\d+) nearest neighbours; (?P<embedded>.*)', r'neighbours-\1:{embedded}'),
    (r'largest \|Spearman correlation\| of a code dimension with the (\w+); (?P<embedded>.*)',
     r'spearman:\1:{embedded}'),
    (r'straight lines of posterior means, (\d+) points, (\d+) fixed pairs of the split, mean '
     r'decoding', r'lines-\1:pairs-\2'),
    (r'great circles of posterior means, (\d+) points, (\d+) fixed pairs of the split, mean '
     r'decoding', r'circles-\1:pairs-\2'),
    # Samples against data.
    (r'(?P<compared>.*), in (?P<space>.*); real against real: (?P<floor>.*)',
     '{compared}:{space}:{floor}'),
    (r'(?P<compared>.*), in (?P<space>.*)', '{compared}:{space}'),
    (r'modes with >= ([\d.]+) of their expected samples within ([\d.]+) std, of (\d+)',
     r'modes-\3:share-\1:std-\2'),
    (r'modes with a sample within ([\d.]+) std, of (\d+)', r'modes-\2:any:std-\1'),
    (r'share of samples within ([\d.]+) std of a mode, of (\d+)', r'near-modes-\2:std-\1'),
    (r'KL\(nearest modes \|\| uniform\), of (\d+)', r'kl-modes-\1'),
    (r'variance behind a Laplace filter, mean over samples', 'laplace'),
    (r'Parzen window on (\d+) samples, width chosen on validation data', r'parzen-\1'),
    # Sentences.
    (r'number of distinct (\d+)-grams of words in (?P<said>.*), in a row across their borders',
     r'distinct-\1:{said}'),
    (r'BLEU-(\d+) against all others of (?P<said>.*), smoothing method 1',
     r'self-bleu-\1:{said}'),
    (r'(?P<said>.*), </s> excluded; words absent from train skipped', 'unigrams-kl:{said}'),
    (r'unigrams of (?P<said>.*), </s> excluded', 'unigrams:{said}'),
    (r'words without </s>, (?P<said>.*)', 'words:{said}'),
    (r'exp\(-sum ln p / words\), </s> excluded: (?P<said>.*) under a Kneser-Ney (\d+)-gram '
     r'model of the training split', r'kneser-ney-\2:{said}'),
    (r'exp\(-sum ln p / words\), </s> excluded: the split under a Kneser-Ney (\d+)-gram model '
     r'of (?P<said>.*)', r'kneser-ney-\1:reverse:{said}'),
    (r'corpus BLEU-4, (greedy|beam) decodings of posterior means', r'bleu-4:\1'),
    (r'F1 with both ends, (\d+) greedy decodings between posterior means of \d+ pairs of one '
     r'length', r'rouge-l:greedy-\1'),
    # Of nats given a column that the method is told, and of a kit that has a choice.
    (r'(?P<rule>.*); given the (\w+)', r'{rule}:given-\2'),
    (r'(?P<rule>.*); (?P<likelihood>\w+ decoder.*)', '{rule}:{likelihood}'),
    # Of how samples are made.
    (r'(?P<rule>.*), mean decoding', '{rule}'),
    (r'(?P<rule>.*), with the noise of p\(x\|z\)', '{rule}:noise'),
)

_COMPARED = (
    (r'Frechet distance of fitted normal laws', 'frechet'),
    (r'unbiased MMD\^2, RBF widths \{\.5, 1, 2\} x median distance of the data', 'mmd-rbf'),
    (r'share of samples near data, balls of radius to neighbour (\d+)', r'precision-\1'),
    (r'share of data near samples, balls of radius to neighbour (\d+)', r'recall-\1'),
    (r'held-out accuracy of a forest of (\d+) trees', r'forest-\1'),
    (r'held-out accuracy of a forest of (\d+) trees, of distinct rows', r'forest-\1:distinct'),
    (r'MMD\^2, Gaussian kernel of median pooled width, (\d+) permutations', r'mmd-permuted-\1'),
    (r'exp E KL\(p\(y\|x\) \|\| p\(y\)\)', 'class-score'),
    (r'KL\(classes of samples \|\| classes of data\)', 'class-kl'),
    (r'Wasserstein-2 by optimal assignment of as many points', 'w2-assignment'),
)

_PAIRS = (
    (r'pairs of dimensions of the posterior means', 'means'),
    (r'pairs of dimensions of the posterior means, the (\d+) of largest variance', r'means-\1'),
)

_PARTS = {'rule': _RULES, 'space': _SPACES, 'said': _SAID, 'embedded': _EMBEDDED,
          'floor': _FLOORS, 'likelihood': _LIKELIHOODS, 'compared': _COMPARED, 'pairs': _PAIRS}
"""The rules for the named groups of a sentence."""


def _match(sentence: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    """The id by the first rule that fits, None where none does."""
    for pattern, template in rules:
        match = re.fullmatch(pattern, sentence)
        if not match:
            continue
        parts = {k: _match(v, _PARTS[k]) for k, v in match.groupdict().items()}
        if None not in parts.values():
            return match.expand(template).format(**parts)
    return None


def known(sentence: str) -> str | None:
    """Gives the id of an estimator as `identify` does, None where no rule fits."""
    return _match(sentence, _RULES)


def identify(sentence: str) -> str:
    """Gives the id of the estimator that a sentence describes.

    Args:
      sentence: the `estimator` of a metric.

    Returns:
      The id, of lower-case letters, digits, dots and hyphens in parts between colons.

    Raises:
      UserError: no rule describes the sentence.

    >>> identify('importance sampling, S=50; bernoulli decoder')
    'iw:bernoulli'
    >>> identify('exp(sum nll / sum T), T with </s>; nll: exact')
    'ppl:exact'
    """
    found = known(sentence)
    if found is None:
        raise UserError(f'unknown estimator {sentence!r}; add a rule for it to {__name__}')
    return found
