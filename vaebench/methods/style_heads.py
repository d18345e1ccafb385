"""Codes of two parts, style before content, and the linear softmaxes that read them: some to
fill a part with what it should tell, some against the encoder, to empty it of the rest.
"""
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vaebench.core import (
    Batch,
    Criterion,
    Fold,
    Kit,
    Method,
    Net,
    Phase,
    Player,
    Recipe,
    derive,
    mean,
)
from vaebench.errors import UserError, unknown
from vaebench.losses import adversarial
from vaebench.methods import models, objectives, regularizers
from vaebench.schema import field

SPECIALS = 4       # a vocabulary begins with <pad>, <s>, </s> and <unk>


class Task(NamedTuple):
    """What a head reads of a code, and what it is to tell."""
    part: str          # 'style' or 'content'
    target: str        # 'label' or 'words'
    adversary: bool    # whether the encoder works against it


HEADS = {
    'multitask_style': Task('style', 'label', False),
    'adversary_style': Task('content', 'label', True),
    'multitask_content': Task('content', 'words', False),
    'adversary_content': Task('style', 'words', True),
}
"""Heads by name, which is also the key of its params and of its weight in hp. Those of style
tell the label, those of content the sentence's words."""


class Head(NamedTuple):
    """A linear softmax that reads one part of a code."""
    net: Net                                      # [B, part] -> logits [B, n]
    part: Callable[[jax.Array], jax.Array]        # z [B, Z] -> [B, part]
    # batch -> (probabilities [B, n], counted [B]: 0 for an example without a target)
    target: Callable[[Batch], tuple[jax.Array, jax.Array]]
    adversary: bool

    def loss(self, params: Any, z: jax.Array, batch: Batch) -> jax.Array:
        """The mean cross-entropy, nats; examples without a target add 0."""
        target, counted = self.target(batch)
        logits = self.net.apply(params, self.part(z))
        return mean(counted * optax.softmax_cross_entropy(logits, target), batch)

    def entropy(self, params: Any, z: jax.Array, batch: Batch) -> jax.Array:
        """The mean entropy of what it tells, nats; examples without a target add 0."""
        logits = self.net.apply(params, self.part(z))
        return mean(self.target(batch)[1] * adversarial.entropy(logits), batch)


def content_words(kit: Kit, exclude: Sequence[str | int] = ()) -> np.ndarray:
    """Finds the words that carry content: all but special tokens, those that the data names as
    carrying style or none, and those excluded.

    Args:
      kit: of sentences.
      exclude: words, or their ids; one that the vocabulary lacks is ignored, since a lexicon
        knows more words than a corpus.

    Returns:
      int [W], sorted ids.
    """
    tokens = field(kit.schema, 'tokens')
    gone = {i for i, word in enumerate(tokens.names) if word in exclude} | set(exclude)
    gone |= {i for _, ids in tokens.groups for i in ids}
    words = np.array([i for i in range(SPECIALS, kit.size('tokens')) if i not in gone])
    if not words.size:
        raise UserError('no word carries content: exclude fewer of them')
    return words


