"""Fast gradient iterative modification against a loop over sentences, weights and steps."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench.ops.gradient_edit import fast_gradient_edit

RNG = np.random.default_rng(0)
W, Z = 4 * RNG.normal(size=4), RNG.normal(size=(7, 4))
LABEL = np.arange(7) % 2
WEIGHTS = .1, .3, 1.


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def edit(z=Z, label=LABEL, weights=WEIGHTS, w=W, **options):
    """The search with a linear judge, logit z w, down its cross-entropy."""
    sign = jnp.asarray(2. * np.asarray(label) - 1)
    return fast_gradient_edit(lambda x: jax.nn.softplus(-sign * (x @ w)),
                              lambda x: jax.nn.sigmoid(-sign * (x @ w)), jnp.asarray(z), weights, **options)


def slowly(z, label, weights, decay, threshold, steps):
    """(code, number of its weight, whether it arrived, gradients) of one sentence, step by step."""
    sign = 2 * label - 1
    gap = lambda x: 1 / (1 + np.exp(sign * (x @ W)))
    codes = [z.copy() for _ in weights]
    for n in range(steps + 1):
        arrived = [k for k, x in enumerate(codes) if gap(x) <= threshold]
        if arrived or n == steps:
            best = arrived[0] if arrived else int(np.argmin([gap(x) for x in codes]))
            return codes[best], best, bool(arrived), n * len(weights)
        codes = [x + w * decay**n * sign * gap(x) * W for x, w in zip(codes, weights, strict=True)]


@pytest.mark.parametrize('weights, threshold, steps', [
    (WEIGHTS, .02, 9), (WEIGHTS, .02, 3), ((.3, 1., 3.), .02, 9), (WEIGHTS, 1e-9, 4), (WEIGHTS, .3, 1)])
def test_search_is_the_loop(weights, threshold, steps):
    """The smallest weight that arrives counts, nothing moves afterwards, and there are never more steps."""
    found = edit(weights=weights, decay=.9, threshold=threshold, steps=steps)
    want = [slowly(z, y, weights, .9, threshold, steps) for z, y in zip(Z, LABEL, strict=True)]
    np.testing.assert_allclose(found.z, [w[0] for w in want], rtol=1e-12)
    for got, values in zip(found[1:], list(zip(*want, strict=True))[1:], strict=True):
        assert got.tolist() == list(values)
    assert max(found.gradients) <= steps * len(WEIGHTS)
    if weights != WEIGHTS:      # the cases are not all alike
        assert set(found.chosen.tolist()) == {0, 1, 2}
    if steps == 3:
        assert 0 < sum(found.converged) < 7


def test_what_is_content_already_is_returned_to_the_last_bit():
    z = Z.astype(np.float32)
    label = (z @ W.astype(np.float32) > 0).astype(int)
    found = edit(z, label, w=jnp.asarray(W, jnp.float32), threshold=.5)
    assert (found.z == z).all() and found.converged.all() and not found.gradients.any()
    assert not found.chosen.any()


@pytest.mark.parametrize('weight', [.01, .5, 3., 100.])
def test_a_linear_logit_moves_towards_the_target_with_every_step(weight):
    sign = 2 * LABEL - 1
    logits = [sign * (edit(weights=(weight,), threshold=0., steps=n).z @ W) for n in range(6)]
    gain = np.diff(logits, axis=0)
    assert (gain >= 0).all() and (gain[0] > 0).all()


def test_the_rest_of_a_batch_changes_nothing():
    found = edit(threshold=.02)
    order = RNG.permutation(7)
    toys.close(jax.tree.map(lambda x: x[order], found), edit(Z[order], LABEL[order], threshold=.02), rtol=1e-12)
    for i in range(7):
        toys.close(jax.tree.map(lambda x, i=i: x[i:i + 1], found), edit(Z[i:i + 1], LABEL[i:i + 1], threshold=.02),
                   rtol=1e-12)
    assert len(set(found.gradients.tolist())) > 2


def test_the_other_target_turns_the_direction():
    there, back = (edit(label=y, threshold=0., steps=1, weights=(1.,)).z - Z for y in (LABEL, 1 - LABEL))
    assert (np.sign(there @ W) == 2 * LABEL - 1).all()
    cosine = (there * back).sum(1) / np.linalg.norm(there, axis=1) / np.linalg.norm(back, axis=1)
    np.testing.assert_allclose(cosine, -1)


def test_a_step_to_what_is_not_finite_is_not_taken():
    def loss(x):
        return jnp.where(x[..., 0] > 1, jnp.sqrt(jnp.maximum(x[..., 0] - 9, 0.)), -x[..., 0])

    found = fast_gradient_edit(loss, lambda x: jax.nn.sigmoid(-x[..., 0]), jnp.array([[.5]]), (1., jnp.inf),
                               threshold=0., steps=3)
    assert np.isfinite(found.z).all() and not found.converged[0] and found.gradients.tolist() == [6]
