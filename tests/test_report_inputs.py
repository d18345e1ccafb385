"""Whatever lies in a folder of results: each file that is none is named in one line, and no
other row changes.
"""
import copy
import json
import os
import pathlib

import numpy as np
import pytest
from test_report import call, put, toy
from test_results import fake, metric

from vaebench import files
from vaebench.experiment import results
from vaebench.report import formats, tables

COMMITTED = pathlib.Path(__file__).parent.parent / 'benchmarks' / 'results' / 'quickstart'
VALUES = [
    None, True, -1, 0, 3.5, '', 'x', '\u202e\x1b[31m\n', [], {}, [[]], {'a': 1}, 2, '9' * 10,
    10**18
]
"""What a mutator puts where something else belongs."""
RAW = [
    b'NaN', b'-Infinity', b'1e999', b'9' * 5000, b'"\\ud800"', b'\xff', b'[' * 100_000,
    b'{"a":' * 900, b'tru', b''
]


def places(value, path=()):
    """Paths of all that a JSON value holds."""
    items = value.items() if isinstance(
        value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated(rng, text):
    """A result file with one thing wrong, or with another content: bytes."""
    kind = rng.integers(6)
    if kind == 0:
        return text.encode()[:rng.integers(len(text))]
    if kind == 1:
        data, i = bytearray(text.encode()), rng.integers(len(text))
        data[i] ^= 1 << rng.integers(8)
        return bytes(data)
    result = json.loads(text)
    every = list(places(result))
    *path, key = every[rng.integers(len(every))]
    inner = result
    for part in path:
        inner = inner[part]
    if kind == 2:
        del inner[key]
    elif kind == 3 and isinstance(inner, dict):
        inner['\n\x1b' * rng.integers(2) + 'new'] = inner.pop(key)
    elif kind == 4:
        inner[key] = '@'
        return json.dumps(result).encode().replace(b'"@"', RAW[rng.integers(len(RAW))])
    else:
        inner[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return json.dumps(result).encode()


def rendered(folder):
    """({format: text}, problems), each problem checked to be one line that can be printed."""
    found, problems = tables.collect([folder])
    for problem in problems:
        assert problem.isprintable() and len(problem) < 700, problem
    return {form: function(found) for form, function in formats.FORMATS.items()}, problems


def start(folder):
    """Result files made from committed ones, of two tables."""
    toy(folder)
    for path in sorted(COMMITTED.glob('*.json'))[:6]:
        put(folder, results.read(path))
    put(folder, fake('bad', order=7, status='failed', reason='kl is nan', metrics={}))
    return folder


def junk(folder):
    """Names of files that are no results, written into the folder."""
    rng, names = np.random.default_rng(0), []

    def add(name, data):
        (folder /
         name).write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        names.append(name)

    good = sorted(folder.glob('*.json'))
    for i in range(300):
        add(f'mutated{i:03}.json', mutated(rng, good[rng.integers(len(good))].read_text()))
    for i, raw in enumerate(RAW):
        add(f'raw{i}.json', raw)
    for i, value in enumerate(
        [*VALUES, [fake('x')], {'tables': []}, {**fake('x'), 'schema': 1}, {'nbformat': 4}]):
        add(f'foreign{i}.json', value)
    add('copy (1).json', good[0].read_bytes())
    # what a Mac leaves on foreign disks
    add('._' + good[0].name, b'\x00\x05\x16\x07\x00\x02')
    add('bom.json', b'\xef\xbb\xbf' + good[0].read_bytes())
    add('utf16.json', good[0].read_text().encode('utf-16'))
    add('two.json', good[0].read_bytes() * 2)
    add(f'new\nline {chr(0x1b)}[31m.json', b'{')
    (folder / 'folder.json').mkdir()
    (folder / 'link.json').symlink_to(folder / 'nowhere')
    (folder / 'loop.json').symlink_to(folder / 'loop.json')
    os.mkfifo(folder / 'pipe.json')
    names += ['folder.json', 'link.json', 'loop.json', 'pipe.json']
    if os.geteuid():
        add('locked.json', b'{}')
        (folder / 'locked.json').chmod(0)
    return names


def test_junk_beside_results_is_named_and_changes_nothing(tmp_path, capfd):
    clean, none = rendered(start(tmp_path))
    assert none == []
    names = junk(tmp_path)
    text, problems = rendered(tmp_path)
    assert text == clean
    # Every file once; those whose name holds signs that would break the line are shown without
    # them.
    assert sorted(p[:p.index('.json') + 5] for p in problems) == sorted(
        files.one_line(str(tmp_path / n)[:str(tmp_path / n).index('.json') + 5]) for n in names)
    code, out, err = call(capfd, f'--results={tmp_path}', '--format=json')
    assert (code, out) == (0, clean['json']) and err.splitlines() == problems


def by_row(folder):
    """{(table, row): all that is shown of it, without places of footnotes} and the problems."""
    found, problems = tables.collect([folder])
    for function in formats.FORMATS.values():
        function(found)
    return {(t.table, r.row): (r.label, r.facts, r.runs, {
                m: c[:3] + c[4:6]
                for m, c in r.cells.items()
            })
            for t in found
            for r in t.rows}, problems


@pytest.mark.parametrize('seed', range(3))
def test_a_broken_result_changes_its_own_row_at_most(tmp_path, seed):
    rng = np.random.default_rng(seed)
    clean, _ = by_row(start(tmp_path))
    target = tmp_path / results.filename(results.checked(fake('vae', 1)))
    text, named = target.read_text(), 0
    for _ in range(40):
        data = mutated(rng, text)
        target.write_bytes(data)
        rows, problems = by_row(tmp_path)
        own = {k: v for k, v in rows.items() if k != ('toy', 'vae')}
        # A file may claim to be of another table; then that table has a row more.
        assert own.keys() - clean.keys() <= {(t, 'vae') for t, _ in own}
        for key, row in clean.items():
            if key != ('toy', 'vae'):
                # Cells of metrics that the broken file alone has are gaps.
                assert own[key][:3] == row[:3] and {m: own[key][3][m]
                                                    for m in row[3]} == row[3], data
                assert all(
                    own[key][3][m][1] is None for m in own[key][3].keys() - row[3].keys())
        assert len(problems) <= 1 and all(p.isprintable() and str(target) in p
                                          for p in problems)
        named += len(problems)
    assert named > 10


@pytest.mark.parametrize('data',
                         [{'sha256': 'f' * 64}, {'split': 'valid'}, {'sizes': {'test': 9}}])
def test_results_on_other_data_are_left_out(tmp_path, data):
    clean, _ = rendered(toy(tmp_path))
    put(tmp_path, fake('extra', order=-9, dataset=data), fake('vae', 5, order=1, dataset=data))
    text, problems = rendered(tmp_path)
    assert text == clean and len(problems) == 2
    for problem, name in zip(problems, ('extra.s0', 'vae.s5'), strict=True):
        assert problem.startswith(str(tmp_path / name)) and 'left out' in problem


def test_the_same_cell_in_two_folders_is_used_once(tmp_path):
    clean, _ = rendered(toy(tmp_path / 'a'))
    other = fake('vae', 1, 7., order=1)
    path = results.write(tmp_path / 'b', other)
    for folders in ([tmp_path / 'a',
                     tmp_path / 'b'], [tmp_path / 'a', tmp_path / 'b', tmp_path / 'b']):
        for form in formats.FORMATS:
            found, (problem,) = tables.collect(folders)
            assert formats.FORMATS[form](found) == clean[form]
            assert problem == (
                f'{path}: the same cell as {tmp_path / "a" / path.name}, which is used; '
                'move one away')


@pytest.mark.parametrize('manifest', [
    b'', b'[]', b'{"tables": 3}', b'{"tables": [{"table": "toy"}]}', b'\xff', b'[' * 10**5,
    b'{"tables": [{"table": "toy", "title": "", "rows": [1]}]}'
])
def test_a_broken_manifest_is_named_and_not_used(tmp_path, manifest):
    clean, _ = rendered(toy(tmp_path))
    (tmp_path / results.MANIFEST).write_bytes(manifest)
    text, (problem,) = rendered(tmp_path)
    assert text == clean and problem.startswith(f'{tmp_path / results.MANIFEST}: ')


def test_text_that_a_terminal_would_obey_is_shown_plainly(tmp_path):
    bad = '\x1b[31mred\u202e\r\n\x07\x00 end'
    put(
        tmp_path,
        fake('a', label=bad, title=bad, host=bad, method=bad, versions={'jax': bad},
             metrics={'m': {**metric(1., bad), 'unit': bad, 'note': bad,
                            'warning': bad}}, git={'revision': bad, 'dirty': False}),
        fake('b', label=bad, order=1, status='failed', reason=bad, metrics={}))
    texts, problems = rendered(tmp_path)
    assert problems == []
    for form, text in texts.items():
        assert text.replace('\n', '').isprintable(), form
    assert '[31mred end' in texts['markdown'].replace('\\', '')


@pytest.mark.parametrize(('value', 'message'), [
    ('1e999', 'Number out of range'), ('1.5e308', 'expected `float` <= 1e+300'),
    ('-1.5e308', 'expected `float` >= -1e+300'), ('9' * 400, 'Number out of range')])
def test_numbers_that_would_overflow_are_named(tmp_path, value, message):
    clean, _ = rendered(toy(tmp_path))
    path = results.write(tmp_path, fake('huge', order=9, metrics={'nll_iw': metric(123.25)}))
    path.write_text(path.read_text().replace('123.25', value))
    text, (problem,) = rendered(tmp_path)
    assert text == clean
    assert problem.startswith(f"{path}: field 'metrics.nll_iw.value': {message}")


def test_largest_numbers_are_shown(tmp_path):
    for row, sign in (('a', 1), ('b', -1)):
        for seed in range(3):
            put(
                tmp_path,
                fake(row, seed,
                     metrics={'m': metric(sign * (1e300 - seed * 1e299), stderr=1e300)}))
    put(tmp_path, fake('c', metrics={'m': metric(float('1.5e308'))}))
    text, problems = rendered(tmp_path)
    assert problems == [] and '[1] value was 1.5e+308' in text[
        'markdown'] and '**-9e+299**' in text['markdown']


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('"nll_iw":', '"\\u001b[1m":',
     "field 'metrics' has the name \"\\u001b[1m\": a metric's name can be printed"),
    ('"nll_iw":', '" ":', "field 'metrics' has the name \" \""),
    ('VAE', '\\ud83d', 'surrogate pair'), ('"label"', '"label\\ud83d"', 'surrogate pair'),
    ('VAE"', '\\ude00"', 'surrogate pair'),
    ('123.25', 'NaN', 'invalid character (byte 610): NaN, "'),
    ('123.25', '-Infinity', 'invalid character (byte 611): Infinity, "'),
    ('123.25', '"123.25"', "field 'metrics.nll_iw.value': expected `float | null`, got `str`"),
    ('"schema": 2', '"schema": {"a": 1}', 'schema {"a": 1} is not 2'),
    ('"schema": 2', '"schema": 1',
     'schema 1 is not 2, the one this version reads; run python '),
    ('12345', '1' * 20, "field 'parameter_count': expected `int` <= 9223372036854775807"),
    ('"lr": 0.5', '"lr": [' + '1' * 20 + ']', "field 'config' holds the number 11111111111111"),
    ('"published": []', '"published": ["a", 1]', "field 'published[1]': expected `str`, got "),
    ('"train": 12.5', '"train": 1e301', "field 'times.train': expected `float` <= 1e+300"),
    ('"host": ', '"colour": 1,\n "host": ', "field 'colour' is unknown")
])
def test_what_is_wrong_is_said(tmp_path, old, new, message):
    path = results.write(tmp_path, fake('vae', value=123.25))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    found, (problem,) = tables.collect([tmp_path])
    assert found == [] and problem.startswith(
        f'{path}: ') and message in problem and problem.isprintable()
