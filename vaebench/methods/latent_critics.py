"""Training of autoencoders whose codes critics compare with draws of a prior."""
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vaebench.core import (
    Batch,
    Hp,
    Key,
    Kit,
    Method,
    Net,
    Params,
    Phase,
    Player,
    Recipe,
    derive,
    mean,
)
from vaebench.errors import UserError, unknown
from vaebench.losses import adversarial
from vaebench.methods import models, objectives, regularizers

LABEL_MODES = '', 'all', 'some'
"""Whose labels the critics see: nobody's, all examples', or some: the batch has none, its
partners do."""


def _partner(batch: Batch) -> dict[str, Any]:
    if 'partner' not in batch:
        raise UserError('this row needs a few labelled examples: set the dataset option that '
                        'labels some of its rows')
    partner: Any = batch['partner']
    return {**partner, 'weight': batch['weight']}


class Labels(NamedTuple):
    """Who sees labels of K classes.

    A critic sees a label as one of K + 1, the last of which stands for none.
    """
    classes: int = 0                    # K
    label_mode: str = ''                # one of `LABEL_MODES`
    # q -> logits [B, K], which the partners' labels train; None trains none
    class_logits: Callable[..., jax.Array] | None = None

    def critic(self, kit: Kit, width: int, hidden: Sequence[int]) -> Net:
        """A critic's network for rows [B, width], and for labels where critics see them."""
        return kit.mlp((width + (self.classes + 1 if self.label_mode else 0), *hidden, 1))

    def attach(self, x: jax.Array, labels: jax.Array) -> jax.Array:
        """What a critic reads of rows [B, D] and their labels [B]."""
        if not self.label_mode:
            return x
        return jnp.concatenate([x, jax.nn.one_hot(labels, self.classes + 1)], -1)

    def streams(self, batch: Batch) -> tuple[tuple[Any, jax.Array], ...]:
        """Batches that the critics see, each with labels [B]."""
        any_class = jnp.full(batch['weight'].shape, self.classes)
        if self.label_mode == 'all':
            return ((batch, batch['label']),)
        if self.label_mode == 'some':
            partner = _partner(batch)
            return (batch, any_class), (partner, partner['label'])
        return ((batch, any_class),)


NO_LABELS = Labels()


class Game(NamedTuple):
    """What one critic tells apart."""
    name: str                              # its params are 'critic_' + name
    net: Net                               # the critic: see `Labels.critic`
    real: Callable[..., jax.Array]         # (key, labels int [B]) -> [B, D]
    fake: Callable[..., jax.Array]         # (params, q, code) -> [B, D]
    noise: Callable[[Hp], jax.Array] | None = None   # standard deviation of noise on both

    @property
    def critic(self) -> str:
        """Key of its params."""
        return f'critic_{self.name}'


class CriticInput(NamedTuple):
    """What a loss of one critic reads of one batch."""
    game: Game
    fake: jax.Array                        # [B, D]
    labels: jax.Array                      # int [B]
    score: Callable[..., jax.Array]        # (x [B, D], tag of its noise) -> [B]
    key: Key


def _critic_loss(seen: CriticInput) -> jax.Array:
    """Draws of the prior are real, codes are not: cross-entropies, [B]."""
    real = seen.game.real(derive(seen.key, 2), seen.labels)
    return adversarial.critic_loss(seen.score(real, 0),
                                   seen.score(jax.lax.stop_gradient(seen.fake), 1))


def _encoder_loss(seen: CriticInput) -> jax.Array:
    """Codes are called real: the non-saturating form, [B]."""
    return adversarial.generator_loss(seen.score(seen.fake, 1))


