"""Autoencoders whose codes a critic compares with draws of a prior, in the forms that labels
give them.

All are one game, `play`. A form is what its decoder reads (a style, a label, or both joined),
what its critics compare, and who may see labels.
"""
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import Method, Phase, Player, derive, mean
from vaebench.errors import UserError, unknown
from vaebench.losses import adversarial
from vaebench.methods import models, objectives, posteriors, regularizers
from vaebench.ops import distributions


class Style(NamedTuple):
    """A law that styles are pulled to."""
    # (key, labels int [B] from 0 to classes, the last for any) -> [B, Z]
    draw: Callable[..., jax.Array]
    # z [..., Z] -> [...], nats; None where only draws are known
    log_prob: Callable[..., jax.Array] | None


def normal(kit, classes, spread=1.):
    """N(0, spread^2 I), whatever the label.

    >>> from collections import namedtuple
    >>> law = normal(namedtuple('Kit', 'latent')(3), 10, spread=5.)
    >>> law.draw(jax.random.key(0), jnp.zeros(2, int)).shape
    (2, 3)
    """
    return Style(lambda key, labels: spread * jax.random.normal(key, (len(labels), kit.latent)),
                 lambda z: distributions.normal_log_prob(z, 0., 2 * math.log(spread)))


def ring(kit, classes, spread=1., radius=1.4, along=.5, across=.1):
    """One Gaussian per class around the origin of the plane, drawn out along its radius.

    The paper gives no sizes; these are of the scripts that reproduce its figure.

    Args:
      kit: of two latent dimensions.
      classes: how many.
      spread: scale of the whole.
      radius: of the means.
      along, across: standard deviations along the radius and across it.

    Returns:
      A `Style`.
    """
    _plane(kit)
    angles = 2 * np.pi * np.arange(classes) / classes
    # [K, 2], outwards
    axes = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], -1))
    sides = jnp.asarray(np.stack([-np.sin(angles), np.cos(angles)], -1))
    std = spread * np.array([along, across])

    def draw(key, labels):
        k = jnp.where(labels < classes, labels,
                      jax.random.randint(derive(key, 0), labels.shape, 0, classes))
        a, b = (jax.random.normal(derive(key, 1), (len(labels), 2)) * std).T
        return (spread * radius + a)[:, None] * axes[k] + b[:, None] * sides[k]

    def log_prob(z):
        local = jnp.stack([z @ axes.T - spread * radius, z @ sides.T], -1)         # [..., K, 2]
        return jax.nn.logsumexp(distributions.normal_log_prob(local, 0., 2 * np.log(std)),
                                -1) - math.log(classes)

    return Style(draw, log_prob)


