"""Kits: the networks a method may ask for, built for one modality and one size."""
from vaebench.errors import UserError
from vaebench.networks import image, text

KITS = {'text': {'lstm': text.lstm}, 'image': {'mlp': image.mlp, 'conv': image.conv}, 'points': {'mlp': image.mlp}}
TRACKS = {'text': 'text', 'image': 'image', 'points': 'image'}
"""Kind of data -> the track of methods that it takes."""


def build(info, config):
    """The kit that a table's config names.

    Args:
      info: the dataset's; 'kind' is 'text', 'image' or 'points'.
      config: mapping with 'name' and the sizes of that kit: see `text.lstm`, `image.mlp`, `image.conv`.

    Returns:
      A `Kit`.

    >>> kit = build({'kind': 'image', 'shape': (8, 8, 1)}, {'name': 'mlp', 'latent': 2, 'hidden': (16,)})
    >>> enc = kit.encoder()
    >>> enc.apply(enc.init(jax.random.key(0)), {'x': jnp.zeros((5, 8, 8, 1))}).last.shape
    (5, 16)
    """
    kits = KITS[info['kind']]
    if config['name'] not in kits:
        raise UserError(f'kit.name={config["name"]!r} does not fit {info["kind"]} data: choose one of '
                        f'{", ".join(kits)}')
    return kits[config['name']](info, config)
