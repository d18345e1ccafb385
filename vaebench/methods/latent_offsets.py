"""Sentences rewritten by a vector: the difference of two styles' mean codes."""
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import optax

from vaebench.core import Criterion, Fold, Hp, Kit, Method, Phase, Player, Recipe, couples
from vaebench.methods import frozen_autoencoders as frozen
from vaebench.methods.aggregate_posterior import wae_gan

CONSTANT = {'beta_start': 0., 'warmup': 0., 'delay': 0., 'period': 0.}
"""hp of a critic whose weight never changes."""


def with_numbers(method: Method, numbers: Mapping[str, float]) -> Method:
    """Fixes hp of a method, so that a phase of it can be shared by rows.

    Args:
      method: it reads hp[name].
      numbers: name -> value.

    Returns:
      The `Method`, which reads these values instead.
    """
    def given(hp: Hp):
        return {**hp, **{k: jnp.asarray(v, float) for k, v in numbers.items()}}

    def fixed(player):
        def loss(params, carry, batch, ctx):
            return player.loss(params, carry, batch, ctx._replace(hp=given(ctx.hp)))

        return player._replace(loss=couples(loss, player.couples),
                               tx=lambda hp: player.tx(given(hp)))

    def chosen(select):
        if isinstance(select, str):
            return select
        return Criterion(select.formula, lambda hp, valid: select.value(given(hp), valid))

    phases = tuple(p._replace(players=tuple(map(fixed, p.players)), select=chosen(p.select))
                   for p in method.phases)
    return method._replace(phases=phases)


def adversarial(kit: Kit, recipe: Recipe, game: Mapping[str, float], corrupt: float,
                log_var: float, hidden: Sequence[int]) -> Method:
    """Builds the adversarial autoencoder of Shen et al., as a first phase 'ae' that rows share.

    Args:
      kit, recipe: of `vector_offset`.
      game: weight 'beta' and rate 'critic_lr' of the critic.
      corrupt, log_var, hidden: of `aggregate_posterior.wae_gan`.

    Returns:
      A `Method` of one phase.

    Raises:
      UserError: the data has not two styles.
    """
    frozen.two_styles(kit)
    numbers = {**CONSTANT, **game}
    method = with_numbers(wae_gan(kit, recipe, hidden=hidden, d_first=False, corrupt=corrupt,
                                  log_var=log_var), numbers)
    phase, = method.phases
    told = {'stage': 'adversarial autoencoder', 'corrupt': corrupt, 'log_var': log_var,
            'hidden': list(hidden), **numbers}
    return method._replace(phases=(phase._replace(name='ae', evals=method.evals,
                                                  shared=told),))


def centroids(encode: Callable[..., jax.Array], size: int, classes: int) -> Fold:
    """Finds the mean code of every style over the training data: carry['centroids'] [K, Z].

    Args:
      encode: (params, carry, batch) -> [B, Z].
      size: Z.
      classes: K.

    Returns:
      A `Fold` over batches with 'label'.
    """
    def update(sums, params, carry, batch):
        total, count = sums
        label, weight = batch['label'], batch['weight']
        z = encode(params, carry, batch)
        return total.at[label].add(weight[:, None] * z), count.at[label].add(weight)

    def finish(sums, params, carry):
        total, count = sums
        return {**carry, 'centroids': total / jnp.maximum(count, 1.)[:, None]}

    return Fold(lambda: (jnp.zeros((classes, size)), jnp.zeros(classes)), update, finish)


def _offset_phase(fold: Fold, size: int) -> Phase:
    """One step that makes params['k'] hp['k'], which evals cannot read, then the centroids."""
    def loss(params, carry, batch, ctx):
        return (params['k'] - ctx.hp['k'])**2 / 2, (carry, {})

    def enter(key, params, carry, data):
        empty = jnp.zeros((frozen.STYLES, size))
        return {**params, 'k': jnp.zeros(())}, {**carry, 'centroids': empty}

    # from 0 a step of size 1 down the square ends at hp['k'] to the last bit
    player = Player('k', loss, ('k',), lambda hp: optax.sgd(1.))
    return Phase('offset', (player,), 1, enter=enter, select='', evals={}, summary=fold)


def vector_offset(kit: Kit, recipe: Recipe, *, game: bool = False,
                  corrupt: float = frozen.DROPS, log_var: float = 0.,
                  hidden: Sequence[int] = (512,), beta: float = 10.,
                  critic_lr: float = 5e-4) -> Method:
    """Adds to a code k times the difference of the mean codes of the two styles.

    With `game` the autoencoder is that of Shen et al., whose aggregate posterior a critic pulls
    to N(0, I): with `corrupt` the DAAE, without it the AAE, and with `log_var` the LAAE. All
    rows with the same autoencoder train it once, whatever their k.

    Hyperparameters:
      k.

    Args:
      kit: the networks; the data has labels of two styles.
      recipe: the protocol.
      game: whether the autoencoder is stochastic and has a critic, or deterministic and has
        none.
      corrupt: share of the words that the encoder does not see in training.
      log_var: with `game`, weight of the posterior's sum_j |ln s_j^2|.
      hidden: with `game`, widths of the critic.
      beta, critic_lr: with `game`, weight of what the critic says, and its rate.

    Returns:
      A `Method` of phases 'ae' and 'offset', whose one step takes k over, and whose pass over
      the training data finds the mean codes.

    Equation:
      z' = mu(x) + k (m_target - m_source)
      m_y: the mean of mu(x) over all training sentences of style y
      source: the style that is not the target

    Deviations:
      All training sentences make the means, not a hundred of each style; they are divided by
      their number, not by another, and seen in the order they have. Codes are means of
      posteriors. The autoencoder is this suite's, an LSTM of one layer in one direction, whose
      code sets the first state and is an input of every step; the papers' are larger, and Shen
      et al. add the projected code to the embeddings. With `game` the weight 10 and the
      critic's rate 5e-4 are theirs; both losses are summed over words.

    References:
      Shen et al., "Educating Text Autoencoders: Latent Representation Guidance via Denoising",
      2020, arXiv:1905.12777 (game).
      Mai et al., "Plug and Play Autoencoders for Conditional Text Generation", 2020,
      arXiv:2010.02983 (its row Shen et al., on its own autoencoder).
    """
    if game:
        numbers = {'beta': beta, 'critic_lr': critic_lr}
        method = adversarial(kit, recipe, numbers, corrupt, log_var, hidden)
    else:
        method = frozen.denoising(kit, recipe, corrupt)
    fold = centroids(method.evals['encode'], kit.latent, frozen.STYLES)

    def edit(params, carry, z, label):
        mean = carry['centroids']
        return z + params['k'] * (mean[label] - mean[1 - label])

    return Method(method.init, (*method.phases, _offset_phase(fold, kit.latent)),
                  frozen.rewriting(method.evals, edit))
