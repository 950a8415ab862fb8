"""Trains the models of the table in docs/models.md, exports each by the line that stands there, and prints as JSON what
the library predicts for some rows, and what ONNX Runtime gives for each of them alone.

usage: export_models.py FOLDER TABLE ROWS: where models go, the page with the table, and a JSON list of rows.
A library that is not installed leaves its rows out, with its name.
"""

import json
import re
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import TensorProto as T
from onnx import helper
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

onnxruntime.set_default_logger_severity(4)
NUMBERS, TEXTS = ["a", "b", "c"], ["shop", "city"]

chance = np.random.default_rng(7)
X = chance.normal(size=(600, 3)).astype(np.float32)
side = X[:, 0] * 2 + X[:, 1]
zero_one, named, three = (side > 0).astype(int), np.where(side > 0, "fraud", "ok"), np.digitize(side, [-1, 1])
two_targets = np.c_[side, 100 + X[:, 2]]
frame = pd.DataFrame(X, columns=NUMBERS)
frame["shop"], frame["city"] = chance.choice(["s1", "s2", "s3"], 600), chance.choice(["Ulm", "Bonn"], 600)


class Script:
    """A graph made by hand, with what it computes."""

    def __init__(self, predict, nodes, inputs, outputs, initializers=()):
        values = lambda tensors: [helper.make_tensor_value_info(*tensor) for tensor in tensors]
        graph = helper.make_graph(nodes, "script", values(inputs), values(outputs), list(initializers))
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        self.predict = predict

    def embedding():
        w = np.array([[1], [-2], [4], [0.5]], np.float32)
        node = [helper.make_node("MatMul", ["v", "w"], ["s"]), helper.make_node("Add", ["s", "a"], ["t"]), helper.make_node("Sigmoid", ["t"], ["score"])]
        inputs = [("v", T.FLOAT, ["N", 4]), ("a", T.FLOAT, ["N", 1])]
        predict = lambda rows: 1 / (1 + np.exp(-(rows.v @ w.astype(float) + rows.numbers[:, :1])))[:, 0]
        return Script(predict, node, inputs, [("score", T.FLOAT, ["N", 1])], [onnx.numpy_helper.from_array(w, "w")])

    def network(half=False):
        w = chance.normal(0, 0.3, (3, 400)).astype(np.float32), chance.normal(0, 0.3, (400, 1)).astype(np.float32)
        node = [helper.make_node("MatMul", ["x", "w0"], ["h"]), helper.make_node("Relu", ["h"], ["k"]), helper.make_node("MatMul", ["k", "w1"], ["score"])]
        kind, as_kind = (T.FLOAT16, np.float16) if half else (T.FLOAT, np.float32)
        predict = lambda rows: (np.maximum(rows.numbers @ w[0].astype(float), 0) @ w[1].astype(float))[:, 0]
        weights = [onnx.numpy_helper.from_array(part.astype(as_kind), f"w{place}") for place, part in enumerate(w)]
        return Script(predict, node, [("x", kind, ["N", 3])], [("score", kind, ["N", 1])], weights)


class Rows:
    def __init__(self, rows):
        self.numbers = np.array([[row[name] for name in NUMBERS] for row in rows], np.float32)
        self.v = np.array([row["v"] for row in rows], np.float32)
        self.frame = pd.DataFrame(self.numbers, columns=NUMBERS)
        for name in TEXTS:
            self.frame[name] = [row[name] for row in rows]


def proba(column):
    return lambda m, rows: m.predict_proba(rows.numbers)[:, column]


def value(m, rows):
    return m.predict(rows.numbers)


def mixed(*transformers):
    return make_pipeline(make_column_transformer(*transformers), LogisticRegression()).fit(frame, zero_one)


def lightgbm(kind, y):
    import lightgbm

    return getattr(lightgbm, kind)(n_estimators=20, verbose=-1, n_jobs=1).fit(X, y)


def xgboost(kind, y):
    import xgboost

    return getattr(xgboost, kind)(n_estimators=20, max_depth=4, n_jobs=1).fit(X, y)


def catboost(kind, y, **more):
    import catboost

    return getattr(catboost, kind)(iterations=20, depth=3, verbose=0, allow_writing_files=False, thread_count=1, **more).fit(X, y)


one_hot = lambda columns: (OneHotEncoder(handle_unknown="ignore"), columns)
forest = {"n_estimators": 10, "max_depth": 4, "random_state": 0}

