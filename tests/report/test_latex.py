"""LaTeX: its structure always, and compiled where there is a LaTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.console import visible
from bench.report.latex import FITTED, PREAMBLE, escaped, latex
from bench.report.tables import chapters
from bench.results.read import load

Store = Callable[..., Path]

COMPILER = next((found for found in map(shutil.which, ("pdflatex", "tectonic")) if found), None)


@pytest.fixture
def made(store: Store, tmp_path: Path) -> str:
    """Awkward names, two contracts, collisions, seeds, marks."""
    for seed in range(4):
        store("100%_odd & {new}#1 ~ ^$\\", seed=seed, quality=0.9, shared=3)
    store("codes<|>", quality=0.4)
    store("other", quality=0.3, contract={"beam": 50})
    store("pop", kind="baseline", quality=0.05)
    return latex(chapters(load(tmp_path)))


def test_environments_and_braces_are_balanced(made: str) -> None:
    begun, ended = (re.findall(rf"\\{word}\{{(\w+)\}}", made) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert begun.count("table") == 9
    plain = re.sub(r"\\[{}\\]", "", made)
    assert plain.count("{") == plain.count("}")
    assert made.count("\\toprule") == made.count("\\midrule") == made.count("\\bottomrule") == 9


def test_each_line_has_as_many_cells_as_the_table_has_columns(made: str) -> None:
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", made, flags=re.DOTALL):
        lines = [line for line in body.splitlines() if line.endswith("\\\\")]
        assert len(lines) > 2
        for line in lines:
            assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1


TOKEN = re.compile(r"\\[A-Za-z]+ ?|\\.|[{}$&%#^_~]|[^\\{}$&%#^_~]+", re.DOTALL)
KNOWN = {
    *("begin", "end", "centering", "caption", "label", "resizebox", "ifdim", "width", "linewidth", "else", "fi"),
    *("toprule", "midrule", "bottomrule", "par", "medskip", "parbox", "scriptsize", "raggedright"),
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
            assert token[1] in "&%$#_{}\\", token
            seen += "\n" if token == "\\\\" else token[1]
        else:
            assert token not in ("#", "^", "_", "~", "%"), token
            seen += token
    assert (depth, mathematics) == (0, False)
    return seen


def test_names_read_as_they_are_and_nothing_of_them_is_a_command(hostile: tuple[Path, dict[str, str]]) -> None:
    root, names = hostile
    made = chapters(load(root))
    text = latex(made).removeprefix(PREAMBLE).replace(FITTED, "{")
    tables = [table for chapter in made for table in chapter.tables]
    bodies = re.findall(r"\\begin\{tabular\}\{(\w+)\}\n\\toprule\n(.*?)\\bottomrule\n", text, flags=re.DOTALL)
    for table, (columns, body) in zip(tables, bodies, strict=True):
        head, *lines = re.split(r"\\\\\n", body.replace("\\midrule\n", ""))[:-1]
        assert not any(line.startswith(("[", "*")) for line in lines)  # \\\\ would take them for its own
        assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in (head, *lines))
        cells = [re.split(r" (?<!\\)& ", line) for line in lines]
        assert [read(line[0]) for line in cells] == [cell.text for cell in table.head.cells]
    said = "".join(read(re.sub(r"\\(begin|end)\{\w+\}(\[t\]|\{\w+\})?", "", text)).split())
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


def test_best_is_bold_second_underlined_and_intervals_small(made: str) -> None:
    quality = made.split("\\label{tab:toys-quality}")[1].split("\\end{tabular}")[0]
    assert re.search(
        r"\\textbf\{0\.\d{4}\}\\textsuperscript\{\$\\dagger\$\} \$\\pm\$ 0\.\d{4} \{\\scriptsize \[", quality
    )
    assert "\\underline{0." in quality


def test_every_table_says_what_it_was_made_under(made: str) -> None:
    for table in made.split("\\begin{table}")[1:]:
        assert "\\textbf{the rows were not made under one contract}" in table
        assert "\\textbf{beam}=20 (A), 50 (B)" in table
        assert "\\textit{environment}: bench=0.1.0, python=3.11.9" in table


def test_a_warning_about_a_row_goes_with_every_table(store: Store, tmp_path: Path) -> None:
    """A table is pasted alone: what leaks is its highest row, and must not pass for the best."""
    store("one", quality=0.2)
    store("p5-leak", quality=0.9, leaks=True)
    floats = latex(chapters(load(tmp_path))).split("\\begin{table}")[1:]
    assert floats
    for table in floats:
        assert "\\textit{leaks}: \\textbf{p5-leak saw the validation and test items}" in table


@pytest.mark.skipif(COMPILER is None, reason="there is no pdflatex or tectonic here")
def test_it_compiles(made: str, tmp_path: Path) -> None:
    begin = "\\documentclass{article}\\usepackage{booktabs}\\usepackage{graphicx}\\begin{document}\n"
    (tmp_path / "paper.tex").write_text(begin + made + "\\end{document}\n")
    options = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in str(COMPILER) else []
    done = subprocess.run([str(COMPILER), *options, "paper.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 1000
