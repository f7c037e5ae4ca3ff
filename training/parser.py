"""The argument parser of the command lines."""

from __future__ import annotations

import argparse
from typing import NoReturn

from lkpan_model.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Raises instead of leaving, so that every error is one line of one kind.

    Raises:
        ConfigError: An option is unknown, or its value is missing or wrong.
    """

    def error(self, message: str) -> NoReturn:
        """See argparse."""
        raise ConfigError(message)
