"""Pairs of sentences learned word by word, with an autoencoder's encoder and decoder."""
import jax.numpy as jnp

from vaebench.core import Kit, Method, Phase, Player, Recipe, couples, mean
from vaebench.errors import unknown
from vaebench.methods import code_maps
from vaebench.methods import frozen_autoencoders as frozen
from vaebench.schema import field

STARTS = 'scratch', 'pretrained', 'mlp', 'freeze'


def s2s(kit: Kit, recipe: Recipe, *, start: str = 'scratch', corrupt: float = frozen.DROPS,
        source: int | None = None) -> Method:
    """Sequence to sequence: encoder, perhaps a map, and decoder learn the words of the paired
    sentence.

    Hyperparameters:
      map_lr.

    Args:
      kit: the networks; the data has labels of two styles and a column 'target'.
      recipe: the protocol; each phase takes `recipe.steps`.
      start: 'scratch', random networks without a map; 'pretrained', those of the denoising
        autoencoder; 'mlp', the same with a map of codes between them; 'freeze', the same with
        only the map trained, through the decoder.
      corrupt: share of the words that the encoder of the autoencoder does not see in training.
      source: style that is rewritten, the only one whose sentences are trained on; None for
        both.

    Returns:
      A `Method` of a phase 'pairs', but for 'scratch' after 'ae', which rows share. Without a
      map the sentence itself says which style it is rewritten to.

    Equation:
      minimize -sum_t log p(y_t | y_<t, Phi(E(x))), y the sentence that x should become
      scratch, pretrained: Phi(z) = z; mlp, freeze: Phi(z) = W2 selu(W1 z)

    Deviations:
      Each target style has a map of its own. The table's rate trains all but the map of
      'freeze', which has its own, map_lr; the paper's is 5e-5. The decoder that stays as it is
      drops no units while the map is trained. How the paper's first three rows are trained its
      code does not say; they are read as named.

    References:
      Mai et al., "Plug and Play Autoencoders for Conditional Text Generation", 2020,
      arXiv:2010.02983 (its baselines).
    """
    if start not in STARTS:
        raise unknown('start', start, STARTS)
    field(kit.schema, 'target')            # one clear line
    base, dec = frozen.denoising(kit, recipe, corrupt), kit.decoder()
    encode, own = base.evals['encode'], base.phases[0].players[0].trains
    net = code_maps.directed(code_maps.code_map(kit, 'mlp'))
    mapped, still = start in ('mlp', 'freeze'), start == 'freeze'

    def edit(params, carry, z, label):
        return net.apply(params['map'], z, label) if mapped else z

    def nll(params, carry, batch, key=None):
        other, weight = frozen.paired(batch)
        weight = frozen.from_style(batch, weight, source)
        z = edit(params, carry, encode(params, carry, batch), 1 - batch['label'])
        value = -dec.log_prob(params['dec'], z, other, None if still else key)
        return jnp.where(weight > 0, value, 0.), weight

    @couples                    # a mean over the pairs of two styles
    def loss(params, carry, batch, ctx):
        values, weight = nll(params, carry, batch, ctx.key)
        value = mean(values, {'weight': weight})
        return value, (carry, {'rec': value})

    def enter(key, params, carry, data):
        return ({**params, 'map': net.init(key)} if mapped else params), carry

    def tx(hp):
        return recipe.optimizer({**hp, 'lr': hp['map_lr']} if still else hp)

    names = ('map',) if still else (*own, 'map') if mapped else own
    pairs = Phase('pairs', (Player('pairs', loss, names, tx),), recipe.steps, enter=enter,
                  select='error', evals={'error': lambda p, c, batch: nll(p, c, batch)[0]})
    evals = base.evals if still else {k: base.evals[k] for k in ('encode', 'decode')}
    phases = (pairs,) if start == 'scratch' else (*base.phases, pairs)
    return Method(base.init, phases, frozen.rewriting(evals, edit))
