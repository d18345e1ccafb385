"""Every key of a config in one place: type, default, meaning, and what it decides.

A config is a mapping with the keys of `Table`, or with those of `Tables` where one file makes
several tables. Everything that must know the keys asks here: what a cell's hashes are of
(`parameters`, `numbers`), which rows share compiled programs (`compiled`), what a config may
leave out (`filled`) and what it may say (`config_check.check`).
"""
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

Decides = Literal['parameters', 'numbers', 'speed']
"""What a key changes: what is trained, what is measured, or neither."""

ABSENT = object()
"""The default of a key that is left out where the config does not name it."""
COUNT, LIMIT, RATE = '[1, inf)', '[0, inf)', '(0, inf)'
SHARE, FINITE = '[0, 1)', '(-inf, inf)'
SEEDS = '[1, 1000]'
TRIALS = 'Trials of every row that has a space; 0 tunes none.'


def key(decides: Decides, help: str, default: Any = dataclasses.MISSING, *, within: str = '',
        form: str = '', choices: tuple[str, ...] = (), compiled: bool | None = None,
        later: bool = False) -> Any:
    """Makes a field of a schema.

    Args:
      decides: see `Decides`.
      help: one sentence for the user.
      default: its value where the config has none; without one the key is required.
      within: interval of its numbers, such as '[0, 1)'; '' for any. Of a mapping: of the whole
        numbers in it that no schema names, or of all where it holds nothing but numbers.
      form: of its text, or of the names in a mapping: one of `config_check.FORMS`; '' for any.
      choices: the values there are; () for any.
      compiled: whether it is built into compiled programs, so that rows which differ in it
        cannot share theirs. None: if it decides the parameters.
      later: whether the key is younger than results that stay valid: its default, which is what
        those results had, stands in no hash.

    Returns:
      A `dataclasses.field`.
    """
    facts = {'decides': decides, 'help': help, 'within': within, 'form': form,
             'choices': choices, 'later': later,
             'compiled': decides == 'parameters' if compiled is None else compiled}
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@dataclasses.dataclass(kw_only=True)
class Named:
    """A dataset or a kit; its other keys are options that it checks itself."""
    open: ClassVar[bool] = True
    name: str = key('parameters', 'Which one.')


@dataclasses.dataclass(kw_only=True)
class Kit(Named):
    """Networks; named here are the sizes that mean the same in every kit."""
    dropout: float = key('parameters', 'Share of units that training drops.', ABSENT,
                         within=SHARE)
    init_scale: float = key('parameters', 'Bound of the uniform law of first values.', ABSENT,
                            within=LIMIT)
    sigma: float = key('parameters', 'Standard deviation of a Gaussian decoder.', ABSENT,
                       within=RATE)
    scale: float = key('parameters', 'Scale of a Laplace decoder.', ABSENT, within=RATE)


@dataclasses.dataclass(kw_only=True)
class Optimizer:
    """The update rule; rows share programs whatever their rate."""
    name: str = key('parameters', 'adam, amsgrad, sgd or rmsprop.', 'adam')
    lr: float = key('parameters', 'Learning rate.', 1e-3, within=RATE, compiled=False)
    clip: float = key('parameters', 'Largest norm of a gradient; 0 never clips.', 5.,
                      within=LIMIT)
    momentum: float = key('parameters', 'Of sgd.', ABSENT, within=SHARE)
    b1: float = key('parameters', 'Of adam: decay of the first moment.', ABSENT,
                    within=SHARE)
    b2: float = key('parameters', 'Of adam: decay of the second moment.', ABSENT,
                    within=SHARE)
    decay: float = key('parameters', 'Of rmsprop: decay of the second moment.', ABSENT,
                       within=SHARE)
    eps: float = key('parameters', 'Of adam and rmsprop: added to the denominator.', ABSENT,
                     within=RATE)
    weight_decay: float = key('parameters', 'Times the parameters, added to their gradients.',
                              ABSENT, within=LIMIT)
    cycle: int = key('parameters', 'Epochs of a cosine cycle of the rate; 0 for none.', ABSENT,
                     within=LIMIT)
    milestones: tuple[float, ...] = key(
        'parameters', 'Epochs of a phase after which the rate drops.', ABSENT)
    drop: float = key('parameters', 'What a milestone multiplies the rate by.', ABSENT,
                      within=RATE)


