"""What RecBole does, asked in a process of its own: run by test_recbole_models.py and test_shims.py, never collected.

    python facts.py answers.json TRAINING_FOLDER...        workshops hold data/ and job.json

First RecBole as it is, then every job through our ``Model``, with RecBole's own evaluator beside it.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole_baselines import shims

TOPK = [1, 5, 10, 20]


def needs_numpy_names() -> bool:
    try:
        Config.compatibility_settings(object())  # type: ignore[arg-type]
    except AttributeError:
        return True
    return False


def needs_trust() -> bool:
    torch.save({"config": configured()}, "checkpoint.pth")
    try:
        torch.load("checkpoint.pth")
    except pickle.UnpicklingError:
        return True
    return False


def watches_gradients() -> bool:
    from recbole.utils import get_model

    get_model("SASRec")
    return torch.is_anomaly_enabled()


def reads_arguments() -> bool:
    """Whether a configuration takes the arguments of whatever process it is made in for its own."""
    before = sys.argv
    sys.argv = [before[0], "--learning_rate=0.125"]
    try:
        return bool(configured()["learning_rate"] == 0.125)
    finally:
        sys.argv = before


def chooses_the_gpu() -> bool:
    """Whether a configuration overwrites which graphics cards this process may see."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    os.environ["CUDA_VISIBLE_DEVICES"] = "5"
    try:
        configured()
        return os.environ["CUDA_VISIBLE_DEVICES"] != "5"
    finally:
        os.environ["CUDA_VISIBLE_DEVICES"] = before


def keeps_names_for_itself() -> bool:
    """Whether ``ml-100k`` is read from RecBole's folder whatever ``data_path`` says."""
    return not str(configured("ml-100k", data_path="elsewhere")["data_path"]).startswith("elsewhere")


def asks_for_ray() -> bool:
    """Whether the usual way to start RecBole imports Ray, which is not installed with it."""
    try:
        import recbole.quick_start  # noqa: F401
    except ImportError as error:
        return "ray" in str(error).lower()
    return False


def configured(dataset: str = "none", **more: str) -> Config:
    return Config(model="Pop", dataset=dataset, config_dict={"train_neg_sample_args": None, **more})


def answers(context: Path) -> dict[str, Any]:
    """What one job came to; our scores of the validation users go into ``scores.npy``."""
    from recbole_baselines.training import best_of

    job = json.loads((context / "job.json").read_text())
    stopped = stopped_in_its_last_epoch(job) if job["trials"] else []
    if job["model"] == "S3Rec":
        stop_in_pretraining(job)
    reported: list[int] = []
    model, found = best_of(job, lambda step, total, figures: reported.append(step))
    asked = np.load(context / "asked.npz")
    np.save(context / "scores.npy", model.score(asked["users"], asked["values"], asked["offsets"]))
    by_recbole = evaluator(model) if model.sequential else {}
    if job["model"] != "ItemKNN":
        np.savez(context / "restored.npz", **restored_scores(job, model, asked))
    told = {"found": found, "reported": reported, "stopped": stopped}
    if job["model"] == "GRU4Rec":
        told["again"] = killed_at_the_end(job)
    return {**told, "evaluator": by_recbole, "probe": PROBES[job["model"]](model)}


def restored_scores(job: dict[str, Any], model: Any, asked: Any) -> dict[str, Any]:
    """Of the model, made anew from what is kept of it: for the same users, for nobody, and without a history."""
    from recbole_baselines.state import write_files
    from recbole_baselines.training import restored

    from bench.results.kept import STATE, write_state

    folder, before = Path(job["folder"]) / "again", Path.cwd()
    folder.mkdir()
    facts, arrays = model.state()
    write_state(folder, arrays, facts)
    write_files(folder, arrays)
    lines = {**job["config"], **facts["settings"], "MAX_ITEM_LIST_LENGTH": facts["width"]}
    again = restored({**job, "plan": None, "folder": str(folder), "state": str(folder / STATE), "config": lines})
    users, values, offsets = asked["users"], asked["values"], asked["offsets"]
    found = {
        "known": again.score(users, values, offsets),
        "nobody": again.score(np.full_like(users, -1), values, offsets),
        "empty": again.score(users[:1], values[:0], np.zeros(2, np.int64)),
    }
    os.chdir(before)
    return found


