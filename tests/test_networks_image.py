"""The image kits: shapes, convolutions against XLA's, the critic."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_networks import Z, draw, image_kit

from vaebench.errors import UserError
from vaebench.networks import image_layers


@pytest.mark.parametrize('name', ['mlp', 'conv'])
@pytest.mark.parametrize('shape', [(8, 8, 1), (7, 5, 2)])
def test_image_shapes(name, shape):
    kit = image_kit(name, shape)
    enc, dec, gen, critic = kit.encoder(), kit.decoder(), kit.gen(), kit.critic()
    x, z, key = jnp.full((4, *shape), .5), draw((4, Z)), jax.random.key(0)

    @jax.jit
    def outputs():
        params = critic.init(key)
        pixel = jax.vmap(jax.grad(lambda x: critic.apply(params, x[None])[0]))(x)
        drawn = [dec.generate(dec.init(key), z, key, mode)['x'] for mode in ('mean', 'sample')]
        return (enc.apply(enc.init(key), {'x': x}).last, gen.apply(*gen.init(key), z)[0],
                critic.apply(params, x), pixel, *drawn)

    last, made, score, grads, mean, sample = outputs()
    assert last.shape == (4, kit.features)
    assert mean.shape == sample.shape == made.shape == x.shape
    assert made.min() > 0 and made.max() < 1
    assert score.shape == (4,)
    assert grads.shape == x.shape and np.abs(grads).max() > 0


@pytest.mark.parametrize('side', [3, 4])
@pytest.mark.parametrize('shape', [(8, 8, 2), (7, 5, 1)])
def test_patches_make_a_convolution_and_its_transpose(shape, side):
    x, kernel = draw((2, *shape)), draw((side, side, shape[2], 4), 1)
    border = [(1, 1 + (side == 4 and n % 2)) for n in shape[:2]]
    want = jax.lax.conv_general_dilated(x, kernel, (2, 2), border,
                                        dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
    got = image_layers.patches(x, side) @ kernel.reshape(-1, 4)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    y = draw(image_layers.patches(x, side).shape, 2)
    np.testing.assert_allclose((image_layers.unpatch(y, shape, side) * x).sum(),
                               (y * image_layers.patches(x, side)).sum(), rtol=1e-4)


def test_only_windows_of_four_cover_every_pixel_equally():
    covered = {}
    for k in (3, 4):
        sums = image_layers.unpatch(jnp.ones((1, 4, 4, k * k)), (8, 8, 1), k)
        covered[k] = np.unique(sums[0, 1:-1, 1:-1])
    assert covered[4].tolist() == [4.] and covered[3].tolist() == [1., 2., 4.]
    with pytest.raises(UserError, match='kernel=5: convolutions have 3 or 4 pixels'):
        image_kit('conv', kernel=5)


def test_critic_scores_each_image_by_itself():
    critic = image_kit('conv').critic()
    params, x = critic.init(jax.random.key(0)), draw((4, 8, 8, 1))
    np.testing.assert_allclose(critic.apply(params, x)[:2], critic.apply(params, x[:2]),
                               rtol=1e-5)