def roll(kit, classes, spread=1., turns=1.5, noise=.05):
    """A swiss roll in the plane, cut into one stretch per class; it has draws only.

    The paper gives no sizes: these are this suite's. Its angle is uniform, so that the middle
    is denser.

    Args:
      kit: of two latent dimensions.
      classes: stretches.
      spread: radius of its end.
      turns: of the spiral.
      noise: standard deviation across it, as a share of spread.

    Returns:
      A `Style`.
    """
    _plane(kit)

    def draw(key, labels):
        at = jax.random.uniform(derive(key, 0), labels.shape)
        at = .1 + .9 * jnp.where(labels < classes, (labels + at) / classes, at)
        angle = 2 * np.pi * turns * at
        curve = at[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
        return spread * (curve + noise * jax.random.normal(derive(key, 1), curve.shape))

    return Style(draw, None)


STYLES = {'normal': normal, 'ring': ring, 'roll': roll}
"""Laws of styles by name: (kit, classes, spread) -> `Style`."""


def _plane(kit):
    if kit.latent != 2:
        raise UserError(
            f'this prior lies in the plane: choose kit.latent=2 instead of {kit.latent}')


def _partner(batch):
    if 'partner' not in batch:
        raise UserError(
            'this row needs a few labelled examples: set the dataset option that labels some of its rows'
        )
    return {**batch['partner'], 'weight': batch['weight']}


class Join(NamedTuple):
    """How a style z [B, Z] and class weights y [B, K] become the one code that a decoder
    reads."""
    names: tuple[str, ...]                 # keys of its params
    init: Callable[..., Mapping]           # key -> params
    apply: Callable[..., jax.Array]        # (params, z, y) -> code [B, D]
    style: Callable[..., jax.Array]        # (params, code, y) -> z


def beside(size):
    """z, then y: D = Z + K."""
    return Join((), lambda key: {}, lambda params, z, y: jnp.concatenate([z, y], -1),
                lambda params, code, y: code[:, :size])


def onto_heads(size, classes, spread=1.):
    """z + y W: D = Z; W [K, Z], the cluster heads, starts as N(0, spread^2)."""
    return Join(('heads',),
                lambda key: {'heads': spread * jax.random.normal(key, (classes, size))},
                lambda params, z, y: z + y @ params['heads'],
                lambda params, code, y: code - y @ params['heads'])


def with_classes(kit, base, classes, join):
    """A posterior of styles beside a softmax over classes, joined to one code without density.

    Args:
      kit: `head` is used.
      base: the `posteriors.Posterior` of styles.
      classes: K.
      join: a `Join`.

    Returns:
      A `posteriors.Posterior`; q is {'style': that of base, 'logits': [B, K]}.
    """
    head = kit.head(classes)

    def init(key):
        params, carry = base.init(derive(key, 0))
        return {**params, 'classes': head.init(derive(key, 1)),
                **join.init(derive(key, 2))}, carry

    def apply(params, carry, features, weight=None, hp=None):
        q, carry = base.apply(params, carry, features, weight, hp)
        return {'style': q, 'logits': head.apply(params['classes'], features.last)}, carry

    def code(params, q, z):
        return join.apply(params, z, jax.nn.softmax(q['logits']))

    return posteriors.Posterior(
        (*base.names, 'classes', *join.names), init, apply,
        mean=lambda params, q: code(params, q, base.mean(params, q['style'])),
        sample=lambda params, q, key: code(params, q, base.sample(params, q['style'], key)))


def prior_of(law, classes, join=None, closed=False):
    """The `models.Prior` of a law of styles, or of such a style joined to a class that is as
    likely as any other.

    Args:
      law: a `Style`.
      classes: K.
      join: a `Join` or None. A joined code has a density where its style can be told from it
        and a class.
      closed: whether the law is N(0, I).

    Returns:
      A `models.Prior`.
    """
    def sample(params, key, n):
        z = law.draw(derive(key, 0), jnp.full(n, classes))
        if join is None:
            return z
        return join.apply(
            params, z,
            jax.nn.one_hot(jax.random.randint(derive(key, 1), (n,), 0, classes), classes))

    def mixture(params, code):
        each = law.log_prob(code[..., None, :] - params['heads'])
        return jax.nn.logsumexp(each, -1) - math.log(classes)

    alone = law.log_prob and (lambda params, z: law.log_prob(z))
    density = alone if join is None else mixture if law.log_prob and join.names else None
    family = 'normal' if closed and join is None else ''
    return models.Prior((), lambda key, data, params: {}, density, sample, family)


class Game(NamedTuple):
    """What one critic tells apart."""
    name: str                              # its params are 'critic_' + name
    width: int                             # D
    real: Callable[..., jax.Array]         # (key, labels int [B]) -> [B, D]
    fake: Callable[..., jax.Array]         # (params, q, code) -> [B, D]
    noise: Callable[..., jax.Array] | float = 0.    # hp -> standard deviation of noise on both


def play(kit, recipe, model, games, *, learns, hidden=(1000, 1000), told='', classes=0,
         guess=None, extra=None, evals=None, select=''):
    """An autoencoder, its critics, its encoder as their generator, and where there are labels
    its classifier.

    Every step has the players 'reconstruct' (rec + extra), 'critic' (the cross-entropies of all
    critics: prior draws are real, codes are not), 'encoder' (calls its codes real: the
    non-saturating form) and, with `guess`, 'classify'. Each has an optimiser of its own and
    draws of its own.

    Hyperparameters:
      critic_lr, adversarial.

    Args:
      kit: `mlp` makes the critics.
      recipe: the protocol.
      model: a `models.Model`.
      games: tuple of `Game`.
      learns: keys of params that the encoder moves as generator.
      hidden: widths of the critics.
      told: '', or whose labels the critics are told: 'all' examples', or 'some': the batch has
        none, its partners do. A label is one of K + 1, the last of which stands for none.
      classes: K.
      guess: None, or q -> logits [B, K], which the partners' labels train.
      extra: an `objectives.AuxiliaryLoss` of the reconstruction, or None.
      evals: of the method; None is the model's.
      select: validation quantity that chooses the parameters; '' for the last ones.

    Returns:
      A `Method` of one phase.
    """
    if told not in ('', 'all', 'some'):
        raise unknown('kind of labels', told, ('all', 'some'))
    nets = {
        g.name: kit.mlp((g.width + (classes + 1 if told else 0), *hidden, 1))
        for g in games
    }
    weight = objectives.constant_weight(0.)
    start, keys = objectives.starter(model, weight,
                                     extra), {g.name: f'critic_{g.name}'
                                              for g in games}

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        return {
            **params,
            **{keys[n]: net.init(derive(key, 1, i))
               for i, (n, net) in enumerate(nets.items())}
        }, carry

    def streams(batch):
        any_class = jnp.full(batch['weight'].shape, classes)
        if told == 'all':
            return ((batch, batch['label']),)
        if told == 'some':
            partner = _partner(batch)
            return (batch, any_class), (partner, partner['label'])
        return ((batch, any_class),)

    def score(params, game, x, labels, key, hp):
        if callable(game.noise):
            x = x + game.noise(hp) * jax.random.normal(key, x.shape, x.dtype)
        x = jnp.concatenate([x, jax.nn.one_hot(labels, classes + 1)], -1) if told else x
        return nets[game.name].apply(params[keys[game.name]], x)[..., 0]

    def meet(params, carry, batch, ctx, one):
        """Sum over games of one(game, codes, labels, score, key), each a [B], as a mean over
        streams and slots.
        """
        found, among = dict.fromkeys(keys, 0.), streams(batch)
        for i, (part, labels) in enumerate(among):
            q, code, _, _ = model.draw(params, carry['posterior'], part, derive(ctx.key, i, 0),
                                       ctx.hp)
            for j, game in enumerate(games):
                key = derive(ctx.key, i, 1, j)

                def judge(x, tag, game=game, labels=labels, key=key):
                    return score(params, game, x, labels, derive(key, tag), ctx.hp)

                found[game.name] += mean(
                    one(game, game.fake(params, q, code), labels, judge, key),
                    part) / len(among)
        return sum(found.values()), found

    def critic(params, carry, batch, ctx):
        def one(game, fake, labels, judge, key):
            real = game.real(derive(key, 2), labels)
            return adversarial.critic_loss(judge(real, 0), judge(jax.lax.stop_gradient(fake),
                                                                 1))

        loss, found = meet(params, carry, batch, ctx, one)
        return loss, (carry, found)

    def encoder(params, carry, batch, ctx):
        loss, found = meet(
            params, carry, batch, ctx,
            lambda game, fake, labels, judge, key: adversarial.generator_loss(judge(fake, 1)))
        return ctx.hp['adversarial'] * loss, (carry, found)

    def classify(params, carry, batch, ctx):
        partner = _partner(batch)
        q = model.draw(params, carry['posterior'], partner, derive(ctx.key, 0), ctx.hp)[0]
        log_p = jax.nn.log_softmax(guess(q))
        loss = -mean(jnp.take_along_axis(log_p, partner['label'][:, None], -1)[:, 0], partner)
        return loss, (carry, {'wrong': mean(log_p.argmax(-1) != partner['label'], partner)})

    players = (Player('reconstruct',
                      objectives.objective(model, regularizers.none, weight, extra),
                      model.names, recipe.optimizer),
               Player('critic', critic, tuple(keys.values()),
                      lambda hp: recipe.optimizer({**hp, 'lr': hp['critic_lr']})),
               Player('encoder', encoder, learns,
                      recipe.optimizer), *(() if guess is None else
                                           (Player('classify', classify,
                                                   ('enc', 'classes'), recipe.optimizer),)))
    return Method(init, (Phase('main', players, recipe.steps, select=select),),
                  model.evals if evals is None else evals)


def _setting(kit, style, classes, stochastic, spread, noise):
    """A kit whose `corrupt` adds Gaussian noise to images, the law of styles, and the posterior
    of styles.
    """
    if style not in STYLES:
        raise unknown('law of styles', style, STYLES)

    def corrupt(key, batch, std):
        return {
            **batch, 'x': batch['x'] +
            std * jax.random.normal(key, batch['x'].shape, batch['x'].dtype)
        }

    posterior = (posteriors.gaussian if stochastic else posteriors.delta)(kit)
    return kit.replace(corrupt=corrupt), STYLES[style](kit, classes, spread), posterior


def _rebuilds(model):
    """Evals of a model whose codes are more than a style: what reads or makes entire codes
    gives way.
    """
    def reconstruct(params, carry, batch, code):
        return {'x': model.evals['decode'](params, carry, code, None, 'mean')['x']}

    return {
        k: f
        for k, f in model.evals.items() if k not in ('decode', 'sample_prior', 'log_prior')
    }, reconstruct


def aae(kit, recipe, *, stochastic=False, style='normal', spread=1., labels='', noise=0.,
        hidden=(1000, 1000), select=''):
    """Adversarial autoencoder: a critic pulls the codes to a prior.

    Hyperparameters:
      critic_lr, adversarial.

    Args:
      kit: `encoder`, `head`, `decoder`, `mlp`; two latent dimensions for 'ring' and 'roll'.
      recipe: the protocol.
      stochastic: whether codes are drawn from a Gaussian, or a function of the input.
      style: prior, one of `STYLES`; 'ring' and 'roll' have a part per class, ten where there
        are no labels.
      spread: its scale; the paper's MNIST rows have 5.
      labels: '', 'all' or 'some': whose labels the critic is told, so that each class gets its
        part of the prior.
      noise: standard deviation of noise that the encoder's input has in training.
      hidden: widths of the critic.
      select: validation quantity that chooses the parameters; '' for the last ones.

    Returns:
      A `Method`.

    Equation:
      minimised in turn: rec; critic: softplus(-D(z')) + softplus(D(z)), z' ~ p(z); encoder:
      softplus(-D(z))

    Deviations:
      Images lie in [0, 1]; the reconstruction is the decoder's likelihood, the paper's a
      squared error; no critic is normalised.

    References:
      Makhzani et al., "Adversarial Autoencoders", 2016, arXiv:1511.05644.
    """
    classes = kit.size('label') if labels or 'label' in kit.schema else 10
    kit, law, posterior = _setting(kit, style, classes, stochastic, spread, noise)
    plain = STYLES[style] is normal and spread == 1
    model = models.model(kit, posterior, prior_of(law, classes, closed=plain), corrupt=noise)
    game = Game('z', kit.latent, law.draw, lambda params, q, code: code)
    return play(kit, recipe, model, (game,), learns=('enc', *posterior.names), hidden=hidden,
                told=labels, classes=classes, select=select)


def supervised_aae(kit, recipe, *, stochastic=False, spread=1., noise=0., hidden=(1000, 1000),
                   select=''):
    """Adversarial autoencoder whose decoder is told the label, so that its code keeps the style
    only.

    Hyperparameters:
      critic_lr, adversarial.

    Args:
      kit: `classes` is used beside what `aae` uses.
      recipe: the protocol.
      stochastic, spread, noise, hidden, select: see `aae`.

    Returns:
      A `Method` that offers no 'decode', for want of a label: 'reconstruct' takes the true one
      and 'sample' any, with equal chances. Its 'log_lik' is log p(x|z, y).

    Equation:
      minimised in turn: -log p(x | z, y); critic: softplus(-D(z')) + softplus(D(z)), z' ~ p(z);
      encoder: softplus(-D(z))

    Deviations:
      Images lie in [0, 1]; the reconstruction is the decoder's likelihood, the paper's a
      squared error; no critic is normalised.

    References:
      Makhzani et al., "Adversarial Autoencoders", 2016, arXiv:1511.05644.
    """
    classes = kit.size('label')
    kit, law, posterior = _setting(kit, 'normal', classes, stochastic, spread, noise)
    join, dec = beside(kit.latent), kit.decoder(latent=kit.latent + classes)

    def told(z, batch):
        return join.apply(None, z, jax.nn.one_hot(batch['label'], classes))

    def log_prob(params, z, batch, key=None):
        return dec.log_prob(params, told(z, batch), batch, key)

    model = models.model(kit, posterior, prior_of(law, classes, join),
                         decoder=dec._replace(log_prob=log_prob), corrupt=noise)
    evals, rebuild = _rebuilds(model)
    evals['reconstruct'] = lambda params, carry, batch: rebuild(
        params, carry, batch, told(model.evals['encode'](params, carry, batch), batch))
    game = Game('z', kit.latent, law.draw, lambda params, q, code: code)
    return play(kit, recipe, model, (game,), learns=('enc', *posterior.names), hidden=hidden,
                classes=classes, evals=evals, select=select)


def apart(classes):
    """What an `objectives.AuxiliaryLoss` charges for cluster heads that are near: hp['apart']
    sum_{i<j} max(0, hp['eta'] - distance).

    Args:
      classes: K.

    Returns:
      A `objectives.AuxiliaryLoss` without parameters of its own; aux 'near' is the sum.
    """
    def apply(params, terms, batch, ctx):
        i, j = np.triu_indices(classes, 1)
        gap = params['heads'][i] - params['heads'][j]
        near = jnp.maximum(ctx.hp['eta'] - jnp.sqrt((gap**2).sum(-1) + 1e-12), 0.).sum()
        return ctx.hp['apart'] * near, {'near': near}

    return objectives.AuxiliaryLoss((), lambda key: {}, apply)


def categorical_aae(kit, recipe, *, clusters=None, labelled=True, heads=False, stochastic=False,
                    spread=1., noise=0., hidden=(1000, 1000), select=''):
    """Adversarial autoencoder that also says a class: semi-supervised, clustering, or
    dimensionality reduction.

    One critic pulls the style to N(0, spread^2 I), another the softmax over classes to equally
    likely one-hot vectors. With `labelled` a few labels name the classes, otherwise they are
    clusters. The decoder reads style and softmax side by side, or with `heads` their sum z + y
    W, a code that may be looked at.

    Hyperparameters:
      critic_lr, adversarial, label_noise, eta, apart.

    Args:
      kit: `classes` is used beside what `aae` uses.
      recipe: the protocol.
      clusters: K, how many; None is the number of labels.
      labelled: whether batch['partner'] trains the classes: a labelled example for each of the
        batch, whose own labels are never read.
      heads: whether the code is z + y W.
      stochastic, spread, noise, hidden, select: see `aae`.

    Returns:
      A `Method` that offers 'classify' or 'cluster'; without `heads` no 'decode': 'encode'
      gives styles alone. With them the prior is a mixture around the heads, and codes can be
      decoded.

    Equation:
      minimised in turn: rec = -log p(x | z, y) or, with heads, -log p(x | z + y W), y =
      softmax(c(x))
      critics: softplus(-D(z')) + softplus(D(z)), for z, and for y against one-hot draws;
        encoder: softplus(-D(z)), both
      with labels: -log y_label; with heads, beside rec: apart sum_{i<j} max(0, eta - |w_i -
      w_j|)

    Deviations:
      Images lie in [0, 1]; the reconstruction is the decoder's likelihood, the paper's a
      squared error; no critic is normalised. The noise on what the class critic sees, the
      distance of heads, its weight and their start 4 spread from 0 are this suite's.

    References:
      Makhzani et al., "Adversarial Autoencoders", 2016, arXiv:1511.05644.
    """
    classes = kit.size('label') if clusters is None else clusters
    if labelled and classes != kit.size('label'):
        raise UserError(
            f'{clusters} clusters cannot be named by {kit.size("label")} labels: leave clusters out'
        )
    kit, law, style = _setting(kit, 'normal', classes, stochastic, spread, noise)
    join = onto_heads(kit.latent, classes, 4 * spread) if heads else beside(kit.latent)
    dec = kit.decoder() if heads else kit.decoder(latent=kit.latent + classes)
    model = models.model(kit, with_classes(kit, style, classes, join),
                         prior_of(law, classes, join), decoder=dec, corrupt=noise)
    games = (Game(
        'z', kit.latent, law.draw,
        lambda params, q, code: join.style(params, code, jax.nn.softmax(q['logits']))),
             Game(
                 'y', classes, lambda key, labels: jax.nn.one_hot(
                     jax.random.randint(key, labels.shape, 0, classes), classes),
                 lambda params, q, code: jax.nn.softmax(q['logits']),
                 lambda hp: hp['label_noise']))
    evals = dict(model.evals)
    if not heads:
        evals, rebuild = _rebuilds(model)
        evals['reconstruct'] = lambda params, carry, batch: rebuild(
            params, carry, batch, model.evals['encode'](params, carry, batch))
        evals['encode'] = lambda params, carry, batch: style.mean(
            params, model.evals['posterior'](params, carry, batch)['style'])
    evals['classify'
          if labelled else 'cluster'] = lambda params, carry, batch: jax.nn.log_softmax(
              model.evals['posterior'](params, carry, batch)['logits'])
    return play(kit, recipe, model, games, learns=('enc', *style.names, 'classes'),
                hidden=hidden, classes=classes,
                guess=(lambda q: q['logits']) if labelled else None,
                extra=apart(classes) if heads else None, evals=evals, select=select)
