"""Kits by name: the networks a method may ask for, built for one modality and one size."""
import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vaebench.core import Kit
from vaebench.errors import UserError, unknown
from vaebench.networks import groups, image, sets, text
from vaebench.schema import Schema, leaves

GROUP = 'vaebench.kits'


class KitEntry(NamedTuple):
    """One kit of the registry.

    Attributes:
      make: (schema, config) -> `Kit`.
      reads: kinds of column, one of which the data must have.
      offers: names of the networks it has; 'decoder.option' for every option of its decoders,
        'decoder.unconditional' where latent=0 makes a model of its own, 'decoder.steps' where
        they read a code per position, 'decoder.unroll' where they offer `forced` and `unroll`;
        'encoder.states' where the encoder gives a state per position; and the columns that it
        reads.
    """
    make: Callable[[Schema, Mapping[str, Any]], Kit]
    reads: tuple[str, ...]
    offers: tuple[str, ...]


COMMON = 'encoder', 'head', 'decoder', 'mlp', 'corrupt', 'pseudo', 'context', 'label_context'
IMAGE = *COMMON, 'gen', 'critic', 'x'
GROUP_IMAGE = *IMAGE, 'filters', 'class_gen', 'class_critic'
TEXT = (*COMMON, 'sequence', 'cnn', 'shuffle', 'decoder.unconditional', 'decoder.skip',
        'decoder.dilations', 'decoder.channels', 'decoder.attention', 'decoder.steps',
        'decoder.unroll', 'encoder.states', 'tokens', 'length')
PARTICLES = ('predictor',)
KITS = {
    'lstm': KitEntry(text.lstm, ('tokens',), TEXT),
    'mlp': KitEntry(image.mlp, ('image', 'vector'), IMAGE),
    'conv': KitEntry(image.conv, ('image',), IMAGE),
    **{name: KitEntry(functools.partial(groups.kit, group=name), ('image',), GROUP_IMAGE)
       for name in ('z2', 'p4', 'p4m')},
    'linear': KitEntry(sets.linear, ('vectors',), PARTICLES),
    'deepset': KitEntry(sets.deepset, ('vectors',), PARTICLES),
    'set_transformer': KitEntry(sets.set_transformer, ('vectors',), PARTICLES),
    'egnn': KitEntry(sets.egnn, ('vectors',), PARTICLES),
    'tfn': KitEntry(sets.tfn, ('vectors',), PARTICLES),
    'se3': KitEntry(sets.se3, ('vectors',), PARTICLES),
}
"""Kits by name. Installed packages add theirs under the entry-point group `vaebench.kits`."""


def find(name: str) -> KitEntry:
    """The entry of a kit, ours or that of an installed package.

    Raises:
      UserError: there is no such kit, or its package cannot be imported.

    >>> find('conv').reads
    ('image',)
    """
    if name in KITS:
        return KITS[name]
    others = {e.name: e for e in importlib.metadata.entry_points(group=GROUP)}
    if name not in others:
        raise unknown('kit', name, [*KITS, *others])
    try:
        return others[name].load()
    except Exception as error:
        raise UserError(
            f'kit {name!r} of an installed package ({others[name].value}) cannot be imported: '
            f'{error}') from error


def build(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """The kit that a table's config names.

    Args:
      schema: the dataset's.
      config: mapping with 'name' and the sizes of that kit: see `text.lstm`, `image.mlp`,
        `image.conv`, `groups.kit`.

    Returns:
      A `Kit`.

    Raises:
      UserError: there is no such kit, or it cannot read such data.

    >>> from vaebench.schema import image as images
    >>> kit = build({'x': images((8, 8, 1))}, {'name': 'mlp', 'latent': 2, 'hidden': (16,)})
    >>> enc = kit.encoder()
    >>> enc.apply(enc.init(jax.random.key(0)), {'x': jnp.zeros((5, 8, 8, 1))}).last.shape
    (5, 16)
    """
    entry, kinds = find(config['name']), {field.kind for _, field in leaves(schema)}
    if not kinds & set(entry.reads):
        fit = [name for name, other in KITS.items() if kinds & set(other.reads)]
        raise UserError(
            f"kit.name={config['name']!r} reads columns of kind {' or '.join(entry.reads)}, "
            f"which the data has not: it has {', '.join(schema)}; choose one of "
            f"{', '.join(fit)}")
    return entry.make(schema, config)
