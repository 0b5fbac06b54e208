"""Exports of decoder-only runs, decoded by Transformers under xgrammar with nothing of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import bench as package
from bench.data.dataset import Sequences
from bench.model.recommender import decoding_of
from bench.results.saved import Saved

WITHOUT = "no xgrammar: pip install --no-deps xgrammar, or the extra grammar"
xgrammar = pytest.importorskip("xgrammar", reason=WITHOUT)
LogitsProcessor = pytest.importorskip("xgrammar.contrib.hf", reason=WITHOUT).LogitsProcessor

Bench = Callable[..., SimpleNamespace]
Python = dict[str, Any]
AFTER = Path(__file__).resolve().parents[2] / "docs" / "pages" / "after.md"
HISTORIES = [["i03", "i04", "i06"], ["i11"], ["i29", "i01", "i02", "i03", "i17", "i08"], ["i20", "i20"]]
CODES = ["semantic.dimensions=8", "semantic.codes=6", "semantic.levels=3"]
ADAPTER = ["adapter=lora", "lora_rank=4", "learning_rate=0.01"]
RUNS: dict[str, tuple[str, list[str]]] = {
    "private digits": ("numeric/sequential", ["backbone=llama-mini"]),
    "private words": ("textual/title", ["backbone=qwen-mini"]),
    "private codes": ("semantic/rqkmeans", ["backbone=qwen-mini", *CODES]),
    "its words": ("textual/title", ["backbone=QWEN", *ADAPTER]),
    "words of a run": ("textual/title", ["backbone=RUN", *ADAPTER]),
    "new words": ("semantic/rqkmeans", ["backbone=QWEN", "vocabulary=extended", *CODES, *ADAPTER]),
}


@pytest.fixture(scope="module")
def run(
    bench: Bench,
    quick: list[str],
    qwen: Path,
    run_folders: Callable[[Path], list[Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """The folder with the results of a kind of run, trained once."""
    made: dict[str, Path] = {}
    words = [word for word in quick if "backbone=" not in word]

    def trained(kind: str) -> Path:
        if kind not in made:
            scheme, lines = RUNS[kind]
            made[kind] = tmp_path_factory.mktemp("results")
            base = str(run_folders(trained("private words"))[0]) if "backbone=RUN" in lines else str(qwen)
            changed = [f"--set={re.sub('QWEN|RUN', base, line)}" for line in lines]
            said = bench("run", "--id-scheme", scheme, *words, *changed, "--results", made[kind])
            assert said.code == 0, said.err
        return made[kind]

    return trained


def exported(bench: Bench, results: Path, kind: str, out: Path, target: str = "vllm") -> Path:
    said = bench("export", RUNS[kind][0], "--results", results, "--out", out, "--for", target)
    assert said.code == 0, said.err
    return out


def shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Python:
    """What the Python of an export's README defines."""
    monkeypatch.chdir(folder)
    (block,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    names: Python = {}
    exec(block, names)
    return names


class Server:
    """What vLLM and SGLang do at temperature 0: the likeliest token that xgrammar allows, until the end."""

    def __init__(self, folder: Path) -> None:
        self.serving = json.loads((folder / "serving.json").read_text())
        self.model = AutoModelForCausalLM.from_pretrained(folder / "model").eval()
        tokenizer = AutoTokenizer.from_pretrained(folder / "model")
        known = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=self.model.config.vocab_size)
        assert known.stop_token_ids == [self.serving["end"]] == [self.model.config.eos_token_id]
        rules = (folder / self.serving["grammar"]["file"]).read_text(encoding="utf-8")
        self.rules = xgrammar.GrammarCompiler(known, max_threads=1).compile_grammar(rules)

    def answer(self, prompt: Sequence[int]) -> list[int]:
        most = self.serving["max_tokens"]
        asked = {"do_sample": False, "max_new_tokens": most, "logits_processor": [LogitsProcessor(self.rules)]}
        read = torch.tensor([prompt])
        found = self.model.generate(read, attention_mask=torch.ones_like(read), **asked)
        return list(found[0, len(prompt) :].tolist())

    def score(self, prompt: Sequence[int], tokens: Sequence[int]) -> float:
        """The log-probability of an identifier among what the grammar allows."""
        matcher, total = xgrammar.GrammarMatcher(self.rules), 0.0
        mask = xgrammar.allocate_token_bitmask(1, self.model.config.vocab_size)
        with torch.no_grad():
            logits = self.model(torch.tensor([[*prompt, *tokens]])).logits[:, len(prompt) - 1 :]
        for step, token in enumerate(tokens):
            matcher.fill_next_token_bitmask(mask)
            here = logits[:, step].clone()
            xgrammar.apply_token_bitmask_inplace(here, mask)
            total += float(here.log_softmax(-1)[0, token])
            assert matcher.accept_token(token)
        return total


