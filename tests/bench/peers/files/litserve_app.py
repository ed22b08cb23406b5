"""A server of LitServe: `litserve_app.py MODEL PORT`. Runs in LitServe's environment alone."""

import sys

import litserve
import numpy as np


class Onnx(litserve.LitAPI):
    def setup(self, device):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request):
        return np.array(request["x"], np.float32)

    def predict(self, rows):
        return self.session.run(None, {"x": rows})[0]

    def encode_response(self, made):
        return {"probabilities": made.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Onnx(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False)
