"""Parts of the pages that are made from the code and from stored results: schemes, contract, presets, numbers.

``python docs/generate.py schemes`` prints a part, and ``python docs/generate.py --write`` brings all pages up to date.
In a page a part stands between ``<!-- generated: presets -->`` and ``<!-- end -->``, and a number of the published
results before its name: ``0.0329<!-- toys: set/setrec ndcg@10 -->``, or a cell of a table of the report, with its
interval, before ``<!-- toys: set/setrec transition/unseen -->``. Who reads the Markdown sees them as well, except for
the long parts (``ON_SITE``), which stand on the site alone.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import ablations
import study
from markup import table

from bench import contract
from bench.versions import DISTRIBUTION

HERE = Path(__file__).parent

FIELD = re.compile(r"^    (?P<name>\w+):.*?(?:\s{2}# (?P<said>.*))?$")
REFERENCE = "https://arxiv.org/abs/"
WHOLE = 30  # characters of a word in code that is not broken at its hyphens
NOT_MEASURED = "\N{EN DASH}"
PUBLISHED = study.PUBLISHED
DRAWN = (*(f"{data}-pictures" for data in PUBLISHED), *(f"ablation-{each}-picture" for each in ablations.QUESTIONS))
ON_SITE = ("schemes", "baselines", *DRAWN)  # hundreds of lines, and what is drawn
VALUE = rf"(?:&lt; )?(?:{NOT_MEASURED}|(?<![\d.,])\d[\d.,]*)(?: [kMGTP])?(?: \[[\d.{NOT_MEASURED}]+\])?"
NUMBER = re.compile(rf"{VALUE}(<!-- ({'|'.join(study.FOLDERS)}): (\S+) (\S+) -->)")
PART = re.compile(r"(<!-- generated: ([\w-]+) -->)((?:(?!<!-- generated:).)*?)<!-- end -->", re.DOTALL)


@cache
def facts() -> Mapping[str, Any]:
    """What no docstring says: papers by scheme, costs and pitfalls, meanings of settings that many share."""
    return tomllib.loads((HERE / "facts.toml").read_text(encoding="utf-8"))


def offered(group: str) -> dict[type[Any], list[str]]:
    """The classes of an entry point group, in the order of their names, with all names they have."""
    found: dict[type[Any], list[str]] = {}
    entries = sorted(distribution(DISTRIBUTION).entry_points.select(group=group), key=lambda entry: entry.name)
    for entry in entries:
        found.setdefault(entry.load(), []).append(entry.name)
    return dict(sorted(found.items(), key=lambda pair: pair[0].name))


# -- what a setting means ---------------------------------------------------------------------------------------------


def meaning(cls: type[Any], name: str) -> str:
    """What a setting is: what ``facts.toml`` says of it in this class, its comment in the source, sentences of a
    docstring that name it, or what ``facts.toml`` says of all settings of this name.
    """
    for each in owners(cls, name):
        if said := facts()["meanings"].get(title(each), {}).get(name):
            return str(said)
    for each in owners(cls, name):
        if said := _comments(each).get(name):
            return said
    for each in cls.__mro__:
        if said := _sentences(each, name):
            return said
    return str(facts()["settings"].get(name, ""))


def owners(cls: type[Any], name: str) -> list[type[Any]]:
    """The classes that have a setting as a field of their own, the nearest first."""
    return [each for each in cls.__mro__ if name in vars(each).get("__annotations__", {})]


def title(cls: type[Any]) -> str:
    """A class as ``facts.toml`` names it: by its package."""
    return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"


@cache
def _comments(cls: type[Any]) -> Mapping[str, str]:
    """Comments behind the fields of a class, and whole lines of comment right before them."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(cls).splitlines():
        if line.startswith("    # "):
            above.append(line.strip(" #"))
        elif match := FIELD.match(line):
            found[match["name"]] = match["said"] or " ".join(above)
            above = []
        elif line.startswith("        ") and "# " in line and found:  # a default that had no room on its field's line
            found[list(found)[-1]] = line.partition("# ")[2]
        else:
            above = []
    return {name: said for name, said in found.items() if said}


def _sentences(cls: type[Any], name: str) -> str:
    if not vars(cls).get("__doc__") or cls.__doc__.startswith(f"{cls.__name__}("):  # the second is dataclass's own
        return ""
    text = " ".join(inspect.cleandoc(cls.__doc__).split())
    sentences = re.split(r"(?<=[.:]) (?=[A-Z`])", text)
    return " ".join(sentence for sentence in sentences if f"``{name}``" in sentence)


# -- tables -----------------------------------------------------------------------------------------------------------


def settings(cls: type[Any]) -> str:
    """A table of the settings of a dataclass: name, default, meaning."""
    rows = [
        [f"`{field.name}`", f"`{plain(field.default)}`", markdown(meaning(cls, field.name))]
        for field in dataclasses.fields(cls)
    ]
    return table(["setting", "default", "meaning"], rows) if rows else "No settings."


