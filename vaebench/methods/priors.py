"""Learned priors, and the objective of two bounds that trains them."""
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core import Key, Kit, Method, Phase, Player, Recipe, derive, mean
from vaebench.errors import UserError, unknown
from vaebench.methods import models, objectives, posteriors
from vaebench.ops import density_gap, distributions, flows

FREE = {'': 0, 'elbo': 1, 'both': 2}
"""How many of the two bounds have free bits."""


def flow(kit: Kit, layers: int = 6, hidden: int = 64) -> models.Prior:
    """N(0, I) through a Real-NVP flow: see `flows.coupling`.

    Args:
      kit: `mlp` is used; Z at least 2.
      layers: coupling layers.
      hidden: width of their networks.

    Returns:
      A `models.Prior` with params 'flow'.

    References:
      Ding and Gimpel, "FlowPrior: Learning Expressive Priors for Latent Variable Sentence
      Models", NAACL 2021.
    """
    if kit.latent < 2:
        raise UserError(
            'a coupling flow splits the code in two: choose a latent size of at least 2')
    net = flows.coupling(kit.latent, layers, kit.mlp, hidden)

    def log_prob(params, z):
        x, log_det = net.inverse(params['flow'], z)
        return distributions.normal_log_prob(x) + log_det

    def sample(params, key, n):
        return net.forward(params['flow'], jax.random.normal(key, (n, kit.latent)))[0]

    return models.Prior(('flow',), lambda key, data, params: {'flow': net.init(key)}, log_prob,
                        sample)


def mog(kit: Kit, k: int = 50, spread: float = .5) -> models.Prior:
    """Mixture of k diagonal Gaussians whose means, log variances and logits are learned.

    Args:
      kit: the networks; only the latent size is used.
      k: components.
      spread: standard deviation of the means at the start.

    Returns:
      A `models.Prior` with params 'mog'.
    """
    def init(key, data, params):
        means = spread * jax.random.normal(key, (k, kit.latent))
        return {'mog': {'mean': means, 'log_var': jnp.zeros_like(means),
                        'logits': jnp.zeros(k)}}

    def log_prob(params, z):
        p = params['mog']
        each = distributions.normal_log_prob(z[..., None, :], p['mean'], p['log_var'])
        return jax.nn.logsumexp(each + jax.nn.log_softmax(p['logits']), -1)

    def sample(params, key, n):
        p = params['mog']
        pick = jax.random.categorical(derive(key, 0), p['logits'], shape=(n,))
        return distributions.normal_sample(derive(key, 1), p['mean'][pick], p['log_var'][pick])

    return models.Prior(('mog',), init, log_prob, sample)


def full_mixture(size: int, k: int = 10) -> models.Prior:
    """Mixture of k Gaussians with full covariances.

    Component j's precision is P^T P with P = (I + N) / s: s > 0 scales the columns, N is
    strictly lower triangular. Scales and correlations are thus numbers without unit, and a
    density needs no equations solved.

    Args:
      size: Z.
      k: components.

    Returns:
      A `models.Prior` with params 'mixture': 'mean' [k, Z], 'log_std' [k, Z], ln s; 'below' [k,
      Z, Z], N below its diagonal; 'logits' [k].
    """
    def init(key, data, params):
        means = .5 * jax.random.normal(key, (k, size))
        return {'mixture': {'mean': means, 'log_std': jnp.zeros_like(means),
                            'below': jnp.zeros((k, size, size)), 'logits': jnp.zeros(k)}}

    def log_prob(params, z):
        p = params['mixture']
        v = (z[..., None, :] - p['mean']) * jnp.exp(-p['log_std'])
        e = v + jnp.einsum('kij,...kj->...ki', jnp.tril(p['below'], -1), v)
        each = distributions.normal_log_prob(e) - p['log_std'].sum(-1)
        return jax.nn.logsumexp(each + jax.nn.log_softmax(p['logits']), -1)

    def sample(params, key, n):
        p = params['mixture']
        pick = jax.random.categorical(derive(key, 0), p['logits'], shape=(n,))
        e = jax.random.normal(derive(key, 1), (n, size))
        factor = jnp.linalg.inv(jnp.eye(size) + jnp.tril(p['below'], -1))
        v = jnp.einsum('nij,nj->ni', factor[pick], e)
        return p['mean'][pick] + jnp.exp(p['log_std'][pick]) * v

    return models.Prior(('mixture',), init, log_prob, sample)


