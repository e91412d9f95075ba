import asyncio
import importlib
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from streamdesk.news_filter.adapters.finbert.scorer import BATCH, FinbertScorer
from streamdesk.news_filter.config import ScorerName
from streamdesk.news_filter.domain.sentiment import Score
from streamdesk.news_filter.errors import FinbertModelError
from streamdesk.news_filter.factory import scorer_of
from tests import tiny_finbert
from tests.tiny_finbert import WORDS, graph, write_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


@pytest.fixture
def scorer(folder: Path) -> FinbertScorer:
    return FinbertScorer(folder)


def score(scorer: FinbertScorer, title: str, content: str = "") -> Score:
    return scorer.score_many([(title, content)])[0]


def probabilities(*logits: float) -> list[float]:
    powers = np.exp(np.array(logits))
    return [float(power) for power in powers / powers.sum()]


def test_a_sentiment_is_the_probability_of_good_less_that_of_bad(scorer: FinbertScorer) -> None:
    good, bad, _ = probabilities(4, 0, 2)
    found = score(scorer, "Profit rises")
    assert found.value == pytest.approx(good - bad, abs=1e-4)
    assert [word.text for word in found.words] == ["positive"]
    assert found.words[0].weight == pytest.approx(good, abs=1e-4)
    assert score(scorer, "Profit falls").value == pytest.approx(bad - good, abs=1e-4)
    assert score(scorer, "Profit falls").words[0].text == "negative"


@pytest.mark.parametrize(
    "labels", [("neutral", "positive", "negative"), ("Positive", "NEGATIVE", "Neutral")]
)
def test_the_labels_stand_where_the_configuration_says(
    folder: Path, labels: tuple[str, ...]
) -> None:
    config = {"id2label": {str(number): label for number, label in enumerate(labels)}}
    (folder / "config.json").write_text(json.dumps(config))
    answers = dict(zip([label.lower() for label in labels], probabilities(8, 0, 2), strict=True))
    expected = answers["positive"] - answers["negative"]
    assert score(FinbertScorer(folder), "rises rises").value == pytest.approx(expected, abs=1e-4)


def test_a_text_has_the_same_sentiment_alone_and_in_any_batch(scorer: FinbertScorer) -> None:
    titles = [" ".join(["rises"] * (n % 5) + ["profit"] * (n % 7)) for n in range(3 * BATCH + 1)]
    together = scorer.score_many([(title, "") for title in titles])
    assert together == [score(scorer, title) for title in titles]
    assert scorer.score_many([]) == []


def test_the_text_decides_where_the_headline_says_nothing(scorer: FinbertScorer) -> None:
    assert score(scorer, "Profit", "Profit rises.").value == score(scorer, "Profit rises.").value
    mixed = score(scorer, "Profit", "Profit rises. Profit. Profit falls. Falls.")
    assert mixed.value == pytest.approx(0, abs=1e-4)
    assert [word.text for word in mixed.words] == ["positive", "negative"]
    assert score(scorer, "Profit rises", "Profit falls.") == score(scorer, "Profit rises")
    assert score(scorer, "Profit", "").value == pytest.approx(0, abs=1e-4)


def test_each_headline_that_says_nothing_has_the_mean_of_its_own_text(
    scorer: FinbertScorer,
) -> None:
    articles = [
        ("Profit", "Profit rises."),
        ("Falls", "Rises."),
        ("Profit", "Profit falls. Falls falls."),
        ("Profit", ""),
    ]
    assert scorer.score_many(articles) == [score(scorer, *article) for article in articles]


@pytest.mark.parametrize("text", ["", "  ", "腾讯盈利超预期", "🚀" * 50, "rises " * 5_000, "\0"])
def test_odd_texts_have_a_score_too(scorer: FinbertScorer, text: str) -> None:
    assert -1 <= score(scorer, text, text).value <= 1


def test_a_text_longer_than_the_model_takes_is_cut(folder: Path) -> None:
    config = tiny_finbert.config() | {"max_position_embeddings": 8}
    (folder / "config.json").write_text(json.dumps(config))
    scorer = FinbertScorer(folder)
    assert score(scorer, "profit " * 6 + "rises") == score(scorer, "profit " * 6)


def test_several_threads_may_ask_at_once(scorer: FinbertScorer) -> None:
    titles = [(f"Profit {'rises ' * (n % 3)}", "") for n in range(40)]
    expected = scorer.score_many(titles)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(scorer.score_many, [titles] * 8):
            assert found == expected


