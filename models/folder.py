"""A model folder as Hugging Face and sentence-transformers lay it out: its graph, and the files beside it."""

import json
import shutil
from pathlib import Path

import onnx


class SourceError(Exception):
    """The source folder or its model is not one the script can work on. The text is for who called it."""


def read_model(source, dest):
    """Return the ONNX model of folder `source`, which is about to be written to folder `dest`."""
    if not source.is_dir():
        raise SourceError(f"{source} is not a folder")
    if source.resolve() == dest.resolve():
        raise SourceError("SOURCE and DEST are the same folder")
    return load_model(find_model(source))


def write_folder(source, dest, model):
    """Write `model` and a copy of what stands beside it in `source`; return the ONNX file's path.

    Call it once the model has passed all checks, so that a failure leaves no half-made folder. The same model
    gives the same bytes.
    """
    for path in files_to_copy(source):
        target = dest / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    target = dest / "onnx" / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(model.SerializeToString(deterministic=True))
    return target


def find_model(source):
    for relative in ("onnx/model.onnx", "model.onnx"):
        if (source / relative).is_file():
            return source / relative
    raise SourceError(f"{source} has neither onnx/model.onnx nor model.onnx")


def load_model(path):
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf and missing external data fail in many ways.
        raise SourceError(f"{path} is not a readable ONNX file: {error}") from error


def module_folders(source):
    """Folders that modules.json names, such as 1_Pooling; Normalize often has none on disk."""
    listing = source / "modules.json"
    if not listing.is_file():
        return []
    try:
        paths = [entry["path"] for entry in json.loads(listing.read_text("utf-8"))]
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{listing} is not a list of modules: {error!r}") from error
    for path in paths:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise SourceError(f"{listing} names a folder outside the model: {path}")
    return [source / path for path in paths if path and (source / path).is_dir()]


def files_to_copy(source):
    """Everything but the model's own weights, which the new ONNX file replaces."""
    patterns = ("*.json", "*.txt", "*.model", "LICENSE*", "NOTICE*")
    chosen = {path for pattern in patterns for path in source.glob(pattern) if path.is_file()}
    for folder in module_folders(source):
        chosen.update(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".onnx")
    # The index of a sharded checkpoint is of no use without its shards.
    return sorted(path for path in chosen if not path.name.endswith(".index.json"))
