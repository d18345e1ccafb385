"""Update rules of the engine against loops over numbers."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench.engine.optimizers import optimizer

HP = {'lr': .1, 'lr_scale': 1.}


def moves(config, grads, epoch=1):
    """What each gradient in turn moves a number by."""
    tx = optimizer(config, epoch)(HP)
    state, out = tx.init(jnp.float32(0)), []
    for g in grads:
        move, state = jax.jit(tx.update)(jnp.float32(g), state)
        out.append(float(move))
    return out


def test_rmsprop_adds_eps_to_the_root():
    """PyTorch's rule: the smallest gradients move as far as any."""
    grads, v, want = np.array([1e-6, -3e-6, 2e-6]), 0., []
    for g in grads:
        v = .99 * v + .01 * g * g
        want.append(-.1 * g / (np.sqrt(v) + 1e-8))
    np.testing.assert_allclose(moves({'name': 'rmsprop'}, grads), want, rtol=1e-5)


def test_amsgrad_divides_by_the_largest_second_moment_so_far():
    grads, m, v, most, want = [1., -4., .1, .1, .1], 0., 0., 0., []
    for t, g in enumerate(grads, 1):
        m, v = .9 * m + .1 * g, .999 * v + .001 * g * g
        most = max(most, v / (1 - .999**t))
        want.append(-.1 * m / (1 - .9**t) / (np.sqrt(most) + 1e-8))
    got = moves({'name': 'amsgrad'}, grads)
    np.testing.assert_allclose(got, want, rtol=6e-5)       # float32's rounding of 1 - .999
    assert abs(got[-1] - moves({'name': 'adam'}, grads)[-1]) > 1e-3


def test_the_rate_drops_after_its_milestones():
    config = {'name': 'sgd', 'milestones': (1, 2.5), 'drop': .5}
    assert moves(config, [1.] * 6, epoch=2) == pytest.approx([-.1] * 2 + [-.05] * 3 + [-.025])
    assert moves({'name': 'sgd'}, [1.] * 6, epoch=2) == pytest.approx([-.1] * 6)


def test_running_means_are_apart_from_rule_rate_and_clipping():
    tree = lambda w, mean: {'dec': {'w': jnp.float32(w), 'running_x': jnp.float32(mean)}}
    tx = optimizer({'name': 'sgd', 'clip': 1.})(HP)
    moved, _ = tx.update(tree(1., -50.), tx.init(tree(0., 0.)))
    assert float(moved['dec']['running_x']) == pytest.approx(5.)       # a tenth
    assert float(moved['dec']['w']) == pytest.approx(-.1)              # not clipped for it