def full_mixture_start(key: Key, codes: jax.Array, weight: jax.Array,
                       k: int) -> dict[str, jax.Array]:
    """Where a `full_mixture` starts: at codes of a batch, with their covariance shrunk so that
    k fill their volume.

    Args:
      key: [].
      codes: [B, Z].
      weight: [B], 0 for a row that does not count.
      k: components.

    Returns:
      params['mixture']: couples the batch.

    >>> codes = jnp.array([[0., 1.], [2., 3.], [4., 0.]])
    >>> p = full_mixture_start(jax.random.key(0), codes, jnp.ones(3), 5)
    >>> p['mean'].shape, p['below'].shape
    ((5, 2), (5, 2, 2))
    """
    size = codes.shape[-1]
    center, variance, count = posteriors.batch_moments(codes, weight)
    centered = codes - center
    cov = (weight[:, None] * centered).T @ centered / jnp.maximum(count, 1)
    cov = cov + (1e-3 * variance.mean() + 1e-6) * jnp.eye(size)
    factor = jnp.linalg.cholesky(cov * k**(-2 / size))
    std = jnp.diagonal(factor)
    inverse = jax.scipy.linalg.solve_triangular(factor, jnp.eye(size), lower=True)
    rank = jax.random.uniform(derive(key, 0), weight.shape)
    order = jnp.argsort(jnp.where(weight > 0, rank, 2.))
    rows = order[jnp.arange(k) % jnp.maximum(count, 1).astype(jnp.int32)]
    # twins would stay twins
    noise = .1 * jax.random.normal(derive(key, 1), (k, size), codes.dtype) @ factor.T
    return {'mean': codes[rows] + noise, 'log_std': jnp.tile(jnp.log(std), (k, 1)),
            'below': jnp.tile(jnp.tril(inverse * std, -1), (k, 1, 1)),
            'logits': jnp.zeros(k, codes.dtype)}


def vamp(kit: Kit, posterior: posteriors.Posterior, k: int = 50) -> models.Prior:
    """The posterior's mean over k learned pseudo-inputs: (1/k) sum_j q(z | s_j).

    Gradients reach the encoder and the pseudo-inputs; encoders of images cut these to the range
    of the data. The encoder is in evaluation mode, so that a prior has no noise of its own.

    Args:
      kit: `pseudo` and `encoder` are used.
      posterior: the model's `posteriors.Posterior`, with `log_q` and without carry.
      k: pseudo-inputs.

    Returns:
      A `models.Prior` with params 'pseudo', which `kit.pseudo` draws from the data.

    References:
      Tomczak and Welling, "VAE with a VampPrior", 2018, arXiv:1705.07120.
    """
    enc, pseudo, log_q = kit.encoder(), kit.pseudo, posterior.log_q
    assert log_q is not None

    def components(params):
        return posterior.apply(params, {}, enc.apply(params['enc'], params['pseudo']))[0]

    def log_prob(params, z):
        q = components(params)

        def one(z):
            each = log_q(params, q, jnp.broadcast_to(z, (k, *z.shape)))
            return density_gap.log_mixture(each, jnp.ones(k))

        return jax.vmap(one)(z.reshape(-1, z.shape[-1])).reshape(z.shape[:-1])

    def sample(params, key, n):
        pick = jax.random.randint(derive(key, 0), (n,), 0, k)
        q = jax.tree.map(lambda x: x[pick], components(params))
        return posterior.sample(params, q, derive(key, 1))

    def init(key, data, params):
        return {'pseudo': pseudo(params['enc'], data, key, k)}

    return models.Prior(('pseudo',), init, log_prob, sample)


