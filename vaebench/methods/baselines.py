"""Methods without latents, and the floors and ceilings that data alone set: a language model,
supervised references and the source of a corpus."""
import math

import jax
import jax.numpy as jnp

from vaebench.core import (
    Fold,
    Kit,
    Method,
    Phase,
    Player,
    Recipe,
    coupled,
    couples,
    derive,
    mean,
)
from vaebench.errors import UserError
from vaebench.methods.posteriors import batch_moments
from vaebench.schema import field


def language_model(kit: Kit, recipe: Recipe) -> Method:
    """The decoder alone, with no latent: an exact likelihood.

    Args:
      kit: `decoder(latent=0)` is used.
      recipe: the protocol.

    Returns:
      A `Method` that offers 'score' and 'sample'.

    Equation:
      minimize -sum_t log p(x_t | x_<t), over the words and </s>

    Deviations:
      Learning rate and its decay are the table's, as for every row; Li et al.'s language model
      has a larger rate and no least number of epochs before a decay.

    References:
      Bowman et al., "Generating Sentences from a Continuous Space", 2016, arXiv:1511.06349 (its
      baseline).
    """
    dec = kit.decoder(latent=0)

    def loss(params, carry, batch, ctx):
        rec = -mean(dec.log_prob(params['dec'], None, batch, ctx.key), batch)
        return rec, (carry, {'rec': rec})

    def score(params, carry, batch):
        return dec.log_prob(params['dec'], None, batch)

    def sample(params, carry, key, n, mode):
        return dec.generate(params['dec'], jnp.zeros((n, 0)), key, mode)

    player = Player('lm', loss, ('dec',), recipe.optimizer)
    return Method(lambda key, data: ({'dec': dec.init(key)}, {}),
                  (Phase('main', (player,), recipe.steps),),
                  {'score': score, 'sample': sample})


def classifier(kit: Kit, recipe: Recipe, *, partners: bool = False) -> Method:
    """Supervised classifier: an encoder and a linear layer that see every label, or a few.

    Args:
      kit: `encoder` and `head` are used; the data has labels.
      recipe: the protocol.
      partners: whether it learns from the rows alone that a batch names in its column
        'partner': of all that the data has, only these are labelled. A step reads as many
        images, and an epoch has as many steps, whatever their number.

    Returns:
      A `Method` that offers 'classify' and 'error', the cross-entropy of an example, nats, and
      'filters' where the kit has them.

    Equation:
      minimize -log softmax(W h(x))_y

    Deviations:
      None: it is no method of a paper, but what labels alone can do with these networks.
    """
    enc, head = kit.encoder(), kit.head(kit.size('label'))
    if partners:
        field(kit.schema, 'partner')       # or one clear line

    def init(key, data):
        return {'enc': enc.init(derive(key, 0)), 'head': head.init(derive(key, 1))}, {}

    def classify(params, batch, key=None):
        features = enc.apply(params['enc'], batch, key)
        return jax.nn.log_softmax(head.apply(params['head'], features.last))

    def entropies(log_p, batch):
        return -jnp.take_along_axis(log_p, batch['label'][:, None], 1)[:, 0]

    def loss(params, carry, batch, ctx):
        batch = {**batch, **batch['partner']} if partners else batch
        log_p = classify(params, batch, ctx.key)
        entropy = mean(entropies(log_p, batch), batch)
        right = mean((log_p.argmax(1) == batch['label']).astype(log_p.dtype), batch)
        return entropy, (carry, {'cross_entropy': entropy, 'accuracy': right})

    def error(params, carry, batch):
        return entropies(classify(params, batch), batch)

    drawn = {'filters': lambda params, carry: kit.filters(params['enc'])}
    evals = {'classify': lambda params, carry, batch: classify(params, batch), 'error': error,
             **(drawn if 'filters' in kit.nets else {})}
    player = Player('classifier', couples(loss, coupled(enc.apply)), ('enc', 'head'),
                    recipe.optimizer)
    return Method(init, (Phase('main', (player,), recipe.steps, select='error'),), evals)


