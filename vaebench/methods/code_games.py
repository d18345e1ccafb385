"""Adversarially regularized codes on the unit sphere, with a decoder per style."""
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from vaebench.core import Kit, Method, Phase, Player, Recipe, derive, mean
from vaebench.losses import penalties
from vaebench.methods import models, objectives, posteriors, regularizers
from vaebench.methods.style_decoders import by_label, decoder_evals


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


class _Game:
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
    game, weight = _Game(kit, model, width, hidden), objectives.constant_weight(0.)
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
