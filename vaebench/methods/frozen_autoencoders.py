"""What methods share that rewrite by moving the codes of an autoencoder, which stays as it is
from then on: its training, a judge of its codes, pairs of sentences, and the evals.
"""
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vaebench.core import Batch, Kit, Method, Net, Phase, Player, Recipe, derive, mean
from vaebench.errors import UserError
from vaebench.methods import autoencoders

STYLES = 2
DROPS = .1         # share of the words that the encoder does not see, of Mai et al.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    'relu': jax.nn.relu, 'leaky_relu': lambda x: jax.nn.leaky_relu(x, .2)}
"""What follows a judge's hidden layers."""


def two_styles(kit: Kit) -> None:
    """Checks that the data has labels of two styles.

    Raises:
      UserError: it has none, or more.
    """
    classes = kit.size('label')
    if classes != STYLES:
        raise UserError(f'this row rewrites {STYLES} styles into each other, and the data has '
                        f'{classes}: choose other rows with --config.rows, or other data')


def denoising(kit: Kit, recipe: Recipe, corrupt: float = DROPS) -> Method:
    """Builds the denoising autoencoder that all rows start from.

    Args:
      kit: `encoder`, `head`, `decoder` and `corrupt` are used.
      recipe: the protocol.
      corrupt: share of the words that the encoder does not see in training.

    Returns:
      `autoencoders.deterministic_ae` as a first phase 'ae', which is trained once for all rows
      of a table that have it.

    Raises:
      UserError: the data has not two styles.
    """
    two_styles(kit)
    method = autoencoders.deterministic_ae(kit, recipe, corrupt=corrupt)
    phase, = method.phases
    phase = phase._replace(name='ae', evals=method.evals,
                           shared={'stage': 'denoising autoencoder', 'corrupt': corrupt})
    return method._replace(phases=(phase,))


def rewriting(evals: Mapping[str, Callable], edit: Callable[..., jax.Array]
              ) -> dict[str, Callable]:
    """Adds 'edit' and 'transfer' to evals.

    Args:
      evals: 'encode' and 'decode' are used.
      edit: (params, carry, z [B, Z], label [B]) -> [B, Z].

    Returns:
      The evals of a method that rewrites: transfer encodes, edits and decodes.
    """
    encode, decode = evals['encode'], evals['decode']

    def transfer(params, carry, batch, label, key, mode):
        z = edit(params, carry, encode(params, carry, batch), label)
        return decode(params, carry, z, key, mode)

    return {**evals, 'edit': edit, 'transfer': transfer}


def layers(kit: Kit, hidden: Sequence[int], activation: str = 'relu',
           dropout: float = 0.) -> Net:
    """Makes a network of codes that gives one logit and, in training, drops hidden units.

    Args:
      kit: `mlp` is used.
      hidden: widths.
      activation: key of `ACTIVATIONS`.
      dropout: share of the hidden units that are dropped; none without a key.

    Returns:
      A `Net`: (params, z [..., Z], key=None) -> [...].
    """
    parts = [kit.mlp(pair) for pair in itertools.pairwise((kit.latent, *hidden, 1))]
    act = ACTIVATIONS[activation]

    def init(key):
        return [part.init(derive(key, i)) for i, part in enumerate(parts)]

    def apply(params, z, key=None):
        for i, (part, own) in enumerate(zip(parts[:-1], params[:-1], strict=True)):
            z = act(part.apply(own, z))
            if key is not None and dropout:
                keep = jax.random.bernoulli(derive(key, i), 1 - dropout, z.shape)
                z = jnp.where(keep, z / (1 - dropout), 0.)
        return parts[-1].apply(params[-1], z)[..., 0]

    return Net(init, apply)


def style_loss(logit: jax.Array, label: jax.Array) -> jax.Array:
    """Computes -log c(label) of a judge of two styles.

    Args:
      logit: [...] of style 1.
      label: [...] the style wanted, 0 or 1.

    Returns:
      [...], nats.

    >>> style_loss(jnp.array([0., 0., 9.]), jnp.array([0, 1, 1])).round(3).tolist()
    [0.6930000185966492, 0.6930000185966492, 0.0]
    """
    return optax.sigmoid_binary_cross_entropy(logit, label.astype(logit.dtype))


def style_gap(logit: jax.Array, label: jax.Array) -> jax.Array:
    """Computes |label - c|, how far a judge's probability is from the style wanted.

    Args:
      logit: [...] of style 1.
      label: [...] the style wanted, 0 or 1.

    Returns:
      [...] in [0, 1].

    >>> style_gap(jnp.array([0., 0.]), jnp.array([0, 1])).tolist()
    [0.5, 0.5]
    """
    return jax.nn.sigmoid(jnp.where(label > 0, -logit, logit))


def judge_phase(recipe: Recipe, encode: Callable[..., jax.Array], judge: Net) -> Phase:
    """Makes the phase 'judge', which trains a classifier of a frozen autoencoder's codes.

    Args:
      recipe: the protocol.
      encode: (params, carry, batch) -> [B, Z].
      judge: see `layers`; its parameters are 'judge'. hp['judge_lr'] is its learning rate.

    Returns:
      A `Phase`; the cross-entropy on validation data, which should hold both styles, chooses
      the parameters.
    """
    def entropies(params, carry, batch, key=None):
        z = jax.lax.stop_gradient(encode(params, carry, batch))
        return style_loss(judge.apply(params['judge'], z, key), batch['label'])

    def loss(params, carry, batch, ctx):
        value = mean(entropies(params, carry, batch, ctx.key), batch)
        return value, (carry, {'cross_entropy': value})

    def enter(key, params, carry, data):
        return {**params, 'judge': judge.init(key)}, carry

    player = Player('judge', loss, ('judge',),
                    lambda hp: recipe.optimizer({**hp, 'lr': hp['judge_lr']}))
    return Phase('judge', (player,), recipe.steps, enter=enter, select='error',
                 evals={'error': entropies})


def paired(batch: Batch) -> tuple[Any, jax.Array]:
    """Finds the sentence of the other style that each sentence is to become.

    Args:
      batch: with 'target', the columns of another row each, or with 'reference', of which the
        first counts.

    Returns:
      Columns of the paired sentences, and their weight [B]: 0 where a target has the sentence's
      own style.

    Raises:
      UserError: the batch has neither.
    """
    both: Any = batch
    if 'target' in both:
        other = both['target']
        return other, batch['weight'] * (other['label'] != batch['label'])
    if 'reference' in both:
        return jax.tree.map(lambda x: x[:, 0], both['reference']), batch['weight']
    raise UserError("this row trains on pairs of sentences and is validated on some: the split "
                    "has neither a column 'target' nor 'reference'; choose other rows with "
                    '--config.rows, or other data')


def from_style(batch: Batch, weight: jax.Array, source: int | None) -> jax.Array:
    """The weights [B], 0 for sentences that are not of style `source`; None leaves all."""
    return weight if source is None else weight * (batch['label'] == source)
