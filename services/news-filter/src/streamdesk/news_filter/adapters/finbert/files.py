"""Opens the folder of a FinBERT model, and reports what is wrong with one that cannot be used.

In it, as the usual exporters to ONNX write them:

    model.onnx        takes token numbers, gives a logit a label; large ones keep their weights in
                      a file beside it
    config.json       `id2label` names the labels; `max_position_embeddings` is the longest text
    tokenizer.json    or `vocab.txt`, a WordPiece vocabulary, with the upper and lower case of
                      `tokenizer_config.json`
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from streamdesk.news_filter.errors import FinbertModelError

LABELS = ("positive", "negative", "neutral")
TOKEN_TYPES = "token_type_ids"  # noqa: S105 - no secret
NEEDED = ("input_ids", "attention_mask")
UNKNOWN, SEPARATOR, CLASS = "[UNK]", "[SEP]", "[CLS]"
WHOLE_NUMBERS = "tensor(int64)"
BERT_POSITIONS = 512
MOST_TOKENS = 256  # twice the longest headline; what a model takes grows with the square
FEWEST_TOKENS = 8
ERRORS_ALONE = 3  # ONNX Runtime's severity: it warns of hardware that it would have liked


@dataclass(frozen=True, slots=True)
class FinbertModel:
    """A model, ready as far as its files show.

    Attributes:
        session: runs it.
        tokenizer: makes token numbers of a text, at most as many as the model takes.
        labels: `LABELS`, in the order of the model's answers.
        version: follows from the contents of all files.
    """

    session: ort.InferenceSession
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    version: str


def open_folder(folder: Path) -> FinbertModel:
    """The model in a folder.

    Raises:
        FinbertModelError: a file is missing or of another shape; the message names it.
    """
    if not folder.is_dir():
        raise FinbertModelError(f"{folder} is not a folder; expected one with model.onnx in it")
    model, config = _present(folder, "model.onnx"), _present(folder, "config.json")
    vocabulary = _present(folder, "tokenizer.json", "vocab.txt")
    settings = _read_object(config)
    tokenizer = _tokenizer(vocabulary)
    tokenizer.no_padding()
    tokenizer.enable_truncation(_longest(settings, config))
    labels = _labels(settings, config)
    session = _session(model)
    _check_inputs(session, model)
    return FinbertModel(session, tokenizer, labels, _fingerprint(folder))


def _present(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FinbertModelError(f"{folder}: {' or '.join(names)} is missing")


def _read_object(path: Path) -> Mapping[str, Any]:
    try:
        read: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FinbertModelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(read, dict):
        raise FinbertModelError(f"{path} is not a JSON object")
    return read


def _labels(settings: Mapping[str, Any], config: Path) -> tuple[str, ...]:
    named = settings.get("id2label")
    expected = {str(number) for number in range(len(LABELS))}
    if isinstance(named, dict) and named.keys() == expected:
        labels = tuple(str(named[number]).lower() for number in sorted(expected))
        if sorted(labels) == sorted(LABELS):
            return labels
    raise FinbertModelError(
        f"{config}: id2label is {named!r}; expected {', '.join(LABELS)} in any order under 0, 1, 2"
    )


def _longest(settings: Mapping[str, Any], config: Path) -> int:
    positions = settings.get("max_position_embeddings", BERT_POSITIONS)
    if not isinstance(positions, int) or positions < FEWEST_TOKENS:
        raise FinbertModelError(
            f"{config}: max_position_embeddings is {positions!r}; expected a number from "
            f"{FEWEST_TOKENS}"
        )
    return min(positions, MOST_TOKENS)


def _tokenizer(path: Path) -> Tokenizer:
    try:
        if path.suffix == ".json":
            return Tokenizer.from_file(str(path))
        return _word_pieces(path, lowercase=_is_lower_case(path.with_name("tokenizer_config.json")))
    except FinbertModelError:
        raise
    except Exception as error:  # the library raises Exception itself
        raise FinbertModelError(f"{path} is no tokenizer: {error}") from error


def _word_pieces(vocabulary: Path, *, lowercase: bool) -> Tokenizer:
    """What BERT does with a text, from its list of words."""
    tokenizer = Tokenizer(WordPiece.from_file(str(vocabulary), unk_token=UNKNOWN))
    numbers = tokenizer.get_vocab()
    missing = [name for name in (UNKNOWN, SEPARATOR, CLASS) if name not in numbers]
    if missing:
        raise FinbertModelError(f"{vocabulary}: the word {missing[0]} is missing")
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(
        (SEPARATOR, numbers[SEPARATOR]), (CLASS, numbers[CLASS])
    )
    return tokenizer


def _is_lower_case(path: Path) -> bool:
    return not path.is_file() or bool(_read_object(path).get("do_lower_case", True))


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # A filter has one core: more filters are more cores. Its threads would spin between batches.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ALONE
    ort.set_default_logger_severity(ERRORS_ALONE)
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise FinbertModelError(f"{path} is no ONNX model that can be run: {error}") from error


def _check_inputs(session: ort.InferenceSession, path: Path) -> None:
    inputs = {item.name: item.type for item in session.get_inputs()}
    strange = inputs.keys() - {*NEEDED, TOKEN_TYPES} or set(NEEDED) - inputs.keys()
    if strange:
        raise FinbertModelError(
            f"{path} takes {', '.join(sorted(inputs))}; expected {' and '.join(NEEDED)}, and "
            f"perhaps {TOKEN_TYPES}"
        )
    other = sorted(name for name, kind in inputs.items() if kind != WHOLE_NUMBERS)
    if other:
        raise FinbertModelError(f"{path}: {other[0]} is {inputs[other[0]]}, not {WHOLE_NUMBERS}")


def _fingerprint(folder: Path) -> str:
    """Twelve digits that follow from the contents of the folder's files."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:12]
