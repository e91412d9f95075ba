"""A model with FinBERT's interface, of one kilobyte and four words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "rises", "falls", "pro", "##fit")
LABELS = ("positive", "negative", "neutral")  # as the best known FinBERT orders them
# What a word adds to the logits of LABELS, in that order. The padding has the largest: it shows
# when the attention mask is ignored.
PULLS = {
    "[PAD]": (0.0, 50.0, 0.0),
    "rises": (4.0, 0.0, 0.0),
    "falls": (0.0, 4.0, 0.0),
    "[CLS]": (0.0, 0.0, 2.0),
}
TOKEN_TYPE_PULL = 100.0
OPSET = 17
IR_VERSION = 8


def config() -> dict[str, Any]:
    """What config.json says."""
    return {
        "id2label": {str(number): label for number, label in enumerate(LABELS)},
        "max_position_embeddings": 32,
    }


def graph(
    words: int = len(WORDS),
    labels: int = len(LABELS),
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
    kind: int = TensorProto.INT64,
    batch: str | int = "batch",
) -> onnx.ModelProto:
    """The model: the sum of the words' pulls, as a lookup, a mask and a sum.

    Args:
        words: how many words it knows.
        labels: logits a text.
        inputs: what it takes; others than these three are taken and not used.
        kind: the type of all of them.
        batch: texts at once; a number for just so many.
    """
    table = np.zeros((words, labels), np.float32)
    for word, pulls in PULLS.items():
        place = WORDS.index(word)
        if place < words:
            table[place] = [*pulls, *[0.0] * labels][:labels]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["pulls"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide_mask"]),
        helper.make_node("Mul", ["pulls", "wide_mask"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "tokens"], ["sums"], keepdims=0),
    ]
    summed = "sums"
    if "token_type_ids" in inputs:
        nodes += [
            helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["types", "tokens"], ["typed"], keepdims=1),
            helper.make_node("Mul", ["typed", "type_pull"], ["pulled"]),
            helper.make_node("Add", ["sums", "pulled"], ["added"]),
        ]
        summed = "added"
    nodes.append(helper.make_node("Identity", [summed], ["logits"]))
    constants: dict[str, np.ndarray[Any, Any]] = {
        "table": table,
        "last": np.array([2], np.int64),
        "tokens": np.array([1], np.int64),
        "type_pull": np.array([TOKEN_TYPE_PULL], np.float32),
    }
    made = helper.make_graph(
        nodes,
        "tiny-finbert",
        [helper.make_tensor_value_info(name, kind, [batch, "tokens"]) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, labels])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )


def tokenizer() -> Tokenizer:
    """WordPiece over `WORDS`, as BERT has it."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    made = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no secret
    made.normalizer = BertNormalizer(lowercase=True)
    made.pre_tokenizer = BertPreTokenizer()
    made.post_processor = BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    return made


def write_model(folder: Path, model: onnx.ModelProto | None = None) -> Path:
    """Write a valid model into a folder, or another `model.onnx` with the same other files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config()))
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "model.onnx").write_bytes((model or graph()).SerializeToString())
    return folder
