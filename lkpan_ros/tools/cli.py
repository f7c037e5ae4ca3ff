"""What every command line of this package does alike: one line for an error, a quiet end on Ctrl-C."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from lkpan_model.errors import ModelError
from lkpan_ros.errors import LkpanError

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_ERROR = 2  # as argparse ends on a wrong option
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells say it


def run(body: Callable[[], int | None], interrupted: str = "interrupted") -> int:
    """Run the body of a command and turn what it raises on purpose into an exit status.

    A defect of this software keeps its traceback.

    Args:
        body: The command; returns its exit status, None meaning 0.
        interrupted: What to say on Ctrl-C: what is kept, how to go on.

    Returns:
        The exit status: the body's own, 2 after an error (one line on stderr), 130 after Ctrl-C.
    """
    try:
        return body() or 0
    except (LkpanError, ModelError) as error:
        return _failed(error)
    except BrokenPipeError:  # the reader of our output (head, less) has gone: nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except OSError as error:  # disk full, no permission: the message names the file
        return _failed(error)
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        return EXIT_INTERRUPTED


def _failed(error: Exception) -> int:
    print("error:", *str(error).splitlines(), file=sys.stderr)
    return EXIT_ERROR
