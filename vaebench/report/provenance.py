"""What the numbers of a table rest on: data, parameters, devices, versions."""
from collections import defaultdict
from collections.abc import Iterable, Sequence

from vaebench.experiment.records import Result
from vaebench.files import one_line
from vaebench.report.folders import Found


def device_of(result: Result) -> str:
    """Says '1 x cpu (its model)' of a result; an accelerator's kind is its model."""
    device = result.device
    model = f' ({result.host})' if device.platform == 'cpu' and result.host else ''
    return one_line(f'{device.count} x {device.kind}{model}')


def evaluated(result: Result) -> str | None:
    """Says which parameters the metrics of a result are of.

    Returns:
      'best' on validation or 'last', as the last phase that trained anything left them; None
      where nothing was trained.
    """
    return next((p.kept for p in reversed(result.parameters) if p.kept != 'none'), None)


def _list(items: Iterable[str]) -> str:
    return ', '.join(dict.fromkeys(map(one_line, items)))


def _parameters(rs: Iterable[Result]) -> str:
    """Which parameters were evaluated; '' where none were trained."""
    meaning = {'best': 'best on validation', 'last': 'last'}
    by, done = defaultdict(list), [r for r in rs if r.status == 'done']
    for r in done:
        by[evaluated(r)].append(r.label)
    untrained = by.pop(None, [])
    if not by:
        return ''
    if len(by) == 1:
        of = ', of every row that trains' if untrained else ''
        return f'Parameters evaluated: {meaning[next(iter(by))]}{of}.'
    kinds = '; '.join(f'{meaning[k]} ({_list(v)})' for k, v in sorted(by.items()))
    return f'Parameters evaluated: {kinds}.'


def about(found: Sequence[Found]) -> tuple[str, ...]:
    """Says what the numbers of a table rest on.

    Args:
      found: its results.

    Returns:
      Lines: the data, the parameters, and devices with versions; none without results.
    """
    if not found:
        return ()
    rs = [f.result for f in found]
    names, splits = _list(r.dataset.name for r in rs), _list(r.dataset.split for r in rs)
    data = f'Dataset: {names} ({splits}), sha256 {one_line(rs[0].dataset.sha256)[:12]}.'
    versions = defaultdict(set)
    for r in rs:
        for name, version in r.versions.items():
            versions[name].add(version)
    packages = _list(f'{n} {"/".join(sorted(v))}' for n, v in sorted(versions.items()))
    code = _list(r.git.revision[:10] + (' with local changes' if r.git.dirty else '')
                 for r in rs if r.git.revision)
    machine = f'Device: {_list(map(device_of, rs))}. Versions: {packages}.'
    return tuple(filter(None, (data, _parameters(rs),
                               machine + (f' Revision: {code}.' if code else ''))))
