"""Autoencoders whose decoders are told a style: by an embedding in the code, or by being one of
several decoders.
"""
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core import Decoder, Kit, Method, Recipe, derive
from vaebench.methods import models, posteriors
from vaebench.methods.conditional import conditioned
from vaebench.methods.style_heads import (
    build_heads,
    check_style,
    parted_autoencoder,
    rewriting_evals,
    unconditional,
)


def embedded(kit: Kit, style: int, told: bool = False) -> tuple[Kit, posteriors.Posterior]:
    """Makes codes of a learned vector per label and a point of the sentence: z = [e_y; c].

    Args:
      kit: `context`, the label one-hot, and `head` are used.
      style: width of the vectors; content has the others of the kit's latent size.
      told: whether the content may depend on the label too.

    Returns:
      The kit whose encoder shows the label, and a `Posterior` on it with params 'styles' [K,
      style]; q is {'mean': [B, Z]}.
    """
    context = kit.context()
    shown, size = conditioned(kit, context), kit.latent - style
    head = (shown if told else kit).head(size)

    def init(key):
        vectors = .1 * jax.random.normal(derive(key, 1), (context.width, style))
        return {'head': head.init(derive(key, 0)), 'styles': vectors}, {}

    def apply(params, carry, features, weight=None, hp=None):
        seen, label = jnp.split(features.last, [kit.features], -1)
        content = head.apply(params['head'], features.last if told else seen)
        return {'mean': jnp.concatenate([label @ params['styles'], content], -1)}, carry

    point = posteriors.delta(kit)
    return shown, point._replace(names=('head', 'styles'), init=init, apply=apply)


def style_embedding(kit: Kit, recipe: Recipe, *, style: int = 64) -> Method:
    """Autoencoder whose decoder reads a learned embedding of the label beside the content, from
    which an adversary removes the label.

    A sentence is rewritten by exchanging the embedding.

    Hyperparameters:
      adversary_style, critic_lr.

    Args:
      kit: the networks, of data with labels; `encoder`, `head`, `decoder`, `mlp` and `context`
        are used.
      recipe: the protocol.
      style: width of the embeddings; content has the others of the kit's latent size.

    Returns:
      A `Method`; codes hold the label's embedding, and its likelihoods are given the label.

    Equation:
      z = [e_y; c], c = W h(x)
      minimized in turn: adversary: -log softmax(D c)_y
      then: rec - adversary_style H(softmax(D c))
      transfer to y: decode [e_y; c(x)]

    Deviations:
      The adversary is a single linear layer, the paper's two without anything between them. It
      moves first, by RMSProp, and then the rest; in the published code all move at once, by
      Adadelta. There the entropy counts only while the adversary's loss is small, which it
      practically always is: here always. The decoder's first state depends on the whole code,
      in the code on c alone. rec is a sum over words. Parameters are chosen by rec, since the
      entropy is no validation's to control.

    References:
      Fu et al., "Style Transfer in Text: Exploration and Evaluation", 2018, arXiv:1711.06861.
    """
    check_style(kit, style)
    shown, posterior = embedded(kit, style)
    model = models.model(shown, posterior)
    method = parted_autoencoder(recipe, model, build_heads(kit, style, ('adversary_style',)))
    return told_of_styles(method, style)


def told_of_styles(method: Method, style: int) -> Method:
    """Gives a method of `embedded` codes the evals that rewrite, and says what it is told."""
    evals = unconditional(method.evals)
    rewriting = rewriting_evals(evals, style, lambda params, carry: params['styles'])
    return method._replace(evals={**evals, **rewriting}, given=('label',))


def by_label(decoder: Decoder, classes: int) -> Decoder:
    """Makes a decoder per class, of which each learns from examples of its class only.

    Args:
      decoder: what each is like; parameters are its own with a leading axis [K].
      classes: K.

    Returns:
      A `Decoder` that reads batch['label'], and generates from {'z': [B, Z], 'label': [B]}.
    """
    def init(key):
        return jax.vmap(lambda i: decoder.init(derive(key, i)))(jnp.arange(classes))

    def chosen(f, params, label):
        """What the decoder of each example's label gives; the others get no gradient."""
        each = jax.vmap(f)(params)
        return jax.tree.map(lambda x: x[label, jnp.arange(len(label))], each)

    def log_prob(params, z, batch, key=None):
        return chosen(lambda p: decoder.log_prob(p, z, batch, key), params, batch['label'])

    def generate(params, code, key=None, mode='greedy'):
        return chosen(lambda p: decoder.generate(p, code['z'], key, mode), params,
                      code['label'])

    def forced(params, z, batch):
        return chosen(lambda p: along(p, z, batch), params, batch['label'])

    along: Any = decoder.forced
    return Decoder(init, log_prob, generate, along and forced)


def decoder_evals(kit: Kit, evals: Mapping[str, Callable]) -> dict[str, Callable]:
    """Makes the evals of a model with `by_label` decoders: a code alone cannot be decoded.

    Args:
      kit: says how sentences are reconstructed.
      evals: of the model; its 'decode' takes what `by_label` generates from.

    Returns:
      The evals less those of a prior and 'decode', with 'reconstruct', 'transfer' and
      'content_code', the whole code.
    """
    def transfer(params, carry, batch, label, key, mode):
        code = {'z': evals['encode'](params, carry, batch), 'label': label}
        return evals['decode'](params, carry, code, key, mode)

    def reconstruct(params, carry, batch):
        return transfer(params, carry, batch, batch['label'], jax.random.key(0),
                        kit.codec.modes[0])

    kept = {k: f for k, f in unconditional(evals).items() if k != 'decode'}
    return {**kept, 'reconstruct': reconstruct, 'transfer': transfer,
            'content_code': evals['encode']}


def multi_decoder(kit: Kit, recipe: Recipe) -> Method:
    """Autoencoder with a decoder per label, from whose code an adversary removes the label.

    A sentence is rewritten by the decoder of the other label.

    Hyperparameters:
      adversary_style, critic_lr.

    Args:
      kit: the networks, of data with labels; `encoder`, `head`, `decoder` and `mlp` are used.
      recipe: the protocol.

    Returns:
      A `Method` without 'decode', which takes the label too; its likelihoods are given the
      label.

    Equation:
      c = W h(x); minimized in turn: adversary: -log softmax(D c)_y
      then: -log p_y(x | c) - adversary_style H(softmax(D c))
      transfer to y: decode c(x) by p_y

    Deviations:
      The published code never trains its adversary, whose parameters a test of names misses, so
      that its encoder maximizes the entropy of a random classifier: here it is trained, by
      RMSProp, before the rest moves. It is a single linear layer, the paper's two without
      anything between them. Batches hold all labels; each decoder learns from its own examples.
      rec is a sum over words. Parameters are chosen by rec.

    References:
      Fu et al., "Style Transfer in Text: Exploration and Evaluation", 2018, arXiv:1711.06861.
    """
    decoder = by_label(kit.decoder(), kit.size('label'))
    model = models.model(kit, posteriors.delta(kit), decoder=decoder)
    method = parted_autoencoder(recipe, model, build_heads(kit, 0, ('adversary_style',)))
    return method._replace(evals=decoder_evals(kit, method.evals), given=('label',))
