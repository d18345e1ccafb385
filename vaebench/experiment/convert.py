"""Rewrites results of the first schema into the present one, in place.

    python -m vaebench.experiment.convert FOLDER [FOLDER ...]

A folder is a workdir of vaebench, or holds result files. The first schema told estimators apart
by the sentences that describe them, and wrote which parameters were asked for, not which were
kept. Files of the present schema stay as they are; nothing is written where one file cannot be
converted.
"""
import itertools
import json
import pathlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from vaebench import core, schema
from vaebench.errors import UserError
from vaebench.experiment import estimators, results
from vaebench.experiment.records import ManifestTable, Result
from vaebench.files import one_line, write_bytes

PRIMARY = 'nll_iw', 'frechet', 'w2', 'trust', 'mse'
"""Of these the one that most rows of a table have stood for it; the first of equals."""
BASELINE = 'vae'
"""The row that aggregates compared the others with."""


def kept(method: core.Method, keep: str) -> list[dict[str, str]]:
    """Says which parameters each phase of a method left.

    Args:
      method: as it was trained.
      keep: what the protocol asked for, 'best' or 'last'.

    Returns:
      For each phase {'phase', 'kept'}. The last parameters are kept where a phase chooses
      nothing, validation cannot measure anything to choose by, or the next phase continues this
      one.
    """
    from vaebench.metrics.draws import SAMPLE
    measured = {'elbo', 'nll'} if 'score' in method.evals else set()
    drawn = set(SAMPLE) <= set(method.evals)        # for want of else, the reconstruction
    out = []
    for phase, later in itertools.zip_longest(method.phases, method.phases[1:]):
        chooses = bool(phase.select) and (drawn or phase.select in measured)
        best = keep == 'best' and chooses and not (later and later.continues)
        out.append({'phase': phase.name, 'kept': 'best' if best else 'last'})
    return out


def _method(old: Mapping[str, Any]) -> core.Method:
    """A method as far as its phases go, for which sizes of data are of no matter."""
    from vaebench.engine.optimizers import optimizer
    from vaebench.methods.build import build
    config = old['config']
    columns = {'x': schema.image((28, 28, 1)), 'log_p': schema.Field('real'),
               'label': schema.label(10), **schema.text(tuple(map(str, range(8))), 20)}
    return build(config, columns, core.Recipe(1, 1, 1, optimizer(config['optimizer'])))


def _parameters(old: Mapping[str, Any]) -> list[dict[str, str]]:
    """What training kept of a result of the first schema."""
    if not old['steps']:
        return []
    try:
        return kept(_method(old), old['parameters'])
    except UserError:       # of a package that is not installed here
        return [{'phase': 'main', 'kept': old['parameters']}]


def convert(old: Mapping[str, Any]) -> Result:
    """Turns a result of the first schema into one of the present.

    Args:
      old: the fields of its file.

    Returns:
      The result.

    Raises:
      UserError: an estimator has no id.
      ValueError: a field is wrong.
    """
    metrics = {name: {**m, 'estimator_id': estimators.identify(m['estimator'])}
               for name, m in old['metrics'].items()}
    return results.checked({**old, 'schema': results.VERSION, 'metrics': metrics,
                            'parameters': _parameters(old)})


def primary(table: ManifestTable, found: Iterable[Result]) -> str | None:
    """Finds the metric that stands for a table.

    Args:
      table: its part of the manifest.
      found: results of its folder.

    Returns:
      That of `PRIMARY` which most rows have without a warning, by the estimator that the
      baseline has if it has one; None where no row has any.
    """
    wanted = {(r.row, r.hash) for r in table.rows}
    rows: dict[str, list[Result]] = {}
    for r in found:
        if r.table == table.table and r.status == 'done' and (r.row, r.config_hash) in wanted:
            rows.setdefault(r.row, []).append(r)
    counts = {metric: _usable(metric, rows) for metric in PRIMARY}
    best = max(PRIMARY, key=lambda metric: counts[metric])
    return best if counts[best] else None


def _usable(metric: str, rows: Mapping[str, Sequence[Result]]) -> int:
    """How many rows have the metric without a warning and by one estimator."""
    ids = {}
    for row, own in rows.items():
        records = [r.metrics[metric] for r in own if metric in r.metrics]
        if (any(m.value is not None for m in records) and not any(m.warning for m in records)
                and len({(m.estimator_id, m.n, m.samples) for m in records}) == 1):
            ids[row] = records[0].estimator_id, records[0].n, records[0].samples
    counts = Counter(ids.values())
    return counts[ids[BASELINE]] if BASELINE in ids else max(counts.values(), default=0)


def _load(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as e:
        raise UserError(f'{path}: cannot be read ({e.strerror})') from None
    except (ValueError, RecursionError) as e:
        raise UserError(f'{path}: not valid JSON ({one_line(str(e), 200)})') from None


def _converted(path: pathlib.Path) -> Result | None:
    """The result that a file should hold, None where it holds it."""
    old = _load(path)
    if not isinstance(old, dict) or old.get('schema') != 1:
        results.read(path)
        return None
    try:
        return convert(old)
    except (UserError, ValueError) as e:
        raise UserError(f'{path}: {e}') from None
    except (KeyError, TypeError, AttributeError) as e:
        raise UserError(f'{path}: not a result of schema 1 ({type(e).__name__}: {e})') from None


def convert_folder(folder: str | pathlib.Path) -> int:
    """Converts the results and the manifest of a folder.

    Args:
      folder: a workdir, or a folder of result files.

    Returns:
      The number of files that were written anew.

    Raises:
      UserError: a file cannot be converted; then none is written.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder')
    files = folder / 'results' if (folder / 'results').is_dir() else folder
    paths = [p for p in sorted(files.glob('*.json')) if p.name != results.MANIFEST]
    new = {p: r for p in paths if (r := _converted(p)) is not None}
    texts = {path: results.dumped(result) for path, result in new.items()}
    manifest = results.read_manifest(folder)
    if manifest and any(t.primary is None for t in manifest.tables):
        found = [new.get(p) or results.read(p) for p in paths]
        tables = tuple(t if t.primary else replace(
            t, primary=primary(t, found), baseline=t.baseline or BASELINE)
            for t in manifest.tables)
        text = results.dumped(replace(manifest, tables=tables))
        if text != (folder / results.MANIFEST).read_bytes():
            texts[folder / results.MANIFEST] = text
    for path, text in texts.items():
        write_bytes(path, text)
    return len(texts)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
      argv: folders; None: those of the process.

    Returns:
      Exit code: 0, 2 where a file cannot be converted.
    """
    folders = list(sys.argv[1:] if argv is None else argv)
    if not folders or folders[0] in ('-h', '--help'):
        print(__doc__)
        return 0 if folders else 2
    try:
        for folder in folders:
            print(f'{folder}: {convert_folder(folder)} files written anew')
    except UserError as e:
        print(f'convert: {e}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