def two_bounds(kit: Kit, recipe: Recipe, posterior: posteriors.Posterior, prior: models.Prior,
               *, draws: int = 10, free: str = '', scale: float = .5,
               elbo: bool = True) -> Method:
    """Builds a method that maximizes the importance-weighted bound plus the ELBO, both from the
    same draws, or the former alone.

    The paper's eq. 7, for any prior: log mean_i w_i + mean_i log w_i with log w_i = log
    p(x|z_i) - beta r_i and r_i = log q(z_i|x) - log p(z_i); gradients reach everything through
    both. Half the sum is the default, which lies between two bounds on log p(x) and pulls like
    one. All draws of an example share the decoder's dropout.

    The paper does not say how its free bits treat a KL that does not factorize. Here r's mean
    over the draws, r_bar, becomes max(target, r_bar), example by example, in the ELBO ('elbo')
    or also inside the weights ('both'): a KL free in one bound only would still be pulled by
    the other with half the force. Below the target 'both' leaves of the KL only what the
    weights compare between draws.

    Args:
      kit: `encoder` and `decoder` are used, and what the posterior and the prior need.
      recipe: the protocol.
      posterior: a `posteriors.Posterior` with `log_q`.
      prior: a `models.Prior`.
      draws: N.
      free: '', 'elbo' or 'both': which bounds have free bits, of hp['target'] nats.
      scale: what multiplies the sum of the bounds; 1 is the paper's.
      elbo: whether the ELBO is part of it.

    Returns:
      A `Method`; aux 'iw' is minus the importance-weighted bound at weight 1, 'kl' the mean of
      r.

    References:
      Ding and Gimpel, "FlowPrior: Learning Expressive Priors for Latent Variable Sentence
      Models", NAACL 2021.
    """
    if free not in FREE:
        raise unknown('kind of free bits', free, FREE)
    dec, weight = kit.decoder(), objectives.scheduled_weight(recipe)
    model = models.model(kit, posterior, prior, decoder=dec)
    log_q, log_prior = posterior.log_q, prior.log_prob
    assert log_q is not None and log_prior is not None

    def loss(params, carry, batch, ctx):
        q, _, _, state = model.draw(params, carry['posterior'], batch, derive(ctx.key, 0),
                                    ctx.hp)

        def draw(key):
            z = posterior.sample(params, q, key)
            return (dec.log_prob(params['dec'], z, batch, derive(ctx.key, 1)),
                    log_q(params, q, z) - log_prior(params, z))

        # [N, B]
        log_lik, r = jax.vmap(draw)(jax.random.split(derive(ctx.key, 2), draws))
        kl = r.mean(0)
        beta, own = weight.apply(carry['weight'], mean(kl, batch), ctx)

        def weighted(beta):
            return jax.nn.logsumexp(log_lik - beta * r, 0) - jnp.log(draws)

        bounds = weighted(beta) + ((log_lik - beta * r).mean(0) if elbo else 0.)
        if FREE[free]:
            bounds -= FREE[free] * beta * (jnp.maximum(ctx.hp['target'], kl) - kl)
        aux = {'rec': -mean(log_lik.mean(0), batch), 'kl': mean(kl, batch),
               'iw': -mean(weighted(1.), batch), 'beta': beta}
        return -scale * mean(bounds, batch), ({**carry, 'posterior': state, 'weight': own}, aux)

    player = Player('vae', loss, model.names, recipe.optimizer)
    return Method(objectives.starter(model, weight),
                  (Phase('main', (player,), recipe.steps),), model.evals)