def supervised_codes(kit: Kit, recipe: Recipe) -> Method:
    """Supervised reference of representations: an encoder whose code is regressed on the
    factors that the data are made of, dimension k on factor k.

    What it scores is about what a metric of representations gives to codes that are as good as
    these networks can make them.

    Args:
      kit: `encoder` and `head` are used; the data has a column 'factors' [N, F] of numbers, F
        at most the latent size Z.
      recipe: the protocol.

    Returns:
      A `Method` that offers 'encode', of which dimensions beyond the factors are 0, and
      'error', the squared error of an example, summed over the factors.

    Equation:
      minimize sum_k (z_k - (v_k - m_k) / s_k)^2, z = W h(x)
      m, s: mean and standard deviation of factor k in the batch that training starts from

    Deviations:
      None: it is no method of a paper, but what factors alone can do with these networks.
      Classes and angles are regressed on as numbers. Factors that the data do not show, such as
      the orientation of a square beyond a quarter turn, are beyond this row too.
    """
    size = field(kit.schema, 'factors').shape[0]
    if size is None or size > kit.latent:
        raise UserError(f'{size} factors need as many dimensions of the code: set '
                        f'--config.kit.latent to at least {size}, it is {kit.latent}')
    enc, head = kit.encoder(), kit.head(size)

    def init(key, data):
        mean, variance, _ = batch_moments(data['factors'].astype(float), data['weight'])
        # of whole numbers less is the rounding of one level
        std = jnp.sqrt(jnp.where(variance > 1e-6, variance, 1.))
        params = {'enc': enc.init(derive(key, 0)), 'head': head.init(derive(key, 1))}
        return params, {'mean': mean, 'std': std}

    def predict(params, batch, key=None):
        return head.apply(params['head'], enc.apply(params['enc'], batch, key).last)

    def errors(params, carry, batch, key=None):
        gap = predict(params, batch, key) - (batch['factors'] - carry['mean']) / carry['std']
        return (gap**2).sum(-1)

    def loss(params, carry, batch, ctx):
        value = mean(errors(params, carry, batch, ctx.key), batch)
        return value, (carry, {'error': value})

    def encode(params, carry, batch):
        return jnp.pad(predict(params, batch), ((0, 0), (0, kit.latent - size)))

    player = Player('regression', couples(loss, coupled(enc.apply)), ('enc', 'head'),
                    recipe.optimizer)
    return Method(init, (Phase('main', (player,), recipe.steps, select='error'),),
                  {'encode': encode, 'error': errors})


def pca_codes(kit: Kit, recipe: Recipe) -> Method:
    """Principal component analysis as an encoder and a decoder: the linear floor of
    representations.

    One pass over the training data finds mean and axes; all seeds are alike. `embedding` fits
    scikit-learn's to the evaluated examples, and has no codes of others.

    Args:
      kit: its latent size Z is the number of axes; the data has numbers 'x'.
      recipe: unused.

    Returns:
      A `Method` of a phase without players that offers 'encode', 'decode' and 'error', the
      squared error of a reconstruction.

    Equation:
      z = A^T (x - m), A the Z eigenvectors of Cov x with the largest eigenvalues
      each with the sign that makes its largest entry positive

    Deviations:
      None: eigenvectors of the covariance, in single precision.

    References:
      Pearson, "On Lines and Planes of Closest Fit to Systems of Points in Space", 1901.
    """
    shape = tuple(n or 0 for n in field(kit.schema, 'x').shape)
    size = math.prod(shape)
    if kit.latent > size:
        raise UserError(f'{size} numbers have no {kit.latent} principal components: set '
                        f'--config.kit.latent to at most {size}')

    def flat(batch):
        return batch['x'].reshape(-1, size)

    def init(key, data):
        center = batch_moments(flat(data), data['weight'])[0]
        return {}, {'mean': center, 'axes': jnp.zeros((size, kit.latent))}

    def update(sums, params, carry, batch):
        x, weight = flat(batch) - carry['mean'], batch['weight'][:, None]   # keeps the digits
        n, first, second = sums
        return n + weight.sum(), first + (weight * x).sum(0), second + (weight * x).T @ x

    def finish(sums, params, carry):
        n, first, second = sums
        away = first / n
        axes = jnp.linalg.eigh(second / n - jnp.outer(away, away))[1][:, ::-1][:, :kit.latent]
        largest = jnp.take_along_axis(axes, jnp.abs(axes).argmax(0)[None], 0)
        return {'mean': carry['mean'] + away, 'axes': axes * jnp.sign(largest)}

    def encode(params, carry, batch):
        return (flat(batch) - carry['mean']) @ carry['axes']

    def decode(params, carry, z, key, mode):
        return {'x': (carry['mean'] + z @ carry['axes'].T).reshape(-1, *shape)}

    def error(params, carry, batch):
        again = decode(params, carry, encode(params, carry, batch), None, 'mean')
        return ((flat(again) - flat(batch))**2).sum(-1)

    def nothing():
        return jnp.zeros(()), jnp.zeros(size), jnp.zeros((size, size))

    fold = Fold(nothing, update, finish)
    return Method(init, (Phase('main', (), 0, select='', summary=fold),),
                  {'encode': encode, 'decode': decode, 'error': error})


def source(kit: Kit, recipe: Recipe) -> Method:
    """The process that made a synthetic corpus: its exact log probability, and nothing to
    train.

    Args:
      kit: only its schema: the data must hold 'log_p'.
      recipe: unused.

    Returns:
      A `Method` without phases; batches must hold 'log_p' [B].

    Equation:
      log p(x), exact: nothing is minimized

    Deviations:
      None: it is no method of a paper, but the best that any row can reach.
    """
    field(kit.schema, 'log_p')             # or one clear line
    return Method(lambda key, data: ({}, {}), (),
                  {'score': lambda params, carry, batch: batch['log_p']})