@dataclasses.dataclass(kw_only=True)
class Protocol:
    """What validation does: which parameters it keeps, when the rate decays."""
    keep: str = key('parameters', 'Parameters to evaluate: best (on validation) or last.',
                    'best', choices=('best', 'last'))
    patience: int = key('parameters', 'Epochs without improvement before a decay; 0 never.', 0,
                        within=LIMIT)
    first_epoch: int = key('parameters', 'First epoch that may be without improvement.', 15,
                           within=LIMIT)
    factor: float = key('parameters', 'What a decay multiplies the rate by.', .5,
                        within='(0, 1]')
    decays: int = key('parameters', 'Decays after which training ends.', 5, within=LIMIT)


@dataclasses.dataclass(kw_only=True)
class Evaluation:
    """What is measured, and at what cost; a key that is left out has the default of
    `metrics.Settings`.
    """
    split: str = key('numbers', "Examples to measure, where not the table's.", ABSENT,
                     choices=('test', 'valid'))
    samples: int = key('numbers', 'Importance samples per example.', ABSENT, within=COUNT)
    chunk: int = key('numbers', 'Importance samples per dispatch.', ABSENT, within=COUNT)
    batch: int = key('numbers', 'Examples per dispatch.', ABSENT, within=COUNT)
    block: int = key('numbers', 'Posteriors per block of an aggregate.', ABSENT, within=COUNT)
    points: int = key('numbers', 'Quadrature points.', ABSENT, within=COUNT)
    images: int = key('numbers', 'Most images or points on each side.', ABSENT, within=COUNT)
    drawn: int = key('numbers', 'Samples in which modes are looked for.', ABSENT, within=COUNT)
    generated: int = key('numbers', 'Sentences drawn from the prior.', ABSENT, within=COUNT)
    unigrams: int = key('numbers', 'Sentences drawn for the law of single words.', ABSENT,
                        within=COUNT)
    refine: int = key('numbers', 'Steps of a proposal of our own.', ABSENT, within=COUNT)
    factor_train: int = key('numbers', 'Examples or votes that scores of factors learn from.',
                            ABSENT, within=COUNT)
    factor_test: int = key('numbers', 'Examples or votes that they are tested on.', ABSENT,
                           within=COUNT)
    pairs: int = key('numbers', 'Examples or pairs behind a vote.', ABSENT, within='[2, inf)')


@dataclasses.dataclass(kw_only=True)
class Settings:
    """What rows may override: how they train and how they are measured."""
    dataset: Named = key('parameters', 'Dataset by name, with its options.')
    cuts: int = key('parameters', 'Length classes that sentences are cut into.', 1,
                    within=COUNT)
    kit: Kit = key('parameters', 'Networks by name, with their sizes.', within=COUNT)
    epochs: int = key('parameters', 'Epochs of the longest phase.', 10, within=COUNT)
    batch: int = key('parameters', 'Examples per train step.', 64, within=COUNT)
    block: int = key('parameters', 'Most train steps per dispatch.', 10, within=COUNT)
    optimizer: Optimizer = key('parameters', 'Update rule and its numbers.', {})
    protocol: Protocol = key('parameters', 'What validation does.', {})
    table_seed: int = key('parameters', 'Seed of the order of data.', 0,
                          within='[0, 4294967295]', compiled=False)
    evaluation: Evaluation = key('numbers', 'What is measured, and at what cost.', {})
    metrics: tuple[str, ...] = key('numbers', 'What is measured.')
    group: int = key('speed', 'Most seeds that train together.', 8, within='[1, 100]')
    seeds_by: str = key('speed', 'How seeds train together.', 'auto',
                        choices=('auto', 'vmap', 'map'), compiled=True)
    mesh: str = key('speed', 'Devices for seeds and for batches: seed:2,data:4, auto for all, '
                    "'' for one.", '', form='mesh', compiled=True)
    save_every: float = key('speed', 'Seconds between checkpoints.', 60., within=LIMIT)
    stream: str = key('speed', 'Training data that stay on the host: on, off or auto (large).',
                      'auto', choices=('auto', 'on', 'off'), compiled=True)
    memory_gb: float = key('speed', 'GiB that a group may take; 0 sets no bound.', 0.,
                           within=LIMIT)
    remat: str = key('speed', 'Whether gradients compute networks anew: less memory.', 'off',
                     choices=('off', 'on'), compiled=True)
    micro: int = key('parameters', 'Examples per part of a batch, in turn; 0: all at once.', 0,
                     within=LIMIT, later=True)
    precision: str = key('parameters', "Of networks' products: f32, tf32 or bf16.", 'f32',
                         choices=('f32', 'tf32', 'bf16'), later=True)


