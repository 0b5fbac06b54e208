"""What a shell completes: names of schemes, baselines, data sets, presets. Nothing heavy is imported for it.

A list is completed behind its last comma, joined data sets behind their last plus. Whatever is wrong here completes
nothing, and says nothing: somebody is typing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

RESULTS = "results"


def listed(offered: Callable[[], Iterable[str]], *separators: str) -> Callable[[str], list[str]]:
    """Completes the last of several names, each of them once."""

    def complete(incomplete: str) -> list[str]:
        start = max((incomplete.rfind(separator) + 1 for separator in (",", *separators)), default=0)
        before, word = incomplete[:start], incomplete[start:]
        taken = before.split(",")
        try:
            names = sorted(offered())
        except Exception:
            return []
        return [before + name for name in names if name.startswith(word) and name not in taken]

    return complete


def schemes() -> list[str]:
    from bench import plugins

    return ["all", "file:", *plugins.names(plugins.SCHEMES)]


def baselines() -> list[str]:
    from bench import plugins

    return ["all", *plugins.names(plugins.BASELINES)]


def datasets() -> list[str]:
    """Those that can be got, those of packages, and one's own."""
    from bench import plugins
    from bench.data import registry

    root = Path(os.environ.get("BENCH_DATA_DIR", "."))
    own = [path.stem for path in root.glob("*/*.inter") if path.stem == path.parent.name]
    return list({*registry.load(), *plugins.names(plugins.DATASETS), *own})


def presets() -> list[str]:
    from bench.contract import PRESETS

    return list(PRESETS)


def recipes() -> list[str]:
    from bench import plugins

    return list({name.partition(":")[2] for name in plugins.offers("bench.recipes")})


def settings() -> list[str]:
    """Lines of the contract, for ``--set``."""
    from bench.contract import setting_names

    return [f"{name}=" for name in setting_names()]


def stored() -> list[str]:
    """Schemes and baselines with a finished run, by the folders of the results folder."""
    from urllib.parse import unquote

    runs = Path(os.environ.get("BENCH_RESULTS", RESULTS)) / "runs"
    names = {path.parents[2].name.partition("@")[0] for path in runs.glob("*/*/*/*/result.json")}
    return [unquote(name.replace(".", "/")) for name in names]


def tested() -> list[str]:
    """Data sets with a folder of results."""
    from urllib.parse import unquote

    runs = Path(os.environ.get("BENCH_RESULTS", RESULTS)) / "runs"
    return [unquote(path.name.replace(".", "/")) for path in runs.glob("*") if not path.name.startswith(".")]
