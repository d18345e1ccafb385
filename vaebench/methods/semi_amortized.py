"""Methods whose encoder only starts the search for each example's posterior."""
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core import Kit, Method, Phase, Player, Recipe, derive
from vaebench.methods import models, objectives, posteriors, regularizers
from vaebench.ops import divergences

# the published batch: its mean loss makes each sentence's step 1/32 of the sentence's gradient
SHARE = 32
# the published limit is 5 for such a batch; this is each sentence's part if all are alike
CLIP = 5 / SHARE**.5
MOMENTUM = .5


def clip_rows(g: jax.Array, limit: float | None) -> jax.Array:
    """Shortens rows [..., Z] to at most `limit`; None leaves them. A row of zeros has a
    derivative.

    >>> clip_rows(jnp.array([[3., 4.], [0., 1.]]), 2.5).tolist()
    [[1.5, 2.0], [0.0, 1.0]]
    """
    if limit is None:
        return g
    squared = (g * g).sum(-1, keepdims=True)
    long = squared > limit**2
    return jnp.where(long, limit / jnp.sqrt(jnp.where(long, squared, 1.)), 1.) * g


def refined(loss: Callable[..., jax.Array], q: Any, noise: Any, step: float = 1.,
            clip: float | None = CLIP) -> tuple[Any, jax.Array]:
    """Descends a loss of each example's own q, with momentum; made to be differentiated
    through.

    Args:
      loss: (q, noise of one step) -> [B], nats; row b depends on row b of q only.
      q: start, a pytree with leaves [B, Z].
      noise: a pytree with leaves [K, ...], one entry per step.
      step: length of a step, of gradients divided by 32.
      clip: longest gradient, after that division, of a row of a leaf; None does not clip.

    Returns:
      q after K steps, and the losses [K, B] before each.

    >>> def loss(q, noise):
    ...     return 16 * ((q - 3.)**2).sum(-1)
    >>> q, losses = refined(loss, jnp.zeros((1, 1)), jnp.zeros(2), .5, None)
    >>> q.tolist(), losses.tolist()
    ([[3.0]], [[144.0], [36.0]])
    """
    def total(q, noise):
        values = loss(q, noise)
        return values.sum(), values

    # a loop's body has nothing to merge with
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def body(state, noise):
        q, v = state
        grads, values = jax.grad(total, has_aux=True)(q, noise)
        v = jax.tree.map(lambda v, g: MOMENTUM * v - clip_rows(g / SHARE, clip), v, grads)
        return (jax.tree.map(lambda q, v: q + step * v, q, v), v), values

    (q, _), losses = jax.lax.scan(body, (q, jax.tree.map(jnp.zeros_like, q)), noise)
    return q, losses


def semi_amortized(kit: Kit, recipe: Recipe, *, refine: int = 10, step: float = 1.,
                   clip: float | None = CLIP) -> Method:
    """VAE whose posterior takes `refine` gradient steps from the encoder's answer, in training
    and in evaluation.

    The steps of training have fresh noise and dropout each. In evaluation beta is 1, nothing is
    dropped, and every sentence has the same fixed noise.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      refine: steps; 20 for Yahoo, 10 for PTB; 0 is a VAE.
      step: length of a step.
      clip: longest gradient of a sentence's mean or log variance; None does not clip.

    Returns:
      A `Method`; its posterior costs `refine` passes through the decoder and back.

    Equation:
      lambda_0 = encoder(x), v_0 = 0
      v_{k+1} = v_k / 2 - g_k, lambda_{k+1} = lambda_k + step v_{k+1}
      g_k: gradient of rec + beta KL at lambda_k, over 32, clipped
      minimize rec + beta KL at lambda_K, through all K steps

    Deviations:
      The published code sums gradients by finite differences and clips them on the way back;
      here they are exact. It clips mean and log variance at norm 5 each over the batch, here
      each sentence alone at 5 / sqrt(32): the same where the gradients of 32 sentences are
      alike, for otherwise a posterior would depend on its neighbours. So that it does not
      depend on the batch's size either, each sentence's gradient is divided by 32, the
      published batch.

    References:
      Kim et al., "Semi-Amortized Variational Autoencoders", 2018, arXiv:1802.02550.
    """
    dec, posterior = kit.decoder(), posteriors.gaussian(kit)
    kl, kl_dims = posterior.kl, posterior.kl_dims
    assert kl is not None and kl_dims is not None
    model = models.model(kit, posterior, decoder=dec)
    weight = objectives.scheduled_weight(recipe)

    def search(params, q, batch, beta, noise):
        """`noise`: standard normal draws [K, Z] or [K, B, Z], and keys [K] of dropout or
        None."""
        def loss(q, noise):
            e, key = noise
            z = q['mean'] + jnp.exp(.5 * q['log_var']) * e
            rate = beta * divergences.normal_kl(**q)
            return rate - dec.log_prob(params['dec'], z, batch, key)

        return refined(loss, q, noise, step, clip)[0]

    def objective(params, carry, batch, ctx):
        beta, _ = weight.apply(carry['weight'], None, ctx)

        def terms(params, carry, batch, key, hp):
            q, _, features, carry = model.draw(params, carry, batch, key, hp)
            keys = jax.vmap(lambda k: derive(key, 4, k))(jnp.arange(refine))
            shape, dtype = q['mean'].shape, q['mean'].dtype
            e = jax.vmap(lambda k: jax.random.normal(derive(k, 0), shape, dtype))(keys)
            q = search(params, q, batch, beta, (e, jax.vmap(lambda k: derive(k, 1))(keys)))
            z = posterior.sample(params, q, derive(key, 1))
            rec = -dec.log_prob(params['dec'], z, batch, derive(key, 2))
            return models.Terms(rec, z, features, q, kl(params, q), kl_dims(params, q)), carry

        searching = model._replace(terms=terms)
        loss = objectives.objective(searching, regularizers.kl, weight)
        return loss(params, carry, batch, ctx)

    def infer(params, carry, batch):
        q = model.evals['posterior'](params, carry, batch)
        e = jax.random.normal(jax.random.key(0), (refine, kit.latent), q['mean'].dtype)
        return search(params, q, batch, 1., (e, None))

    player = Player('vae', objective, model.names, recipe.optimizer)
    evals = {**model.evals, 'posterior': infer, 'encode': lambda *args: infer(*args)['mean']}
    return Method(objectives.starter(model, weight),
                  (Phase('main', (player,), recipe.steps),), evals)