@dataclasses.dataclass(kw_only=True)
class Row(Settings):
    """A row, resolved. Programs hold the factory of its method and the names of its numbers."""
    method: str = key('parameters', 'Method by name.', compiled=False)
    hp: Mapping[str, float] = key('parameters', "The method's traced numbers.", {},
                                  within=FINITE, compiled=False)
    options: Mapping[str, Any] = key('parameters', "The method's static options.", {})


@dataclasses.dataclass(kw_only=True)
class Table(Settings):
    """A table."""
    name: str = key('speed', 'Names the table in reports, and its default folder.',
                    form='name')
    title: str = key('speed', 'Shown above the table.', form='line')
    rows: str = key('speed', "Rows to train, such as 'vae,bn_vae'; all for ''.", '')
    seeds: int = key('speed', 'Seeds of every row.', 2, within=SEEDS)
    only_seeds: str = key('speed', "Seeds to train of these, such as '3,7'; all for ''.", '')
    split: str = key('speed', 'Examples to measure: test, or valid to choose settings by.',
                     'test', choices=('test', 'valid'))
    columns: tuple[str, ...] = key('speed', 'Metrics to show; () for all of them.', ())
    primary: str = key('speed', "The metric that the table is read by; '' for none.", '')
    baseline: str = key('speed', "The row that others are compared with; '' for none.", '')
    tune: int = key('speed', TRIALS, 0, within='[0, 1000]')
    tune_seeds: int = key('speed', 'Seeds of every trial, which their mean chooses by.', 1,
                          within='[1, 100]')
    space: Mapping[str, Any] = key('speed', 'What is tried of every row: see `rows.space`.', {})
    table: Mapping[str, Any] = key('speed', 'The rows by name: see `rows.row`.', form='name')


@dataclasses.dataclass(kw_only=True)
class Tables:
    """Several tables; `rows`, `split` and the seeds of the command line reach each of them."""
    name: str = key('speed', 'Names the default folder.', form='name')
    rows: str = key('speed', "Rows to train, such as 'vae,bn_vae'; all for ''.", '')
    seeds: int = key('speed', 'Seeds of every row of tables that say nothing else.', 2,
                     within=SEEDS)
    only_seeds: str = key('speed', "Seeds to train of these, such as '3,7'; all for ''.", '')
    split: str = key('speed', 'Examples to measure: test, or valid to choose settings by.',
                     'test', choices=('test', 'valid'))
    tune: int = key('speed', TRIALS, 0, within='[0, 1000]')
    tune_seeds: int = key('speed', 'Seeds of every trial, which their mean chooses by.', 1,
                          within='[1, 100]')
    tables: Mapping[str, Any] = key('speed', 'The tables by name.', form='name')


@dataclasses.dataclass(kw_only=True)
class Entry:
    """A row as a config writes it."""
    label: str = key('speed', 'Shown in the table; {NAME} is one of its numbers.', ABSENT,
                     form='line')
    method: str = key('parameters', 'Method by name.')
    hp: Mapping[str, float] = key('parameters', "Numbers that differ from the method's.", {},
                                  within=FINITE)
    options: Mapping[str, Any] = key('parameters', "Options that differ from the method's.", {})
    overrides: Mapping[str, Any] = key('parameters', 'Keys of `Settings` that are its own.', {})
    published: tuple[str, ...] = key('speed', 'Published results it answers to.', ())
    seeds: int = key('speed', "Seeds of this row, where they are not the table's.", ABSENT,
                     within=SEEDS)
    space: Mapping[str, Any] = key('speed', "What is tried of it besides the table's.", {})


def fields(schema: type) -> dict[str, dataclasses.Field]:
    """Gives the keys of a schema by name.

    >>> list(fields(Named))
    ['name']
    """
    return {f.name: f for f in dataclasses.fields(schema)}


def decided_by(decides: Decides) -> tuple[str, ...]:
    """Names the keys of a row that decide so much.

    >>> decided_by('numbers')
    ('evaluation', 'metrics')
    """
    return tuple(name for name, f in fields(Row).items() if f.metadata['decides'] == decides)


