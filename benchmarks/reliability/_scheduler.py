"""How long a thread was ready to run and waited for a processor, as Linux tells it.

What other programs of the machine do is no figure of what is measured: such time is left out.
"""

from __future__ import annotations

import os


class Waiting:
    """The time that one thread has waited.

    Args:
        pid: The process whose first thread is meant; the calling thread without.
    """

    def __init__(self, pid: int | None = None) -> None:
        task = "thread-self" if pid is None else f"{pid}/task/{pid}"
        self._file = os.open(f"/proc/{task}/schedstat", os.O_RDONLY)

    def seconds(self) -> float:
        """Give the seconds since the thread began."""
        # Three numbers: time on a processor, time ready for one, and how often.
        return int(os.pread(self._file, 100, 0).split()[1]) / 1e9

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
