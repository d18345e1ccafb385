"""Autoencoders whose codes a critic compares with draws of a prior, in the forms that labels
give them.

All are one game, `latent_critics.adversarial_autoencoder`. A form is what its decoder reads (a
style, a label, or both joined), what its critics compare, and who may see labels.
"""
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import Kit, Method, Recipe
from vaebench.errors import UserError, unknown
from vaebench.methods import models, objectives, posteriors
from vaebench.methods.latent_critics import Game, Labels, adversarial_autoencoder
from vaebench.methods.styles import (
    STYLES,
    Style,
    add_cluster_heads,
    concatenate,
    normal,
    prior_of,
    with_classes,
)


def _setting(kit: Kit, style: str, classes: int, stochastic: bool, spread: float,
             noise: float) -> tuple[Kit, Style, posteriors.Posterior]:
    """A kit whose `corrupt` adds Gaussian noise to images, the law of styles, and the posterior
    of styles.
    """
    if style not in STYLES:
        raise unknown('law of styles', style, STYLES)

    def corrupt(key, batch, std):
        x = batch['x']
        return {**batch, 'x': x + std * jax.random.normal(key, x.shape, x.dtype)}

    posterior = (posteriors.gaussian if stochastic else posteriors.delta)(kit)
    return kit.replace(corrupt=corrupt), STYLES[style](kit, classes, spread), posterior


def _rebuilds(model: models.Model) -> tuple[dict[str, Callable], Callable]:
    """Evals of a model whose codes are more than a style, without those that read or make
    entire codes, and a function that decodes the codes of a batch.
    """
    def reconstruct(params, carry, batch, code):
        return {'x': model.evals['decode'](params, carry, code, None, 'mean')['x']}

    gone = 'decode', 'sample_prior', 'log_prior'
    return {k: f for k, f in model.evals.items() if k not in gone}, reconstruct


