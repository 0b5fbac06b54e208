"""``bench ls``: what can be run and what is finished, without importing a plugin."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import machine
from bench.data import sources
from bench.ids import plugins
from bench.runs.config import PRESETS

FILES = ("file:PATH", "identifiers that exist already: index.json, .sem_ids, text index, .npy, Parquet")


def show(results: Path, data_dir: Path | None, as_json: bool = False) -> None:
    """Print schemes, baselines, data sets, presets and finished cells."""
    if as_json:
        machine.show(plain(results, data_dir))
        return
    console = Console(highlight=False)
    schemes, baselines = plugins.names(plugins.SCHEMES), plugins.names(plugins.BASELINES)
    _show(console, "identifier schemes (--id-scheme)", [*((name, _default(name, schemes)) for name in schemes), FILES])
    _show(console, "baselines (--baseline)", [(name, _default(name, baselines)) for name in baselines])
    known = [(k.name, str(k.found) if k.found else f"not found: {k.description}") for k in sources.known(data_dir)]
    _show(console, "data sets (--dataset)", [*known, ("./folder", "any folder of RecBole atomic files")])
    _show(console, "presets (--preset)", [(name, preset.purpose) for name, preset in PRESETS.items()])
    done = [(str(folder), trained_on(results / "runs" / folder)) for folder in finished(results)]
    _show(console, f"finished cells in {results}", done or [("none yet", "")])


def plain(results: Path, data_dir: Path | None) -> dict[str, list[dict[str, str | None]]]:
    """The same as plain values. ``folder`` of a data set is None where it is not on this machine."""
    groups = {"id_schemes": plugins.names(plugins.SCHEMES), "baselines": plugins.names(plugins.BASELINES)}
    return {
        **{
            group: [{"name": name, "is": entry.value} for name, entry in held.items()] for group, held in groups.items()
        },
        "datasets": [
            {"name": known.name, "folder": str(known.found) if known.found else None, "description": known.description}
            for known in sources.known(data_dir)
        ],
        "presets": [{"name": name, "purpose": preset.purpose} for name, preset in PRESETS.items()],
        "finished": [{"folder": str(results / "runs" / folder)} for folder in finished(results)],
    }


def finished(results: Path) -> list[Path]:
    """Folders of finished cells, relative to ``results/runs``."""
    runs = results / "runs"
    found = (path.parent.relative_to(runs) for path in runs.glob("*/*/*/*/result.json"))
    return sorted(folder for folder in found if not folder.name.startswith("."))


def trained_on(folder: Path) -> str:
    """Which model a finished cell has tested, where that was trained by another cell."""
    try:
        contract = json.loads((folder / "result.json").read_text(encoding="utf-8"))["contract"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # whoever reads the result will say that it is damaged
    home = str(contract.get("trained_on", "")).rpartition("@")[0]
    return home and f"{'zero-shot from' if contract.get('zero_shot') else 'trained on'} {home}"


def _default(name: str, schemes: dict[str, EntryPoint]) -> str:
    """A family's bare name says which variant it stands for."""
    same = [other for other, entry in schemes.items() if entry.value == schemes[name].value and "/" in other]
    return schemes[name].value if "/" in name or not same else f"the same as {same[0]}"


def _show(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    console.print(f"[bold]{title}[/]")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for row in rows:
        table.add_row(*row)
    console.print(table)