def plain(value: Any) -> str:
    """A default as ``--set`` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)


def markdown(text: str) -> str:
    """A docstring's marks as Markdown has them."""
    return text.replace("``", "`").replace("<", "&lt;")


def prose(cls: type[Any]) -> str:
    return markdown(inspect.cleandoc(cls.__doc__ or ""))


# -- the parts --------------------------------------------------------------------------------------------------------


def schemes() -> str:
    """A chapter for each identifier scheme."""
    return "\n\n".join(_chapter(cls, names, "bench.id_schemes") for cls, names in offered("bench.id_schemes").items())


def baselines() -> str:
    """A chapter for each baseline."""
    return "\n\n".join(_chapter(cls, names, "bench.baselines") for cls, names in offered("bench.baselines").items())


def _chapter(cls: type[Any], names: list[str], group: str) -> str:
    name, version = cls.name, cls.version
    others = [f"`{each}`" for each in names if each != name]
    known = facts()["papers"].get(name, {})
    head = f"Version {version}" + (f"; also called {', '.join(others)}" if others else "") + "."
    notes = _measured(name)
    paper = [f"**Paper:** {_paper(known['paper'])}"] if known.get("paper") else []
    notes += [f"**{what.capitalize()}:** {known[what]}" for what in ("costs", "pitfalls") if known.get(what)]
    recipe = [f"**Recipes:** {', '.join(f'`{each}`' for each in _recipes(names))}"] if _recipes(names) else []
    parts = [f"## `{name}` {{#{anchor(name)}}}", head, prose(cls), *paper, *notes, *recipe, settings(cls.Settings)]
    return "\n\n".join(part for part in parts if part)


def _measured(name: str) -> list[str]:
    """What the published results say of a scheme."""
    if name not in results("toys"):
        return []
    said = {"NDCG@10": "ndcg@10", "tokens for each item": "tokens", "parameters": "parameters"}
    said |= {"s to make identifiers": "construction", "processor s of training": "processor"}
    said |= {"s to rank 1,000 users": "inference"}
    values = (f"{value} {what}" for what, key in said.items() if (value := shown("toys", name, key)) != NOT_MEASURED)
    return [f"**On Toys, preset `cpu`:** {', '.join(values)}."]


