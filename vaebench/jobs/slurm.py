"""A job array of SLURM, through submitit: each job is the command of one shard."""
import contextlib
import io
import pathlib
import subprocess
from collections.abc import Callable, Iterator, Sequence

from vaebench import files
from vaebench.errors import UserError
from vaebench.experiment.cells import Cells
from vaebench.jobs import local, shards
from vaebench.jobs.child import Job
from vaebench.jobs.requests import Request

REQUEUES = 100     # times that a job may run out of its time before it is given up
WARNED = 120       # seconds before that at which it is warned
FOLDER = 'jobs'
"""Where in the workdir submitit keeps what it runs and what that says."""


def missing(cells: Sequence[Cells], jobs: int | None = None) -> list[shards.Shard]:
    """Finds the shards that have something to do.

    Args:
      cells: the tables in their folder.
      jobs: into how many to cut the tables; None: a group each.

    Returns:
      The shards.
    """
    groups = shards.groups([own.table for own in cells])
    n = min(jobs or len(groups), len(groups))
    left = {i % n + 1 for i, (table, row, seeds) in enumerate(groups)
            if not all(cells[table].result_path(row, s).exists() for s in seeds)}
    return [shards.Shard(k, n) for k in sorted(left)]


def launch(asked: Request, cells: Sequence[Cells], argv: Sequence[str],
           say: Callable[[str], None]) -> list[str]:
    """Submits a job for every shard that has something to do; waits for none.

    Args:
      asked: what a job may have.
      cells: the tables in their folder.
      argv: the command that is shared out.
      say: prints one line to the user.

    Returns:
      Names of the jobs as SLURM knows them; none where nothing is missing.

    Raises:
      UserError: submitit or SLURM is missing, or refuses the jobs.
    """
    folder = cells[0].workdir.absolute() / FOLDER
    left = missing(cells, asked.workers)
    if not left:
        return []
    executor = _executor(asked, folder, cells[0].table.name)
    jobs = [Job(local.command(argv, f'--shard={part.k}/{part.n}')) for part in left]
    try:
        # submitit prints what it raises
        with _tidy(folder), contextlib.redirect_stderr(io.StringIO()), executor.batch():
            made = [executor.submit(job) for job in jobs]
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise UserError(f'SLURM refuses the jobs: {_refusal(error)}') from error
    names = [job.job_id for job in made]
    several = f'{len(names)} jobs submitted, {names[0]} to {names[-1]}; what they say'
    say(f'{several if names[1:] else f"job {names[0]} submitted; what it says"} is in {folder}')
    return names


def _executor(asked, folder, name):
    """submitit's executor with the resources of a job."""
    try:
        import submitit
    except ImportError:
        raise UserError("--launch=slurm needs submitit: install vaebench's extra cluster, "
                        "pip install 'vaebench[cluster]'") from None
    try:
        executor = submitit.SlurmExecutor(folder, max_num_timeout=REQUEUES)
    except RuntimeError:
        raise UserError('--launch=slurm finds no srun: run it where SLURM is, or give --shard '
                        'to the scheduler that is there') from None
    optional = {'partition': asked.partition, 'gpus_per_node': asked.gpus,
                'cpus_per_task': asked.cpus,
                'mem': asked.memory and f'{round(asked.memory * 1024)}M'}
    executor.update_parameters(
        job_name=f'vaebench-{name}', time=asked.minutes, signal_delay_s=WARNED,
        stderr_to_stdout=True, **{k: v for k, v in optional.items() if v is not None})
    return executor


@contextlib.contextmanager
def _tidy(folder: pathlib.Path) -> Iterator[None]:
    """Leaves a folder as it was where what is done inside fails."""
    before = set(folder.glob('*'))
    try:
        yield
    except Exception:
        for path in set(folder.glob('*')) - before:
            path.unlink()
        for empty in (folder, folder.parent):
            with contextlib.suppress(OSError):
                empty.rmdir()
        raise


def _refusal(error):
    """What sbatch said, in one line."""
    said = [line for line in str(error).splitlines() if 'error' in line.lower()]
    return files.one_line((said or [str(error)])[-1], 200)
