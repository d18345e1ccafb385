"""The flags of the command line; those of a config's keys are made when it is read."""
from collections.abc import Callable

from absl import flags

from vaebench.experiment import machine


def flag_values() -> flags.FlagValues:
    """Makes the flags of the command line, none of them global."""
    values = flags.FlagValues()

    def text(name: str, default: str | None, help: str) -> None:
        flags.DEFINE_string(name, default, help, flag_values=values)

    text('config', None, 'The table: the name of a config, such as quickstart or ptb:small, or '
         'the path of a config file. --config.KEY=VALUE sets one of its keys, '
         '--config.rows=a,b trains only some rows, --config.only_seeds=3 only some seeds.')
    text('workdir', None, 'Folder that owns the run; the same command goes on where it '
         'stopped. Default: runs/<table>.')
    text('data_dir', None, 'Folder with the raw data that the config names. Default: '
         '$VAEBENCH_DATA.')
    text('budget', None, 'Stop, with everything saved and exit code 0, before this long: 90s, '
         '8m, 1h30m.')
    text('compilation_cache', machine.cache_folder(),
         'Folder for compiled programs; "" keeps none.')
    flags.DEFINE_bool('dry_run', False, 'Only list the cells: done, running or missing, with '
                      'estimated time and memory.', flag_values=values)
    flags.DEFINE_bool('debug', False, 'Show the traceback of an error, and stop at the first '
                      'NaN.', flag_values=values)
    # tuning
    flags.DEFINE_integer('tune', None, 'Trials of every row that has a space: validation data '
                         'choose its numbers, then its seeds train.', flag_values=values)
    text('profile', None, 'Trace train steps A to B, as A:B, of the first group that takes '
         'them into <workdir>/profile; the trace opens in Perfetto.')
    text('track', '', 'Show curves and results elsewhere too: tensorboard, wandb or '
         'tensorboard,wandb.')
    _host_flags(values, text)
    _job_flags(values, text)
    values.set_gnu_getopt()
    return values


def _host_flags(values: flags.FlagValues, text: Callable[[str, str | None, str], None]) -> None:
    """Devices and processes of one run."""
    text('mesh', None, 'Devices for seeds and for each batch, in all tables: seed:2,data:4, or '
         'auto for all devices.')
    text('distributed', 'auto', 'Several processes as one run: auto joins those of SLURM, TPU '
         'pods, Kubernetes and Open MPI, on refuses to run alone, off runs alone.')
    text('coordinator', None, 'HOST:PORT of process 0, where nothing says it; with --processes '
         'and --process.')
    for name, help in (('processes', 'How many processes run this command.'),
                       ('process', 'Which of them this one is, from 0.')):
        flags.DEFINE_integer(name, None, help, lower_bound=0, flag_values=values)
    flags.DEFINE_integer('lost_after', 60, 'Seconds without a sign of life after which another '
                         'process counts as lost.', lower_bound=1, flag_values=values)


def _job_flags(values: flags.FlagValues, text: Callable[[str, str | None, str], None]) -> None:
    """Who works on a table, and on which part of it."""
    def number(name: str, help: str) -> None:
        flags.DEFINE_integer(name, None, help, flag_values=values)

    def switch(name: str, default: bool, help: str) -> None:
        flags.DEFINE_bool(name, default, help, flag_values=values)

    text('launch', None, 'Who works on the table: local (--workers processes on this machine) '
         'or slurm (a job array, through submitit). Default: this process.')
    number('workers', 'Processes of --launch=local, each with cores, or a GPU, of its own; of '
           '--launch=slurm jobs, by default one for every group that is missing.')
    text('shard', None, 'Take a part of the table, 3/40 the third of forty, so that any '
         'scheduler can share it out.')
    text('partition', None, 'Partition for the jobs of --launch=slurm.')
    text('time', None, 'How long such a job may take before it is requeued: 90m, 8h.')
    flags.DEFINE_float('memory', None, 'Memory of such a job in GB.', flag_values=values)
    number('gpus', 'GPUs of such a job.')
    number('cpus', 'Cores of such a job.')
    switch('plan', False, 'Only list the groups, with device-hours and memory from measured '
           'steps.')
    switch('status', False, 'Only tell from the files in --workdir what is done, failed, '
           'running (where) or missing.')
    switch('tables', True, 'Print the tables at the end.')
