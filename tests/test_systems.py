"""The systems that the papers name: each has a row that there is, or why not; no printed number
and no table is without one."""
import csv
import re

import pytest

from vaebench import datasets, methods, networks
from vaebench.experiment import configs
from vaebench.report import published, references, splice, systems
from vaebench.report.folders import Found
from vaebench.schema import leaves

SYSTEMS = systems.read()
NO_SYSTEM = {'A7/corpus', 'A13b/corpus', 'A12c/none'}
"""Printed beside systems: the data's own statistics, and people who preferred neither."""
MADE = {
    'digits': {}, 'gaussians25': dict(examples=64, eval_examples=8), 'swiss_roll': {},
    'pinwheel': dict(examples=64, eval_examples=8), 'two_style': dict(sentences=8, eval_sentences=4),
    'nbody': dict(examples=4, eval_examples=2, frames=1),
}
"""Datasets of every kind that need no files -> what makes them small."""


def named(system):
    return f'{system.track}/{system.system}'


@pytest.mark.parametrize('track', systems.TRACKS)
def test_every_system_has_rows_of_registered_methods_or_a_reason(track):
    found = [s for s in SYSTEMS if s.track == track]
    assert found
    for system in found:
        rows = systems.rows(system)
        assert set(rows) == set(system.rows), f'{named(system)}: no such row in {system.config}'
        for row in rows.values():
            assert methods.find(row.config['method']), named(system)
        assert rows or system.note, named(system)
        assert not system.paper or references.is_known(system.paper), named(system)


def test_a_row_that_there_is_not_is_not_found():
    system = next(s for s in SYSTEMS if s.system == 'SA-VAE')
    assert systems.rows(system._replace(rows=('sa_vea', 'sa_vae'))).keys() == {'sa_vae'}
    assert systems.rows(system._replace(config='mnist')) == {}


def test_every_printed_number_is_of_a_system():
    printed = {key for s in SYSTEMS for key in s.printed}
    known = {f'{t}/{row}' for t, rows in published.published().items() for row in rows}
    assert printed == known - NO_SYSTEM and known > NO_SYSTEM


def test_a_row_answers_to_what_is_printed_of_its_system():
    """A key that a config gives to a row is one of a system that has this row."""
    printed = {(s.track, row, key) for s in SYSTEMS for row in s.rows for key in s.printed}
    answers = {(track, row.name, '/'.join(key.split('/')[:2]))
               for track in systems.TRACKS for table in systems.tables(track)
               for row in table.rows for key in row.published}
    assert answers <= printed, sorted(answers - printed)
    assert len(answers) > 90


def test_every_table_belongs_to_one_track():
    places = [(name.partition('/')[0], table.name) for track in systems.TRACKS.values()
              for name in track.configs for table in systems.of_config(name)]
    every = [(name, table.name) for name in configs.names() for table in systems.of_config(name)]
    assert sorted(places) == sorted(every)


def test_every_dataset_belongs_to_a_track_by_its_kind():
    """What a config reads is data of its track, of a kind that its kit reads."""
    kinds = {}
    for track, known in systems.TRACKS.items():
        of = {name: kind for kind, names in known.data.items() for name in names.split()}
        for name, kind in of.items():
            assert kinds.setdefault(name, kind) == kind, name
        for table in systems.tables(track):
            kit = networks.find(table.config['kit']['name'])
            assert of[table.config['dataset']['name']] in kit.reads, table.name
    assert set(kinds) == set(datasets.DATASETS)
    for name, options in MADE.items():
        schema = datasets.load(name, **options).schema
        assert kinds[name] in {field.kind for _, field in leaves(schema)}, name
    assert {kinds[name] for name in MADE} == set(kinds.values())


LINE = dict(track='text', system='VAE', paper='', config='ptb', rows='vae', printed='', note='')


@pytest.mark.parametrize('change, message', [
    (dict(track='texts'), 'texts/VAE: no such track'),
    (dict(config=''), 'text/VAE: a config and rows go together'),
    (dict(rows=''), 'text/VAE: a config and rows go together'),
    (dict(rows='', config=''), 'text/VAE: neither a row nor why there is none'),
    ({}, 'text/VAE: twice'),
])
def test_a_malformed_line_is_named(change, message, tmp_path):
    path = tmp_path / 'systems.csv'
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, LINE)
        writer.writeheader()
        writer.writerows([LINE, {**LINE, **change}])
    with pytest.raises(ValueError, match=message):
        systems.read(path)


class Result:
    def __init__(self, table, row, status='done'):
        self.table, self.row, self.status = table, row, status


RESULTS = [Found(None, result) for result in (
    Result('ptb-small', 'vae'), Result('ptb-small', 'vae'), Result('text', 'fb'),
    Result('text', 'bn_06', 'failed'), Result('digits', 'vae'), Result('mine', 'sa_vae'))]


def test_results_count_for_the_track_of_their_table():
    assert systems.measured('text', RESULTS) == {'ptb-small': {'vae'}, 'text': {'fb'}}
    assert systems.measured('image', RESULTS) == {'digits': {'vae'}}
    lines = {line.split(' | ')[0][2:]: line.strip('| ').split(' | ')
             for line in systems.overview(RESULTS).splitlines()[2:]}
    assert list(lines) == [track.title for track in systems.TRACKS.values()]
    text = [s for s in SYSTEMS if s.track == 'text']
    assert lines['Sentences'][1] == f'{len(text)}, {sum(bool(s.rows) for s in text)} with a row'
    rows = {row.name for table in systems.tables('text') for row in table.rows}
    assert lines['Sentences'][2] == str(len(rows))
    assert lines['Sentences'][-1] == '2: `ptb-small`, `text`'      # VAE, FB (4)
    assert lines['Particles'][-1] == 'none yet'


def test_the_brief_overview_says_the_same_numbers():
    whole, brief = (text.splitlines()[2:] for text in (systems.overview(RESULTS), systems.brief(RESULTS)))
    for long, short in zip(whole, brief, strict=True):
        title, named, rows, *_, done = (cell.strip() for cell in long.strip('|').split('|'))
        n, having = re.findall(r'\d+', named)
        measured = re.match(r'\d*', done)[0] or '0'
        assert [c.strip() for c in short.strip('|').split('|')][::2] == [title, rows]
        assert short.endswith(f'| {n}: {having}, {measured} |') and len(short) <= 88


def test_the_listing_has_every_system():
    lines = systems.listing(RESULTS).splitlines()
    for system in SYSTEMS:
        start = f'| {references.literal(system.system)} | '
        assert any(line.startswith(start) and all(f'`{row}`' in line for row in system.rows)
                   for line in lines), named(system)
    vae, = (line for line in lines if line.startswith('| VAE | '))
    assert vae == '| VAE | Bowman et al., 2016 | `yahoo`: `vae` VAE | `ptb-small` | — |'
    assert sum(line.count(' | none | ') for line in lines) == sum(not s.rows for s in SYSTEMS)


@pytest.mark.parametrize('kind', ['tracks', 'systems'])
def test_marks_take_results_alone(kind, tmp_path):
    page, empty = tmp_path / 'page.md', tmp_path / 'results'
    empty.mkdir()
    page.write_text(f'a\n<!-- vaebench:{kind} results=results -->\n<!-- vaebench:end -->\nb\n')
    assert splice.splice(page)[0] is False and splice.splice(page)[0] is True
    assert page.read_text().startswith('a\n') and 'Rewriting' in page.read_text()
    page.write_text(page.read_text().replace('results=results', 'results=results rows=vae'))
    with pytest.raises(splice.UserError, match="unknown option 'rows'; use results"):
        splice.splice(page)
