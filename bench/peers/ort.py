#!/usr/bin/env python3
"""ONNX Runtime beside Rondo on the CPU: the options of rondo-bench, and the same line of JSON.

A model of one LSTM, GRU (linear_before_reset = 1) or RNN node a layer, sequences in its layout [T, N, I], run
with inputs and outputs bound to arrays that were made before. A call through Python takes some microseconds
more than one through its C interface, which weighs where a pass takes as little. It has inference alone.
"""
import math
import sys

import rows

EXAMPLES = """examples:
  ort.py shape --cell gru --t 50 --n 32 --i 128 --h 128 --threads 2
  ort.py rows rows.txt      # a line of shape's options for each row; - reads them from stdin
"""


class OnnxRuntime(rows.Peer):
    name = "onnxruntime"

    def __init__(self):
        self.ort = None

    def version(self):
        try:
            import numpy
            import onnx
            import onnxruntime
        except ImportError as error:
            raise RuntimeError(f"{sys.executable} lacks a package ({error})")
        self.numpy, self.onnx, self.ort = numpy, onnx, onnxruntime
        onnxruntime.set_default_logger_severity(3)
        return onnxruntime.__version__

    def check(self, o):
        if o.phase != "inference":
            raise ValueError(f"--phase is {o.phase}, expected inference: that is all that ONNX Runtime has")
        if o.device != "cpu" or o.dtype != "f32" or o.math != "strict" or o.graph:
            raise ValueError("expected --device cpu, --dtype f32, --math strict and no --graph")

    def layer(self, o, index, name, directions):
        """The node of a layer, and its weights."""
        helper, numpy_helper, numpy = self.onnx.helper, self.onnx.numpy_helper, self.numpy
        random = numpy.random.default_rng(index)
        inputs, height, bound = o.i if index == 0 else directions * o.h, rows.gates(o) * o.h, 1 / math.sqrt(o.h)
        weights = []
        for letter, shape in (("W", (height, inputs)), ("R", (height, o.h)), ("B", (2 * height,))):
            values = random.uniform(-bound, bound, (directions, *shape)).astype(numpy.float32)
            weights.append(numpy_helper.from_array(values, f"{letter}{index}"))
        kind = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}[o.cell]
        more = {"linear_before_reset": 1} if o.cell == "gru" else {}
        node = helper.make_node(kind, [name, *(w.name for w in weights)], [f"y{index}"], hidden_size=o.h,
                                direction="bidirectional" if directions == 2 else "forward", **more)
        return node, weights

    def model(self, o):
        helper, directions = self.onnx.helper, 2 if o.bidirectional else 1
        nodes, weights, name = [], [], "x"
        shape = self.onnx.numpy_helper.from_array(
            self.numpy.array([o.t, o.n, directions * o.h], self.numpy.int64), "shape")
        for index in range(o.layers):
            node, of_layer = self.layer(o, index, name, directions)
            nodes.append(node)
            weights += of_layer
            name = f"y{index}"
            if index + 1 == o.layers:
                break
            # [T, D, N, H] to [T, N, D * H].
            nodes.append(helper.make_node("Transpose", [name], [f"turned{index}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"turned{index}", "shape"], [f"x{index + 1}"]))
            name = f"x{index + 1}"
            if shape not in weights:
                weights.append(shape)
        f32 = self.onnx.TensorProto.FLOAT
        x = helper.make_tensor_value_info("x", f32, [o.t, o.n, o.i])
        y = helper.make_tensor_value_info(name, f32, [o.t, directions, o.n, o.h])
        graph = helper.make_graph(nodes, "shape", [x], [y], weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), name

    def prepare(self, o):
        ort, numpy = self.ort, self.numpy
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = o.threads, 1
        model, name = self.model(o)
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        x = numpy.random.default_rng(9).uniform(-1, 1, (o.t, o.n, o.i)).astype(numpy.float32)
        y = numpy.zeros((o.t, 2 if o.bidirectional else 1, o.n, o.h), numpy.float32)
        binding = session.io_binding()
        bound = [ort.OrtValue.ortvalue_from_numpy(x), ort.OrtValue.ortvalue_from_numpy(y)]
        binding.bind_ortvalue_input("x", bound[0])
        binding.bind_ortvalue_output(name, bound[1])
        return session, binding, bound

    def time(self, network, o):
        session, binding, _ = network
        samples, runs = rows.measure(lambda: session.run_with_iobinding(binding), lambda: None, 5e-5, o)
        return rows.result(o, samples, {"engine": "onnxruntime " + self.ort.__version__, "device": "cpu",
                                        "device_name": "", "isa": "", "run": "forward, outputs bound",
                                        "sample": f"{runs} run{'' if runs == 1 else 's'}"})


if __name__ == "__main__":
    sys.exit(rows.run_program(OnnxRuntime(), __doc__, EXAMPLES))
