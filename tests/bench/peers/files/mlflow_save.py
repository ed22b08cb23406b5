"""Save an ONNX file as a model of MLflow: `mlflow_save.py FILE FOLDER`. Runs in MLflow's environment alone."""

import sys

import mlflow
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

model = onnx.load(sys.argv[1])
columns = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
signature = ModelSignature(inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, columns))]))
options = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
mlflow.onnx.save_model(model, sys.argv[2], signature=signature, onnx_session_options=options)
