"""VAEs of sentences with other decoders, or with a further task for the code."""
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core import Kit, Method, Recipe, mean
from vaebench.methods import objectives, posteriors, regularizers
from vaebench.methods.autoencoders import autoencoder


def skip_vae(kit: Kit, recipe: Recipe) -> Method:
    """VAE whose code also reaches the words' softmax directly: logits = W [h_t; z].

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks, of sentences.
      recipe: the protocol.

    Returns:
      A `Method`.

    Equation:
      minimize rec + w_t KL(q(z|x) || N(0, I)), log p(x_t | x_<t, z) = log softmax(W [h_t; z])

    Deviations:
      The decoder is one LSTM layer, as in every row; the paper's skips also reach the inputs of
      further layers.

    References:
      Dieng et al., "Avoiding Latent Variable Collapse With Generative Skip Models", 2019,
      arXiv:1807.04863.
    """
    return autoencoder(kit, recipe, posteriors.gaussian(kit), regularizers.kl,
                       objectives.scheduled_weight(recipe), decoder=kit.decoder(skip=True))


def cnn_vae(kit: Kit, recipe: Recipe, *, dilations: Sequence[int] = (1, 2, 4),
            channels: int | None = None) -> Method:
    """VAE whose decoder is a stack of causal dilated convolutions of width 3.

    A word depends on the code and on the 1 + 2 sum(dilations) words before it.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks, of sentences.
      recipe: the protocol.
      dilations: of the layers; the paper's small, medium and large decoders have 1 2 4, 1 2 4 8
        16, and the latter twice.
      channels: of the layers, 512 in the paper; None is the kit's hidden size.

    Returns:
      A `Method`.

    Equation:
      minimize rec + w_t KL(q(z|x) || N(0, I))
      block: h to h + W_3 relu(conv_d(relu(W_1 relu(h)))), d its dilation
      the first h: a linear layer of [word; z]

    Deviations:
      No code was found. The layers are as wide as the table's LSTM and half as wide inside a
      block; the paper has 512, half of it inside. Its best rows start the encoder as a trained
      language model; here it starts as in every row.

    References:
      Yang et al., "Improved Variational Autoencoders for Text Modeling using Dilated
      Convolutions", 2017, arXiv:1702.08139.
    """
    decoder = kit.decoder(dilations=tuple(dilations), channels=channels)
    return autoencoder(kit, recipe, posteriors.gaussian(kit), regularizers.kl,
                       objectives.scheduled_weight(recipe), decoder=decoder)


def bag_of_words(kit: Kit, hidden: int = 400, activation: str = 'tanh', reduce: str = 'sum',
                 of: Callable[[Any], jax.Array] = lambda z: z,
                 width: int | None = None) -> objectives.AuxiliaryLoss:
    """hp['bow'] times the negative log probability of a sentence's words, in any order, under
    one softmax of its code.

    Args:
      kit: `mlp` and `vocab` are used.
      hidden: width of the layer between the code and the softmax.
      activation: after that layer.
      reduce: 'sum' over the predicted tokens, `</s>` included, or their 'mean'.
      of: what it reads of a code, [B, width].
      width: None is Z.

    Returns:
      A `objectives.AuxiliaryLoss` with params['bow']; aux holds 'bow', its batch mean in nats
      without the weight.

    References:
      Zhao et al., "Learning Discourse-level Diversity for Neural Dialog Models using
      Conditional Variational Autoencoders", 2017, arXiv:1703.10960.
    """
    net = kit.mlp((width or kit.latent, hidden, kit.size('tokens')), activation)
    share = {'sum': lambda count: 1., 'mean': lambda count: 1. / count}[reduce]

    def apply(params, terms, batch, ctx):
        log_p = jax.nn.log_softmax(net.apply(params['bow'], of(terms.z)))
        targets, length = batch['tokens'][:, 1:], batch['length']
        counts = jnp.arange(targets.shape[1]) < length[:, None]
        words = jnp.where(counts, jnp.take_along_axis(log_p, targets, 1), 0)
        nats = mean(-words.sum(1) * share(jnp.maximum(length, 1)), batch)
        return ctx.hp['bow'] * nats, {'bow': nats}

    return objectives.AuxiliaryLoss(('bow',), lambda key: {'bow': net.init(key)}, apply)


def bow_vae(kit: Kit, recipe: Recipe, *, hidden: int = 400, activation: str = 'tanh',
            reduce: str = 'sum') -> Method:
    """VAE whose code must also predict which words its sentence has.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, bow.

    Args:
      kit: the networks, of sentences.
      recipe: the protocol.
      hidden: width of the hidden layer; a later code base has Z.
      activation: of the hidden layer; a later code base has 'sigmoid'.
      reduce: 'sum' or 'mean' over tokens: see `bag_of_words`.

    Returns:
      A `Method`; its params add 'bow'.

    Equation:
      minimize rec + w_t KL(q(z|x) || N(0, I)) - bow sum_t log softmax(MLP(z))[x_t]

    Deviations:
      The paper's model is conditional on a dialogue; this one has no context, as in later
      comparisons. Width, tanh and the sum over words are the published code's.

    References:
      Zhao et al., "Learning Discourse-level Diversity for Neural Dialog Models using
      Conditional Variational Autoencoders", 2017, arXiv:1703.10960.
    """
    return autoencoder(kit, recipe, posteriors.gaussian(kit), regularizers.kl,
                       objectives.scheduled_weight(recipe),
                       extra=bag_of_words(kit, hidden, activation, reduce))
