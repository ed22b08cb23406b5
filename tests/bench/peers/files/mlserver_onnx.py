"""A custom runtime of MLServer around onnxruntime. Runs inside MLServer alone."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
from mlserver.utils import get_model_uri


class OnnxModel(MLModel):
    async def load(self):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = await get_model_uri(self._settings)
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0])
        made = self.session.run(None, {"x": rows})[0]
        output = NumpyCodec.encode_output("probabilities", made)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