def flow_prior(kit: Kit, recipe: Recipe, *, layers: int = 6, hidden: int = 64,
               **options: Any) -> Method:
    """VAE whose prior is a Real-NVP flow.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, target.

    Args:
      kit: the networks.
      recipe: the protocol.
      layers: coupling layers.
      hidden: width of their networks.
      **options: `draws`, `free`, `scale` of `two_bounds`.

    Returns:
      A `Method`.

    Equation:
      maximize log mean_i w_i + mean_i log w_i (eq. 7), over N draws of q
      log w_i = log p(x|z_i) - beta_t [log q(z_i|x) - log p(z_i)]
      z = f_L(...f_1(u)), u ~ N(0, I), f_l: (a, b) to (a, b exp s(a) + t(a)), halves in turn

    Deviations:
      Half the sum is maximized, which pulls like one bound. The paper does not say how its free
      bits treat a KL that does not factorize: here its mean over the draws has a floor, in both
      bounds (see `two_bounds`). That nearly all of its units are active speaks for a floor in
      each dimension. The paper gives no sizes and no code was found: 6 layers, 64 units, 10
      draws and log scales bounded by 2 are this suite's. Its coupling formula has an output's
      index on the right-hand side, corrected here.

    References:
      Ding and Gimpel, "FlowPrior: Learning Expressive Priors for Latent Variable Sentence
      Models", NAACL 2021.
    """
    return two_bounds(kit, recipe, posteriors.gaussian(kit), flow(kit, layers, hidden),
                      **options)


def mog_vae(kit: Kit, recipe: Recipe, *, components: int = 50, **options: Any) -> Method:
    """VAE whose prior is a mixture of Gaussians.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, target.

    Args:
      kit: the networks.
      recipe: the protocol.
      components: of the mixture.
      **options: `draws`, `free`, `scale` of `two_bounds`.

    Returns:
      A `Method`.

    Equation:
      maximize log mean_i w_i + mean_i log w_i (eq. 7), over N draws of q
      log w_i = log p(x|z_i) - beta_t [log q(z_i|x) - log p(z_i)]
      p(z) = sum_k pi_k N(z; m_k, diag s_k^2)

    Deviations:
      Half the sum is maximized, which pulls like one bound. The paper does not say how its free
      bits treat a KL that does not factorize: here its mean over the draws has a floor, in both
      bounds (see `two_bounds`), though its active units speak for one in each dimension. Number
      and start of the components are unpublished: 50, with means from N(0, 0.25 I), are this
      suite's.

    References:
      Ding and Gimpel, "FlowPrior: Learning Expressive Priors for Latent Variable Sentence
      Models", NAACL 2021.
    """
    return two_bounds(kit, recipe, posteriors.gaussian(kit), mog(kit, components), **options)


def vamp_vae(kit: Kit, recipe: Recipe, *, components: int = 50, **options: Any) -> Method:
    """VAE whose prior is the posterior's mean over learned pseudo-inputs.

    A pseudo-sentence is a sequence of vectors in the embeddings' place; a pseudo-image lies in
    the range of the data.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, target.

    Args:
      kit: the networks.
      recipe: the protocol.
      components: pseudo-inputs.
      **options: `draws`, `free`, `scale` of `two_bounds`.

    Returns:
      A `Method`.

    Equation:
      maximize log mean_i w_i + mean_i log w_i (eq. 7), over N draws of q
      log w_i = log p(x|z_i) - beta_t [log q(z_i|x) - log p(z_i)]
      p(z) = (1 / K) sum_k q(z|s_k), s_k learned

    Deviations:
      The objective is Ding and Gimpel's; Tomczak and Welling maximize the ELBO alone. Half the
      sum is maximized, which pulls like one bound. The paper does not say how its free bits
      treat a KL that does not factorize: here its mean over the draws has a floor, in both
      bounds (see `two_bounds`), though its active units speak for one in each dimension. The
      number of pseudo-inputs for text is unpublished; they start from training examples, and
      the encoder is in evaluation mode for them. Images are cut to [0, 1] where the encoder
      reads them, as in Tomczak's code, whose networks are gated.

    References:
      Tomczak and Welling, "VAE with a VampPrior", 2018, arXiv:1705.07120.
      Ding and Gimpel, "FlowPrior: Learning Expressive Priors for Latent Variable Sentence
      Models", NAACL 2021.
    """
    posterior = posteriors.gaussian(kit)
    return two_bounds(kit, recipe, posterior, vamp(kit, posterior, components), **options)
