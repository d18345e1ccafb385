"""Rewriting by codes that a map moves, a search moves, or both: Emb2Emb and FGIM."""
from collections.abc import Callable, Sequence
from typing import Any

import jax

from vaebench.core import Kit, Method, Params, Recipe
from vaebench.errors import UserError
from vaebench.methods import code_maps
from vaebench.methods import frozen_autoencoders as frozen
from vaebench.ops.gradient_edit import Edited, fast_gradient_edit

HIDDEN = 100, 50                   # of the judge of Wang et al.
WEIGHTS = 1., 2., 3., 4., 5., 6.
DECAY, THRESHOLD, STEPS = .9, .001, 30


def emb2emb(kit: Kit, recipe: Recipe, *, form: str = 'offset', supervised: bool = False,
            distance: str = 'cosine', adversary: str = 'nonsaturating',
            corrupt: float = frozen.DROPS, source: int | None = None) -> Method:
    """Emb2Emb: a map of the codes of a frozen denoising autoencoder, learned among codes.

    Each target style has a map of its own. Without pairs a judge of codes, trained first, says
    which style a code has; with pairs the map learns where the other sentence's code is.

    Hyperparameters:
      map_lr, adversarial, critic_lr, judge_lr, style, warmup.

    Args:
      kit: the networks; the data has labels of two styles.
      recipe: the protocol; each phase takes `recipe.steps`.
      form: of the map: 'mlp', 'offset' or 'resnet', see `code_maps.code_map`.
      supervised: whether sentences come in pairs, column 'target', so that no judge is needed,
        nor its numbers; validation has such pairs or a column 'reference'.
      distance: 'cosine' or 'squared', of two codes.
      adversary: form of the critic's term, 'nonsaturating' or 'minmax'; '' for no critic.
      corrupt: share of the words that the encoder does not see in training.
      source: style that is rewritten, the only one whose sentences train the map; None for
        both.

    Returns:
      A `Method` of phases 'ae', which rows share, 'judge' without `supervised`, and 'map'.

    Equation:
      minimize lambda_sty (-log c(z')) + (1 - lambda_sty) d(z', z) + lambda_adv (-log D(z'))
      z' = Phi(z), z = E(x); offset: Phi(z) = z + V selu(W z); d = 1 - cos
      supervised: d(z', E(y)) + lambda_adv (-log D(z')), y the sentence that x should become
      critic: minimize softplus(-D(z_r)) + softplus(D(z')), z_r codes of sentences, or E(y)
      minmax: -softplus(D(z')) in place of -log D(z')

    Deviations:
      The critic's term is that of the paper; its code's saturating one is adversary='minmax'.
      The judge that validation likes best is kept, its code keeps the last. Both directions
      are learned, by a map each, where the paper learns one; a critic and a judge serve both.
      The autoencoder is one LSTM layer in one direction, reads words, and is taught with the
      true words only; the paper's has 30,000 pieces of words, averages its states, and sees
      its own words half of the time. Rates of 1e-3 in place of 5e-5 (map) and 1e-4 (judge)
      are for runs of thousands of steps, not of hundreds of thousands; the ramp of 10,000
      steps is 1.5 epochs of the paper's Yelp. lambda_sty is one of those it tries. Parameters
      are chosen by the objective at the end of its ramp, without the critic's term.

    References:
      Mai et al., "Plug and Play Autoencoders for Conditional Text Generation", 2020,
      arXiv:2010.02983.
    """
    made = code_maps.learned(kit, recipe, form=form, distance=distance, adversary=adversary,
                             supervised=supervised, corrupt=corrupt, source=source)
    evals = frozen.rewriting(made.method.evals, made.move)
    return made.method._replace(evals=evals)


def gradient_editor(judge: Callable[[Params, jax.Array], jax.Array],
                    loss: Callable[..., jax.Array] | None = None, *,
                    weights: Sequence[float] = WEIGHTS, decay: float = DECAY,
                    threshold: float = THRESHOLD,
                    steps: int = STEPS) -> Callable[..., Edited]:
    """Builds a search for codes that a judge calls of the wanted style.

    Args:
      judge: (params, z [..., B, Z]) -> logits of style 1, [..., B].
      loss: (params, carry, z, goal, label) -> [..., B], what the codes descend, `goal` being
        the code of the sentence; None is -log c(label).
      weights, decay, threshold, steps: of `ops.gradient_edit.fast_gradient_edit`.

    Returns:
      Function (params, carry, z [B, Z] where it starts, goal [B, Z], label [B]) -> `Edited`,
      which also says how many gradients it took.

    Raises:
      UserError: there is no weight, or no step.
    """
    if not weights or steps < 1:
        raise UserError(f'weights={tuple(weights)} and steps={steps}: a search needs at least '
                        'one of each')

    def search(params, carry, z, goal, label):
        def descended(x):
            if loss is None:
                return frozen.style_loss(judge(params, x), label)
            return loss(params, carry, x, goal, label)

        def gap(x):
            return frozen.style_gap(judge(params, x), label)

        return fast_gradient_edit(descended, gap, z, tuple(weights), decay=decay,
                                  threshold=threshold, steps=steps)

    return search


