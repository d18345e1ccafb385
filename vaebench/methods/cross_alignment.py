"""The cross-aligned autoencoder: sentences moved to a style pass for its own."""
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vaebench.core import (
    Batch,
    Decoder,
    Kit,
    Method,
    Net,
    Phase,
    Player,
    Recipe,
    couples,
    derive,
    mean,
)
from vaebench.losses import adversarial
from vaebench.methods import models, objectives, regularizers
from vaebench.methods.style_decoders import embedded, told_of_styles
from vaebench.methods.style_heads import check_style


def _critic(i: int) -> str:
    return f'critic_{i}'


class _Alignment:
    """What the losses of critics and of the autoencoder share.

    Every label has a next one, the last the first, to which its sentences are moved. Critic i
    tells sentences of label i, as the decoder goes along them, from those moved to it.
    """

    def __init__(self, kit: Kit, model: models.Model, decoder: Decoder, net: Net, style: int):
        self.model, self.net, self.style = model, net, style
        self.forced: Any = decoder.forced
        self.unroll: Any = decoder.unroll
        self.classes = kit.size('label')

    def next(self, batch: Batch) -> jax.Array:
        """The labels [B] that sentences are moved to."""
        return (batch['label'] + 1) % self.classes

    def paths(self, params, carry, batch, ctx):
        """Decoder states [B, T, H] along each sentence, and along it moved to the next
        label.
        """
        key = ctx.step_key
        z = self.model.draw(params, carry['posterior'], batch, derive(key, 0), ctx.hp)[1]
        moved = jnp.concatenate([params['styles'][self.next(batch)], z[:, self.style:]], -1)
        steps = batch['tokens'].shape[1] - 1
        fake = self.unroll(params['dec'], moved, steps, derive(key, 1), ctx.hp['temperature'])
        return self.forced(params['dec'], z, batch).states, fake.states

    def score(self, params, i: int, states, batch: Batch):
        """Logits [B] of critic i; steps beyond a sentence's own length do not count."""
        mask = jnp.arange(states.shape[1]) < batch['length'][:, None]
        return self.net.apply(params[_critic(i)], states, mask)[:, 0]

    def critic(self, i: int):
        """The loss of critic i, which the carry keeps for the gate."""
        @couples                # means over one label's sentences
        def loss(params, carry, batch, ctx):
            real, fake = jax.lax.stop_gradient(self.paths(params, carry, batch, ctx))
            own, other = _of(batch, batch['label'] == i), _of(batch, self.next(batch) == i)
            called_real = adversarial.generator_loss(self.score(params, i, real, batch))
            called_fake = adversarial.generator_loss(-self.score(params, i, fake, batch))
            value = mean(called_real, own) + mean(called_fake, other)
            return value, ({**carry, 'critics': carry['critics'].at[i].set(value)}, {})

        return loss

    def fooling(self, params, carry, batch, ctx):
        """The sum over critics of the mean cross-entropy of rewritten sentences called real."""
        _, fake = self.paths(params, carry, batch, ctx)
        return sum(mean(adversarial.generator_loss(self.score(params, i, fake, batch)),
                        _of(batch, self.next(batch) == i)) for i in range(self.classes))


def _of(batch: Batch, chosen: jax.Array) -> dict[str, jax.Array]:
    """The weights of a batch where `chosen`, for `mean`."""
    return {'weight': batch['weight'] * chosen}


def cross_aligned(kit: Kit, recipe: Recipe, *, style: int = 32,
                  widths: Sequence[int] = (1, 2, 3, 4, 5), channels: int = 128) -> Method:
    """Autoencoder that is told the label, whose decoder states along rewritten sentences a
    critic per label compares with those along real ones.

    A sentence is rewritten by exchanging the embedding of its label.

    Hyperparameters:
      adversarial, critic_lr, gate, temperature.

    Args:
      kit: the networks, of sentences with labels; `encoder`, `head`, `decoder`, `mlp`,
        `cnn` and `label` are used.
      recipe: the protocol.
      style: width of the labels' embeddings; content has the others of the kit's latent size.
      widths: of the critics' windows.
      channels: the critics' filters of each width.

    Returns:
      A `Method`; codes hold the label's embedding, and its likelihoods are given the label.

    Equation:
      z = [e_y; c], c = W h(x) + V y
      minimized in turn, D_0, then D_1: L_i = softplus(-D_i(p)) + softplus(D_i(q)), each a mean
      p: states along x of label i, from z; q: states along the decoder's own words, from
        [e_i; c], x of the label before; a word is the mean embedding under a Gumbel softmax
      then: rec + adversarial sum_i softplus(-D_i(q)) if all L_i < gate, else rec
      transfer to y: decode [e_y; c(x)]

    Deviations:
      The paper has two labels; more are moved in a circle. Its networks are GRUs of 700 units,
      of which the label's linear map sets 200 in the encoder's first state too; here an LSTM
      reads the sentence, the label joins behind it, and the whole code sets the decoder's
      first state, which critics do not see, and is an input of every step. The encoder reads
      sentences as they are, not reversed and shuffled. A batch holds labels as they come. Both
      kinds of states are masked at the length of the sentence that they are made from, and have
      no dropout. All players of a step see the same codes and moved sentences. The last move
      of the paper is a minimax game; its published code has the form above. Parameters are
      chosen by rec, since no validation controls what critics say; the code keeps those of the
      least total loss.

    References:
      Shen et al., "Style Transfer from Non-Parallel Text by Cross-Alignment", 2017,
      arXiv:1705.09655.
    """
    check_style(kit, style)
    shown, posterior = embedded(kit, style, told=True)
    decoder, net = kit.decoder(), kit.cnn(kit.features, 1, tuple(widths), channels)
    model = models.model(shown, posterior, decoder=decoder)
    game = _Alignment(kit, model, decoder, net, style)
    weight = objectives.constant_weight(0.)
    start = objectives.starter(model, weight)
    rec = objectives.objective(model, regularizers.none, weight)

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        critics = {_critic(i): net.init(derive(key, 1, i)) for i in range(game.classes)}
        return {**params, **critics}, {**carry, 'critics': jnp.zeros(game.classes)}

    @couples
    def autoencoder(params, carry, batch, ctx):
        value, (carry, aux) = rec(params, carry, batch, ctx)
        fooled = game.fooling(params, carry, batch, ctx)
        useful = (carry['critics'] < ctx.hp['gate']).all()
        added = jnp.where(useful, ctx.hp['adversarial'] * fooled, 0.)
        return value + added, (carry, {**aux, 'fool': fooled, 'open': useful.astype(float)})

    def critic_tx(hp):
        return optax.adam(hp['critic_lr'], b1=.5)

    players = (*(Player(_critic(i), game.critic(i), (_critic(i),), critic_tx)
                 for i in range(game.classes)),
               Player('ae', autoencoder, model.names, recipe.optimizer))
    method = Method(init, (Phase('main', players, recipe.steps, select='rec'),), model.evals)
    return told_of_styles(method, style)