@cache
def results(data: str) -> Mapping[str, list[Any]]:
    """The content of every ``result.json`` of a folder of results, by scheme: one for each seed."""
    found: dict[str, list[Any]] = {}
    for path in sorted((study.RESULTS / study.FOLDERS[data] / "runs").rglob("*.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        if "scheme" in stored:
            found.setdefault(stored["scheme"]["name"], []).append(stored)
    for name, every in found.items():
        kinds = {(stored["contract_id"], json.dumps(stored["scheme"]["settings"], sort_keys=True)) for stored in every}
        assert len(kinds) == 1, f"rows of {name} in {data} are not seeds of one another"
    return found


def shown(data: str, name: str, what: str) -> str:
    """A number of stored results, the mean over seeds, as text; a cell of a report's table where ``what`` has a slash.
    KeyError where there is none.
    """
    if "/" in what:
        return study.cell_text(data, name, what)
    values = [_value(stored, what) for stored in results(data)[name]]
    if None in values:
        return NOT_MEASURED
    value = sum(values) / len(values)
    if "@" in what:
        return f"{value:.4f}"
    if value < 0.005:
        return "&lt; 0.01"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if what != "tokens" else f"{value:.1f}"


def _value(stored: Mapping[str, Any], what: str) -> Any:
    values = {
        **stored["metrics"]["strict"],
        "tokens": (stored["identifiers"] or {}).get("tokens_mean"),
        "parameters": stored["costs"]["parameters"] or None,
        "construction": stored["costs"]["id_construction_seconds"],
        "processor": stored["costs"].get("processor_seconds"),
        "inference": stored["costs"]["inference_seconds_per_1000_users"],
    }
    return values[what]


def published(data: str) -> str:
    """The published results on this data, probes first, by NDCG@10; without what leaks."""
    found = {name: stored[0]["scheme"] for name, stored in results(data).items()}
    kept = {name: said for name, said in found.items() if not said.get("leaks")}
    rows = sorted(kept, key=lambda name: (not kept[name].get("probe"), -float(shown(data, name, "ndcg@10"))))
    keys = ["ndcg@10", "hit@10", "tokens", "parameters", "construction", "processor", "inference"]
    head = ["row", "NDCG@10", "Hit@10", "tokens", "parameters", "IDs (s)", "training (s)", "ranking (s)"]
    kinds = {name: " (probe)" if kept[name].get("probe") else "" for name in rows}
    lines = [[f"`{name}`{kinds[name]}", *(shown(data, name, key) for key in keys)] for name in rows]
    return table(head, lines)


def conditions(data: str) -> str:
    """What all rows of the published results on this data share."""
    every = [stored for found in results(data).values() for stored in found]
    size, preset = every[0]["dataset"], every[0]["preset"]
    assert all((stored["dataset"], stored["preset"]) == (size, preset) for stored in every)
    assert {stored["contract"]["split"] for stored in every} == {"leave-one-out"}
    protocols = " and ".join(str(each) for each in sorted({stored["contract"]["protocol"] for stored in every}))
    seeds = max(map(len, results(data).values()))
    return (
        f"{size['users']:,} users, {size['items']:,} items, leave-one-out, the whole catalogue ranked, "
        f"preset `{preset}`, protocol {protocols}, {'one seed' if seeds == 1 else f'up to {seeds} seeds'}"
    )


def _paper(said: str) -> str:
    """Numbers of arXiv become links."""
    return re.sub(r"\b(\d{4}\.\d{5})\b", rf"[\1]({REFERENCE}\1)", said)


def _recipes(names: list[str]) -> list[str]:
    entries = distribution(DISTRIBUTION).entry_points.select(group="bench.recipes")
    return sorted(entry.name.partition(":")[2] for entry in entries if entry.name.partition(":")[0] in names)


def anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.replace("+", "-plus-")).strip("-")


def contract_lines() -> str:
    """Every line of the contract."""
    return settings(contract.Contract)


def presets() -> str:
    """What each preset changes of the contract's defaults."""
    rows = []
    for name, preset in contract.PRESETS.items():
        changed = {
            field.name: getattr(preset.contract, field.name)
            for field in dataclasses.fields(contract.Contract)
            if getattr(preset.contract, field.name) != field.default
        }
        lines = ", ".join(f"`{key}={plain(value)}`" for key, value in changed.items())
        rows.append([f"`{name}`", preset.purpose, lines])
    return table(["preset", "what it is for", "what it sets"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "schemes": schemes,
    "baselines": baselines,
    "contract": contract_lines,
    "presets": presets,
    **{data: partial(published, data) for data in PUBLISHED},
    **{f"{data}-conditions": partial(conditions, data) for data in PUBLISHED},
    **study.PARTS,
    **ablations.PARTS,
}


def filled(page: str, without: Collection[str] = ()) -> str:
    """A page with every generated part in its place, up to date, but those ``without``. KeyError where there is no such
    part, ValueError for a mark without an end or a number.
    """
    for mark, known in ((r"<!--\s*generated:", PART), (r"<!--(?!\s*generated:)\s*[\w-]+:", NUMBER)):
        if len(re.findall(mark, page)) != len(known.findall(page)):
            raise ValueError(f"a page has '{mark}' without what belongs to it: an end, or a number before it")
    page = NUMBER.sub(lambda match: shown(match[2], match[3], match[4]) + match[1], page)
    return PART.sub(lambda match: match[0] if match[2] in without else _placed(match), page)


def _placed(match: re.Match[str]) -> str:
    around = "\n\n" if "\n" in match[3] else ""  # a part inside of a line stays there
    return f"{match[1]}{around}{PARTS[match[2]]()}{around}<!-- end -->"


def write() -> None:
    """Bring every page up to date."""
    for path in sorted((HERE / "pages").glob("*.md")):
        path.write_text(filled(path.read_text(encoding="utf-8"), ON_SITE), encoding="utf-8")


def with_breaks(html: str) -> str:
    """A page in which code inside of lines is broken where a reader would break it; in blocks options stay whole."""
    parts = re.split(r"(<pre.*?</pre>)", html, flags=re.DOTALL)
    parts[::2] = [re.sub(r"(?<=<code>).*?(?=</code>)", lambda code: _broken(code[0]), part) for part in parts[::2]]
    parts[1::2] = [re.sub(r"(?<![\w-])--[a-z][a-z-]*", lambda found: _whole(found[0]), part) for part in parts[1::2]]
    return "".join(parts)


def _broken(code: str) -> str:
    """Behind a slash, plus, comma, equals sign or two colons, and at no hyphen: ``--html`` stays whole."""
    code = re.sub(r"(?<=\w)(::|[/+,=])(?=\w)", r"\1<wbr>", code)
    return re.sub(r"(?<![^\s<>])[^\s<>]*-[^\s<>]*", lambda found: _whole(found[0]), code)


def _whole(word: str) -> str:
    return f'<span class="whole">{word}</span>' if len(word) <= WHOLE else word


def unexplained() -> Iterator[str]:
    """Settings of which neither code nor ``facts.toml`` says what they mean."""
    found = {cls for group in ("bench.id_schemes", "bench.baselines") for cls in offered(group)}
    for settings_of in sorted({cls.Settings for cls in found} | {contract.Contract}, key=lambda cls: cls.__qualname__):
        for field in dataclasses.fields(settings_of):
            if not meaning(settings_of, field.name):
                yield f"{settings_of.__module__}.{settings_of.__qualname__}.{field.name}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        print(textwrap.dedent(PARTS[sys.argv[1]]()) if sys.argv[1:] else "\n".join(unexplained()))