class Stopped(BaseException):
    """As Ctrl-C would stop it, but for sure in the middle."""


def stopped_in_its_last_epoch(job: dict[str, Any]) -> list[int]:
    """A search that is stopped after the last epoch of its last trial, before that is validated. The steps reported."""
    from recbole_baselines.training import best_of

    reported: list[int] = []

    def progress(step: int, total: int, figures: dict[str, float]) -> None:
        reported.append(step)
        if step == total:
            raise Stopped

    try:
        best_of(job, progress)
    except Stopped:
        return reported
    raise AssertionError("it was not stopped")


def stop_in_pretraining(job: dict[str, Any]) -> None:
    """S3Rec, stopped at the end of its second epoch of pre-training, before that is kept."""
    from recbole_baselines.training import best_of

    def progress(step: int, total: int, figures: dict[str, float]) -> None:
        if figures.get("epoch") == 2:
            raise Stopped

    try:
        best_of(job, progress)
    except Stopped:
        return
    raise AssertionError("it was not stopped")


def killed_at_the_end(job: dict[str, Any]) -> dict[str, float]:
    """Gone on with when all was trained and nothing of that written down: what it claims, and what its weights do."""
    from recbole_baselines.training import DONE, WHOLE, best_of, folder_of

    (folder_of(job, WHOLE) / DONE).unlink()
    model, found = best_of(job, lambda step, total, figures: None)
    return {"claimed": found["best_validation"], "weights": model.validate()[job["selection"]]}


def evaluator(model: Any) -> dict[str, float]:
    """RecBole's own metrics on the validation file, whose histories are first arranged as for our scores."""
    from recbole.data.dataloader import FullSortEvalDataLoader
    from recbole.data.interaction import Interaction
    from recbole.data.utils import create_samplers
    from recbole.utils import get_trainer
    from recbole_baselines.training import _padded

    valid = model.parts[1]
    valid.inter_feat.update(Interaction(model._arranged(*_padded(valid.inter_feat, model.width))))
    model.config["topk"], model.config["metric_decimal_place"] = TOPK, 12
    _, sampler, _ = create_samplers(model.config, model.dataset, [*model.parts, valid])
    batches = FullSortEvalDataLoader(model.config, valid, sampler, shuffle=False)
    trainer = get_trainer(model.config["MODEL_TYPE"], model.config["model"])(model.config, model.model)
    return {name: float(value) for name, value in trainer.evaluate(batches, load_best_model=False).items()}


def width_read(model: Any) -> int:
    """The width that pre-split files give, where histories are shorter than the cap."""
    return int(model.dataset.field2seqlen["item_id_list"])


def needs_the_width(model: Any) -> dict[str, Any]:
    """The width read, and whether the model fails on rows that are no wider."""
    from recbole.data.interaction import Interaction

    width, users = width_read(model), torch.tensor([1])
    asked = {"user_id": users, "item_id_list": torch.ones(1, width, dtype=torch.long), "item_length": users}
    try:
        model.model.full_sort_predict(Interaction(asked))
    except (RuntimeError, ValueError):
        return {"width": width, "fails": True}
    return {"width": width, "fails": False}


def drops_the_oldest(model: Any) -> bool:
    row = torch.zeros(1, model.width, dtype=torch.long)
    row[0, 0] = 5
    return 5 not in model.model.reconstruct_test_data(row, torch.tensor([1]))


def bert4rec(model: Any) -> dict[str, bool]:
    return {"drops": drops_the_oldest(model), "nan": unmasked(model, patched=False), "patched": unmasked(model, True)}


