"""Fly simulated flights over many seeds and print the localizer's figures: availability, errors, honesty, latency.

Every seed has a world of its own, whose summer map becomes a gallery, and is flown on an autumn afternoon. Variants:
heading (all sensors), no_heading (the heading is kept from the localizer), excursion (out of the map and back).
What a folder has from an earlier run with the same settings, weights and code is not flown again.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lkpan_model.whole_file import write_whole
from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.encoder_loading import load_encoder
from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.outcomes import read_outcomes
from lkpan_ros.localization.raster import Bounds
from lkpan_ros.localization.settings import parse_assignments, with_values
from lkpan_ros.simulation.scenario import SENSOR_FIGURES
from lkpan_ros.simulation.world import DATUM
from lkpan_ros.tools.cli import run
from lkpan_ros.tools.trial_figures import VariantFigures, judge, variant_figures
from lkpan_ros.tools.trial_pool import fly_all
from lkpan_ros.tools.trial_report import draw_trials, table
from lkpan_ros.tools.trial_seed import VARIANTS, SeedTrial, Variant
from lkpan_ros.tools.trial_site import EXCURSION, TILE_SIZE_M, TrialSettings, TrialSite

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status."""
    options = _parser().parse_args(arguments)
    return run(
        lambda: _trials(options),
        "interrupted; the same command goes on with the seeds that are not flown yet",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lkpan_ros.tools.simulated_trials", description=__doc__)
    add, defaults = parser.add_argument, TrialSettings()
    add("--output", type=Path, required=True, help="folder for tables, galleries and the picture")
    add("--seeds", type=int, default=20, help="how many (default 20)")
    add("--first-seed", type=int, default=900, help="the others follow (default 900)")
    add("--seconds", type=float, default=defaults.seconds, help="of each loop over the map (default 180)")
    add("--rate-hz", type=float, default=defaults.rate_hz, help="pictures per second (default 3)")
    add("--size-m", type=float, default=defaults.size_m, help="side of the worlds (default 1500)")
    add(
        "--excursion-m", type=float, default=defaults.excursion_m, help="how far out of the map (default 500)"
    )
    add("--workers", type=int, help="processes (default: one a core, as far as the memory reaches)")
    add("--variants", default=",".join(VARIANTS), help=f"some of {','.join(VARIANTS)} (default: all)")
    add("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="a setting of the localizer")
    add("--weights", default="lite", help="shipped variant, or path of a .safetensors file (default lite)")
    add("--keep-frames", action="store_true", help="keep pictures and maps: the next run with other settings "
        "need not render them (about 100 kB a frame, 60 MB a seed)")  # fmt: skip
    add("--force", action="store_true", help="fly again what was flown already")
    return parser


def _trials(options: argparse.Namespace) -> None:
    config = with_values(
        LocalizerConfig(), SENSOR_FIGURES | parse_assignments(LocalizerConfig(), options.set)
    )
    trials = _planned(options, config)
    encoder = load_encoder(config.encoder, options.weights)
    options.output.mkdir(parents=True, exist_ok=True)
    pending = [trial if options.force else trial.missing(encoder.identity) for trial in trials]
    pending = [trial for trial in pending if trial.variants]
    if pending:
        fly_all(pending, options.weights, options.workers)

    variants = {variant.name: _figures_of(variant, trials) for variant in trials[0].variants}
    seeds = [trial.site.seed for trial in trials]
    title = f"simulated flights of seeds {seeds[0]} to {seeds[-1]}, {encoder.identity}"
    text = f"{title}\n\n{table(variants)}\n"
    write_whole(options.output / "trials.txt", text.encode())
    draw_trials(options.output / "trials.png", variants, title)
    print(text)
    figures = {name: variant.to_dict() for name, variant in variants.items()}
    facts = {"seeds": seeds, **asdict(trials[0].site.settings), "encoder": str(encoder.identity)}
    print(json.dumps({**facts, "set": options.set, "variants": figures}, allow_nan=False))


def _planned(options: argparse.Namespace, config: LocalizerConfig) -> list[SeedTrial]:
    """A trial of every seed with every variant.

    Raises:
        ConfigError: An option is out of range.
    """
    names = list(dict.fromkeys(name.strip() for name in options.variants.split(",")))
    if unknown := [name for name in names if name not in VARIANTS]:
        raise ConfigError(f"--variants {unknown[0]!r}: give some of {','.join(VARIANTS)}")
    if options.seeds < 1 or options.first_seed < 0 or (options.workers or 1) < 1:
        raise ConfigError(
            f"--seeds {options.seeds} --first-seed {options.first_seed} --workers {options.workers}: "
            "give 1 or more seeds and workers, the first seed 0 or more"
        )
    settings = TrialSettings(options.seconds, options.rate_hz, options.size_m, options.excursion_m)
    variants = tuple(VARIANTS[name] for name in names)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    sites = [TrialSite(options.output / f"seed_{seed}", seed, settings) for seed in seeds]
    trials = [SeedTrial(site, variants, config, options.keep_frames) for site in sites]
    trials[0].frame_count()  # refuses settings that make no world or no flight
    return trials


def _figures_of(variant: Variant, trials: Sequence[SeedTrial]) -> VariantFigures:
    judged = {}
    for trial in trials:
        half = trial.site.settings.size_m / 2
        whole = Bounds(-half, -half, half, half)
        bounds = trial.site.excursion.bounds if variant.way == EXCURSION else whole
        outcomes = read_outcomes(trial.table_path(variant))
        judged[trial.site.seed] = judge(outcomes, LocalFrame(DATUM), bounds, TILE_SIZE_M)
    return variant_figures(judged, TILE_SIZE_M)


if __name__ == "__main__":
    sys.exit(main())