def aae(kit: Kit, recipe: Recipe, *, stochastic: bool = False, style: str = 'normal',
        spread: float = 1., labels: str = '', noise: float = 0.,
        hidden: Sequence[int] = (1000, 1000), select: str = '') -> Method:
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
      minimized in turn: rec; critic: softplus(-D(z')) + softplus(D(z)), z' ~ p(z)
      encoder: softplus(-D(z))

    Deviations:
      Images lie in [0, 1]; the reconstruction is the decoder's likelihood, the paper's a
      squared error; no critic is normalized.

    References:
      Makhzani et al., "Adversarial Autoencoders", 2016, arXiv:1511.05644.
    """
    classes = kit.size('label') if labels or 'label' in kit.schema else 10
    kit, law, posterior = _setting(kit, style, classes, stochastic, spread, noise)
    plain = STYLES[style] is normal and spread == 1
    model = models.model(kit, posterior, prior_of(law, classes, closed=plain), corrupt=noise)
    seen = Labels(classes, labels)
    game = Game('z', seen.critic(kit, kit.latent, hidden), law.draw,
                lambda params, q, code: code)
    return adversarial_autoencoder(recipe, model, (game,), learns=('enc', *posterior.names),
                                   labels=seen, select=select)


def supervised_aae(kit: Kit, recipe: Recipe, *, stochastic: bool = False, spread: float = 1.,
                   noise: float = 0., hidden: Sequence[int] = (1000, 1000),
                   select: str = '') -> Method:
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
      minimized in turn: -log p(x | z, y); critic: softplus(-D(z')) + softplus(D(z)), z' ~ p(z)
      encoder: softplus(-D(z))

    Deviations:
      Images lie in [0, 1]; the reconstruction is the decoder's likelihood, the paper's a
      squared error; no critic is normalized.

    References:
      Makhzani et al., "Adversarial Autoencoders", 2016, arXiv:1511.05644.
    """
    classes = kit.size('label')
    kit, law, posterior = _setting(kit, 'normal', classes, stochastic, spread, noise)
    join, dec = concatenate(kit.latent), kit.decoder(latent=kit.latent + classes)

    def labelled(z, batch):
        return join.apply(None, z, jax.nn.one_hot(batch['label'], classes))

    def log_prob(params, z, batch, key=None):
        return dec.log_prob(params, labelled(z, batch), batch, key)

    model = models.model(kit, posterior, prior_of(law, classes, join),
                         decoder=dec._replace(log_prob=log_prob), corrupt=noise)
    evals, rebuild = _rebuilds(model)

    def reconstruct(params, carry, batch):
        code = labelled(model.evals['encode'](params, carry, batch), batch)
        return rebuild(params, carry, batch, code)

    seen = Labels(classes)
    game = Game('z', seen.critic(kit, kit.latent, hidden), law.draw,
                lambda params, q, code: code)
    method = adversarial_autoencoder(recipe, model, (game,), learns=('enc', *posterior.names),
                                     labels=seen, select=select)
    return method._replace(evals={**evals, 'reconstruct': reconstruct})


def head_separation(classes: int) -> objectives.AuxiliaryLoss:
    """Penalizes cluster heads that are near: hp['apart'] sum_{i<j} max(0, hp['eta'] -
    distance).

    Args:
      classes: K.

    Returns:
      An `objectives.AuxiliaryLoss` without parameters of its own; aux 'near' is the sum.
    """
    def apply(params, terms, batch, ctx):
        i, j = np.triu_indices(classes, 1)
        gap = params['heads'][i] - params['heads'][j]
        near = jnp.maximum(ctx.hp['eta'] - jnp.sqrt((gap**2).sum(-1) + 1e-12), 0.).sum()
        return ctx.hp['apart'] * near, {'near': near}

    return objectives.AuxiliaryLoss((), lambda key: {}, apply)


def categorical_aae(kit: Kit, recipe: Recipe, *, clusters: int | None = None,
                    labelled: bool = True, heads: bool = False, stochastic: bool = False,
                    spread: float = 1., noise: float = 0., hidden: Sequence[int] = (1000, 1000),
                    select: str = '') -> Method:
    """Adversarial autoencoder that also predicts a class: semi-supervised, clustering, or
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
      minimized in turn: rec = -log p(x | z, y), y = softmax(c(x)), or, with heads,
        -log p(x | z + y W)
      critics: softplus(-D(z')) + softplus(D(z)), for z, and for y against one-hot draws
      encoder: softplus(-D(z)), both; with labels: -log y_label
      with heads, beside rec: apart sum_{i<j} max(0, eta - |w_i - w_j|)

    Deviations:
      Images lie in [0, 1]; the reconstruction is the decoder's likelihood, the paper's a
      squared error; no critic is normalized. The noise on what the class critic sees, the
      distance of heads, its weight and their start 4 spread from 0 are this suite's. Which
      examples are labelled is the dataset's choice (label_seed), one for all seeds of a row:
      their spread says nothing of the choice.

    References:
      Makhzani et al., "Adversarial Autoencoders", 2016, arXiv:1511.05644.
    """
    classes = kit.size('label') if clusters is None else clusters
    if labelled and classes != kit.size('label'):
        raise UserError(f'{clusters} clusters cannot be named by {kit.size("label")} labels: '
                        'leave clusters out')
    kit, law, style = _setting(kit, 'normal', classes, stochastic, spread, noise)
    if heads:
        join, dec = add_cluster_heads(kit.latent, classes, 4 * spread), kit.decoder()
    else:
        join, dec = concatenate(kit.latent), kit.decoder(latent=kit.latent + classes)
    model = models.model(kit, with_classes(kit, style, classes, join),
                         prior_of(law, classes, join), decoder=dec, corrupt=noise)
    def styled(params, q, code):
        return join.style(params, code, jax.nn.softmax(q['logits']))

    def one_hot(key, labels):
        return jax.nn.one_hot(jax.random.randint(key, labels.shape, 0, classes), classes)

    seen = Labels(classes, class_logits=(lambda q: q['logits']) if labelled else None)
    games = (Game('z', seen.critic(kit, kit.latent, hidden), law.draw, styled),
             Game('y', seen.critic(kit, classes, hidden), one_hot,
                  lambda params, q, code: jax.nn.softmax(q['logits']),
                  lambda hp: hp['label_noise']))
    method = adversarial_autoencoder(recipe, model, games, labels=seen, select=select,
                                     learns=('enc', *style.names, 'classes'),
                                     extra=head_separation(classes) if heads else None)
    evals = _class_evals(model, style, 'classify' if labelled else 'cluster', heads)
    return method._replace(evals=evals)


def _class_evals(model: models.Model, style: posteriors.Posterior, classes: str,
                 heads: bool) -> dict[str, Callable]:
    """Evals of a model whose q is {'style', 'logits'}, log probabilities of classes under that
    name.
    """
    posterior, encode = model.evals['posterior'], model.evals['encode']

    def log_classes(params, carry, batch):
        return jax.nn.log_softmax(posterior(params, carry, batch)['logits'])

    if heads:
        return {**model.evals, classes: log_classes}
    evals, rebuild = _rebuilds(model)

    def reconstruct(params, carry, batch):
        return rebuild(params, carry, batch, encode(params, carry, batch))

    def styles(params, carry, batch):
        return style.mean(params, posterior(params, carry, batch)['style'])

    return {**evals, 'reconstruct': reconstruct, 'encode': styles, classes: log_classes}
