"""Autoencoders whose decoders are told a style: by an embedding in the code, or by being one of
several decoders.
"""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vaebench.core import Decoder, Kit, Method, Phase, Player, Recipe, derive, mean
from vaebench.losses import penalties
from vaebench.methods import models, objectives, posteriors, regularizers
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
      kit: `label` and `head` are used.
      style: width of the vectors; content has the others of the kit's latent size.
      told: whether the content may depend on the label too.

    Returns:
      The kit whose encoder shows the label, and a `Posterior` on it with params 'styles' [K,
      style]; q is {'mean': [B, Z]}.
    """
    context = kit.label_context()
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
      kit: the networks, of data with labels; `encoder`, `head`, `decoder`, `mlp` and `label`
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


def noisy_sphere(kit: Kit) -> posteriors.Posterior:
    """Makes codes of length 1, to which training adds Gaussian noise that dies away.

    Its standard deviation is hp['noise'] hp['decay']^t after t draws of the player that keeps
    the carry; evaluation has none.

    Args:
      kit: `head` is used.

    Returns:
      A `Posterior` without density; q is {'mean': [B, Z], 'std': [B, 1]}.
    """
    base = posteriors.delta(kit)

    def init(key):
        return base.init(key)[0], {'share': jnp.ones(())}

    def apply(params, carry, features, weight=None, hp=None):
        code = base.apply(params, {}, features)[0]['mean']
        unit = code / jnp.sqrt((code**2).sum(-1, keepdims=True) + 1e-12)
        std = jnp.zeros((len(unit), 1), unit.dtype)
        if hp is None:
            return {'mean': unit, 'std': std}, carry
        q = {'mean': unit, 'std': std + hp['noise'] * carry['share']}
        return q, {'share': (carry['share'] * hp['decay']).astype(carry['share'].dtype)}

    def sample(params, q, key):
        return q['mean'] + q['std'] * jax.random.normal(key, q['mean'].shape, q['mean'].dtype)

    return base._replace(init=init, apply=apply, sample=sample)


class _CodeGame:
    """What the losses of the players share: the networks and the codes of a batch."""

    def __init__(self, kit: Kit, model: models.Model, width: int, hidden: Sequence[int]):
        self.model, self.width, self.classes = model, width, kit.size('label')
        self.nets = {'classifier': kit.mlp((kit.latent, *hidden, self.classes)),
                     'gen': kit.mlp((width, *hidden, kit.latent)),
                     'critic': kit.mlp((kit.latent, *hidden, 1))}

    def code(self, params, carry, batch, ctx):
        """Codes [B, Z] without noise."""
        return self.model.draw(params, carry['posterior'], batch, ctx.key, ctx.hp)[0]['mean']

    def score(self, params, z):
        """The critic's scores [B]."""
        return self.nets['critic'].apply(params['critic'], z)[..., 0]

    def made(self, params, key, n: int):
        """Generated codes [n, Z]."""
        return self.nets['gen'].apply(params['gen'], jax.random.normal(key, (n, self.width)))

    def called(self, params, z, label):
        """The classifier's cross-entropies [B] for labels [B]."""
        logits = self.nets['classifier'].apply(params['classifier'], z)
        return optax.softmax_cross_entropy_with_integer_labels(logits, label)

    def classifier(self, params, carry, batch, ctx):
        z = jax.lax.stop_gradient(self.code(params, carry, batch, ctx))
        return mean(self.called(params, z, batch['label']), batch), (carry, {})

    def flipped(self, params, carry, batch, ctx):
        z = self.code(params, carry, batch, ctx)
        wrong = mean(self.called(params, z, (batch['label'] + 1) % self.classes), batch)
        return ctx.hp['adversary_style'] * wrong, (carry, {'wrong': wrong})

    def critic(self, params, carry, batch, ctx):
        real = jax.lax.stop_gradient(self.code(params, carry, batch, ctx))
        fake = jax.lax.stop_gradient(self.made(params, derive(ctx.key, 2), len(real)))
        share = jax.random.uniform(derive(ctx.key, 3), (len(real), 1), real.dtype)
        rough = mean(penalties.gradient_penalty(lambda z: self.score(params, z),
                                                share * real + (1 - share) * fake), batch)
        gap = mean(self.score(params, real) - self.score(params, fake), batch)
        return ctx.hp['penalty'] * rough - gap, (carry, {'wasserstein': gap})

    def generator(self, params, carry, batch, ctx):
        fake = self.made(params, derive(ctx.key, 2), len(batch['weight']))
        return -mean(self.score(params, fake), batch), (carry, {})

    def towards(self, params, carry, batch, ctx):
        z = self.code(params, carry, batch, ctx)
        return ctx.hp['adversarial'] * mean(self.score(params, z), batch), (carry, {})