# By the first cell of the table: how it is trained, what it predicts, what it takes.
MODELS = {
    "scikit-learn, `LogisticRegression` of 0 and 1": (lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(X, zero_one), proba(1)),
    "scikit-learn, the same with zipmap": (lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(X, zero_one), proba(1)),
    "scikit-learn, `RandomForestClassifier` of `fraud` and `ok`": (lambda: RandomForestClassifier(**forest).fit(X, named), proba(0)),
    "scikit-learn, `GradientBoostingClassifier` of 0 and 1": (lambda: GradientBoostingClassifier(n_estimators=10).fit(X, zero_one), proba(1)),
    "scikit-learn, `MLPClassifier` of three classes": (lambda: MLPClassifier((8,), max_iter=60, random_state=0).fit(X, three), proba(2)),
    "scikit-learn, `RidgeClassifier`": (lambda: RidgeClassifier().fit(X, zero_one), lambda m, rows: m.decision_function(rows.numbers)),
    "scikit-learn, `LinearRegression`": (lambda: LinearRegression().fit(X, side), value),
    "scikit-learn, `RandomForestRegressor` of two targets": (lambda: RandomForestRegressor(**forest).fit(X, two_targets), lambda m, rows: value(m, rows)[:, 1]),
    "scikit-learn, `KMeans`": (lambda: KMeans(4, n_init=2, random_state=0).fit(X), lambda m, rows: m.transform(rows.numbers)[:, 2]),
    "scikit-learn, the cluster of `KMeans`": (lambda: KMeans(4, n_init=2, random_state=0).fit(X), value),
    "scikit-learn, `IsolationForest`": (lambda: IsolationForest(n_estimators=20, random_state=0).fit(X), lambda m, rows: m.decision_function(rows.numbers)),
    "scikit-learn, a pipeline of numbers and texts": (lambda: mixed((StandardScaler(), NUMBERS), one_hot(TEXTS)), lambda m, rows: m.predict_proba(rows.frame)[:, 1], "mixed"),
    "scikit-learn, the same in two tensors": (lambda: mixed((StandardScaler(), [0, 1, 2]), one_hot([3, 4])), lambda m, rows: m.predict_proba(rows.frame)[:, 1], "mixed"),
    "LightGBM, `LGBMClassifier` of 0 and 1": (lambda: lightgbm("LGBMClassifier", zero_one), proba(1)),
    "LightGBM, `LGBMClassifier` of `fraud` and `ok`, with zipmap": (lambda: lightgbm("LGBMClassifier", named), proba(0)),
    "LightGBM, `LGBMRegressor`": (lambda: lightgbm("LGBMRegressor", side), value),
    "XGBoost, `XGBClassifier` of 0 and 1": (lambda: xgboost("XGBClassifier", zero_one), proba(1)),
    "XGBoost, `XGBClassifier` of three classes": (lambda: xgboost("XGBClassifier", three), proba(0)),
    "XGBoost, `XGBRegressor`": (lambda: xgboost("XGBRegressor", side), value),
    "CatBoost, `CatBoostClassifier` of 0 and 1": (lambda: catboost("CatBoostClassifier", zero_one), proba(1)),
    "CatBoost, `CatBoostClassifier` of `fraud` and `ok`": (lambda: catboost("CatBoostClassifier", named), proba(0)),
    "CatBoost, `CatBoostRegressor`": (lambda: catboost("CatBoostRegressor", side), value),
    "a network, its weights in a file of their own": (Script.network, lambda m, rows: m.predict(rows)),
    "a network of 16-bit floats": (lambda: Script.network(True), lambda m, rows: m.predict(rows)),
    "a network over an embedding": (Script.embedding, lambda m, rows: m.predict(rows), "embedded"),
}


def table(page):
    """The first two cells of each row between the marks."""
    lines = page.split("<!-- exports -->")[1].split("<!-- end -->")[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def alone(file, rows, take):
    """What ONNX Runtime gives for each row alone, by output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    given = {output.name: [] for output in session.get_outputs()}
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(string)": object}
    for row in range(len(rows.numbers)):
        one = rows.frame.iloc[row : row + 1]
        feed = {}
        for tensor in session.get_inputs():
            if tensor.name == "v":
                columns = rows.v[row : row + 1]
            elif tensor.name in one.columns:
                columns = one[[tensor.name]].to_numpy()
            else:
                columns = one[{"texts": TEXTS}.get(tensor.name, NUMBERS)].to_numpy()
            feed[tensor.name] = columns.astype(kinds[tensor.type])
        for output, values in zip(given, session.run(None, feed)):
            found = [list(map(str, values[0])), list(values[0].values())] if isinstance(values, list) else np.asarray(values).ravel().tolist()
            given[output].append(found)
    return given


def main(folder, page, rows):
    rows = Rows(json.loads(Path(rows).read_text()))
    found = []
    for place, (name, export, _) in enumerate(table(Path(page).read_text())):
        train, predict, *takes = MODELS.pop(name)
        file = str(Path(folder) / f"model_{place}.onnx")
        entry = {"name": name, "file": Path(file).name, "takes": (takes or ["numbers"])[0]}
        try:
            m = train()
            places = {"m": m, "X": X, "frame": frame, "file": file, "onnx": onnx, "to_onnx": to_onnx}
            if "onnxmltools" in export:
                import onnxmltools
                from onnxmltools.convert.common.data_types import FloatTensorType as Floats

                places |= {"onnxmltools": onnxmltools, "FloatTensorType": Floats}
            else:
                places |= {"FloatTensorType": FloatTensorType, "StringTensorType": StringTensorType}
        except ModuleNotFoundError as missing:
            found.append(entry | {"missing": missing.name})
            continue
        made = eval(re.fullmatch("`(.*)`", export)[1], places)
        if isinstance(made, onnx.ModelProto):
            Path(file).write_bytes(made.SerializeToString())
        predicted = np.asarray(predict(m, rows), float).ravel().tolist()
        found.append(entry | {"predicted": predicted, "runtime": alone(file, rows, entry["takes"])})
    assert not MODELS, f"not in the table: {list(MODELS)}"
    print(json.dumps(found))


main(*sys.argv[1:])