def unmasked(model: Any, patched: bool) -> bool:
    """Whether a batch without a masked place has a loss that is no number."""
    from recbole.data.interaction import Interaction

    net, positions = model.model, model.model.mask_item_length
    row = torch.zeros(2, model.width, dtype=torch.long)
    row[:, 0] = 5
    nothing = torch.zeros(2, positions, dtype=torch.long)
    fields = (net.MASK_ITEM_SEQ, net.POS_ITEMS, net.NEG_ITEMS, net.MASK_INDEX)
    batch = Interaction(dict(zip(fields, (row, nothing, nothing, nothing), strict=True)))
    loss = shims.masked_loss(net, batch) if patched else net.calculate_loss(batch)
    loss.backward()
    return bool(loss.isnan())


def s3rec(model: Any) -> dict[str, bool]:
    return {"left": pads_left(model), "right": reads_padded_right(model), "without": pretrains_without_the_next(model)}


def pads_left(model: Any) -> bool:
    row = torch.zeros(2, model.width, dtype=torch.long)
    row[:, 0] = torch.tensor([5, 6])
    pos_items = model.model.reconstruct_pretrain_data(row, torch.tensor([1, 1]))[2]
    return pos_items.reshape(-1, model.width)[0, [0, -1]].tolist() == [0, 5]


def reads_padded_right(model: Any) -> bool:
    """Whether the histories of fine-tuning come from the files with padding behind."""
    rows = model.read[0][:, : width_read(model)]
    return bool((rows[:, 0] > 0).all() and (rows == 0).any())


def pretrains_without_the_next(model: Any) -> bool:
    """Whether the loss of pre-training does not even look for the item after a history."""
    from recbole.data.interaction import Interaction

    net, (rows, lengths) = model.model, model.read
    stage, net.train_stage = net.train_stage, "pretrain"
    batch = Interaction({net.ITEM_SEQ: rows[:4], net.ITEM_SEQ_LEN: lengths[:4]})
    try:
        return bool(net.calculate_loss(batch) > 0)
    except KeyError:
        return False
    finally:
        net.train_stage = stage


def counts_a_batch_once(model: Any) -> int:
    from recbole.data.interaction import Interaction

    model.model.item_cnt.zero_()
    model.model.calculate_loss(Interaction({"item_id": torch.tensor([3, 3, 3])}))
    return int(model.model.item_cnt[3])


def scores_of_users(model: Any) -> list[list[float]]:
    """RecBole's ItemKNN for the first two users, in our order of items; it is asked without a history."""
    from recbole.data.interaction import Interaction

    scores = model.model.full_sort_predict(Interaction({"user_id": model.users[:2]}))
    found: list[list[float]] = scores.view(2, -1)[:, model.items].tolist()
    return found


PROBES: dict[str, Any] = {
    "BERT4Rec": bert4rec,
    "S3Rec": s3rec,
    "Pop": counts_a_batch_once,
    "ItemKNN": scores_of_users,
    **dict.fromkeys(("Caser", "HGN"), needs_the_width),
    **dict.fromkeys(("SASRec", "GRU4Rec", "FDSA"), width_read),
}


def main() -> None:
    out, *workshops = (Path(word).resolve() for word in sys.argv[1:])
    sys.argv = sys.argv[:1]
    os.chdir(out.parent)
    unshimmed = {"numpy names": needs_numpy_names()}
    shims.restore_numpy_names()
    unshimmed |= {"trust": needs_trust(), "gradients": watches_gradients(), "arguments": reads_arguments()}
    unshimmed |= {"graphics card": chooses_the_gpu(), "ml-100k": keeps_names_for_itself()}
    unshimmed |= {"ray": asks_for_ray()}
    shims.apply()
    found = {context.name: answers(context) for context in workshops}
    out.write_text(json.dumps({"unshimmed": unshimmed, "models": found}))


if __name__ == "__main__":
    main()
