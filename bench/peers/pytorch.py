#!/usr/bin/env python3
"""PyTorch beside Rondo: the options of rondo-bench, and the same line of JSON.

Weights, input and the gradient of the outputs are random as in rondo-bench, weights in PyTorch's initial
range, which saturates no gate. A run of inference is the forward pass in eval mode under no_grad; of training
gradients set to None, forward, and backward from a given gradient of the outputs to the parameters, the input
and the initial state; of step: T calls of one time step each. Samples are taken as bench/timing.h says.
"""
import argparse
import ctypes
import sys

import rows

EXAMPLES = """examples:
  pytorch.py shape --cell lstm --t 50 --n 32 --i 128 --h 128 --phase training --threads 2
  pytorch.py shape --device cuda --cell lstm --t 25 --n 32 --i 1024 --h 1024 --phase training --math tf32
  pytorch.py shape --device cuda --cell gru --t 375 --n 32 --i 1536 --h 1536 --dtype bf16 --graph
  pytorch.py rows rows.txt      # a line of shape's options for each row; - reads them from stdin
"""


def limit_blas(threads):
    """PyTorch built for OpenBLAS leaves it as many threads as there are CPUs, whatever set_num_threads says."""
    try:
        ctypes.CDLL("libopenblas.so.0").openblas_set_num_threads(threads)
    except (OSError, AttributeError):
        pass  # built for another BLAS, which set_num_threads reaches


def check(options):
    kind, _, index = options.device.partition(":")
    if kind not in ("cpu", "cuda") or (":" in options.device and (kind == "cpu" or not index.isdecimal())):
        raise ValueError(f"--device is {options.device}, expected cpu, cuda or cuda:N")
    if options.math == "tf32" and options.dtype != "f32":
        raise ValueError(f"--math is tf32 with --dtype {options.dtype}, expected strict: "
                         "tf32 is for products of f32")
    if options.graph and kind == "cpu":
        raise ValueError("--graph with --device cpu, expected cuda")


class Network:
    """One shape, ready to be run."""

    def __init__(self, torch, options, device):
        self.torch, self.options, self.device = torch, options, device
        self.gpu = device.type == "cuda"
        self.allow_tf32 = self.set_math()
        torch.manual_seed(1)
        dtype = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16,
                 "bf16": torch.bfloat16}[options.dtype]
        module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[options.cell]
        self.rnn = module(options.i, options.h, options.layers, bidirectional=options.bidirectional)
        self.rnn = self.rnn.to(device=device, dtype=dtype)
        self.rnn.flatten_parameters()
        self.rnn.train(options.phase == "training")
        directions = 2 if options.bidirectional else 1

        def uniform(bound, *shape):
            return torch.empty(shape, device=device).uniform_(-bound, bound).to(dtype)

        steps = 1 if options.phase == "step" else options.t
        self.x = uniform(1, steps, options.n, options.i)
        self.dy = uniform(0.01, options.t, options.n, directions * options.h)
        states = [torch.zeros(options.layers * directions, options.n, options.h, device=device, dtype=dtype)
                  for _ in range(2 if options.cell == "lstm" else 1)]
        self.state = tuple(states) if options.cell == "lstm" else states[0]
        self.leaves = [self.x, *states, *self.rnn.parameters()]
        if options.phase == "training":
            for leaf in self.leaves:
                leaf.requires_grad_(True)
        calls = {"inference": self.infer, "training": self.train, "step": self.step}
        self.run = calls[options.phase]
        self.what = {"inference": "forward", "training": "gradients to None, forward, backward",
                     "step": "T calls of one step"}[options.phase]
        if options.graph:
            self.what = "replay of a CUDA graph of: " + self.what
            self.run = self.captured()

    def set_math(self):
        """Strict is about f32. For bf16 PyTorch takes the same switch as leave to use tensor cores at all."""
        allow = self.options.math == "tf32" or self.options.dtype in ("f16", "bf16")
        self.torch.backends.cudnn.allow_tf32 = allow
        self.torch.backends.cuda.matmul.allow_tf32 = allow
        return allow

    def infer(self):
        with self.torch.no_grad():
            self.rnn(self.x)

    def train(self):
        for leaf in self.leaves:
            leaf.grad = None
        y, _ = self.rnn(self.x, self.state)
        y.backward(self.dy)

    def step(self):
        state = self.state
        with self.torch.no_grad():
            for _ in range(self.options.t):
                _, state = self.rnn(self.x, state)

    def captured(self):
        cuda = self.torch.cuda
        stream = cuda.Stream(self.device)
        stream.wait_stream(cuda.current_stream(self.device))
        with cuda.stream(stream):  # PyTorch wants a few runs on a stream of their own before a capture
            for _ in range(3):
                self.run()
        cuda.current_stream(self.device).wait_stream(stream)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            self.run()
        return graph.replay

    def finish(self):
        if self.gpu:
            self.torch.cuda.synchronize(self.device)


class PyTorch(rows.Peer):
    name = "pytorch"

    def __init__(self):
        self.torch = None

    def version(self):
        try:
            import torch
        except ImportError as error:
            raise RuntimeError(f"there is no PyTorch in {sys.executable} ({error})")
        self.torch = torch
        return torch.__version__

    def check(self, options):
        check(options)

    def prepare(self, options):
        torch = self.torch
        torch.set_num_threads(options.threads)
        limit_blas(options.threads)
        kind, _, index = options.device.partition(":")
        if kind == "cpu":
            return Network(torch, options, torch.device("cpu"))
        if not torch.cuda.is_available():
            raise RuntimeError(f"PyTorch {torch.__version__} of {sys.executable} sees no GPU")
        index = int(index or 0)
        if index >= torch.cuda.device_count():
            raise RuntimeError(
                f"--device is {options.device}, and PyTorch sees {torch.cuda.device_count()} GPUs")
        torch.cuda.empty_cache()
        torch.cuda.set_device(index)
        return Network(torch, options, torch.device("cuda", index))

    def grown_bytes(self, options):
        tiny = argparse.Namespace(**{**vars(options), "t": 2, "n": 2, "i": 8, "h": 8})
        self.prepare(tiny).run()
        before = rows.resident_bytes("VmRSS")
        network = self.prepare(options)
        network.run()
        network.run()
        return rows.resident_bytes("VmHWM") - before

    def time(self, network, options):
        torch = self.torch
        samples, runs = rows.measure(network.run, network.finish, 0.002 if network.gpu else 5e-5, options)
        text = f"{runs} run{'' if runs == 1 else 's'}"
        more = {"engine": "pytorch " + torch.__version__, "device": str(network.device), "isa": "",
                "run": network.what, "sample": text + (" and one synchronisation" if network.gpu else "")}
        if network.gpu:
            more |= {"device_name": torch.cuda.get_device_name(network.device),
                     "cudnn": torch.backends.cudnn.version(), "cuda": torch.version.cuda,
                     "allow_tf32": network.allow_tf32}
        return rows.result(options, samples, more)


if __name__ == "__main__":
    sys.exit(rows.run_program(PyTorch(), __doc__, EXAMPLES))
