"""Make the tiny model folders that tests load in milliseconds.

    python models/fixtures.py [DEST]

DEST (default: test/fixtures) gets `tiny-bert` (mean pooling, normalised, 16 values) and `tiny-dense`
(mean pooling, then a Dense layer to 8 values, not normalised). Both are laid out as
sentence-transformers saves a model, so tests go through the same reading code as real models.

The weights mean nothing, but the network is built so that mistakes show: a token's output depends on
its id, its position, its type and the masked mean of its own sequence. A wrong mask, a mixed-up batch
row or a shifted position therefore changes the vector.

The same script gives the same bytes.
"""

import argparse
import json
import string
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN = 16
DENSE = 8
POSITIONS_MAX = 64
SEQUENCE_TOKENS_MAX = 32
SEED = 20

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

WORDS = """
the a an and or not is are was be to of in on at for with from by as it this that you we they he she
hello world quick brown fox jumps over lazy dog cat red blue green big small new old good bad
text token model vector search query document test batch one two three four five
king queen man woman paris france berlin germany city river car road rain sun play music guitar
""".split()

WORD_ENDINGS = ("ing", "ed", "er", "ly", "tion", "ness")


def vocabulary():
    """Token -> id. Every printable ASCII character has a token, so only other scripts become [UNK]."""
    characters = string.ascii_lowercase + string.digits
    tokens = [
        *SPECIAL_TOKENS,
        *string.punctuation,
        *characters,
        *(f"##{character}" for character in characters),
        *(f"##{ending}" for ending in WORD_ENDINGS),
        *WORDS,
    ]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def tokenizer(vocab):
    def special(token):
        return {"id": token, "ids": [vocab[token]], "tokens": [token]}

    def place(token, type_id):
        return {"SpecialToken": {"id": token, "type_id": type_id}}

    def sequence(name, type_id):
        return {"Sequence": {"id": name, "type_id": type_id}}

    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocab[token],
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in SPECIAL_TOKENS
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [place("[CLS]", 0), sequence("A", 0), place("[SEP]", 0)],
            "pair": [
                place("[CLS]", 0),
                sequence("A", 0),
                place("[SEP]", 0),
                sequence("B", 1),
                place("[SEP]", 1),
            ],
            "special_tokens": {token: special(token) for token in ("[CLS]", "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    }


def tokenizer_config():
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "model_max_length": POSITIONS_MAX,
        **special_tokens_map(),
    }


def special_tokens_map():
    return {f"{token.strip('[]').lower()}_token": token for token in SPECIAL_TOKENS}


def config(vocab):
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": HIDDEN,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": HIDDEN,
        "max_position_embeddings": POSITIONS_MAX,
        "pad_token_id": vocab["[PAD]"],
        "type_vocab_size": 2,
        "vocab_size": len(vocab),
    }


def pooling_config():
    return {
        "word_embedding_dimension": HIDDEN,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
        "pooling_mode_weightedmean_tokens": False,
        "pooling_mode_lasttoken": False,
        "include_prompt": True,
    }


def dense_config():
    return {
        "in_features": HIDDEN,
        "out_features": DENSE,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }


def modules(*kinds_and_paths):
    return [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(kinds_and_paths)
    ]


def make_weights(vocab_size):
    """Weights by name. `RandomState` is frozen: NumPy promises its stream for every later version."""
    random = np.random.RandomState(SEED)

    def uniform(scale, *shape):
        return random.uniform(-scale, scale, shape).astype(np.float32)

    return {
        "word_embeddings": uniform(1.0, vocab_size, HIDDEN),
        "position_embeddings": uniform(0.3, POSITIONS_MAX, HIDDEN),
        "token_type_embeddings": uniform(0.3, 2, HIDDEN),
        "own_weight": uniform(0.5, HIDDEN, HIDDEN),
        "context_weight": uniform(0.8, HIDDEN, HIDDEN),
        "bias": uniform(0.1, HIDDEN),
        "linear.weight": uniform(0.5, DENSE, HIDDEN),
        "linear.bias": uniform(0.2, DENSE),
    }


