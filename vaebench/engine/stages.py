"""Shared stages: what the first phases of a run leave, for every run that begins with them."""
import contextlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from vaebench import files
from vaebench.engine import checkpoint
from vaebench.errors import UserError


class Stage(NamedTuple):
    """Where the end of a group's first phases is kept, whichever run reaches it first.

    Nobody waits for it: a run that does not find it trains these phases itself.
    """
    phases: int                    # how many, from the first on
    folder: str | os.PathLike      # named after all that decides their numbers

    def load(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """Reads the stage. A damaged one is deleted, so that `store` writes it anew.

        Args:
          like: the tree that was stored, of arrays or shapes.

        Returns:
          (tree, host), or None where there is no stage that can be read.
        """
        try:
            return checkpoint.restore(self.folder, lambda host: like)
        except checkpoint.DamagedError:
            with self._lock() as mine:
                if mine:
                    checkpoint.remove(self.folder)
        except UserError:          # whatever it is, these phases can be trained without it
            pass
        return None

    def store(self, tree: Any, host: Mapping[str, Any]) -> None:
        """Writes the stage, unless it is there or another process is at it.

        Args:
          tree: pytree of arrays.
          host: JSON-serializable.
        """
        with self._lock() as mine:
            if mine and not checkpoint.numbers(self.folder):
                checkpoint.save(self.folder, tree, dict(host))

    def _lock(self) -> contextlib.AbstractContextManager[bool]:
        folder = pathlib.Path(self.folder)
        return files.lock(folder.with_name(f'{folder.name}.lock'))
