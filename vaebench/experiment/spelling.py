"""Seeds in names of files."""
from collections.abc import Iterable


def spelled(seeds: Iterable[int]) -> str:
    """Spells seeds in the name of a file; `seeds_of` reads them.

    >>> spelled([0, 1]), spelled([*range(100), 102])
    ('0-1', '0..99-102')
    """
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return '-'.join(f'{a}..{b}' if b - a > 1 else '-'.join(map(str, range(a, b + 1)))
                    for a, b in runs)


def seeds_of(text: str) -> tuple[int, ...]:
    """Reads what `spelled` wrote.

    >>> seeds_of('0..2-5')
    (0, 1, 2, 5)
    """
    ends = [part.split('..') for part in text.split('-')]
    return tuple(s for end in ends for s in range(int(end[0]), int(end[-1]) + 1))
