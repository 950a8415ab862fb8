"""What the training scripts beside the domains share: Forebay's commands, boosted trees, ONNX, honest figures.

Features come from `forebay training-set` alone, so that a model is trained on the values that it will be served.
Everything is seeded and runs in one thread: the same versions give the same model.
"""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import lightgbm
import numpy
import onnxmltools
import onnxruntime
import pyarrow.parquet
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.metrics import average_precision_score, roc_auc_score

CACHE = Path(os.environ.get("FOREBAY_CACHE", Path.home() / ".cache" / "forebay"))
ROWS_OF_PROFILE = 20_000
SEED = 17


class Domain:
    """A folder of definitions, its model, and a folder to work in that is emptied first."""

    def __init__(self, folder, source, vector, model):
        self.folder, self.source, self.vector, self.model = Path(folder), source, vector, model
        self.models = self.folder / "models"
        self.work = CACHE / "train" / self.folder.name
        shutil.rmtree(self.work, ignore_errors=True)
        self.definitions = self.work / "features"
        self.definitions.mkdir(parents=True)
        # Without the model's own declaration: its file is what is being made.
        for file in self.folder.glob("*.bay"):
            if file.name != "model.bay":
                shutil.copy(file, self.definitions)

    def forebay(self, *arguments, features=None):
        binary = os.environ.get("FOREBAY", "forebay")
        command = [binary, "--data", str(self.work / "data"), "--features", str(features or self.definitions), *map(str, arguments)]
        print("  forebay", *map(str, arguments), flush=True)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"forebay ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def training_set(self, events, spine):
        """Events through the log and the engine; then the vector for every row of the spine, as a table."""
        self.forebay("push", self.source, events)
        self.forebay("serve", "--until-caught-up")
        out = self.work / "training-set.parquet"
        self.forebay("training-set", self.vector, "--spine", spine, "--event", self.source, "--out", out)
        return pyarrow.parquet.read_table(out)

    def train(self, table, label, times, ends_training, begins_test, parameters):
        """Trains on rows before `ends_training` and tests on those from `begins_test` on. Writes model and profile."""
        columns = self.columns()
        label = label.astype(int)
        features = numpy.column_stack([floats(table, name) for name in columns])
        train, test = times < ends_training, times >= begins_test
        classifier = lightgbm.LGBMClassifier(
            n_estimators=200, random_state=SEED, n_jobs=1, deterministic=True, force_col_wise=True, verbose=-1, **parameters
        )
        classifier.fit(features[train], label[train])
        scores = classifier.predict_proba(features[test])[:, 1]

        model = onnxmltools.convert_lightgbm(
            with_float_thresholds(classifier), initial_types=[("features", FloatTensorType([None, len(columns)]))], zipmap=False, target_opset=15
        )
        self.models.mkdir(exist_ok=True)
        path = self.models / f"{self.model}.onnx"
        path.write_bytes(model.SerializeToString())
        check_equal(path, features[test], scores)

        # The profile is of training rows, evenly taken.
        step = max(1, int(train.sum()) // ROWS_OF_PROFILE)
        kept = numpy.flatnonzero(train)[::step]
        reference = self.work / "reference.parquet"
        pyarrow.parquet.write_table(table.take(kept), reference)
        self.forebay("models", "profile", self.model, "--training-set", reference, "--out", self.models / f"{self.model}.profile", features=self.folder)

        print(f"  trained on {train.sum()} rows ({label[train].mean():.2%} positive), tested on {test.sum()} later ones ({label[test].mean():.2%})")
        print(f"  AUC on later, unseen time {roc_auc_score(label[test], scores):.4f}")
        print(f"  average precision {average_precision_score(label[test], scores):.4f}")
        print(f"  the same on the training rows: AUC {roc_auc_score(label[train], classifier.predict_proba(features[train])[:, 1]):.4f}")
        gains = sorted(zip(classifier.booster_.feature_importance("gain"), columns), reverse=True)[:8]
        print("  most used:", ", ".join(f"{name} {gain / sum(classifier.booster_.feature_importance('gain')):.0%}" for gain, name in gains))
        print(f"  {path.name}: {path.stat().st_size} bytes;", ", ".join(f"{name} {version(name)}" for name in VERSIONS))
        return scores, test

    def columns(self):
        """The vector's columns in order: those that the training set has after the spine's."""
        schema = pyarrow.parquet.read_schema(self.work / "training-set.parquet")
        return [name for name in schema.names if name not in self.spine_columns]


VERSIONS = ["lightgbm", "onnxmltools", "onnx", "onnxruntime", "numpy"]


def floats(table, name):
    """A column as the engine feeds it: 32-bit floats, booleans 0 and 1, null as NaN."""
    column = table.column(name).cast("float64" if str(table.schema.field(name).type) != "bool" else "uint8").cast("float64")
    return column.to_numpy(zero_copy_only=False).astype(numpy.float32)


def with_float_thresholds(classifier):
    """The same trees with every threshold rounded down to 32 bits: a 32-bit value takes the same branch as before."""

    def rounded(text):
        value = numpy.float32(text)
        return repr(float(value if float(value) <= float(text) else numpy.nextafter(value, numpy.float32(-numpy.inf))))

    lines = classifier.booster_.model_to_string().splitlines()
    for index, line in enumerate(lines):
        if line.startswith("threshold="):
            lines[index] = "threshold=" + " ".join(map(rounded, line.removeprefix("threshold=").split()))
    # A tree's size in bytes is told ahead of the trees; without it the text is read line by line.
    return lightgbm.Booster(model_str="\n".join(line for line in lines if not line.startswith("tree_sizes=")) + "\n")


def check_equal(path, features, scores):
    """The exported model says what the trained one does, in batches as alone."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    run = lambda rows: session.run(["probabilities"], {"features": rows})[0][:, 1]
    exported = run(features)
    worst = float(numpy.abs(exported - scores).max())
    if worst > 1e-5:
        sys.exit(f"the exported model differs from the trained one by up to {worst}")
    alone = numpy.concatenate([run(features[row : row + 1]) for row in range(min(500, len(features)))])
    if not numpy.array_equal(alone, exported[: len(alone)]):
        sys.exit("the exported model gives a row another score in a batch than alone")
    print(f"  exported model: within {worst:.1e} of the trained one on {len(scores)} held-out rows")
