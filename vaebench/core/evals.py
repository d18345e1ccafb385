"""What a method may offer to metrics."""
from typing import NamedTuple


class Eval(NamedTuple):
    """What one eval takes besides (params, carry), and what it gives.

    Attributes:
      takes: names of its inputs: 'batch', 'q', 'z', 'key', 'label', and the static 'n' and
        'mode'.
      gives: '[B]', '[B, Z]', '[B, K]', or 'q', 'z', 'batch' and 'target' for pytrees with such
        leaves; 'means' for named scalars.
      what: a sentence on it, with its unit.
      mean: how validation calls its mean over the data, '-' before it turns the sign; None is
        not measured there.
      host: whether it is NumPy's and takes neither params nor carry.
    """
    takes: tuple[str, ...]
    gives: str
    what: str
    mean: str | None = None
    host: bool = False


EVALS = {
    # codes
    'posterior': Eval(
        ('batch',), 'q', 'q(z|x), a pytree with leaves [B, ...], in evaluation mode'),
    'sample_q': Eval(
        ('q', 'key'), 'z', 'one draw of each, leaves [B, ...] of shapes that no batch changes'),
    'log_q': Eval(('q', 'z'), '[B]', 'log q(z|x), nats'),
    'log_q_dims': Eval(
        ('q', 'z'), '[B, Z]', 'log q of every dimension, nats; factorised posteriors only'),
    'kl': Eval(('q',), '[B]', 'closed-form KL(q || prior), nats', 'kl'),
    'log_prior': Eval(
        ('z',), '[B]', 'log p(z), nats; of a conditional prior the code holds its condition'),
    'encode': Eval(('batch',), '[B, Z]', 'posterior means'),
    'penalties': Eval(
        ('batch', 'q', 'z', 'key'), 'means',
        'batch means that validation shows, by name: what training adds to the reconstruction '
        'besides the KL, before its weight, or another bound'),
    # likelihoods and losses
    'log_lik': Eval(
        ('z', 'batch'), '[B]', 'log p(x|z) summed over tokens or pixels, nats', '-rec'),
    'log_length': Eval(
        ('batch',), '[B]',
        'log probability of the number of latents, where it tells the length; every bound on '
        'log p(x) adds it, nats', 'log_length'),
    'score': Eval(
        ('batch',), '[B]', 'exact log p(x) of a model without latents, nats', '-nll'),
    'error': Eval(
        ('batch',), '[B]', 'what a predictor loses on an example: lower is better', 'error'),
    'replica': Eval(
        ('batch', 'key'), '([B], [B])',
        'what the paper printed as a bound, nats, and divided by, words'),
    'dual_mi': Eval(
        ('batch', 'key'), '[B]', "the paper's dual estimate of the mutual information, nats"),
    # samples
    'decode': Eval(
        ('z', 'key', 'mode'), 'batch', 'what codes say; z may be [B, Z] codes of `encode`'),
    'sample_prior': Eval(
        ('key', 'n'), 'z', 'n draws from the prior, a pytree with leaves [n, ...]'),
    'sample': Eval(('key', 'n', 'mode'), 'batch', 'n examples from the prior'),
    'reconstruct': Eval(
        ('batch',), 'batch',
        'by an autoencoder whose codes have no prior, or need the batch'),
    # answers
    'classify': Eval(
        ('batch',), '[B, K]',
        'log probability of every class, of a model that was shown labels'),
    'cluster': Eval(
        ('batch',), '[B, K]', 'log probability of every cluster, of a model that saw no label'),
    'predict': Eval(('batch',), 'target', 'like batch["target"]'),
    'transfer': Eval(
        ('batch', 'label', 'key', 'mode'), 'batch', 'the batch rewritten to labels [B]'),
    'edit': Eval(
        ('z', 'label'), '[B, Z]',
        'codes of `encode` moved to labels [B]: all that `transfer` does between encoding and '
        'decoding'),
    'style_code': Eval(('batch',), '[B, S]', 'the part of a code that is to hold the label'),
    'content_code': Eval(('batch',), '[B, C]', 'the part that is to hold all else'),
    'respond': Eval(
        ('batch', 'key', 'mode'), 'batch',
        'drawn from p(x | the context in the batch), which is all that is read of it; codes '
        'are drawn in every mode'),
    # pictures
    'filters': Eval(
        (), '[S, K, K, I, C]',
        'filters of the first layer, as each of S elements of a group moves them'),
    # maps
    'embed': Eval(
        ('x', 'seed'), '[N, D]',
        'a map fitted to all rows of x [N, ...] at once; neither traced nor trained',
        host=True),
}
"""The closed list of what a method may offer to metrics; every eval but a host's takes (params,
carry) first.
"""
