"""What result files and manifests hold: every field with its type."""
import json
from typing import Annotated, Any, Literal

import msgspec

VERSION = 2
"""The `schema` of the files that this version writes and reads."""
LARGEST = 1e300
"""A number beyond it counts as infinite: sums and differences of such would overflow."""

Name = Annotated[str, msgspec.Meta(pattern=r'\A[A-Za-z0-9][A-Za-z0-9_+=,.-]*\Z')]
Hash = Annotated[str, msgspec.Meta(pattern=r'\A[0-9a-f]{10}\Z')]
Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Integer = Annotated[int, msgspec.Meta(ge=-2**63, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Better = Literal['lower', 'higher'] | None


def too_large(value: Any) -> int | None:
    """Finds a whole number in a JSON value that no other program could hold, else None."""
    stack = [value]        # no recursion: a file may be nested as deep as it likes
    while stack:
        inner = stack.pop()
        if isinstance(inner, dict):
            stack.extend(inner.values())
        elif isinstance(inner, list):
            stack.extend(inner)
        elif isinstance(inner, int) and not -2**63 <= inner < 2**63:
            return inner
    return None


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all parts of a file have in common: no field is unknown, and none changes."""


class Dataset(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The data behind a cell."""
    name: str
    sha256: str
    split: str                                # what the metrics were measured on
    sizes: dict[str, Count] | None = None     # examples of every split
    tokens: dict[str, Count] | None = None    # of every split of a text
    reduced: bool | None = None               # a part of what papers report on
    source: dict[str, Any] | None = None      # of a synthetic corpus: its exact entropies, nats
    labelled: Count | None = None             # training examples whose label is known
    vocab: Count | None = None                # words


class Metric(Record, frozen=True, kw_only=True):
    """One number and what it was estimated by."""
    value: Number | None
    estimator_id: str                         # 'iw'; tells estimators apart, see `estimators`
    estimator: str                            # the same in words, for readers
    n: Count | None = None                    # examples it was computed from
    samples: Count | None = None              # Monte Carlo samples of an example; None if exact
    unit: str
    better: Better
    stderr: Number | None = None              # over examples
    warning: str | None = None                # an estimate with a warning is never ranked
    note: str | None = None                   # what else a reader should know
    least: Number | None = None               # what the quantity can be; None: no end
    most: Number | None = None


class Kept(Record, frozen=True, kw_only=True):
    """Which parameters a phase of training left."""
    phase: str
    kept: Literal['best', 'last', 'none']     # best on validation; none: it trained nothing
    by: str = ''                              # the validation quantity or formula that chose


class Times(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Seconds that a cell took; a group's, divided by its seeds."""
    train: Number | None
    evaluate: Number | None
    compile: Number | None
    epoch: Number | None = None               # median, of the last phase


class Git(Record, frozen=True, kw_only=True):
    """The code behind a cell."""
    revision: str | None
    dirty: bool | None


class Device(Record, frozen=True, kw_only=True):
    """What a cell was computed on."""
    kind: str
    count: Integer
    platform: str


class Trial(Record, frozen=True, kw_only=True):
    """One setting that was tried of a row."""
    setting: dict[str, Any]                   # what of the space it had
    value: Number | None                      # mean over seeds; None: one of them has none
    values: tuple[Number | None, ...]         # of the metric on validation, seed by seed
    why: str | None                           # why it can only win where all others have one


class Tuning(Record, frozen=True, kw_only=True):
    """How a row's numbers were chosen, on validation data alone."""
    metric: str                               # the table's primary one
    better: Literal['lower', 'higher']
    split: Literal['valid']                   # what it was measured on
    seeds: tuple[Count, ...]                  # of every trial
    space: dict[str, tuple[Any, ...]]         # name -> its scale or 'among', and the values
    trials: tuple[Trial, ...]                 # the first has the numbers as the config has them
    choice: Count                             # number of the winner among them

    def __post_init__(self):
        if self.choice >= len(self.trials):
            raise ValueError(f"field 'tuning' has the choice {self.choice} of "
                             f'{len(self.trials)} trials')


class Result(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One cell: a row of a table with one seed."""
    schema: Literal[2]
    table: Name
    title: str
    row: Name
    label: str
    order: Integer                            # of the row in its table
    seed: Count
    method: str                               # in the registry
    status: Literal['done', 'failed']
    reason: str | None                        # why it failed
    published: tuple[str, ...]                # keys of published numbers
    dataset: Dataset
    config: dict[str, Any]                    # everything that decides the numbers
    config_hash: Hash                         # of it
    train_hash: Hash                          # of what decides the parameters
    parameters: tuple[Kept, ...]              # phase by phase; () where nothing was trained
    metrics: dict[str, Metric]
    times: Times
    group: Count                              # seeds that were trained together
    steps: Count                              # train steps taken
    parameter_count: Count
    peak_memory: Count | None                 # bytes
    git: Git
    versions: dict[str, str]                  # of the packages
    device: Device
    host: str | None                          # the processor's name
    tuning: Tuning | None = None              # None: its numbers are the config's

    def __post_init__(self):
        for name in self.metrics:
            if not name.strip() or not name.isprintable():
                raise ValueError(f"field 'metrics' has the name {json.dumps(name)}: a metric's "
                                 'name can be printed')
        for field, value in (('config', self.config), ('dataset.source', self.dataset.source)):
            if (n := too_large(value)) is not None:
                raise ValueError(f"field '{field}' holds the number {str(n)[:20]}..., too "
                                 'large')
        if self.status == 'failed' and not self.reason:
            raise ValueError("field 'reason' is empty though the status is failed")


class ManifestRow(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One row of a table as now configured."""
    row: str
    label: str
    order: Integer
    hash: str                                 # of its config
    seeds: tuple[Integer, ...] | None = None  # expected, where they are not the table's
    published: tuple[str, ...] = ()


class ManifestTable(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One table as now configured."""
    table: str
    title: str
    columns: tuple[str, ...] = ()             # metrics in order
    seeds: tuple[Integer, ...] | None = None  # expected
    primary: str | None = None                # the metric that stands for it among tables
    baseline: str | None = None               # the row that it compares the others with
    rows: tuple[ManifestRow, ...]


class Manifest(Record, frozen=True, kw_only=True):
    """Which cells belong to the tables of a folder."""
    tables: tuple[ManifestTable, ...]