def greedy(saved: Saved, history: Sequence[str]) -> list[str]:
    """The items that the run's own beam of width 1 writes first."""
    rows = Sequences.from_rows([[saved.rows[item] for item in history]]).newest(saved.contract.max_history)
    width_one = replace(decoding_of(saved.contract, False), width=1)
    ranked = saved.recommender.rank(rows, 1, width_one)
    group = saved.recommender.ids.groups[ranked.items[0, 0]]
    return [item for item, row in saved.rows.items() if saved.recommender.ids.groups[row] == group]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries below xgrammar
@pytest.mark.parametrize("kind", RUNS)
def test_the_grammar_writes_what_the_run_writes(
    bench: Bench, run: Callable[[str], Path], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = run(kind)
    folder = exported(bench, results, kind, tmp_path / "out")
    names, server = shown(folder, monkeypatch), Server(folder)
    saved = package.load(RUNS[kind][0], results=results)
    assert isinstance(saved, Saved)
    for history in HISTORIES:
        assert names["items"](server.answer(names["prompt"](history))) == greedy(saved, history)
    for history in HISTORIES[:1]:  # models so small may say the same to everybody: their scores say more
        prompt = names["prompt"](history)
        ours = {one.item: one.score for one in saved.recommend(history, 30, exclude_history=False)}
        theirs = {line["item"]: server.score(prompt, line["tokens"]) for line in names["table"]}
        assert {item: theirs[item] for item in ours} == pytest.approx(ours, abs=1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_docs_show_how_transformers_writes_an_item(
    bench: Bench, run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = exported(bench, run("private words"), "private words", tmp_path / "exported", "transformers")
    names, server = shown(folder, monkeypatch), Server(folder)
    monkeypatch.chdir(tmp_path)
    tree, block = re.findall(r"```python\n(.*?)```", AFTER.read_text(encoding="utf-8"), flags=re.DOTALL)
    docs: Python = {}
    exec(tree + block, docs)
    prompt = names["prompt"](HISTORIES[0])
    assert docs["write"](prompt) == server.answer(prompt)
    found = server.model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        do_sample=False,
        max_new_tokens=names["serving"]["max_tokens"],
        prefix_allowed_tokens_fn=docs["allowed_behind"](len(prompt)),
    )
    assert found[0, len(prompt) :].tolist() == server.answer(prompt)


def test_what_xgrammar_warns_of_is_explained(
    bench: Bench, run: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says so below Python, on stderr."""
    folder = exported(bench, run("private codes"), "private codes", tmp_path / "out")
    capfd.readouterr()
    known = xgrammar.TokenizerInfo.from_huggingface(AutoTokenizer.from_pretrained(folder / "tokenizer"))
    assert known.vocab_type == xgrammar.VocabType.RAW
    (warned,) = re.findall(r"Warning: ([^:]+):", capfd.readouterr().err)
    assert all(f"`{warned}`" in page.read_text() for page in (folder / "README.md", AFTER))


@pytest.mark.parametrize("kind", ["private codes", "new words"])
def test_every_code_is_one_token_with_a_name(
    bench: Bench, run: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    """So that identifiers can be read, and written by hand: their names are cut into the same tokens."""
    folder = exported(bench, run(kind), kind, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(folder / "model").get_vocab()
    end = json.loads((folder / "serving.json").read_text())["end"]
    for line in pq.read_table(folder / "items.parquet").to_pylist():
        tokens = [token for token in line["tokens"] if token != end]
        named = tokenizer.convert_ids_to_tokens(tokens)
        assert len(set(named) & {tokenizer.unk_token, tokenizer.pad_token}) == 0
        joined = " ".join(named) if kind == "private codes" else "".join(named)
        assert tokenizer.encode(joined, add_special_tokens=False) == tokens


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_an_adapter_is_merged_into_its_base(
    bench: Bench, run: Callable[[str], Path], qwen: Path, tmp_path: Path, run_folders: Callable[[Path], list[Path]]
) -> None:
    """The export stands alone; logits are those of the base under the adapter, as peft computes them."""
    from peft import PeftModel

    kind = "its words"
    folder = exported(bench, run(kind), kind, tmp_path / "out", "transformers") / "model"
    config = json.loads((folder / "config.json").read_text())
    assert "adapter" not in config
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    (ran,) = run_folders(run(kind))
    base = AutoModelForCausalLM.from_pretrained(qwen)
    tokens = torch.arange(20, 60).view(2, 20)
    with torch.no_grad():
        before = base(tokens).logits
        theirs = PeftModel.from_pretrained(base, ran).eval()(tokens).logits
        ours = AutoModelForCausalLM.from_pretrained(folder)(tokens).logits
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    assert not torch.allclose(ours, before, atol=1e-3)


def test_what_a_server_is_asked(
    bench: Bench, run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of options and fields as vLLM and SGLang document them; a server of no kind runs here."""
    folder = exported(bench, run("private words"), "private words", tmp_path / "out", "sglang")
    names, sent = shown(folder, monkeypatch), []

    def answered(server: str, body: Python) -> Python:
        sent.append((server, body))
        first = next(iter(names["code"].values()))
        return {"choices": [{"token_ids": [*first, names["serving"]["end"]]}], "output_ids": first}

    names["ask"] = answered
    assert names["vllm"](HISTORIES[0]) == names["sglang"](HISTORIES[0]) == ["i00"]
    (vllm, first), (sglang, second) = sent
    assert (vllm, sglang) == ("vllm", "sglang")
    assert first["prompt"] == second["input_ids"] == names["prompt"](HISTORIES[0])
    rules = (folder / "grammar.ebnf").read_text()
    assert first["structured_outputs"] == {"grammar": rules}
    assert second["sampling_params"]["ebnf"] == rules
    assert first["max_tokens"] == second["sampling_params"]["max_new_tokens"] == names["serving"]["max_tokens"]
    page = (folder / "README.md").read_text()
    assert "vllm serve ./model --served-model-name bench --dtype float32" in page
    assert "python -m sglang.launch_server --model-path ./model" in page
    assert "They were not run where this folder was made" in page
    assert "$" not in page
    assert names["serving"]["servers_tested"] is False


def test_items_that_the_run_does_not_know_are_skipped_in_a_prompt(
    bench: Bench, run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = shown(exported(bench, run("private words"), "private words", tmp_path / "out"), monkeypatch)
    history = [item for known in HISTORIES[2] for item in ("new", known)]
    assert names["prompt"](history) == names["prompt"](HISTORIES[2])
    assert names["prompt"](["new"]) == names["prompt"]([])
    assert "not in `items.parquet` are skipped" in (tmp_path / "out" / "README.md").read_text()


def test_a_prompt_is_what_the_run_reads(
    bench: Bench, run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long histories too, of which the oldest items are dropped, first by number and then by tokens."""
    for kind in ("its words", "private words"):
        results = run(kind)
        names = shown(exported(bench, results, kind, tmp_path / kind.replace(" ", "-")), monkeypatch)
        saved = package.load(RUNS[kind][0], results=results)
        assert isinstance(saved, Saved)
        for length in (1, 7, saved.contract.max_history, 200):
            history = [saved.items[number % 30] for number in range(length)]
            rows = Sequences.from_rows([[saved.rows[item] for item in history]]).newest(saved.contract.max_history)
            writer = saved.recommender.writer  # type: ignore[attr-defined]
            for most in (saved.contract.max_tokens, 60, 41):
                writer.max_tokens = names["serving"]["prompt"]["tokens"] = most
                ours = writer.write(rows).tokens[0].tolist()
                assert names["prompt"](history) == [*ours, saved.recommender.ids.vocabulary.start]