def arae(kit: Kit, recipe: Recipe, *, width: int = 32, hidden: Sequence[int] = (128, 128),
         n_critic: int = 5) -> Method:
    """Autoencoder with a decoder per label whose codes a Wasserstein critic pulls to those of a
    generator, and from which a classifier removes the label: ARAE.

    A sentence is rewritten by the decoder of the other label.

    Hyperparameters:
      adversary_style, adversarial, penalty, noise, decay, critic_lr.

    Args:
      kit: the networks, of data with labels; `encoder`, `head`, `decoder` and `mlp` are used.
      recipe: the protocol.
      width: of the generator's noise.
      hidden: widths of the layers of generator, critic and classifier.
      n_critic: critic updates per step, each on data of its own.

    Returns:
      A `Method` without 'decode', which takes the label too; its likelihoods are given the
      label. 'sample' decodes generated codes by the decoder of a label drawn at random.

    Equation:
      c = W h(x) / |W h(x)|; minimized in turn:
      autoencoder: -log p_y(x | c + noise decay^t e), e ~ N(0, I)
      classifier: -log q(y | c); encoder: -adversary_style log q(y + 1 | c)
      critic, n_critic times: E f(g(e)) - E f(c) + penalty E (|grad f(u)| - 1)^2, u between both
      generator: -E f(g(e)); encoder: adversarial E f(c)
      transfer to y: decode c(x) by p_y

    Deviations:
      Of more than two labels the encoder is drawn to the next one, and the last to the first.
      Players see batches of all labels, where the published script takes one label after the
      other. The classifier has layers like the critic's. The script's autoencoder learns by
      SGD at rate 1; here both moves of the encoder and those of the decoders are the table's
      optimizer, with a state for each. The weight that multiplies the critic's gradient into
      the encoder multiplies the loss. Classifier, critic and generator learn by Adam, of first
      decay 0.5. rec is a sum over words. Parameters are chosen by rec.

    References:
      Zhao et al., "Adversarially Regularized Autoencoders", 2018, arXiv:1706.04223.
      Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, arXiv:1704.00028.
    """
    decoder = by_label(kit.decoder(), kit.size('label'))
    model = models.model(kit, noisy_sphere(kit), decoder=decoder)
    game, weight = _CodeGame(kit, model, width, hidden), objectives.constant_weight(0.)
    start = objectives.starter(model, weight)

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        made = {name: net.init(derive(key, 1, i))
                for i, (name, net) in enumerate(game.nets.items())}
        return {**params, **made}, carry

    def adam(hp):
        return optax.adam(hp['critic_lr'], b1=.5)

    encoder = 'enc', 'head'
    players = (
        Player('ae', objectives.objective(model, regularizers.none, weight), model.names,
               recipe.optimizer),
        Player('classifier', game.classifier, ('classifier',), adam),
        Player('flip', game.flipped, encoder, recipe.optimizer),
        Player('critic', game.critic, ('critic',), adam, n_critic, n_critic > 1),
        Player('gen', game.generator, ('gen',), adam),
        Player('encoder', game.towards, encoder, recipe.optimizer),
    )
    evals = decoder_evals(kit, model.evals)

    def sample(params, carry, key, n, mode):
        label = jax.random.randint(derive(key, 1), (n,), 0, game.classes)
        code = {'z': game.made(params, derive(key, 0), n), 'label': label}
        return model.evals['decode'](params, carry, code, derive(key, 2), mode)

    return Method(init, (Phase('main', players, recipe.steps, select='rec'),),
                  {**evals, 'sample': sample}, given=('label',))