async def test_it_may_run_in_a_thread_beside_the_loop(scorer: FinbertScorer) -> None:
    assert scorer.slow
    found = await asyncio.to_thread(scorer.score_many, [("Profit rises", "")])
    assert found == [score(scorer, "Profit rises")]


def test_it_works_on_one_thread(scorer: FinbertScorer) -> None:
    options = scorer._model.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_a_model_without_token_types_does_as_well(tmp_path: Path) -> None:
    plain = graph(inputs=("input_ids", "attention_mask"))
    found = score(FinbertScorer(write_model(tmp_path, plain)), "Profit rises")
    assert found.value > 0.8


@pytest.mark.parametrize(("lower", "expected"), [(None, 0.8), (True, 0.8), (False, 0.0)])
def test_a_vocabulary_does_for_a_tokenizer_with_or_without_a_word_about_case(
    folder: Path, lower: bool | None, expected: float
) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    if lower is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    found = score(FinbertScorer(folder), "PROFIT RISES")
    assert found.value == pytest.approx(expected, abs=0.1)


def test_another_model_or_vocabulary_is_another_version(folder: Path, tmp_path: Path) -> None:
    same = write_model(tmp_path / "same")
    versions = [FinbertScorer(folder).version, FinbertScorer(same).version]
    (same / "config.json").write_text((same / "config.json").read_text() + " ")
    versions.append(FinbertScorer(same).version)
    assert versions[0] == versions[1] != versions[2]
    assert all(version.isalnum() for version in versions)


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def configure(**changes: Any) -> Callable[[Path], object]:
    return write("config.json", json.dumps(tiny_finbert.config() | changes))


def model(**changes: Any) -> Callable[[Path], object]:
    return lambda folder: write_model(folder, graph(**changes))


def endless(folder: Path) -> None:
    """Weights that are no numbers."""
    made = graph()
    table = numpy_helper.to_array(made.graph.initializer[0]) * np.float32("nan")
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))
    write_model(folder, made)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("model.onnx"), "model.onnx is missing"),
        (remove("config.json"), "config.json is missing"),
        (remove("tokenizer.json"), "tokenizer.json or vocab.txt is missing"),
        (write("model.onnx", "no model"), "model.onnx is no ONNX model that can be run"),
        (write("model.onnx", ""), "model.onnx is no ONNX model that can be run"),
        (write("tokenizer.json", "{}"), "tokenizer.json is no tokenizer"),
        (write("tokenizer.json", "{"), "tokenizer.json is no tokenizer"),
        (write("config.json", "{"), "config.json cannot be read as JSON"),
        (write("config.json", "[]"), "config.json is not a JSON object"),
        (write("config.json", "{}"), "config.json: id2label is None"),
        (configure(id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}), "id2label is {"),
        (configure(id2label={"0": "positive", "1": "negative"}), "id2label is {"),
        (configure(id2label=["positive", "negative", "neutral"]), r"id2label is \["),
        (configure(max_position_embeddings=2), "max_position_embeddings is 2"),
        (configure(max_position_embeddings="512"), "max_position_embeddings is '512'"),
        (model(inputs=("input_ids", "attention_mask", "bbox")), "takes attention_mask, bbox,"),
        (model(kind=TensorProto.INT32), r"is tensor\(int32\), not tensor\(int64\)"),
        (model(labels=2), r"with numbers of shape \(2, 2\)"),
        (model(words=5), "the model fails on 2 texts"),
        (model(batch=1), "the model fails on 2 texts"),
        (endless, "or not with numbers"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_and_what_is_wrong_is_named(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    with pytest.raises(FinbertModelError, match=message) as refused:
        FinbertScorer(folder)
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize("missing", ["[UNK]", "[CLS]", "[SEP]"])
def test_a_vocabulary_without_what_bert_needs_is_refused(folder: Path, missing: str) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(word for word in WORDS if word != missing))
    with pytest.raises(FinbertModelError, match=r"vocab\.txt"):
        FinbertScorer(folder)


def test_a_folder_that_is_not_there_or_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(FinbertModelError, match="absent is not a folder"):
        scorer_of(ScorerName.FINBERT, tmp_path / "absent")
    with pytest.raises(FinbertModelError, match="FINBERT_FOLDER names the one"):
        scorer_of(ScorerName.FINBERT)


def test_an_image_without_the_parts_says_which_one_has_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("scorer", "files"):
        monkeypatch.delitem(sys.modules, f"streamdesk.news_filter.adapters.finbert.{name}")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    importlib.invalidate_caches()
    with pytest.raises(FinbertModelError, match=r"news-filter-finbert has it"):
        scorer_of(ScorerName.FINBERT, folder)
