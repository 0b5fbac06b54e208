"""``bench run``: its options, and the plan that they stand for."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import lists, ranks
from bench.commands import answer, completing, data_get
from bench.commands.completing import listed
from bench.errors import BenchError
from bench.watch import WAIT

if TYPE_CHECKING:
    from bench.runs.matrix import Plan


def run(
    ctx: typer.Context,
    id_scheme: Annotated[
        str,
        typer.Option(
            help="Identifier schemes, comma-separated, or all; see `bench ls`. FILE.py:CLASS is a scheme of your own, "
            "file:PATH are identifiers that you have.",
            autocompletion=listed(completing.schemes),
        ),
    ] = "",
    baseline: Annotated[
        str,
        typer.Option(
            help="Baselines, comma-separated, or all; see `bench ls`. FILE.py:CLASS is one of your own.",
            autocompletion=listed(completing.baselines),
        ),
    ] = "",
    dataset: Annotated[
        str,
        typer.Option(
            help="Data sets, folders or files, separated by commas; a+b trains one model on both.",
            autocompletion=listed(completing.datasets, "+"),
        ),
    ] = "ml-100k",
    parts: Annotated[
        bool,
        typer.Option("--parts/--no-parts", help="Whether a model of a+b is also tested on a and on b alone."),
    ] = True,
    zero_shot: Annotated[
        str | None,
        typer.Option(
            help="Unseen data sets, separated by commas: every model is tested on them untrained.",
            autocompletion=listed(completing.datasets),
        ),
    ] = None,
    adapt: Annotated[
        str, typer.Option(help="With --zero-shot: on how many of its users a model goes on learning; 0,10,100,1000.")
    ] = "0",
    seed: Annotated[str, typer.Option(help="Seeds and ranges of them, separated by commas: 0-4,7.")] = "0",
    preset: Annotated[
        str | None,
        typer.Option(
            help="smoke, cpu, overnight or standard; see `bench ls`.", autocompletion=listed(completing.presets)
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A line of the contract, or of a scheme's settings: key=value, scheme.key=value.",
            autocompletion=listed(completing.settings),
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="leave-one-out or global-temporal; short for --set split=…")] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Train for so much processor time (30m) or FLOPs (2e15); 30m@4210 is 30m that were 4,210 steps."
        ),
    ] = None,
    decoder: Annotated[str | None, typer.Option(help="beam, certified or exact; short for --set decoder=…")] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="Train as published: the recipe of each scheme by this name; see `bench ls`.",
            autocompletion=listed(completing.recipes),
        ),
    ] = "",
    tune: Annotated[int, typer.Option(min=0, help="Trials of a search for the settings of whatever trains.")] = 0,
    tuned: Annotated[
        str, typer.Option(help="Runs of earlier searches, comma-separated: train with the settings that they found.")
    ] = "",
    tune_size: Annotated[bool, typer.Option("--tune-size", help="With --tune: search sizes as well.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run finished runs again.")] = False,
    jobs: Annotated[
        int,
        typer.Option(min=1, help="Runs at once on this machine. More machines: the same command, the same --results."),
    ] = 1,
    slurm: Annotated[
        str,
        typer.Option(help="Hand each run to Slurm: partition=…,gpus=1,memory=64G,hours=8,at-once=16."),
    ] = "",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of each run: $OMP_NUM_THREADS, else 1. Other numbers move last bits."),
    ] = None,
    save_every: Annotated[
        float | None, typer.Option(min=0, help="Seconds between two checkpoints; by default 60.")
    ] = None,
    longest_wait: Annotated[
        float,
        typer.Option(
            min=1,
            help="For one run on several processes: seconds that they wait for one that makes no progress.",
        ),
    ] = WAIT,
    keep_going: Annotated[
        bool | None,
        typer.Option(
            "--keep-going/--stop-at-failure",
            help="Whether the other runs continue after one has failed; by default they do, and the exit code is 1.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Download missing data, and accept its licence.")] = False,
    track: Annotated[
        str,
        typer.Option(
            help="Follow each run with tensorboard, wandb or mlflow as well; an extra for each.",
            autocompletion=listed(lambda: ("tensorboard", "wandb", "mlflow")),
        ),
    ] = "",
    ignore_limits: Annotated[
        bool, typer.Option("--ignore-limits", help="Run what needs more memory or time than this machine has.")
    ] = False,
    log_times: Annotated[bool, typer.Option("--log-times", help="Put the time before every line of the log.")] = False,
    results: Annotated[Path, typer.Option(envvar="BENCH_RESULTS", help="Folder of results and caches.")] = Path(
        "results"
    ),
    data_dir: Annotated[Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="Folder with data sets.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with these options; what is given here takes their place.")
    ] = None,
    write_config: Annotated[
        Path | None, typer.Option(help="Write this request as a file for --config, and run nothing.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would run, what is finished, and what it takes; run nothing."),
    ] = False,
) -> None:
    """Train and test identifier schemes and baselines; every data set x scheme x seed is a run, stored when finished.

    A finished run is not run again, and an interrupted one is resumed. A run that another process works on is looked at
    again when the others are done.
    """
    given = {name: value for name, value in locals().items() if name != "ctx"}
    from bench.commands import run_file

    typed = [name for name in given if (source := ctx.get_parameter_source(name)) and source.name == "COMMANDLINE"]
    of_file = run_file.requests(config, run_file.options_of(run)) if config else [{}]
    asked = [run_file.merged(options, given, typed) for options in of_file]
    plans = [plan_of(options) for options in asked]
    if write_config:
        run_file.write(write_config, asked, run_file.options_of(run))
        typer.echo(f"Now: bench run --config {shlex.quote(str(write_config))}", err=True)
    elif dry_run:
        from bench.commands.dry_run import show

        refuse_wrong(plans, possible)
        show(plans)
    else:
        refuse_wrong(plans, named)  # nothing is downloaded for a file that is wrong
        for plan, options in zip(plans, asked, strict=True):
            get_data(plan, bool(options["yes"]))
        refuse_wrong(plans, possible)
        answer.shown_at_the_end(plans, quiet=not ranks.is_main())


def plan_of(options: Mapping[str, Any]) -> Plan:
    """What these options of the command, by name, ask for. BenchError where one is none."""
    from bench.runs.matrix import Plan

    allowed, converted = lists.budget(options["budget"])
    short = {"split": options["split"], "decoder": options["decoder"], "budget": allowed}
    overrides = [*(options["set_"] or []), *(f"{line}={value}" for line, value in short.items() if value is not None)]
    lists.refuse_twice([line for line in overrides if line.partition("=")[0] in short])
    return Plan(
        schemes=lists.schemes("--id-scheme", options["id_scheme"] or None),
        baselines=lists.named("--baseline", options["baseline"] or None),
        datasets=lists.named("--dataset", options["dataset"]),
        seeds=lists.seeds(options["seed"]),
        overrides=overrides,
        tuned=lists.named("--tuned", options["tuned"] or None),
        zero_shot=lists.named("--zero-shot", options["zero_shot"]),
        adapt=lists.counts("--adapt", options["adapt"]),
        converted=converted,
        **{name: options[name] for name in AS_THEY_ARE},
    )


AS_THEY_ARE = (
    *("preset", "results", "data_dir", "force", "tune", "tune_size", "recipe", "keep_going", "parts"),
    *("jobs", "slurm", "threads", "save_every", "longest_wait", "track", "ignore_limits", "log_times"),
)  # options that are fields of the plan


def refuse_wrong(plans: Sequence[Plan], look: Callable[[Plan], object]) -> None:
    """Before the first of several requests begins: BenchError for one that ``look`` finds wrong, with its place among
    them. It would else be refused when those before it have run for hours.

    One that names a folder of results of an earlier one cannot be looked at yet. Ranks look at each when it begins,
    all together.
    """
    if len(plans) == 1 or ranks.several():
        return
    for at, plan in enumerate(plans, 1):
        named = " ".join([*plan.overrides, *plan.tuned, *plan.schemes])
        if any(str(earlier.results) in named for earlier in plans[: at - 1]):
            continue
        try:
            look(plan)
        except BenchError as error:
            raise BenchError(f"request {at} of {len(plans)}: {error}") from error


def named(plan: Plan) -> None:
    """Whether all that a plan names exists, but for its data."""
    from bench.runs.matrix import resolve

    resolve(plan, lambda note: None)


def possible(plan: Plan) -> None:
    """Whether all of a plan can begin, with its data."""
    from bench.runs.matrix import prepare
    from bench.runs.progress import Display

    prepare(plan, Display(loud=False))


def get_data(plan: Plan, yes: bool) -> None:
    """Get the data sets that are missing, where the user wants them."""
    from bench.runs.matrix import resolve

    if lacking := data_get.lacking([*plan.datasets, *plan.zero_shot], plan.data_dir):
        resolve(plan)  # nothing is downloaded for a request that is wrong
        data_get.offer(lacking, plan.data_dir, yes)