def make_model(weights):
    """tanh(own_weight * token + context_weight * mean of the sequence's unmasked tokens + bias)."""
    constants = {name: values for name, values in weights.items() if not name.startswith("linear.")}
    constants |= {
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "length_axis": np.array([1], np.int64),
        "vector_axis": np.array([2], np.int64),
        "one_token": np.array(1, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["word_embeddings", "input_ids"], ["words"]),
        node("Gather", ["token_type_embeddings", "token_type_ids"], ["types"]),
        node("Shape", ["input_ids"], ["shape"]),
        node("Gather", ["shape", "one"], ["length"]),
        node("Range", ["zero", "length", "one"], ["position_ids"]),
        node("Gather", ["position_embeddings", "position_ids"], ["positions"]),
        node("Add", ["words", "types"], ["typed_words"]),
        node("Add", ["typed_words", "positions"], ["tokens"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "vector_axis"], ["mask_column"]),
        node("Mul", ["tokens", "mask_column"], ["real_tokens"]),
        node("ReduceSum", ["real_tokens", "length_axis"], ["token_sum"], keepdims=1),
        node("ReduceSum", ["mask_column", "length_axis"], ["token_count"], keepdims=1),
        node("Max", ["token_count", "one_token"], ["divisor"]),  # A row of padding alone must not give NaN.
        node("Div", ["token_sum", "divisor"], ["context"]),
        node("MatMul", ["tokens", "own_weight"], ["own"]),
        node("MatMul", ["context", "context_weight"], ["shared"]),
        node("Add", ["own", "shared"], ["mixed"]),
        node("Add", ["mixed", "bias"], ["biased"]),
        node("Tanh", ["biased"], ["last_hidden_state"]),
    ]
    batch = ["batch_size", "sequence_length"]
    graph = helper.make_graph(
        nodes,
        "tiny-bert",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, batch)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*batch, HIDDEN])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def safetensors(tensors):
    """The bytes of a .safetensors file: header length, JSON header, then the raw fp32 values."""
    header = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, values in sorted(tensors.items()):
        raw = values.astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)  # The format wants the values aligned to 8 bytes.
    return len(head).to_bytes(8, "little") + head + data


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8", newline="\n")


def write_bytes(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value)


def write_transformer(folder, vocab, model):
    """The files both models share."""
    write_json(folder / "config.json", config(vocab))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": SEQUENCE_TOKENS_MAX, "do_lower_case": False})
    write_json(folder / "tokenizer.json", tokenizer(vocab))
    write_json(folder / "tokenizer_config.json", tokenizer_config())
    write_json(folder / "special_tokens_map.json", special_tokens_map())
    write_json(folder / "1_Pooling" / "config.json", pooling_config())
    write_bytes(folder / "onnx" / "model.onnx", model.SerializeToString(deterministic=True))


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Make the tiny model folders that tests load in milliseconds.")
    default = Path(__file__).resolve().parent.parent / "test" / "fixtures"
    parser.add_argument("dest", metavar="DEST", nargs="?", type=Path, default=default, help="default: test/fixtures")
    dest = parser.parse_args(arguments).dest

    vocab = vocabulary()
    weights = make_weights(len(vocab))
    model = make_model(weights)

    bert = dest / "tiny-bert"
    write_transformer(bert, vocab, model)
    write_json(
        bert / "modules.json",
        modules(("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")),
    )

    dense = dest / "tiny-dense"
    write_transformer(dense, vocab, model)
    write_json(dense / "modules.json", modules(("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense")))
    write_json(dense / "2_Dense" / "config.json", dense_config())
    linear = {name: values for name, values in weights.items() if name.startswith("linear.")}
    write_bytes(dense / "2_Dense" / "model.safetensors", safetensors(linear))


if __name__ == "__main__":
    main()