def fgim(kit: Kit, recipe: Recipe, *, weights: Sequence[float] = WEIGHTS, decay: float = DECAY,
         threshold: float = THRESHOLD, steps: int = STEPS, corrupt: float = frozen.DROPS,
         hidden: Sequence[int] = HIDDEN) -> Method:
    """FGIM: the code descends the loss of a judge of codes until the judge is content.

    Hyperparameters:
      judge_lr.

    Args:
      kit: the networks; the data has labels of two styles.
      recipe: the protocol; each phase takes `recipe.steps`.
      weights: step sizes that are tried side by side, the smallest first.
      decay: what each further step is multiplied by.
      threshold: largest distance of the judge's probability from the style wanted.
      steps: most steps.
      corrupt: share of the words that the encoder does not see in training.
      hidden: widths of the judge.

    Returns:
      A `Method` of phases 'ae', which rows share, and 'judge'.

    Equation:
      z_k <- z_k - w_k decay^(n-1) grad_z BCE(c(z_k), y), n = 1 .. steps, until for some k
        |y - c(z_k)| <= threshold; the smallest such w_k counts, and else the nearest z_k

    Deviations:
      A loss is descended; printed accounts that add its gradient mean the log likelihood. Each
      sentence ends by itself: its result does not depend on the rest of the batch, as it does
      where Mai et al.'s code takes means over it. That code also puts the judge's probability
      through a second sigmoid, hence its weights up to 10,000; here the weights are those of
      its documentation. The wanted style is an argument everywhere. Wang et al.'s script takes
      five steps without a threshold and prints the results of all weights. The autoencoder is
      the LSTM that the other rows have, in place of two layers of a transformer whose code
      sums over padding too.

    References:
      Wang et al., "Controllable Unsupervised Text Attribute Transfer via Editing Entangled
      Latent Representation", 2019, arXiv:1905.12926.
      Mai et al., "Plug and Play Autoencoders for Conditional Text Generation", 2020,
      arXiv:2010.02983 (weights, threshold).
    """
    base = frozen.denoising(kit, recipe, corrupt)
    judge = frozen.layers(kit, hidden, 'leaky_relu')
    search = gradient_editor(lambda params, z: judge.apply(params['judge'], z), weights=weights,
                             decay=decay, threshold=threshold, steps=steps)

    def edit(params, carry, z, label):
        return search(params, carry, z, z, label).z

    phases = *base.phases, frozen.judge_phase(recipe, base.evals['encode'], judge)
    return Method(base.init, phases, frozen.rewriting(base.evals, edit))


def emb2emb_fgim(kit: Kit, recipe: Recipe, *, weights: Sequence[float] = WEIGHTS,
                 decay: float = DECAY, threshold: float = THRESHOLD, steps: int = STEPS,
                 form: str = 'offset', **of_map: Any) -> Method:
    """Emb2Emb, and then FGIM: the moved code descends what the map was trained on until the
    judge is content.

    Hyperparameters:
      map_lr, adversarial, critic_lr, judge_lr, style, warmup.

    Args:
      kit: the networks; the data has labels of two styles.
      recipe: the protocol; each phase takes `recipe.steps`.
      weights, decay, threshold, steps: of `fgim`.
      form: of the map: see `emb2emb`.
      **of_map: `distance`, `adversary`, `corrupt` and `source` of `emb2emb`.

    Returns:
      A `Method` of the phases of `emb2emb` without pairs.

    Equation:
      z_k <- z_k - w_k decay^(n-1) grad L(z_k), from Phi(z) on, until as for FGIM
      L(z') = lambda_sty (-log c(z')) + (1 - lambda_sty) d(z', z) + lambda_adv (-log D(z'))

    Deviations:
      Those of `emb2emb` and `fgim`. The weights of L are those at the end of the ramp. Where L
      has its least value at codes that leave the judge in doubt, the search takes all its
      steps.

    References:
      Mai et al., "Plug and Play Autoencoders for Conditional Text Generation", 2020,
      arXiv:2010.02983.
    """
    given = {'distance': 'cosine', 'adversary': 'nonsaturating', 'corrupt': frozen.DROPS,
             'source': None, **of_map}
    made = code_maps.learned(kit, recipe, form=form, supervised=False, **given)
    judge = made.loss.judge
    assert judge is not None
    search = gradient_editor(lambda params, z: judge.apply(params['judge'], z),
                             made.loss.trained_on, weights=weights, decay=decay,
                             threshold=threshold, steps=steps)

    def edit(params, carry, z, label):
        return search(params, carry, made.move(params, carry, z, label), z, label).z

    return made.method._replace(evals=frozen.rewriting(made.method.evals, edit))
