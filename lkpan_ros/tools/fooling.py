"""Fool the localizer in every known way over simulated flights and print what came of it.

Each way lasts for the middle third of a flight or for all of it; the figures are of that stretch alone. The exit status
is 1 where more than 1 % of the fixes of a way are false. What a folder has from an earlier run with the same settings,
weights and code is not flown again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lkpan_model.whole_file import write_whole
from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.encoder_loading import load_encoder
from lkpan_ros.localization.settings import parse_assignments, with_values
from lkpan_ros.simulation.scenario import SENSOR_FIGURES
from lkpan_ros.tools.cli import run
from lkpan_ros.tools.deceptions import deceptions
from lkpan_ros.tools.fooling_figures import FoolingFigures, fooling_figures, table
from lkpan_ros.tools.trial_pool import fly_all
from lkpan_ros.tools.trial_seed import SeedTrial
from lkpan_ros.tools.trial_site import TrialSettings, TrialSite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_ros.tools.deceptions import Deception

MOST_FALSE = 0.01  # of the fixes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status."""
    options = _parser().parse_args(arguments)
    return run(
        lambda: _fool(options), "interrupted; the same command goes on with the seeds that are not flown yet"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lkpan_ros.tools.fooling", description=__doc__)
    add, names = parser.add_argument, ",".join(deceptions(1.0))
    add("--output", type=Path, required=True, help="folder for tables and galleries")
    add("--seeds", type=int, default=2, help="how many worlds (default 2)")
    add("--first-seed", type=int, default=920, help="the others follow (default 920)")
    add("--seconds", type=float, default=90.0, help="of each flight but that out of the map (default 90)")
    add("--rate-hz", type=float, default=3.0, help="pictures per second (default 3)")
    add("--size-m", type=float, default=1500.0, help="side of the worlds (default 1500)")
    add("--excursion-m", type=float, default=1000.0, help="how far out of the map (default 1000)")
    add("--workers", type=int, help="processes (default: one a core, as far as the memory reaches)")
    add("--only", default=names, help=f"some of {names} (default: all)")
    add("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="a setting of the localizer")
    add("--weights", default="lite", help="shipped variant, or path of a .safetensors file (default lite)")
    add("--keep-frames", action="store_true", help="keep pictures and maps for another run")
    return parser


def _fool(options: argparse.Namespace) -> int:
    chosen = _chosen(options)
    config = with_values(
        LocalizerConfig(), SENSOR_FIGURES | parse_assignments(LocalizerConfig(), options.set)
    )
    settings = TrialSettings(options.seconds, options.rate_hz, options.size_m, options.excursion_m)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    variants = tuple(deception.variant for deception in chosen)
    sites = [TrialSite(options.output / f"seed_{seed}", seed, settings) for seed in seeds]
    trials = [SeedTrial(site, variants, config, options.keep_frames) for site in sites]
    trials[0].frame_count()  # refuses settings that make no world or no flight
    encoder = load_encoder(config.encoder, options.weights)
    options.output.mkdir(parents=True, exist_ok=True)
    pending = [trial for t in trials if (trial := t.missing(encoder.identity)).variants]
    if pending:
        fly_all(pending, options.weights, options.workers)
    figures = {deception.variant.name: fooling_figures(deception, trials) for deception in chosen}
    return _report(options, chosen, figures, str(encoder.identity))


def _chosen(options: argparse.Namespace) -> list[Deception]:
    """The deceptions that were asked for.

    Raises:
        ConfigError: An option is out of range.
    """
    known = deceptions(options.seconds)
    names = list(dict.fromkeys(name.strip() for name in options.only.split(",")))
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"--only {unknown[0]!r}: give some of {','.join(known)}")
    if options.seeds < 1 or options.first_seed < 0 or (options.workers or 1) < 1:
        raise ConfigError(
            f"--seeds {options.seeds} --first-seed {options.first_seed} --workers {options.workers}: "
            "give 1 or more seeds and workers, the first seed 0 or more"
        )
    return [known[name] for name in names]


def _report(
    options: argparse.Namespace,
    chosen: Sequence[Deception],
    figures: dict[str, FoolingFigures],
    encoder: str,
) -> int:
    seeds = f"seeds {options.first_seed} to {options.first_seed + options.seeds - 1}"
    title = f"simulated flights of {options.seconds:g} s, {seeds}, {encoder}"
    fooled = [name for name, f in figures.items() if (f.false_fix_rate or 0.0) > MOST_FALSE]
    verdict = f"fooled by: {', '.join(fooled)}" if fooled else "fooled by none"
    text = f"{title}\n\n{table(chosen, figures)}\n\n{verdict}\n"
    write_whole(options.output / "fooling.txt", text.encode())
    print(text)
    facts = {"seeds": options.seeds, "first_seed": options.first_seed, "seconds": options.seconds}
    ways = {name: vars(f) for name, f in figures.items()}
    print(json.dumps({**facts, "set": options.set, "fooled_by": fooled, "ways": ways}, allow_nan=False))
    return 1 if fooled else 0


if __name__ == "__main__":
    sys.exit(main())
