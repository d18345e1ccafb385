"""What a job of SLURM runs. It imports little: it only waits."""
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any


class Job:
    """What submitit runs: a command as a child, which hears the end of time and is resumed.

    Args:
      command: of the child.
    """

    def __init__(self, command: Sequence[str]):
        self.command, self._child = list(command), None

    def __call__(self) -> int:
        """Runs the command to its end.

        Returns:
          0.

        Raises:
          SystemExit: another code of the child, so that SLURM knows of it.
        """
        self._child = subprocess.Popen(self.command)
        if code := self._child.wait():
            raise SystemExit(code if code > 0 else 128 - code)
        return code

    def checkpoint(self) -> Any:
        """Has the child save what it reached; submitit calls it before it requeues the job."""
        import submitit
        if self._child is not None:
            with contextlib.suppress(ChildProcessError):      # it has ended already
                self._child.send_signal(signal.SIGTERM)
                # the wait that this signal interrupted is to find the child's code itself
                os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT)
        return submitit.helpers.DelayedSubmission(Job(self.command))
