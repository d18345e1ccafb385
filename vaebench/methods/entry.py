"""What the registry says of a method."""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One method of the registry."""
    factory: Callable                  # (kit, recipe, **options) -> Method
    hp: Mapping[str, float]            # defaults of the traced numbers, less lr and lr_scale
    cite: tuple[str, ...]              # its papers: keys of `references.bib`
    needs: tuple[str, ...]             # of a kit: see `networks.KitEntry.offers`
    options: Mapping[str, Any] = {}    # defaults of the factory's static options in this row
    note: str = ''                     # what it is in its papers, or what it is without any
    meanings: Mapping[str, str] = {}   # of hp that `hyperparameters` lacks or means otherwise


def weight(beta: float = 1., warmup: float = 0., period: float = 0.,
           start: float = 0.) -> dict[str, float]:
    """hp of `objectives.scheduled_weight`."""
    return {'beta': beta, 'beta_start': start, 'warmup': warmup, 'delay': 0., 'period': period}