TRAINING = decided_by('parameters')
"""The keys that decide the parameters: those behind `train_hash`."""


def parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Picks what decides the parameters of a row: `train_hash` is of it."""
    known = fields(Row)
    return {k: config[k] for k in TRAINING if k in config
            and not (known[k].metadata['later'] and config[k] == known[k].default)}


def numbers(config: Mapping[str, Any]) -> dict[str, Any]:
    """Picks what decides the results of a row: `config_hash` is of it."""
    return {**parameters(config), **{k: config[k] for k in decided_by('numbers')}}


def compiled(config: Mapping[str, Any], schema: type = Row) -> dict[str, Any]:
    """Picks what of a row's config is built into its compiled programs.

    >>> compiled({'optimizer': {'name': 'adam', 'lr': 1e-3, 'clip': 5.}, 'table_seed': 0})
    {'optimizer': {'name': 'adam', 'clip': 5.0}}
    """
    return {name: compiled(config[name], own) if (own := _closed(f)) else config[name]
            for name, f in fields(schema).items() if name in config and f.metadata['compiled']}


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the entries of `over` into a copy of `base`, deep.

    >>> merge({'a': {'b': 1, 'c': 2}}, {'a': {'b': 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    out = dict(base)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(name), Mapping)
        out[name] = merge(out[name], value) if both else value
    return out


def everywhere(config: Mapping[str, Any], given: Mapping[str, Any], name: str,
               value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sets a key in every table of a config, as the command line would.

    Args:
      config: of one table or of several.
      given: dotted keys that the command line set.
      name: of the key.
      value: of the key.

    Returns:
      (config, given) with it.

    >>> everywhere({'tables': {'a': {}}}, {}, 'mesh', 'auto')
    ({'tables': {'a': {'mesh': 'auto'}}}, {'tables.a.mesh': 'auto'})
    """
    if 'tables' not in config:
        return {**config, name: value}, {**given, name: value}
    tables = {key: {**table, name: value} for key, table in config['tables'].items()}
    dotted = {f'tables.{key}.{name}': value for key in tables}
    return {**config, 'tables': tables}, {**given, **dotted}


def filled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fills in the defaults of what a config leaves out.

    Args:
      config: of one table or of several.

    Returns:
      A new dict; tables that do not say how many seeds they have, have those of all.

    >>> filled({'name': 'mine', 'optimizer': {'lr': .1}})['optimizer']
    {'name': 'adam', 'lr': 0.1, 'clip': 5.0}
    """
    if 'tables' not in config:
        return merge(_defaults(Table), config)
    tables = config['tables']           # what is no mapping stays, for `config_check` to refuse
    if isinstance(tables, Mapping):
        said = {'seeds': config['seeds']} if 'seeds' in config else {}
        tables = {name: filled({**said, **table}) if isinstance(table, Mapping) else table
                  for name, table in tables.items()}
    return {**_defaults(Tables), **config, 'tables': tables}


def _defaults(schema: type) -> dict[str, Any]:
    out = {}
    for name, f in fields(schema).items():
        if f.default_factory is not dataclasses.MISSING:
            out[name] = _defaults(own) if (own := _closed(f)) else f.default_factory()
        elif f.default not in (dataclasses.MISSING, ABSENT):
            out[name] = f.default
    return out


def schema_of(f: dataclasses.Field) -> type | None:
    """Gives the schema of a key's value, None where it has none."""
    kind = f.type
    return kind if isinstance(kind, type) and dataclasses.is_dataclass(kind) else None


def _closed(f: dataclasses.Field) -> type | None:
    """The schema of a key's value if it names all keys that there may be, else None."""
    schema = schema_of(f)
    return None if getattr(schema, 'open', False) else schema


def described() -> str:
    """Describes the keys of a table, a line each, for the command's help."""
    lines = []
    for name, f in fields(Table).items():
        plain = f.default not in (dataclasses.MISSING, ABSENT, '', ())
        lines.append(f'  {name + (f"={f.default}" if plain else ""):18} {f.metadata["help"]}')
        if schema := _closed(f):
            lines += [f'    .{part:15} {g.metadata["help"]}'
                      for part, g in fields(schema).items()]
    return '\n'.join(lines)