def critic_terms(model: models.Model, games: Sequence[Game], labels: Labels,
                 loss: Callable[[CriticInput], jax.Array]) -> Callable[..., tuple]:
    """Sums a loss over all critics, each a mean over streams and slots.

    Args:
      model: what makes the codes.
      games: one per critic.
      labels: who sees them.
      loss: `CriticInput` -> [B].

    Returns:
      Function (params, carry, batch, ctx) -> (their sum [], {name of a game: []}).
    """
    def score(game: Game, params: Params, x, label, key, hp):
        if game.noise is not None:
            x = x + game.noise(hp) * jax.random.normal(key, x.shape, x.dtype)
        return game.net.apply(params[game.critic], labels.attach(x, label))[..., 0]

    def terms(params, carry, batch, ctx):
        found: dict[str, Any] = dict.fromkeys((game.name for game in games), 0.)
        streams = labels.streams(batch)
        for i, (part, label) in enumerate(streams):
            q, code, _, _ = model.draw(params, carry['posterior'], part, derive(ctx.key, i, 0),
                                       ctx.hp)
            for j, game in enumerate(games):
                key = derive(ctx.key, i, 1, j)

                def judge(x, tag, game=game, label=label, key=key):
                    return score(game, params, x, label, derive(key, tag), ctx.hp)

                seen = CriticInput(game, game.fake(params, q, code), label, judge, key)
                found[game.name] += mean(loss(seen), part) / len(streams)
        return sum(found.values()), found

    return terms


def _classify(model: models.Model, class_logits: Callable[..., jax.Array]) -> Callable:
    """The loss of a classifier that sees the partners' labels."""
    def loss(params, carry, batch, ctx):
        partner = _partner(batch)
        q = model.draw(params, carry['posterior'], partner, derive(ctx.key, 0), ctx.hp)[0]
        log_p = jax.nn.log_softmax(class_logits(q))
        value = -mean(jnp.take_along_axis(log_p, partner['label'][:, None], -1)[:, 0], partner)
        return value, (carry, {'wrong': mean(log_p.argmax(-1) != partner['label'], partner)})

    return loss


def adversarial_autoencoder(recipe: Recipe, model: models.Model, games: Sequence[Game], *,
                            learns: tuple[str, ...], labels: Labels = NO_LABELS,
                            extra: objectives.AuxiliaryLoss | None = None,
                            select: str = '') -> Method:
    """Builds an autoencoder with its critics, its encoder as their generator, and, where there
    are labels, its classifier.

    Every step has the players 'reconstruct' (rec + extra), 'critic' (the cross-entropies of all
    critics: prior draws are real, codes are not), 'encoder' (calls its codes real: the
    non-saturating form) and, with `labels.class_logits`, 'classify'. Each has an optimizer of
    its own and draws of its own.

    Hyperparameters:
      critic_lr, adversarial.

    Args:
      recipe: the protocol.
      model: a `models.Model`.
      games: of the critics.
      learns: keys of params that the encoder moves as generator.
      labels: who sees them.
      extra: an `objectives.AuxiliaryLoss` of the reconstruction, or None.
      select: validation quantity that chooses the parameters; '' for the last ones.

    Returns:
      A `Method` of one phase.
    """
    if labels.label_mode not in LABEL_MODES:
        raise unknown('kind of labels', labels.label_mode, LABEL_MODES[1:])
    weight = objectives.constant_weight(0.)
    start = objectives.starter(model, weight, extra)
    tell_apart = critic_terms(model, games, labels, _critic_loss)
    call_real = critic_terms(model, games, labels, _encoder_loss)

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        critics = {g.critic: g.net.init(derive(key, 1, i)) for i, g in enumerate(games)}
        return {**params, **critics}, carry

    def critic(params, carry, batch, ctx):
        loss, found = tell_apart(params, carry, batch, ctx)
        return loss, (carry, found)

    def encoder(params, carry, batch, ctx):
        loss, found = call_real(params, carry, batch, ctx)
        return ctx.hp['adversarial'] * loss, (carry, found)

    def critic_tx(hp):
        return recipe.optimizer({**hp, 'lr': hp['critic_lr']})

    reconstruct = objectives.objective(model, regularizers.none, weight, extra)
    players = [Player('reconstruct', reconstruct, model.names, recipe.optimizer),
               Player('critic', critic, tuple(g.critic for g in games), critic_tx),
               Player('encoder', encoder, learns, recipe.optimizer)]
    if labels.class_logits is not None:
        classify = _classify(model, labels.class_logits)
        players.append(Player('classify', classify, ('enc', 'classes'), recipe.optimizer))
    return Method(init, (Phase('main', tuple(players), recipe.steps, select=select),),
                  model.evals)
