"""LaTeX: its structure; compiled and measured where there is a LaTeX, see ``tests/report/test_paper.py``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.console import visible
from bench.errors import BenchError
from bench.report.latex import COLUMN, PREAMBLE, Choice, escaped, latex
from bench.report.rows import sections
from bench.report.tables import chapters
from bench.results.read import load

Store = Callable[..., Path]


def written(root: Path, choice: Choice | None = None) -> str:
    found = load(root)
    return latex(chapters(found), sections(found), choice)


@pytest.fixture
def made(store: Store, tmp_path: Path) -> str:
    """Awkward names, two contracts, collisions, seeds, marks."""
    for seed in range(4):
        store("100%_odd & {new}#1 ~ ^$\\", seed=seed, quality=0.9, shared=3)
    store("codes<|>", quality=0.4)
    store("other", quality=0.3, contract={"beam": 50})
    store("pop", kind="baseline", quality=0.05)
    return written(tmp_path)


def test_environments_and_braces_are_balanced(made: str) -> None:
    begun, ended = (re.findall(rf"\\{word}\{{([\w*]+)\}}", made) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert [name.strip("*") for name in begun].count("table") == 2  # the main table and the pairs
    plain = re.sub(r"\\[{}\\]", "", made)
    assert plain.count("{") == plain.count("}")
    assert made.count("\\toprule") == made.count("\\midrule") == made.count("\\bottomrule") == 2


def test_each_line_has_as_many_cells_as_the_table_has_columns(made: str) -> None:
    for columns, body in re.findall(TABULAR, made, flags=re.DOTALL):
        lines = [line for line in body.splitlines() if line.endswith("\\\\")]
        assert len(lines) > 2
        for line in lines:
            assert len(re.findall(r"(?<!\\)&", line)) == width(columns) - 1


TABULAR = r"\\begin\{tabular\}\{@\{\}((?:l|r|p\{[^}]*\})+?)@\{\}\}\n(.*?)\\end\{tabular\}"


def width(columns: str) -> int:
    return len(re.sub(r"\{.*?\}", "", columns))


TOKEN = re.compile(r"\\[A-Za-z]+ ?|\\.|[{}$&%#^_~]|[^\\{}$&%#^_~]+", re.DOTALL)
KNOWN = {
    *("begin", "end", "centering", "small", "setlength", "tabcolsep", "caption", "smallskip", "label"),
    *("toprule", "midrule", "bottomrule", "scriptsize", "shortstack", "allowbreak", "phantom", "raggedright"),
    *("textbf", "textit", "underline", "textsuperscript"),
}
CHARACTERS = {"backslash": "\\", "asciitilde": "~", "asciicircum": "^", "less": "<", "greater": ">", "bar": "|"}


def read(text: str) -> str:
    """What a reader sees of a piece of LaTeX; an AssertionError for what TeX would trip over or take for a command."""
    seen, depth, mathematics = "", 0, False
    for token in TOKEN.findall(text):
        word = token[1:].strip()
        if token == "$":
            mathematics = not mathematics
        elif token in "{}":
            depth += 1 if token == "{" else -1
            assert depth >= 0
        elif token.startswith("\\") and word.isalpha():
            known = CHARACTERS.get(word.removeprefix("text"))
            assert known or (word in ("pm", "dagger") if mathematics else word in KNOWN), word
            seen += known or ""
        elif token.startswith("\\"):
            assert token[1] in "&%$#_{}\\,", token
            seen += {"\\\\": "\n", "\\,": " "}.get(token, token[1])
        else:
            assert token not in ("#", "^", "_", "~", "%"), token
            seen += token
    assert (depth, mathematics) == (0, False)
    return seen


def test_names_read_as_they_are_and_nothing_of_them_is_a_command(hostile: tuple[Path, dict[str, str]]) -> None:
    root, names = hostile
    text = written(root).removeprefix(PREAMBLE)
    bodies = re.findall(TABULAR, text, flags=re.DOTALL)
    heads = []
    for columns, body in bodies:
        _, *lines = re.split(r"\\\\\n", re.sub(r"\\(top|mid|bottom)rule\n", "", body))[:-1]
        assert not any(line.startswith(("[", "*")) for line in lines)  # \\\\ would take them for its own
        assert all(len(re.findall(r"(?<!\\)&", line)) == width(columns) - 1 for line in lines)
        heads.append([read(re.split(r" (?<!\\)& ", line)[0]) for line in lines])
    main, matrix = heads
    assert set(names.values()) <= set(main)
    assert {name.partition(" ")[2] for name in matrix} <= set(main)
    assert len(matrix) == 8
    assert f"The first 8 of {len(names)} rows." in text.split("begin{table")[2]
    plain = re.sub(r"\\(begin|end)\{[\w*]+\}(\[t\])?|\{@\{\}.*@\{\}\}|\{?3.5pt\}?", "", text)
    said = "".join(read(plain).split())
    for name in names.values():
        assert "".join(name.split()) in said


def test_the_reader_sees_what_tex_would_trip_over() -> None:
    for wrong in ("{", "}", "$x", "100%", "a_b", "#1", "\\unknown", "\\pm", "$\\textbf{x}$", "a~b"):
        with pytest.raises(AssertionError):
            read(wrong)


@given(st.text('ab1 *_`[]()<>|$~&#^%{};!"\\\\-\n', max_size=20))
def test_any_text_is_read_back_as_it_is(text: str) -> None:
    assert read(escaped(text)) == visible(text)
    assert not escaped(text).startswith(("[", "*"))


def test_specials_are_escaped() -> None:
    assert escaped("a_b & 5% #1 $x$ {y}") == "a\\_b \\& 5\\% \\#1 \\$x\\$ \\{y\\}"
    assert escaped("\\~^<>|") == (
        "\\textbackslash{}\\textasciitilde{}\\textasciicircum{}\\textless{}\\textgreater{}\\textbar{}"
    )
    assert escaped("0.1\N{EN DASH}0.2 ± \N{DAGGER}") == "0.1--0.2 $\\pm$ $\\dagger$"


def test_a_name_is_never_raw(made: str) -> None:
    assert "100\\%\\_odd \\& \\{new\\}\\#1 \\textasciitilde{} \\textasciicircum{}\\$\\textbackslash{}" in made
    assert "100%_odd" not in made
    assert made.isascii()


def test_best_is_bold_second_underlined_and_intervals_small(made: str, tmp_path: Path) -> None:
    narrow = written(tmp_path, Choice((), ("ndcg@10",)))
    quality = narrow.split("\\label{tab:toys-quality}")[1].split("\\end{tabular}")[0]
    assert re.search(
        r"\\textbf\{0\.\d{4}\}\\textsuperscript\{\$\\dagger\$\} \$\\pm\$ 0\.\d{4} \{\\scriptsize \[", quality
    )
    assert "\\underline{0." in quality
    wide = made.split("\\label{tab:toys-quality}")[1].split("\\end{tabular}")[0]
    assert "\\pm" not in wide  # for want of room: the interval has the seeds in it
    assert wide.count("scriptsize [") == 4


def test_every_table_says_what_it_was_made_under(made: str) -> None:
    floats = made.split("\\begin{table")[1:]
    assert len(floats) == 2
    for table in floats:
        caption = table.split("\\caption{")[1].split("\\label")[0]
        assert "\\textbf{the rows were not made under one contract}" in caption
        assert "\\textbf{beam}=20 (A), 50 (B)" in caption
        assert "\\textit{environment}: bench=0.1.0, torch=2.13.0" in caption


def test_a_warning_about_a_row_goes_with_every_table_that_shows_it(store: Store, tmp_path: Path) -> None:
    """A table is pasted alone: what leaks is its highest row, and must not pass for the best."""
    store("one", quality=0.2)
    store("two", quality=0.3)
    store("p5-leak", quality=0.9, leaks=True)
    assert "p5-leak" not in written(tmp_path)
    main, matrix = written(tmp_path, Choice(("p5-leak", "one", "two"))).split("\\begin{table")[1:]
    assert "\\textit{leaks}: \\textbf{p5-leak saw the validation and test items}" in main
    assert "p5-leak (leaks) & 0." in main
    assert "p5-leak" not in matrix


def test_scores_that_mean_nothing_say_so_in_every_caption(store: Store, tmp_path: Path) -> None:
    store("one", preset="smoke")
    store("two", preset="smoke")
    floats = written(tmp_path).split("\\begin{table")[1:]
    assert len(floats) == 2
    assert all("\\caption{\\textbf{The scores of trained models here mean nothing:" in table for table in floats)


def heads(text: str) -> list[list[str]]:
    """The first cells of the lines of each table."""
    found = []
    for _, body in re.findall(TABULAR, text, flags=re.DOTALL):
        lines = body.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
        found.append([read(line.split(" & ")[0]) for line in lines])
    return found


@pytest.fixture
def many(store: Store, tmp_path: Path) -> Path:
    """Three families of five variants, better from one to the next, and five baselines."""
    for family in ("numeric", "semantic", "textual"):
        for variant in range(5):
            store(f"{family}/variant-{'x' * variant}", quality=0.2 + 0.05 * variant, users=60)
    for number in range(5):
        store(f"baseline-{'y' * number}", kind="baseline", quality=0.1 + 0.02 * number, users=60)
    return tmp_path


def test_of_many_rows_the_leaders_are_shown_and_others_where_asked_for(many: Path) -> None:
    rows = {row.label: row.metric("ndcg@10")[0] for row in sections(load(many))[0].rows}
    main, matrix = heads(written(many))
    for family in ("numeric", "semantic", "textual"):
        (shown,) = [name for name in main if name.startswith(family)]
        assert rows[shown] == max(score for name, score in rows.items() if name.startswith(family))
    shown = [name for name in main if name.startswith("baseline")]
    assert (
        sorted(rows[name] for name in shown)
        == sorted(score for name, score in rows.items() if name.startswith("baseline"))[-len(shown) :]
    )
    assert len(main) == 7
    assert len(matrix) == 4  # the leaders of the families, and the best baseline
    assert "The first" not in written(many)
    assert "7 of 20 rows: the best schemes of their families and the best baselines." in written(many)
    main, matrix = heads(written(many, Choice(("numeric", "baseline-"))))
    assert sorted(main) == sorted(name for name in rows if name.startswith("numeric") or name == "baseline-")
    assert len(matrix) == 5
    asked = written(many, Choice(("numeric", "baseline-")))
    assert "6 of 20 rows. " in asked
    assert "the best schemes of" not in asked
    with pytest.raises(BenchError, match="unknown row of the report 'nobody'"):
        written(many, Choice(("nobody",)))


def test_what_leaks_is_all_that_is_left_out_of_few_rows(store: Store, tmp_path: Path) -> None:
    for name in ("one", "three"):
        store(name, quality=0.3)
    assert " rows" not in written(tmp_path).partition("tabular")[0].partition("Bold")[0]
    store("max-leak", quality=0.9, leaks=True)
    assert "2 of 3 rows: without those that leak." in written(tmp_path)


def test_columns_are_chosen_by_the_words_of_their_titles(many: Path) -> None:
    text = written(many, Choice(("numeric",), ("mrr@20", "tokens-per-item", "id-construction")))
    (columns, body), *_ = re.findall(TABULAR, text, flags=re.DOTALL)
    assert width(columns) == 4
    assert [
        word for word in ("MRR@20", "tokens per", "construction", "Hit@10") if word in body.split("midrule")[0]
    ] == [
        "MRR@20",
        "tokens per",
        "construction",
    ]
    with pytest.raises(BenchError, match="unknown column 'speed'"):
        written(many, Choice((), ("speed",)))


def test_a_table_that_is_wider_than_a_column_goes_across_the_page(many: Path) -> None:
    text = written(many, Choice(("numeric",), ("ndcg@5",)))
    assert "\\begin{table}[t]" in text  # one score beside short names fits into a column
    assert "\\begin{table*}[t]" in written(many)
    assert 200 < COLUMN < 240


def test_pairs_are_in_thousandths_and_the_matrix_is_its_own_negative(many: Path) -> None:
    body = written(many).split("-pairs}")[1].split("\\midrule\n")[1].split("\\bottomrule")[0]
    cells = [
        [read(part).strip("* ") for part in line.removesuffix(" \\\\").split(" & ")[1:]] for line in body.splitlines()
    ]
    numbers = [[float(text.replace("-", "-") or "0") for text in line] for line in cells]
    assert all(numbers[one][other] == -numbers[other][one] for one in range(4) for other in range(4))
    assert max(max(line) for line in numbers) > 1