def bag_of_words(words: np.ndarray, vocabulary: int,
                 batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Computes the share of each content word in a sentence's content words.

    Args:
      words: int [W] ids that count.
      vocabulary: V.
      batch: 'tokens' [B, L], 'length' [B].

    Returns:
      [B, W] shares that add up to 1, and [B]: 0 where no word counts, whose shares are 0.

    >>> batch = {'tokens': jnp.array([[1, 5, 6, 5, 6, 4, 2]]), 'length': jnp.array([6])}
    >>> share, counted = bag_of_words(np.array([5, 6]), 7, batch)
    >>> share.tolist(), counted.tolist()
    ([[0.5, 0.5]], [1.0])
    """
    tokens = batch['tokens']
    place, rows = jnp.arange(tokens.shape[1]), jnp.arange(len(tokens))[:, None]
    inside = (place > 0) & (place < batch['length'][:, None])
    counts = jnp.zeros((len(tokens), vocabulary)).at[rows, tokens].add(inside)[:, words]
    total = counts.sum(-1)
    return counts / jnp.maximum(total, 1)[:, None], (total > 0).astype(counts.dtype)


def build_heads(kit: Kit, style: int, names: Sequence[str],
                exclude: Sequence[str | int] = ()) -> dict[str, Head]:
    """Makes heads.

    Args:
      kit: `mlp` is used.
      style: dimensions of the code's first part, its style; the others are content.
      names: keys of `HEADS`.
      exclude: see `content_words`.

    Returns:
      {name: `Head`}, in the order of `HEADS`.
    """
    for name in names:
        if name not in HEADS:
            raise unknown('head', name, HEADS)
    classes, sizes = kit.size('label'), {'style': style, 'content': kit.latent - style}
    parts = {'style': lambda z: z[..., :style], 'content': lambda z: z[..., style:]}

    def label(batch):
        own = jax.nn.one_hot(batch['label'], classes)
        return own, jnp.ones(len(own))

    targets = {'label': (classes, label)}
    if any(HEADS[name].target == 'words' for name in names):
        words, vocabulary = content_words(kit, exclude), kit.size('tokens')
        targets['words'] = len(words), lambda batch: bag_of_words(words, vocabulary, batch)
    made = {}
    for name, task in HEADS.items():
        if name in names:
            size, target = targets[task.target]
            made[name] = Head(kit.mlp((sizes[task.part], size)), parts[task.part], target,
                              task.adversary)
    return made


def head_losses(heads: Mapping[str, Head]) -> objectives.AuxiliaryLoss:
    """What heads add to an autoencoder's loss: the losses of those that help, less the
    entropies of adversaries, each weighed by hp of its name.

    Args:
      heads: adversaries' params are read, not trained.

    Returns:
      An `objectives.AuxiliaryLoss`; aux holds every 'name_loss' or 'name_entropy', nats.
    """
    own = {name: head for name, head in heads.items() if not head.adversary}

    def init(key):
        return {name: head.net.init(derive(key, i)) for i, (name, head) in
                enumerate(own.items())}

    def apply(params, terms, batch, ctx):
        total, aux = 0., {}
        for name, head in heads.items():
            if head.adversary:
                value = aux[f'{name}_entropy'] = head.entropy(params[name], terms.z, batch)
                total -= ctx.hp[name] * value
            else:
                value = aux[f'{name}_loss'] = head.loss(params[name], terms.z, batch)
                total += ctx.hp[name] * value
        return total, aux

    return objectives.AuxiliaryLoss(tuple(own), init, apply)


def _discriminator(model: models.Model, name: str, head: Head) -> Player:
    """The player that teaches an adversary to read codes, which stay as they are."""
    def loss(params, carry, batch, ctx):
        z = model.draw(params, carry['posterior'], batch, derive(ctx.step_key, 0), ctx.hp)[1]
        return head.loss(params[name], jax.lax.stop_gradient(z), batch), (carry, {})

    return Player(name, loss, (name,), lambda hp: optax.rmsprop(hp['critic_lr']))


def parted_autoencoder(recipe: Recipe, model: models.Model, heads: Mapping[str, Head], *,
                       regularizer: models.Regularizer = regularizers.none,
                       weight: objectives.Schedule | None = None,
                       select: str | Criterion = 'rec', carry: Mapping[str, Any] | None = None,
                       summary: Fold | None = None) -> Method:
    """Builds an autoencoder with heads that read its code.

    Every step each adversary has its turn, on codes that the autoencoder will draw too, and
    then the autoencoder moves with the heads that help, against adversaries as they are now.

    Args:
      recipe: the protocol.
      model: a `models.Model`.
      heads: of `build_heads`.
      regularizer, weight: as for `objectives.objective`; by default there is none.
      select: what chooses the parameters on validation: see `core.Phase`.
      carry: more of it, at the start.
      summary: see `core.Phase`.

    Returns:
      A `Method` of one phase with the model's evals.
    """
    weight, extra = weight or objectives.constant_weight(0.), head_losses(heads)
    start = objectives.starter(model, weight, extra)
    rivals = {name: head for name, head in heads.items() if head.adversary}

    def init(key, data):
        params, first = start(derive(key, 0), data)
        more = {name: head.net.init(derive(key, 1, i))
                for i, (name, head) in enumerate(rivals.items())}
        return {**params, **more}, {**first, **(carry or {})}

    loss = objectives.objective(model, regularizer, weight, extra,
                                lambda ctx: derive(ctx.step_key, 0))
    players = (*(_discriminator(model, name, head) for name, head in rivals.items()),
               Player('ae', loss, (*model.names, *extra.names), recipe.optimizer))
    phase = Phase('main', players, recipe.steps, select=select, summary=summary)
    return Method(init, (phase,), model.evals)


def rewriting_evals(evals: Mapping[str, Callable], style: int,
                    styles: Callable[..., jax.Array]) -> dict[str, Callable]:
    """Makes the evals of a model that rewrites a sentence by exchanging the style in its code.

    Args:
      evals: 'encode' and 'decode' of [B, Z] are used.
      style: dimensions of the code's first part.
      styles: (params, carry) -> [K, style], the style of every label.

    Returns:
      'edit', 'transfer', 'style_code' and 'content_code'.
    """
    def edit(params, carry, z, label):
        return jnp.concatenate([styles(params, carry)[label], z[:, style:]], -1)

    def transfer(params, carry, batch, label, key, mode):
        z = edit(params, carry, evals['encode'](params, carry, batch), label)
        return evals['decode'](params, carry, z, key, mode)

    return {
        'edit': edit, 'transfer': transfer,
        'style_code': lambda *inputs: evals['encode'](*inputs)[:, :style],
        'content_code': lambda *inputs: evals['encode'](*inputs)[:, style:],
    }


def check_style(kit: Kit, style: int) -> None:
    """Refuses a style that leaves nothing of the code, or is nothing."""
    if not 0 < style < kit.latent:
        raise UserError(f'style={style} and content share {kit.latent} dimensions of the code: '
                        'choose a smaller style, or a larger --config.kit.latent')


def unconditional(evals: Mapping[str, Callable]) -> dict[str, Callable]:
    """Leaves out what a model without a prior cannot say: densities and draws of codes."""
    gone = 'log_prior', 'sample_prior', 'sample'
    return {k: f for k, f in evals.items() if k not in gone}
